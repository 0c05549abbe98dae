//! [`Lanes`] of two words, for the 128-bit registers that every 64-bit ARM processor has.

use std::arch::aarch64::*;

use crate::field::P;
use crate::lanes::{EPSILON, Lanes};

impl Lanes for uint64x2_t {
    const COUNT: usize = 2;

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        unsafe { vld1q_u64(words) }
    }
    #[inline(always)]
    unsafe fn store(self, words: *mut u64) {
        unsafe { vst1q_u64(words, self) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        unsafe { vdupq_n_u64(word) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { vaddq_u64(self, other) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { vsubq_u64(self, other) }
    }
    #[inline(always)]
    unsafe fn and(self, other: Self) -> Self {
        unsafe { vandq_u64(self, other) }
    }
    #[inline(always)]
    unsafe fn left(self, bits: u32) -> Self {
        unsafe { vshlq_u64(self, vdupq_n_s64(i64::from(bits))) }
    }
    #[inline(always)]
    unsafe fn right(self, bits: u32) -> Self {
        unsafe { vshlq_u64(self, vdupq_n_s64(-i64::from(bits))) }
    }
    #[inline(always)]
    unsafe fn signed_high(self) -> Self {
        unsafe { vreinterpretq_u64_s64(vshrq_n_s64::<32>(vreinterpretq_s64_u64(self))) }
    }
    #[inline(always)]
    unsafe fn mul_low(self, other: Self) -> Self {
        unsafe { vmull_u32(vmovn_u64(self), vmovn_u64(other)) }
    }
    #[inline(always)]
    unsafe fn below(self, high: Self) -> Self {
        unsafe { vbslq_u64(Self::splat(EPSILON), self, high) }
    }
    #[inline(always)]
    unsafe fn add_folded(self, other: Self) -> Self {
        unsafe {
            let sum = vaddq_u64(self, other);
            // The comparison's ones, shifted, are 2^32 - 1.
            vaddq_u64(sum, vshrq_n_u64::<32>(vcltq_u64(sum, other)))
        }
    }
    #[inline(always)]
    unsafe fn sub_folded(self, other: Self) -> Self {
        unsafe { vsubq_u64(vsubq_u64(self, other), vshrq_n_u64::<32>(vcltq_u64(self, other))) }
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        unsafe {
            let p = Self::splat(P);
            vsubq_u64(self, vandq_u64(vcgeq_u64(self, p), p))
        }
    }
    #[inline(always)]
    unsafe fn columns([a, b, c, d, e, f, g, h]: [Self; 8]) -> [Self; 8] {
        unsafe {
            [
                vzip1q_u64(a, e),
                vzip2q_u64(a, e),
                vzip1q_u64(b, f),
                vzip2q_u64(b, f),
                vzip1q_u64(c, g),
                vzip2q_u64(c, g),
                vzip1q_u64(d, h),
                vzip2q_u64(d, h),
            ]
        }
    }
    #[inline(always)]
    unsafe fn rows([a, b, c, d, e, f, g, h]: [Self; 8]) -> [Self; 8] {
        unsafe {
            [
                vzip1q_u64(a, b),
                vzip1q_u64(c, d),
                vzip1q_u64(e, f),
                vzip1q_u64(g, h),
                vzip2q_u64(a, b),
                vzip2q_u64(c, d),
                vzip2q_u64(e, f),
                vzip2q_u64(g, h),
            ]
        }
    }
}

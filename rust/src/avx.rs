//! [`Lanes`] of eight words for AVX-512, and of four for AVX2.

use std::arch::x86_64::*;

use crate::field::P;
use crate::lanes::{EPSILON, Lanes};

impl Lanes for __m512i {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        unsafe { _mm512_loadu_si512(words.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, words: *mut u64) {
        unsafe { _mm512_storeu_si512(words.cast(), self) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        unsafe { _mm512_set1_epi64(word as i64) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm512_add_epi64(self, other) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { _mm512_sub_epi64(self, other) }
    }
    #[inline(always)]
    unsafe fn and(self, other: Self) -> Self {
        unsafe { _mm512_and_si512(self, other) }
    }
    #[inline(always)]
    unsafe fn left(self, bits: u32) -> Self {
        unsafe { _mm512_sll_epi64(self, _mm_cvtsi32_si128(bits as i32)) }
    }
    #[inline(always)]
    unsafe fn right(self, bits: u32) -> Self {
        unsafe { _mm512_srl_epi64(self, _mm_cvtsi32_si128(bits as i32)) }
    }
    #[inline(always)]
    unsafe fn signed_high(self) -> Self {
        unsafe { _mm512_srai_epi64(self, 32) }
    }
    #[inline(always)]
    unsafe fn mul_low(self, other: Self) -> Self {
        unsafe { _mm512_mul_epu32(self, other) }
    }
    #[inline(always)]
    unsafe fn below(self, high: Self) -> Self {
        unsafe { _mm512_mask_blend_epi32(0xAAAA, self, high) }
    }
    #[inline(always)]
    unsafe fn add_folded(self, other: Self) -> Self {
        unsafe {
            let sum = _mm512_add_epi64(self, other);
            _mm512_mask_add_epi64(sum, _mm512_cmplt_epu64_mask(sum, other), sum, Self::splat(EPSILON))
        }
    }
    #[inline(always)]
    unsafe fn sub_folded(self, other: Self) -> Self {
        unsafe {
            let difference = _mm512_sub_epi64(self, other);
            let borrow = _mm512_cmplt_epu64_mask(self, other);
            _mm512_mask_sub_epi64(difference, borrow, difference, Self::splat(EPSILON))
        }
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        unsafe { _mm512_min_epu64(self, self.sub(Self::splat(P))) }
    }
    #[inline(always)]
    unsafe fn columns(r: [Self; 8]) -> [Self; 8] {
        unsafe {
            let [c0, c2, c4, c6] = pairs_transposed([
                _mm512_unpacklo_epi64(r[0], r[1]),
                _mm512_unpacklo_epi64(r[2], r[3]),
                _mm512_unpacklo_epi64(r[4], r[5]),
                _mm512_unpacklo_epi64(r[6], r[7]),
            ]);
            let [c1, c3, c5, c7] = pairs_transposed([
                _mm512_unpackhi_epi64(r[0], r[1]),
                _mm512_unpackhi_epi64(r[2], r[3]),
                _mm512_unpackhi_epi64(r[4], r[5]),
                _mm512_unpackhi_epi64(r[6], r[7]),
            ]);
            [c0, c1, c2, c3, c4, c5, c6, c7]
        }
    }
    #[inline(always)]
    unsafe fn rows(columns: [Self; 8]) -> [Self; 8] {
        unsafe { Self::columns(columns) }
    }
}

/// A 4 by 4 tile of 128-bit pairs, transposed.
#[inline(always)]
unsafe fn pairs_transposed([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    unsafe {
        let (low_ab, high_ab) = (_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE));
        let (low_cd, high_cd) = (_mm512_shuffle_i64x2(c, d, 0x44), _mm512_shuffle_i64x2(c, d, 0xEE));
        [
            _mm512_shuffle_i64x2(low_ab, low_cd, 0x88),
            _mm512_shuffle_i64x2(low_ab, low_cd, 0xDD),
            _mm512_shuffle_i64x2(high_ab, high_cd, 0x88),
            _mm512_shuffle_i64x2(high_ab, high_cd, 0xDD),
        ]
    }
}

impl Lanes for __m256i {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        unsafe { _mm256_loadu_si256(words.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, words: *mut u64) {
        unsafe { _mm256_storeu_si256(words.cast(), self) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        unsafe { _mm256_set1_epi64x(word as i64) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm256_add_epi64(self, other) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { _mm256_sub_epi64(self, other) }
    }
    #[inline(always)]
    unsafe fn and(self, other: Self) -> Self {
        unsafe { _mm256_and_si256(self, other) }
    }
    #[inline(always)]
    unsafe fn left(self, bits: u32) -> Self {
        unsafe { _mm256_sll_epi64(self, _mm_cvtsi32_si128(bits as i32)) }
    }
    #[inline(always)]
    unsafe fn right(self, bits: u32) -> Self {
        unsafe { _mm256_srl_epi64(self, _mm_cvtsi32_si128(bits as i32)) }
    }
    #[inline(always)]
    unsafe fn signed_high(self) -> Self {
        unsafe {
            let (sign, high) = (_mm256_srai_epi32(self, 31), _mm256_shuffle_epi32(self, 0xF5));
            _mm256_blend_epi32(high, sign, 0xAA)
        }
    }
    #[inline(always)]
    unsafe fn mul_low(self, other: Self) -> Self {
        unsafe { _mm256_mul_epu32(self, other) }
    }
    #[inline(always)]
    unsafe fn below(self, high: Self) -> Self {
        unsafe { _mm256_blend_epi32(self, high, 0xAA) }
    }
    #[inline(always)]
    unsafe fn add_folded(self, other: Self) -> Self {
        unsafe {
            let sum = _mm256_add_epi64(self, other);
            // The comparison's ones, shifted, are 2^32 - 1.
            _mm256_add_epi64(sum, less(sum, other).right(32))
        }
    }
    #[inline(always)]
    unsafe fn sub_folded(self, other: Self) -> Self {
        unsafe { _mm256_sub_epi64(_mm256_sub_epi64(self, other), less(self, other).right(32)) }
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        unsafe {
            let p = Self::splat(P);
            _mm256_sub_epi64(self, _mm256_andnot_si256(less(self, p), p))
        }
    }
    #[inline(always)]
    unsafe fn columns(rows: [Self; 8]) -> [Self; 8] {
        unsafe {
            let [a, b, c, d] = square_transposed([rows[0], rows[2], rows[4], rows[6]]);
            let [e, f, g, h] = square_transposed([rows[1], rows[3], rows[5], rows[7]]);
            [a, b, c, d, e, f, g, h]
        }
    }
    #[inline(always)]
    unsafe fn rows([a, b, c, d, e, f, g, h]: [Self; 8]) -> [Self; 8] {
        unsafe {
            let [a, b, c, d] = square_transposed([a, b, c, d]);
            let [e, f, g, h] = square_transposed([e, f, g, h]);
            [a, e, b, f, c, g, d, h]
        }
    }
}

/// All ones where a < b, without a sign.
#[inline(always)]
unsafe fn less(a: __m256i, b: __m256i) -> __m256i {
    unsafe {
        let sign = _mm256_set1_epi64x(i64::MIN);
        _mm256_cmpgt_epi64(_mm256_xor_si256(b, sign), _mm256_xor_si256(a, sign))
    }
}

/// A 4 by 4 tile, transposed.
#[inline(always)]
unsafe fn square_transposed([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    unsafe {
        let (ab_even, ab_odd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        let (cd_even, cd_odd) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
        [
            _mm256_permute2x128_si256(ab_even, cd_even, 0x20),
            _mm256_permute2x128_si256(ab_odd, cd_odd, 0x20),
            _mm256_permute2x128_si256(ab_even, cd_even, 0x31),
            _mm256_permute2x128_si256(ab_odd, cd_odd, 0x31),
        ]
    }
}

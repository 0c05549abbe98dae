//! Several words of 64 bits at a time: the few operations that the wide transform needs. `avx` has them for AVX-512 and for
//! AVX2, `neon` for ARM.
//!
//! Every function is inlined into one that is compiled for the processor; no operation depends on a value.

/// 2^64 mod p.
pub const EPSILON: u64 = 0xFFFF_FFFF;

/// A register of words. All functions need a processor with the register's instructions.
pub trait Lanes: Copy {
    /// Words in a register: 8, 4 or 2.
    const COUNT: usize;

    unsafe fn load(words: *const u64) -> Self;
    unsafe fn store(self, words: *mut u64);
    unsafe fn splat(word: u64) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn and(self, other: Self) -> Self;
    /// Shifts by up to 64 bits, towards zero from 64 on.
    unsafe fn left(self, bits: u32) -> Self;
    unsafe fn right(self, bits: u32) -> Self;
    /// The upper 32 bits, their sign extended.
    unsafe fn signed_high(self) -> Self;
    /// The product of the lower 32 bits.
    unsafe fn mul_low(self, other: Self) -> Self;
    /// The lower 32 bits of `self` and the upper 32 of `high`.
    unsafe fn below(self, high: Self) -> Self;
    /// `self + other`, and 2^64 mod p where that carries. One of the two is at most 2^64 - 2^32.
    unsafe fn add_folded(self, other: Self) -> Self;
    /// `self - other`, less 2^64 mod p where that borrows. `other` is at most 2^64 - 2^32 + `self`.
    unsafe fn sub_folded(self, other: Self) -> Self;
    /// The residue below p of any 64 bits.
    unsafe fn canonical(self) -> Self;
    /// COUNT rows of eight words, row after row, to eight columns.
    unsafe fn columns(rows: [Self; 8]) -> [Self; 8];
    /// The way back.
    unsafe fn rows(columns: [Self; 8]) -> [Self; 8];

    /// Products modulo p of any 64 bits, in any 64 bits.
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: that of the function.
        unsafe {
            let (low, carry, high) = self.wide_product(other);
            Self::reduced(low.below(carry.left(32)), high)
        }
    }

    /// The product of 128 bits in three words: bits 0 to 31 are the low half of the first, bits 32 to 63 that of the
    /// second, and the third is the rest.
    #[inline(always)]
    unsafe fn wide_product(self, other: Self) -> (Self, Self, Self) {
        // SAFETY: that of the function.
        unsafe {
            let (a_high, b_high) = (self.right(32), other.right(32));
            let low = self.mul_low(other);
            let cross = self.mul_low(b_high).add(low.right(32));
            let carry = a_high.mul_low(other).add(cross.and(Self::splat(EPSILON)));
            (low, carry, a_high.mul_low(b_high).add(cross.right(32)).add(carry.right(32)))
        }
    }

    /// low + 2^64 high modulo p, in any 64 bits: 2^64 = 2^32 - 1 and 2^96 = -1.
    #[inline(always)]
    unsafe fn reduced(low: Self, high: Self) -> Self {
        // SAFETY: that of the function.
        unsafe { low.sub_folded(high.right(32)).add_folded(high.mul_low(Self::splat(EPSILON))) }
    }
}

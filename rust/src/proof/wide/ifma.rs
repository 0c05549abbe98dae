//! Eight elements of F_p on processors that multiply 52 bits at once (AVX-512 IFMA).
//!
//! A word is low + 2^52 high, of 52 and 12 bits. A product is x0 + 2^52 x1 + 2^104 x2: sums of products are kept so, and
//! reduced once.

use std::arch::x86_64::*;

use super::accumulate::Accumulate;
use super::code::{Code, Coset};
use super::ext::{Element, Ext};
use super::packed::Packed;
use crate::lanes::Lanes;

const LOW: u64 = (1 << 52) - 1;
const EPSILON: u64 = 0xFFFF_FFFF;
/// 2^104 modulo p: -2^8, since 2^96 = -1.
const TWO_104: u64 = crate::field::P - 256;

#[derive(Clone, Copy)]
pub struct Ifma(__m512i);

/// x0 + 2^52 x1 + 2^104 x2.
type Wide = [__m512i; 3];

/// The 52 lower bits and the 12 upper ones.
#[inline(always)]
unsafe fn split(word: __m512i) -> [__m512i; 2] {
    unsafe { [_mm512_and_si512(word, _mm512_set1_epi64(LOW as i64)), _mm512_srli_epi64(word, 52)] }
}

#[inline(always)]
unsafe fn add_product(x: Wide, a: [__m512i; 2], b: [__m512i; 2]) -> Wide {
    unsafe {
        let low = _mm512_madd52lo_epu64(x[0], a[0], b[0]);
        let middle = _mm512_madd52hi_epu64(x[1], a[0], b[0]);
        let middle = _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(middle, a[0], b[1]), a[1], b[0]);
        let high = _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(x[2], a[0], b[1]), a[1], b[0]);
        [low, middle, _mm512_madd52lo_epu64(high, a[1], b[1])]
    }
}

/// Loose. For x0 and x1 below 2^63 and x2 below 2^50.
#[inline(always)]
unsafe fn reduced([x0, x1, x2]: Wide) -> __m512i {
    unsafe {
        let sum = _mm512_slli_epi64(x1, 52).add_folded(x0);
        let sum = sum.add_folded(_mm512_mul_epu32(_mm512_srli_epi64(x1, 12), _mm512_set1_epi64(EPSILON as i64)));
        // 2^52 2^44 = -1 and 2^104 = -2^8
        sum.sub_folded(Lanes::add(_mm512_srli_epi64(x1, 44), _mm512_slli_epi64(x2, 8)))
    }
}

impl Packed for Ifma {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        unsafe { Self(Packed::load(words)) }
    }
    #[inline(always)]
    unsafe fn store(self, words: *mut u64) {
        unsafe { Packed::store(self.0, words) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        unsafe { Self(Packed::splat(word)) }
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        unsafe { Self(Packed::canonical(self.0)) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(Packed::add(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { Self(Packed::sub(self.0, other.0)) }
    }
    /// Products of 32 bits take as long for one product.
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Self(Packed::mul(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn ext_mul([a0, a1]: [Self; 2], [b0, b1]: [Self; 2]) -> [Self; 2] {
        unsafe {
            let (a0, a1, b0, b1) = (split(a0.0), split(a1.0), split(b0.0), split(b1.0));
            let none = [_mm512_setzero_si512(); 3];
            let [x0, x1, x2] = add_product(none, a1, b1);
            let seven = [sevenfold(x0), sevenfold(x1), sevenfold(x2)];
            let of_one = reduced(add_product(seven, a0, b0));
            let of_x = reduced(add_product(add_product(none, a0, b1), a1, b0));
            [Self(of_one), Self(of_x)]
        }
    }
    #[inline(always)]
    unsafe fn ext_two_products([a, b]: [[Self; 2]; 2], [c, d]: [[Self; 2]; 2]) -> [Self; 2] {
        unsafe {
            let (a0, a1, b0, b1) = (split(a[0].0), split(a[1].0), split(b[0].0), split(b[1].0));
            let (c0, c1, d0, d1) = (split(c[0].0), split(c[1].0), split(d[0].0), split(d[1].0));
            let none = [_mm512_setzero_si512(); 3];
            // 7 (3 + 3) + 3 + 3 terms of 52 bits stay below 2^58.
            let [x0, x1, x2] = add_product(add_product(none, a1, b1), c1, d1);
            let seven = [sevenfold(x0), sevenfold(x1), sevenfold(x2)];
            let of_one = reduced(add_product(add_product(seven, a0, b0), c0, d0));
            let of_x = add_product(add_product(none, a0, b1), a1, b0);
            let of_x = reduced(add_product(add_product(of_x, c0, d1), c1, d0));
            [Self(of_one), Self(of_x)]
        }
    }
    #[inline(always)]
    unsafe fn transform(code: &Code, coset: &Coset, values: &mut [u64]) {
        unsafe { <__m512i as Packed>::transform(code, coset, values) }
    }
}

#[inline(always)]
unsafe fn sevenfold(word: __m512i) -> __m512i {
    unsafe { Lanes::sub(_mm512_slli_epi64(word, 3), word) }
}

/// 1024 products: three terms of 52 bits each stay below 2^64.
impl Accumulate for Ifma {
    type Limbs = [u64; 4];
    type Weight = [[__m512i; 2]; 2];
    type Sum = [Wide; 2];
    const ABREAST: usize = 4;

    #[inline(always)]
    fn limbs([a, b]: Element) -> [u64; 4] {
        [a & LOW, a >> 52, b & LOW, b >> 52]
    }
    #[inline(always)]
    unsafe fn splat_weight(&[a0, a1, b0, b1]: &[u64; 4]) -> Self::Weight {
        unsafe {
            [
                [_mm512_set1_epi64(a0 as i64), _mm512_set1_epi64(a1 as i64)],
                [_mm512_set1_epi64(b0 as i64), _mm512_set1_epi64(b1 as i64)],
            ]
        }
    }
    #[inline(always)]
    unsafe fn weight(Ext(a, b): Ext<Self>) -> Self::Weight {
        unsafe { [split(a.0), split(b.0)] }
    }
    #[inline(always)]
    unsafe fn nothing() -> Self::Sum {
        unsafe { [[_mm512_setzero_si512(); 3]; 2] }
    }
    #[inline(always)]
    unsafe fn accumulate(sum: &mut Self::Sum, word: Self, weight: &Self::Weight) {
        unsafe {
            let word = split(word.0);
            *sum = [add_product(sum[0], word, weight[0]), add_product(sum[1], word, weight[1])];
        }
    }
    #[inline(always)]
    unsafe fn total([a, b]: Self::Sum) -> Ext<Self> {
        unsafe { Ext(Self(total(a)), Self(total(b))) }
    }
}

/// Canonical, for any limbs.
#[inline(always)]
unsafe fn total([x0, x1, x2]: Wide) -> __m512i {
    unsafe {
        let middle = Packed::mul(x1, _mm512_set1_epi64(1 << 52));
        let high = Packed::mul(x2, _mm512_set1_epi64(TWO_104 as i64));
        let sum = Packed::add(Packed::canonical(x0), Packed::canonical(middle));
        Packed::add(sum, Packed::canonical(high))
    }
}

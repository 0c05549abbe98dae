//! The inverse transform for processors with AVX-512, eight words at a time: the same results as in `ntt`.
//!
//! Arithmetic follows `field`: compare, then add or subtract under a mask, so no step depends on a value. Stages that
//! pair words closer than eight apart run on a transposed tile of 64, where each register holds one position of eight
//! groups.

use std::arch::x86_64::*;

use crate::field::P;
use crate::ntt::N;

const TILES: usize = N / 64;

/// Inverse twiddles of the three closest stages, one register for each pair of positions in a tile.
pub struct TileTwiddles(Vec<[[u64; 8]; 7]>);

impl TileTwiddles {
    /// `twiddles`: the powers in bit-reversed order that the scalar transform uses.
    pub fn new(twiddles: &[u64]) -> Self {
        let lanes = |tile: usize, stage: usize, groups: usize, pair: usize| {
            std::array::from_fn(|lane| twiddles[stage + (tile * 8 + lane) * groups + pair])
        };
        let tile = |tile| {
            [
                lanes(tile, N / 2, 4, 0),
                lanes(tile, N / 2, 4, 1),
                lanes(tile, N / 2, 4, 2),
                lanes(tile, N / 2, 4, 3),
                lanes(tile, N / 4, 2, 0),
                lanes(tile, N / 4, 2, 1),
                lanes(tile, N / 8, 1, 0),
            ]
        };
        Self((0..TILES).map(tile).collect())
    }
}

/// Multiply by `factor` point by point, then take evaluations to N times the coefficients.
///
/// # Safety
/// The processor has these features: `processor::Level::Avx512` is here.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
pub fn multiply_and_invert(x: &mut [u64; N], factor: &[u64; N], twiddles: &[u64], tiles: &TileTwiddles) {
    let rows = x.as_chunks_mut::<8>().0;
    let factors = factor.as_chunks::<8>().0;
    for (tile, twiddles) in tiles.0.iter().enumerate() {
        let rows = &mut rows[8 * tile..8 * tile + 8];
        let factors = &factors[8 * tile..8 * tile + 8];
        let mut v = [zero(); 8];
        for ((v, row), factor) in v.iter_mut().zip(rows.iter()).zip(factors) {
            *v = mul(load(row), load(factor));
        }
        v = transposed(v);
        for (pair, twiddle) in twiddles[..4].iter().enumerate() {
            butterfly(&mut v, 2 * pair, 2 * pair + 1, load(twiddle));
        }
        for (pair, twiddle) in twiddles[4..6].iter().enumerate() {
            butterfly(&mut v, 4 * pair, 4 * pair + 2, load(twiddle));
            butterfly(&mut v, 4 * pair + 1, 4 * pair + 3, load(twiddle));
        }
        for position in 0..4 {
            butterfly(&mut v, position, position + 4, load(&twiddles[6]));
        }
        v = transposed(v);
        for (row, v) in rows.iter_mut().zip(v) {
            store(row, v);
        }
    }
    let mut half = 1;
    let mut groups = N / 16;
    while groups >= 1 {
        for (group, &twiddle) in rows.chunks_exact_mut(2 * half).zip(&twiddles[groups..2 * groups]) {
            let twiddle = _mm512_set1_epi64(twiddle as i64);
            let (left, right) = group.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                let (a, b) = (load(left), load(right));
                store(left, add(a, b));
                store(right, mul(sub(a, b), twiddle));
            }
        }
        half <<= 1;
        groups >>= 1;
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
fn butterfly(v: &mut [__m512i; 8], left: usize, right: usize, twiddle: __m512i) {
    let (a, b) = (v[left], v[right]);
    v[left] = add(a, b);
    v[right] = mul(sub(a, b), twiddle);
}

#[inline]
#[target_feature(enable = "avx512f")]
fn zero() -> __m512i {
    _mm512_setzero_si512()
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: 64 readable bytes; the instruction takes any alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(words: &mut [u64; 8], value: __m512i) {
    // SAFETY: 64 writable bytes; the instruction takes any alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: __m512i, b: __m512i) -> __m512i {
    sub(a, _mm512_sub_epi64(_mm512_set1_epi64(P as i64), b))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sub(a: __m512i, b: __m512i) -> __m512i {
    let difference = _mm512_sub_epi64(a, b);
    let borrow = _mm512_cmplt_epu64_mask(a, b);
    _mm512_mask_add_epi64(difference, borrow, difference, _mm512_set1_epi64(P as i64))
}

/// The product from four of 32 bits, then the reduction of `field::mul`.
#[inline]
#[target_feature(enable = "avx512f")]
fn mul(a: __m512i, b: __m512i) -> __m512i {
    let epsilon = _mm512_set1_epi64(0xFFFF_FFFF);
    let (a_high, b_high) = (_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    let low_low = _mm512_mul_epu32(a, b);
    let low_high = _mm512_mul_epu32(a, b_high);
    let high_low = _mm512_mul_epu32(a_high, b);
    let high_high = _mm512_mul_epu32(a_high, b_high);
    let cross = _mm512_add_epi64(low_high, _mm512_srli_epi64(low_low, 32));
    let carry = _mm512_add_epi64(high_low, _mm512_and_si512(cross, epsilon));
    let low = _mm512_mask_blend_epi32(0xAAAA, low_low, _mm512_slli_epi64(carry, 32));
    let high =
        _mm512_add_epi64(high_high, _mm512_add_epi64(_mm512_srli_epi64(cross, 32), _mm512_srli_epi64(carry, 32)));

    let top = _mm512_srli_epi64(high, 32);
    let mut folded = _mm512_sub_epi64(low, top);
    let borrow = _mm512_cmplt_epu64_mask(low, top);
    folded = _mm512_mask_sub_epi64(folded, borrow, folded, epsilon);
    let middle = _mm512_and_si512(high, epsilon);
    let shifted = _mm512_sub_epi64(_mm512_slli_epi64(middle, 32), middle);
    let mut sum = _mm512_add_epi64(folded, shifted);
    let carry = _mm512_cmplt_epu64_mask(sum, shifted);
    sum = _mm512_mask_add_epi64(sum, carry, sum, epsilon);
    _mm512_min_epu64(sum, _mm512_sub_epi64(sum, _mm512_set1_epi64(P as i64)))
}

/// Rows to columns of an 8 by 8 tile.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(r: [__m512i; 8]) -> [__m512i; 8] {
    let even = [0, 2, 4, 6].map(|i| _mm512_unpacklo_epi64(r[i], r[i + 1]));
    let odd = [0, 2, 4, 6].map(|i| _mm512_unpackhi_epi64(r[i], r[i + 1]));
    let [c0, c2, c4, c6] = transposed_pairs(even);
    let [c1, c3, c5, c7] = transposed_pairs(odd);
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

/// The same for a 4 by 4 tile of 128-bit pairs.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed_pairs([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (low_ab, high_ab) = (_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE));
    let (low_cd, high_cd) = (_mm512_shuffle_i64x2(c, d, 0x44), _mm512_shuffle_i64x2(c, d, 0xEE));
    [
        _mm512_shuffle_i64x2(low_ab, low_cd, 0x88),
        _mm512_shuffle_i64x2(low_ab, low_cd, 0xDD),
        _mm512_shuffle_i64x2(high_ab, high_cd, 0x88),
        _mm512_shuffle_i64x2(high_ab, high_cd, 0xDD),
    ]
}

//! Several words of 32 bits in a register, for BLAKE3: AVX-512, AVX2, and arrays of four that the compiler makes SSE2 of.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
use crate::lanes::Lanes;

use super::Width;
use super::width::Kind;

/// A register of words. All functions need a processor with the register's instructions.
pub trait Words: Copy {
    const COUNT: usize;

    unsafe fn splat(word: u32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn xor(self, other: Self) -> Self;
    /// By 16, 12, 8 or 7.
    unsafe fn rotated_right<const BITS: i32>(self) -> Self;
    /// COUNT words of 64 bits: their lower halves, their upper halves.
    unsafe fn halves(words: *const u64) -> [Self; 2];
    /// COUNT blocks of 64 bytes: 32 from each of two runs.
    unsafe fn blocks(left: *const u8, right: *const u8) -> [Self; 16];
    /// COUNT digests of 32 bytes, one after the other.
    unsafe fn store_digests(state: [Self; 8], bytes: *mut u8);
}

/// As [`super::Work`], for words of 32 bits.
pub trait Hashing {
    /// Must be `#[inline(always)]`.
    ///
    /// # Safety
    /// The processor has the instructions of `W`.
    unsafe fn run<W: Words>(self);
}

/// `hashing`, in the copy for a width.
pub fn at<H: Hashing>(width: Width, hashing: H) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2")]
    unsafe fn avx512<H: Hashing>(hashing: H) {
        unsafe { hashing.run::<__m512i>() }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn avx2<H: Hashing>(hashing: H) {
        unsafe { hashing.run::<__m256i>() }
    }
    // SAFETY: a `Width` is one that this processor has.
    unsafe {
        match width.kind() {
            Kind::Portable => hashing.run::<Four>(),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2(hashing),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Ifma => avx512(hashing),
        }
    }
}

/// The portable form.
#[derive(Clone, Copy)]
pub struct Four([u32; 4]);

impl Words for Four {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        Self([word; 4])
    }
    #[inline(always)]
    unsafe fn add(self, Self([a, b, c, d]): Self) -> Self {
        let [w, x, y, z] = self.0;
        Self([w.wrapping_add(a), x.wrapping_add(b), y.wrapping_add(c), z.wrapping_add(d)])
    }
    #[inline(always)]
    unsafe fn xor(self, Self([a, b, c, d]): Self) -> Self {
        let [w, x, y, z] = self.0;
        Self([w ^ a, x ^ b, y ^ c, z ^ d])
    }
    #[inline(always)]
    unsafe fn rotated_right<const BITS: i32>(self) -> Self {
        let [w, x, y, z] = self.0;
        let bits = BITS as u32;
        Self([w.rotate_right(bits), x.rotate_right(bits), y.rotate_right(bits), z.rotate_right(bits)])
    }
    #[inline(always)]
    unsafe fn halves(words: *const u64) -> [Self; 2] {
        let [w, x, y, z] = unsafe { words.cast::<[u64; 4]>().read_unaligned() };
        [
            Self([w as u32, x as u32, y as u32, z as u32]),
            Self([(w >> 32) as u32, (x >> 32) as u32, (y >> 32) as u32, (z >> 32) as u32]),
        ]
    }
    #[inline(always)]
    unsafe fn blocks(left: *const u8, right: *const u8) -> [Self; 16] {
        let halves = unsafe { [left, right].map(|half| half.cast::<[[[u8; 4]; 8]; 4]>().read()) };
        let mut words = [Self([0; 4]); 16];
        for (index, word) in words.iter_mut().enumerate() {
            for (lane, block) in word.0.iter_mut().zip(&halves[index / 8]) {
                *lane = u32::from_le_bytes(block[index % 8]);
            }
        }
        words
    }
    #[inline(always)]
    unsafe fn store_digests(state: [Self; 8], bytes: *mut u8) {
        let mut digests = [[[0u8; 4]; 8]; 4];
        for (index, word) in state.iter().enumerate() {
            for (digest, lane) in digests.iter_mut().zip(word.0) {
                digest[index] = lane.to_le_bytes();
            }
        }
        unsafe { bytes.cast::<[[[u8; 4]; 8]; 4]>().write(digests) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Words for __m512i {
    const COUNT: usize = 16;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        unsafe { _mm512_set1_epi32(word as i32) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm512_add_epi32(self, other) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        unsafe { _mm512_xor_si512(self, other) }
    }
    #[inline(always)]
    unsafe fn rotated_right<const BITS: i32>(self) -> Self {
        unsafe { _mm512_ror_epi32::<BITS>(self) }
    }
    #[inline(always)]
    unsafe fn halves(words: *const u64) -> [Self; 2] {
        unsafe { halves_512([Lanes::load(words), Lanes::load(words.add(8))]) }
    }
    #[inline(always)]
    unsafe fn blocks(left: *const u8, right: *const u8) -> [Self; 16] {
        unsafe {
            let mut rows = [[_mm512_setzero_si512(); 8]; 2];
            for (index, row) in rows.as_flattened_mut().iter_mut().enumerate() {
                let lower = _mm256_loadu_si256(left.add(32 * index).cast());
                let upper = _mm256_loadu_si256(right.add(32 * index).cast());
                *row = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(lower), upper);
            }
            let [first, second] = [__m512i::columns(rows[0]), __m512i::columns(rows[1])];
            let mut words = [_mm512_setzero_si512(); 16];
            for (index, pair) in words.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *pair = halves_512([first[index], second[index]]);
            }
            words
        }
    }
    #[inline(always)]
    unsafe fn store_digests(state: [Self; 8], bytes: *mut u8) {
        unsafe {
            let zero = _mm512_setzero_si512();
            let (mut first, mut second) = ([zero; 8], [zero; 8]);
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            for (index, &[even, odd]) in state.as_chunks::<2>().0.iter().enumerate() {
                first[index] = _mm512_permutex2var_epi32(even, low, odd);
                second[index] = _mm512_permutex2var_epi32(even, high, odd);
            }
            for (group, columns) in [first, second].into_iter().enumerate() {
                for (index, row) in <__m512i as Lanes>::rows(columns).into_iter().enumerate() {
                    let digest = bytes.add(32 * (8 * group + index));
                    _mm256_storeu_si256(digest.cast(), _mm512_castsi512_si256(row));
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn halves_512([a, b]: [__m512i; 2]) -> [__m512i; 2] {
    unsafe {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        [_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b)]
    }
}

#[cfg(target_arch = "x86_64")]
impl Words for __m256i {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        unsafe { _mm256_set1_epi32(word as i32) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm256_add_epi32(self, other) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        unsafe { _mm256_xor_si256(self, other) }
    }
    #[inline(always)]
    unsafe fn rotated_right<const BITS: i32>(self) -> Self {
        unsafe {
            match BITS {
                16 => _mm256_shuffle_epi8(self, both_halves(0x0D0C_0F0E, 0x0908_0B0A, 0x0504_0706, 0x0100_0302)),
                8 => _mm256_shuffle_epi8(self, both_halves(0x0C0F_0E0D, 0x080B_0A09, 0x0407_0605, 0x0003_0201)),
                12 => _mm256_or_si256(_mm256_srli_epi32(self, 12), _mm256_slli_epi32(self, 20)),
                _ => _mm256_or_si256(_mm256_srli_epi32(self, 7), _mm256_slli_epi32(self, 25)),
            }
        }
    }
    #[inline(always)]
    unsafe fn halves(words: *const u64) -> [Self; 2] {
        unsafe { halves_256([Lanes::load(words), Lanes::load(words.add(4))]) }
    }
    #[inline(always)]
    unsafe fn blocks(left: *const u8, right: *const u8) -> [Self; 16] {
        unsafe {
            let mut rows = [[_mm256_setzero_si256(); 8]; 2];
            for (index, row) in rows.as_flattened_mut().as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *row = [Lanes::load(left.add(32 * index).cast()), Lanes::load(right.add(32 * index).cast())];
            }
            let [first, second] = [__m256i::columns(rows[0]), __m256i::columns(rows[1])];
            let mut words = [_mm256_setzero_si256(); 16];
            for (index, pair) in words.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *pair = halves_256([first[index], second[index]]);
            }
            words
        }
    }
    #[inline(always)]
    unsafe fn store_digests(state: [Self; 8], bytes: *mut u8) {
        unsafe {
            let zero = _mm256_setzero_si256();
            let (mut first, mut second) = ([zero; 8], [zero; 8]);
            for (index, &[even, odd]) in state.as_chunks::<2>().0.iter().enumerate() {
                let (low, high) = (_mm256_unpacklo_epi32(even, odd), _mm256_unpackhi_epi32(even, odd));
                first[index] = _mm256_permute2x128_si256(low, high, 0x20);
                second[index] = _mm256_permute2x128_si256(low, high, 0x31);
            }
            for (group, columns) in [first, second].into_iter().enumerate() {
                // A row is two registers, of which the second is nothing here.
                for (index, row) in <__m256i as Lanes>::rows(columns).into_iter().step_by(2).enumerate() {
                    Lanes::store(row, bytes.add(32 * (4 * group + index)).cast());
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn halves_256([a, b]: [__m256i; 2]) -> [__m256i; 2] {
    unsafe {
        let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
        let even = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
        let odd = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD));
        [_mm256_permute4x64_epi64(even, 0xD8), _mm256_permute4x64_epi64(odd, 0xD8)]
    }
}

/// Four words, the highest first, in both halves of a register.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn both_halves(d: i32, c: i32, b: i32, a: i32) -> __m256i {
    unsafe { _mm256_setr_epi32(a, b, c, d, a, b, c, d) }
}

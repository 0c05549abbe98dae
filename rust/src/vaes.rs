//! AES-256 in counter mode, four blocks a register, for processors with AVX-512 and VAES (FIPS 197, NIST SP 800-38A).
//!
//! The `aes` crate has this too, but only where the whole build is configured for it, which a wheel for every processor
//! is not. The crate stays the reference: tests compare the two, byte for byte.

use std::arch::x86_64::*;

use zeroize::Zeroize;

const ROUNDS: usize = 14;
/// Bytes that are made at once: eight registers of four blocks.
const STRIDE: usize = 512;

/// The round keys of one key, wiped when dropped.
#[derive(Clone)]
pub struct RoundKeys([[u8; 16]; ROUNDS + 1]);

impl Drop for RoundKeys {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Whether the processor, and the system that runs on it, has what this file needs.
pub fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("aes")
}

impl RoundKeys {
    /// # Safety
    /// `is_here`.
    #[target_feature(enable = "aes,sse2")]
    pub unsafe fn new(key: &[u8; 32]) -> Self {
        let mut keys = Self([[0; 16]; ROUNDS + 1]);
        // SAFETY: 16 bytes are read from, or written to, each place.
        unsafe {
            let mut even = _mm_loadu_si128(key.as_ptr().cast());
            let mut odd = _mm_loadu_si128(key.as_ptr().add(16).cast());
            _mm_storeu_si128(keys.0[0].as_mut_ptr().cast(), even);
            _mm_storeu_si128(keys.0[1].as_mut_ptr().cast(), odd);
            // FIPS 197, section 5.2: the words of an even round key take RotWord, SubWord and Rcon of the last word, those
            // of an odd one SubWord alone.
            macro_rules! expand {
                ($($round:literal: $rcon:literal),*) => {$(
                    even = summed(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, $rcon), 0xFF));
                    _mm_storeu_si128(keys.0[$round].as_mut_ptr().cast(), even);
                    odd = summed(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xAA));
                    _mm_storeu_si128(keys.0[$round + 1].as_mut_ptr().cast(), odd);
                )*};
            }
            expand!(2: 0x01, 4: 0x02, 6: 0x04, 8: 0x08, 10: 0x10, 12: 0x20);
            even = summed(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, 0x40), 0xFF));
            _mm_storeu_si128(keys.0[ROUNDS].as_mut_ptr().cast(), even);
        }
        keys
    }

    /// The keystream from the counter block `part` * 2^64 + `first`, which does not reach the next part.
    ///
    /// # Safety
    /// `is_here`.
    #[target_feature(enable = "avx512f,avx512bw,vaes,aes,sse2")]
    pub unsafe fn keystream(&self, part: u64, first: u64, out: &mut [u8]) {
        let mut next = first;
        let mut strides = out.chunks_exact_mut(STRIDE);
        for stride in &mut strides {
            // SAFETY: the features are enabled here, and the stride has the size.
            unsafe { self.stride(part, next, stride.as_mut_ptr()) };
            next += (STRIDE / 16) as u64;
        }
        let rest = strides.into_remainder();
        if !rest.is_empty() {
            let mut last = [0u8; STRIDE];
            // SAFETY: as above.
            unsafe { self.stride(part, next, last.as_mut_ptr()) };
            rest.copy_from_slice(&last[..rest.len()]);
            last.zeroize();
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes,aes,sse2")]
    unsafe fn stride(&self, part: u64, first: u64, out: *mut u8) {
        // SAFETY: loads are of round keys, stores within the STRIDE bytes that the caller has.
        unsafe {
            let part = part as i64;
            let reversed = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
            let counters = _mm512_set_epi64(3, part, 2, part, 1, part, 0, part);
            let step = |count: i64| _mm512_set_epi64(count, 0, count, 0, count, 0, count, 0);
            let counters = _mm512_add_epi64(counters, step(first as i64));
            let mut blocks = [counters; 8];
            for (index, block) in blocks.iter_mut().enumerate() {
                *block = _mm512_shuffle_epi8(_mm512_add_epi64(*block, step(4 * index as i64)), reversed);
                *block = _mm512_xor_si512(*block, self.round(0));
            }
            for round in 1..ROUNDS {
                let key = self.round(round);
                for block in &mut blocks {
                    *block = _mm512_aesenc_epi128(*block, key);
                }
            }
            for (index, &block) in blocks.iter().enumerate() {
                let last = _mm512_aesenclast_epi128(block, self.round(ROUNDS));
                _mm512_storeu_si512(out.add(64 * index).cast(), last);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,sse2")]
    unsafe fn round(&self, round: usize) -> __m512i {
        // SAFETY: 16 bytes are there.
        unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(self.0[round].as_ptr().cast())) }
    }
}

/// Each word plus all those before it, plus `last`.
#[inline]
#[target_feature(enable = "sse2")]
fn summed(words: __m128i, last: __m128i) -> __m128i {
    let two = _mm_xor_si128(words, _mm_slli_si128(words, 4));
    let four = _mm_xor_si128(two, _mm_slli_si128(two, 8));
    _mm_xor_si128(four, last)
}

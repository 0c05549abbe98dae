//! Uniform and centred binomial polynomials from a seeded stream.

use crate::aligned::Aligned;
use crate::field::P;
use crate::layout::read_word;
use crate::processor::at_its_best;
use crate::ring::N;
use crate::stream::Reader;

/// The parameter of the centred binomial distribution: a difference of two sums of 42 bits. Deviation sqrt(21) = 4.58.
pub const ETA: u32 = 42;

const LOW_42: u64 = (1 << ETA) - 1;
const LOW_20: u64 = (1 << 20) - 1;

/// Coefficients that are made at once.
pub const TILE: usize = 512;

/// N uniform elements of F_p from one part: its little-endian words in order, without those that are not below p.
pub fn uniform(reader: &mut Reader, part: u64, out: &mut [u64; N]) {
    reader.seek(part, 0);
    // SAFETY: the words' own bytes, all of which are written; any bits are a word.
    reader.fill(unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast(), 8 * N) });
    let refused = at_its_best(take_little_endian, out);
    // One word in 2^32 is refused, so this is rare; `a` is public, so branching on it tells nothing.
    if refused {
        replace_refused(out, || {
            let mut next = [0u8; 16];
            reader.fill(&mut next);
            [read_word(&next[..8]), read_word(&next[8..])]
        });
    }
}

/// Centred binomial polynomials from the parts of a stream, a tile at a time.
///
/// A part holds N little-endian words of 64 bits, then N of 32. The low 42 bits of the first count up; its other 22 bits
/// and the low 20 of the second count down.
pub struct Noise {
    reader: Reader,
    long: Aligned<u8, { 8 * TILE }>,
    short: Aligned<u8, { 4 * TILE }>,
}

impl Noise {
    pub fn new(reader: Reader) -> Self {
        Self { reader, long: Aligned::zero(), short: Aligned::zero() }
    }

    /// Coefficients `tile * TILE` on.
    pub fn tile(&mut self, part: u64, tile: usize, out: &mut [i64; TILE]) {
        self.reader.seek(part, 8 * TILE * tile);
        self.reader.fill(&mut *self.long);
        self.reader.seek(part, 8 * N + 4 * TILE * tile);
        self.reader.fill(&mut *self.short);
        at_its_best(count_bits, (out, self.long.as_chunks().0, self.short.as_chunks().0));
    }

    /// All coefficients.
    pub fn polynomial(&mut self, part: u64, out: &mut [i64; N]) {
        for (tile, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            self.tile(part, tile, out);
        }
    }
}

/// Words as they are in the stream to numbers; whether one of them is not below p.
#[inline(always)]
fn take_little_endian(words: &mut [u64; N]) -> bool {
    let mut refused = false;
    for word in words {
        *word = u64::from_le(*word);
        refused |= *word >= P;
    }
    refused
}

#[inline(always)]
pub fn count_bits((out, long, short): (&mut [i64; TILE], &[[u8; 8]], &[[u8; 4]])) {
    for ((value, &long), &short) in out.iter_mut().zip(long).zip(short) {
        let (long, short) = (u64::from_le_bytes(long), u64::from(u32::from_le_bytes(short)));
        // ones(up) - ones(down) = ones(up) + zeros(down) - 42, which takes one count less
        let ones = (long ^ !LOW_42).count_ones() + (!short & LOW_20).count_ones();
        *value = i64::from(ones) - i64::from(ETA);
    }
}

/// Close the gaps that refused words leave, and take the missing ones at the end from what follows in the stream.
fn replace_refused(out: &mut [u64; N], mut next: impl FnMut() -> [u64; 2]) {
    let mut kept = 0;
    for index in 0..N {
        if out[index] < P {
            out[kept] = out[index];
            kept += 1;
        }
    }
    while kept < N {
        for word in next() {
            if word < P && kept < N {
                out[kept] = word;
                kept += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Purpose, Stream};

    #[test]
    fn refused_words_are_skipped_and_the_order_kept() {
        let mut out = [0u64; N];
        for (index, value) in out.iter_mut().enumerate() {
            *value = index as u64;
        }
        out[0] = P;
        out[10] = u64::MAX;
        out[N - 1] = P + 5;
        let mut supply = [[P, 9001], [9002, u64::MAX], [9003, 9004]].into_iter();
        replace_refused(&mut out, || supply.next().unwrap());
        assert_eq!(out[..10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
        assert_eq!(out[N - 4..], [N as u64 - 2, 9001, 9002, 9003]);
        assert!(supply.next().is_none());
    }

    #[test]
    fn binomial_stays_within_eta_and_is_centred() {
        let mut noise = Noise::new(Stream::new(&[3; 32], Purpose::Noise, &[]).reader());
        let mut values = [0i64; N];
        let (mut sum, mut squares) = (0, 0);
        for part in 0..64 {
            noise.polynomial(part, &mut values);
            assert!(values.iter().all(|v| v.unsigned_abs() <= u64::from(ETA)));
            sum += values.iter().sum::<i64>();
            squares += values.iter().map(|v| v * v).sum::<i64>();
        }
        let count = 64.0 * N as f64;
        assert!((sum as f64 / count).abs() < 0.05);
        assert!((squares as f64 / count - 21.0).abs() < 0.3);
    }
}

//! round((b - a * S) / 2^delta) and its slots, with every check that tells a wrong key from the right one.

use crate::aligned::Aligned;
use crate::field::{self, P};
use crate::layout::{BLOCK_BYTES, Layout, read_word};
use crate::masks::{Masks, Round};
use crate::ntt;
use crate::parallel;
use crate::processor::at_its_best;
use crate::ring::{N, Polynomial};
use crate::sampling::{ETA, TILE};

/// Why a sum does not decrypt. Positions count coefficients, or values, over the whole sum.
pub enum Refused {
    /// A word of the ciphertext is not below p.
    Word { word: usize, value: u64 },
    /// The residual of a coefficient is larger than the noise of `count` silos: the key belongs to another sum.
    Residual { coefficient: usize, residual: i64, bound: i64 },
    /// A slot holds more than `count` silos can put there.
    Slot { coefficient: usize, value: i64, bound: i64 },
    /// A slot behind the last value is not zero.
    Padding { coefficient: usize, value: i64 },
}

/// What all blocks of one decryption share.
pub struct Decryption<'a> {
    pub layout: Layout,
    pub parameters: &'a [u8; 32],
    pub context: &'a [u8; 32],
    /// How many contributions were added.
    pub count: u32,
    /// The block of the sum that comes first.
    pub first: usize,
    /// The value of one unit: clip / (2^(w-1) - 1).
    pub unit: f64,
}

impl Decryption<'_> {
    /// The first coefficient of the key's sum that `count` secrets cannot add up to, if any.
    pub fn oversized(&self, key: &[u64; N]) -> Option<(usize, i64)> {
        let bound = self.noise_bound();
        let coefficients = key.iter().map(|&c| field::centred(c)).enumerate();
        coefficients.into_iter().find(|(_, value)| value.abs() > bound)
    }

    /// Fill `out` with the sum that `blocks` hold under the sum `key` of the secrets.
    pub fn run(&self, blocks: &[u8], mut key: Polynomial, out: &mut [f64], threads: usize) -> Result<(), Refused> {
        assert_eq!(blocks.len(), self.layout.blocks(out.len()) * BLOCK_BYTES);
        ntt::forward(&mut key);
        ntt::divide_by_degree(&mut key);
        let round = Round::of(self.context, self.parameters);
        let share = parallel::share(blocks.len() / BLOCK_BYTES, threads);
        let capacity = self.layout.block_values();
        let parts = blocks.chunks(share * BLOCK_BYTES).zip(out.chunks_mut(share * capacity));
        parallel::run(parts.enumerate(), |(part, (blocks, out))| {
            let mut worker = Worker {
                setup: self,
                key: &key,
                mask: round.masks(),
                product: Polynomial::zero(),
                packed: Aligned::zero(),
            };
            let blocks = blocks.chunks_exact(BLOCK_BYTES).zip(out.chunks_mut(capacity));
            for (offset, (words, out)) in blocks.enumerate() {
                worker.block(self.first + part * share + offset, words, out)?;
            }
            Ok(())
        })
    }

    fn noise_bound(&self) -> i64 {
        i64::from(self.count) * i64::from(ETA)
    }

    fn slot_bound(&self) -> i64 {
        i64::from(self.count) * self.layout.largest()
    }
}

struct Worker<'a> {
    setup: &'a Decryption<'a>,
    key: &'a Polynomial,
    mask: Masks<'a>,
    product: Polynomial,
    /// What is left of the messages of a tile while slots come off them.
    packed: Aligned<i64, TILE>,
}

impl Worker<'_> {
    fn block(&mut self, block: usize, words: &[u8], out: &mut [f64]) -> Result<(), Refused> {
        ntt::multiply_and_invert(self.mask.block(block as u64), self.key, &mut self.product);
        if !self.unpacked(words, out) {
            return Err(self.first_refused(block, words, out.len()));
        }
        Ok(())
    }

    /// Fill `out`; false when something is refused, and then what is there means nothing.
    fn unpacked(&mut self, words: &[u8], out: &mut [f64]) -> bool {
        let Layout { slots, slot_width, delta, .. } = self.setup.layout;
        let bounds = (slot_width, self.setup.slot_bound(), self.setup.unit);
        let (words, products) = (words.as_chunks::<8>().0.as_chunks::<TILE>().0, self.product.as_chunks().0);
        let mut sound = true;
        for (tile, (words, product)) in words.iter().zip(products).enumerate() {
            sound &= at_its_best(separated, (&mut *self.packed, words, product, delta, self.setup.noise_bound()));
            for slot in 0..slots {
                let rest = out.get_mut(slot * N + tile * TILE..).unwrap_or_default();
                let filled = rest.len().min(TILE);
                let (some, none) = self.packed.split_at_mut(filled);
                sound &= at_its_best(slot_taken, (some, &mut rest[..filled], bounds));
                sound &= at_its_best(slot_empty, (none, slot_width));
            }
            sound &= at_its_best(all_zero, &*self.packed);
        }
        sound
    }

    /// The first coefficient that [`Worker::unpacked`] refuses, and why. Nothing in it is secret then: it is no sum.
    fn first_refused(&self, block: usize, words: &[u8], length: usize) -> Refused {
        let layout = self.setup.layout;
        let (noise_bound, slot_bound) = (self.setup.noise_bound(), self.setup.slot_bound());
        for (index, word) in words.chunks_exact(8).enumerate() {
            let coefficient = block * N + index;
            let word = read_word(word);
            if word >= P {
                return Refused::Word { word: coefficient, value: word };
            }
            let noisy = field::centred(field::sub(word, self.product[index]));
            let (mut packed, residual) = rounded(noisy, layout.delta);
            if residual.abs() > noise_bound {
                return Refused::Residual { coefficient, residual, bound: noise_bound };
            }
            for slot in 0..layout.slots {
                let (value, rest) = lowest_slot(packed, layout.slot_width);
                packed = rest;
                if value.abs() > slot_bound {
                    return Refused::Slot { coefficient, value, bound: slot_bound };
                }
                if slot * N + index >= length && value != 0 {
                    return Refused::Padding { coefficient, value };
                }
            }
            if packed != 0 {
                return Refused::Slot { coefficient, value: packed, bound: 0 };
            }
        }
        unreachable!("the wide loops refuse what this one does")
    }
}

/// What one step of the wide loops works on: the messages, the ciphertext, a S, delta and the bound of the noise.
type Noisy<'a> = (&'a mut [i64; TILE], &'a [[u8; 8]; TILE], &'a [u64; TILE], u32, i64);

/// Take b - a S apart into message and noise; whether every word is below p and the noise within its bound.
#[inline(always)]
fn separated((packed, words, product, delta, bound): Noisy) -> bool {
    let mut sound = true;
    for ((packed, &word), &product) in packed.iter_mut().zip(words).zip(product) {
        let word = u64::from_le_bytes(word);
        let difference = word.wrapping_sub(product).wrapping_add(if word < product { P } else { 0 });
        let centred = difference.wrapping_sub(if difference > P / 2 { P } else { 0 }) as i64;
        let (message, residual) = rounded(centred, delta);
        *packed = message;
        sound &= (word < P) & (-bound <= residual) & (residual <= bound);
    }
    sound
}

/// Take the lowest slot off every message; whether each is within its bound. `bounds`: its width, the bound, the unit.
#[inline(always)]
fn slot_taken((packed, out, (width, bound, unit)): (&mut [i64], &mut [f64], (u32, i64, f64))) -> bool {
    let mut sound = true;
    for (packed, out) in packed.iter_mut().zip(out) {
        let (value, rest) = lowest_slot(*packed, width);
        *packed = rest;
        *out = value as f64 * unit;
        sound &= (-bound <= value) & (value <= bound);
    }
    sound
}

/// The same behind the last value, where every slot is empty.
#[inline(always)]
fn slot_empty((packed, width): (&mut [i64], u32)) -> bool {
    let mut sound = true;
    for packed in packed {
        let (value, rest) = lowest_slot(*packed, width);
        *packed = rest;
        sound &= value == 0;
    }
    sound
}

#[inline(always)]
fn all_zero(packed: &[i64; TILE]) -> bool {
    packed.iter().fold(0, |any, &rest| any | rest) == 0
}

/// The low `width` bits, sign-extended, and what lies above them.
#[inline(always)]
fn lowest_slot(packed: i64, width: u32) -> (i64, i64) {
    let unused = 64 - width;
    let value = (packed << unused) >> unused;
    (value, (packed - value) >> width)
}

/// The multiple of 2^delta nearest to `noisy` (of two, the larger), over 2^delta; and what is left.
#[inline(always)]
fn rounded(noisy: i64, delta: u32) -> (i64, i64) {
    // floor((d + 2^(delta-1)) / 2^delta) without the addition, which could leave 64 bits.
    let packed = (noisy >> delta) + ((noisy >> (delta - 1)) & 1);
    // The product may be 2^63, one too large; the difference is small, and right modulo 2^64.
    (packed, noisy.wrapping_sub(packed << delta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_as_wide_integers_do_over_the_whole_range() {
        let half = (P / 2) as i64;
        for delta in 1..=62 {
            let (unit, middle) = (1i128 << delta, 1i128 << (delta - 1));
            for noisy in [half, -half, half - 1, 0, 1, -1, middle as i64, -middle as i64, (middle - 1) as i64] {
                let expected = (i128::from(noisy) + middle).div_euclid(unit);
                let (packed, residual) = rounded(noisy, delta);
                assert_eq!(i128::from(packed), expected, "{noisy} over 2^{delta}");
                assert_eq!(i128::from(residual), i128::from(noisy) - expected * unit, "{noisy} over 2^{delta}");
            }
        }
    }
}

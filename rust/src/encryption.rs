//! b_j = a_j * s + e_j + 2^delta * pack(m_j), with a fresh s: one silo's contribution to one round.

use zeroize::{Zeroize, Zeroizing};

use crate::field;
use crate::key;
use crate::layout::{BLOCK_BYTES, Layout};
use crate::ntt::{self, N, Polynomial};
use crate::parallel;
use crate::processor::at_its_best;
use crate::sampling::Sampler;
use crate::shared::Shared;
use crate::stream::{Purpose, Reader, Stream};

/// One value of an update.
pub trait Value: Copy + Default + Sync + Send {
    fn widened(self) -> f64;
}

impl Value for f32 {
    #[inline(always)]
    fn widened(self) -> f64 {
        f64::from(self)
    }
}

impl Value for f64 {
    #[inline(always)]
    fn widened(self) -> f64 {
        self
    }
}

/// What all blocks of one encryption share. `parameters` and `context` are 32-byte digests.
pub struct Encryption<'a> {
    pub layout: Layout,
    pub parameters: &'a [u8; 32],
    pub context: &'a [u8; 32],
    /// Values lie in [-clip, clip] ...
    pub clip: f64,
    /// ... and become integers when multiplied by this: weight * (2^(w-1) - 1) / clip.
    pub factor: f64,
    /// The block that the first value is in.
    pub first: u64,
    pub key_seed: &'a [u8; 32],
    pub noise_seed: &'a [u8; 32],
}

/// Everything that turns one block of values into one block of ciphertext; one for each thread.
struct Worker<'a, V: Value> {
    setup: &'a Encryption<'a>,
    secret: &'a Polynomial,
    mask: Reader,
    noise: Reader,
    rounding: Reader,
    sampler: Sampler,
    product: Polynomial,
    /// 2^delta * pack(m_j) and e_j, as signed integers
    message: Box<[i64; N]>,
    error: Box<[i64; N]>,
    /// The coins of the block, as they are in the stream.
    coins: Zeroizing<Vec<u8>>,
    /// The values of one slot, as they were read, and widened.
    raw: Box<[V; N]>,
    values: Box<[f64; N]>,
}

impl<V: Value> Drop for Worker<'_, V> {
    fn drop(&mut self) {
        self.message.zeroize();
        self.error.zeroize();
        // A byte view: `V` is a float of either size, without padding.
        // SAFETY: the pointer and the size are those of the array, and zero bytes are floats.
        unsafe { std::slice::from_raw_parts_mut(self.raw.as_mut_ptr().cast::<u8>(), size_of::<[V; N]>()) }.zeroize();
        self.values.zeroize();
    }
}

impl Encryption<'_> {
    /// Fill `out` with the blocks of `values`, or give the index of the first value that is not within the clip range.
    pub fn run<V: Value>(&self, values: Shared<'_, V>, out: &mut [u8], threads: usize) -> Result<(), usize> {
        assert_eq!(out.len(), self.layout.blocks(values.len()) * BLOCK_BYTES);
        let mut secret = key::secret(self.key_seed, self.parameters);
        ntt::forward(&mut secret);
        ntt::divide_by_degree(&mut secret);
        let mask = Stream::new(self.context, Purpose::Mask, &[self.parameters]);
        let noise = Stream::new(self.noise_seed, Purpose::Noise, &[self.parameters, self.context]);
        let rounding = Stream::new(self.noise_seed, Purpose::Rounding, &[self.parameters, self.context]);
        let worker = || Worker {
            setup: self,
            secret: &secret,
            mask: mask.reader(),
            noise: noise.reader(),
            rounding: rounding.reader(),
            sampler: Sampler::new(),
            product: Polynomial::zero(),
            message: Box::new([0; N]),
            error: Box::new([0; N]),
            coins: Zeroizing::new(vec![0; 4 * self.layout.block_values()]),
            raw: Box::new([V::default(); N]),
            values: Box::new([0.0; N]),
        };
        let share = parallel::share(self.layout.blocks(values.len()), threads);
        let parts = values.chunks(share * self.layout.block_values()).zip(out.chunks_mut(share * BLOCK_BYTES));
        parallel::run(parts.enumerate(), |(part, (values, out))| {
            worker().run(part * share, values, out).map_err(|index| part * share * self.layout.block_values() + index)
        })
    }
}

impl<V: Value> Worker<'_, V> {
    fn run(&mut self, first: usize, values: Shared<'_, V>, out: &mut [u8]) -> Result<(), usize> {
        let capacity = self.setup.layout.block_values();
        for (offset, (values, out)) in values.chunks(capacity).zip(out.chunks_exact_mut(BLOCK_BYTES)).enumerate() {
            self.block(self.setup.first + (first + offset) as u64, values, out)
                .map_err(|index| offset * capacity + index)?;
        }
        Ok(())
    }

    fn block(&mut self, block: u64, values: Shared<'_, V>, out: &mut [u8]) -> Result<(), usize> {
        Sampler::uniform(&mut self.mask, block, &mut self.product);
        ntt::multiply_and_invert(&mut self.product, self.secret);

        self.sampler.coins(&mut self.rounding, block, &mut self.coins);
        self.pack(values)?;
        self.sampler.binomial(&mut self.noise, block, &mut self.error);
        let (product, message, error) = (&*self.product, &*self.message, &*self.error);
        at_its_best(add_noisy, (out.as_chunks_mut().0, product, message, error));
        Ok(())
    }

    /// The rounded values in their slots, above the noise; or the index of the first one that is refused.
    fn pack(&mut self, values: Shared<'_, V>) -> Result<(), usize> {
        let layout = self.setup.layout;
        self.message.fill(0);
        for (slot, (shared, coins)) in values.chunks(N).zip(self.coins.chunks_exact(4 * N)).enumerate() {
            let (raw, values) = (&mut self.raw[..shared.len()], &mut self.values[..shared.len()]);
            shared.read(raw);
            at_its_best(widen, (&mut *values, &*raw));
            let rounding = Rounding {
                clip: self.setup.clip,
                factor: self.setup.factor,
                largest: layout.largest() as f64,
                shift: layout.delta + layout.slot_width * slot as u32,
            };
            // The flag says that something is refused, and the search that follows says what: neither is secret then.
            if at_its_best(add_rounded, (&mut *self.message, &*values, coins.as_chunks().0, rounding)) {
                let first = values.iter().position(|&value| !rounding.takes(value));
                return Err(slot * N + first.expect("the flag is the same check"));
            }
        }
        Ok(())
    }
}

/// Ciphertext, product, message and error of one block.
type Block<'a> = (&'a mut [[u8; 8]], &'a [u64; N], &'a [i64; N], &'a [i64; N]);

#[inline(always)]
fn add_noisy((out, product, message, error): Block) {
    for (index, word) in out.iter_mut().enumerate() {
        *word = field::add_signed(product[index], message[index] + error[index]).to_le_bytes();
    }
}

#[inline(always)]
pub fn widen<V: Value>((values, raw): (&mut [f64], &[V])) {
    for (value, raw) in values.iter_mut().zip(raw) {
        *value = raw.widened();
    }
}

/// How the values of one slot become integers.
#[derive(Clone, Copy)]
pub struct Rounding {
    pub clip: f64,
    pub factor: f64,
    /// 2^(w-1) - 1
    pub largest: f64,
    pub shift: u32,
}

impl Rounding {
    /// Whether a value may be encrypted; NaN and the infinities may not. The second check is the silo's own, on what it
    /// is about to send: only the rounding of `factor` may carry a value beyond the range, and by less than one step.
    #[inline(always)]
    pub fn takes(&self, value: f64) -> bool {
        (value.abs() <= self.clip) & ((value * self.factor).abs() <= self.largest + 1.0)
    }

    /// Round to one of the two nearest integers, up with a probability equal to the fractional part (to 32 bits), so
    /// that the expectation is the value itself; the distance is below one. What is beyond the range, by the rounding of
    /// `factor`, is taken back to its end. No instruction depends on the value: selects, no branches.
    #[inline(always)]
    fn round(&self, value: f64, coin: u32) -> i64 {
        const STEP: f64 = 1.0 / 4_294_967_296.0;
        // NaN becomes -largest here.
        let scaled = (value * self.factor).max(-self.largest).min(self.largest);
        // SAFETY: within [-(2^31 - 1), 2^31 - 1], by the clamp and by `Layout::new`.
        let truncated = unsafe { scaled.to_int_unchecked::<i32>() };
        let floor = truncated - i32::from(f64::from(truncated) > scaled);
        let up = f64::from(coin) * STEP < scaled - f64::from(floor);
        i64::from(floor) + i64::from(up)
    }
}

/// Add the rounded values to their slot; true when one of them is refused.
#[inline(always)]
pub fn add_rounded((message, values, coins, rounding): (&mut [i64; N], &[f64], &[[u8; 4]], Rounding)) -> bool {
    let mut refused = false;
    for ((message, &value), &coin) in message.iter_mut().zip(values).zip(coins) {
        let coin = u32::from_le_bytes(coin);
        refused |= !rounding.takes(value);
        *message += rounding.round(value, coin) << rounding.shift;
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::Rounding;

    const LARGEST: f64 = 2_147_483_647.0;

    fn round(value: f64, coin: u32) -> i64 {
        Rounding { clip: LARGEST, factor: 1.0, largest: LARGEST, shift: 0 }.round(value, coin)
    }

    #[test]
    fn integers_are_not_moved() {
        for value in [0.0, -0.0, 1.0, -1.0, 32767.0, -32767.0, LARGEST, -LARGEST, LARGEST - 1.0] {
            for coin in [0, 1, u32::MAX] {
                assert_eq!(round(value, coin), value as i64);
            }
        }
    }

    #[test]
    fn fractions_go_up_as_often_as_they_should() {
        for (value, floor) in [(0.25, 0), (-0.75, -1), (1000.25, 1000), (-1000.75, -1001)] {
            let threshold = 1 << 30;
            assert_eq!(round(value, threshold - 1), floor + 1);
            assert_eq!(round(value, threshold), floor);
        }
        for tiny in [f64::MIN_POSITIVE, 5e-324, 1e-20] {
            // Less than 2^-32: up only for the coin of zero, as for every positive fraction.
            assert_eq!((round(tiny, 0), round(tiny, 1)), (1, 0));
            // The fraction of -tiny rounds to one.
            assert_eq!((round(-tiny, 0), round(-tiny, u32::MAX)), (0, 0));
        }
    }

    #[test]
    fn what_does_not_fit_stays_at_the_end_of_the_range() {
        let largest = LARGEST as i64;
        for coin in [0, u32::MAX] {
            for beyond in [1e300, f64::INFINITY, LARGEST + 0.5] {
                assert_eq!((round(beyond, coin), round(-beyond, coin)), (largest, -largest));
            }
            assert!(round(f64::NAN, coin).abs() <= largest);
        }
    }

    #[test]
    fn only_finite_values_within_the_clip_bound_are_taken() {
        let rounding = Rounding { clip: 0.5, factor: 65534.0, largest: 32767.0, shift: 0 };
        for taken in [0.0, -0.0, 0.5, -0.5, 5e-324] {
            assert!(rounding.takes(taken));
        }
        for refused in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.500_000_1, -0.500_000_1, f64::MAX] {
            assert!(!rounding.takes(refused));
        }
        assert!(!Rounding { factor: 65540.0, ..rounding }.takes(0.5), "a factor that does not fit the range");
    }
}

//! b_j = a_j * s + e_j + 2^delta * pack(m_j), with a fresh s: one silo's contribution to one round.

use zeroize::{Zeroize, Zeroizing};

use crate::field;
use crate::key;
use crate::layout::{BLOCK_BYTES, Layout};
use crate::ntt::{self, N, Polynomial};
use crate::parallel;
use crate::processor::at_its_best;
use crate::sampling::Sampler;
use crate::stream::{Purpose, Reader, Stream};

/// A floating-point type that an update may have.
pub trait Value: Copy + Sync {
    fn widened(self) -> f64;
}

impl Value for f32 {
    fn widened(self) -> f64 {
        f64::from(self)
    }
}

impl Value for f64 {
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
    pub key_seed: &'a [u8; 32],
    pub noise_seed: &'a [u8; 32],
}

/// Everything that turns one block of values into one block of ciphertext; one for each thread.
struct Worker<'a> {
    setup: &'a Encryption<'a>,
    secret: &'a Polynomial,
    mask: Reader,
    noise: Reader,
    rounding: Reader,
    sampler: Sampler,
    product: Polynomial,
    /// e_j + 2^delta * pack(m_j) as signed integers
    message: Box<[i64; N]>,
    error: Box<[i64; N]>,
    coins: Zeroizing<Vec<u32>>,
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.message.zeroize();
        self.error.zeroize();
    }
}

impl Encryption<'_> {
    /// Fill `out` with the blocks of `values`, or give the index of the first value that is not within the clip range.
    pub fn run<V: Value>(&self, values: &[V], out: &mut [u8], threads: usize) -> Result<(), usize> {
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
            coins: Zeroizing::new(vec![0; self.layout.block_values()]),
        };
        let share = parallel::share(self.layout.blocks(values.len()), threads);
        let parts = values.chunks(share * self.layout.block_values()).zip(out.chunks_mut(share * BLOCK_BYTES));
        parallel::run(parts.enumerate(), |(part, (values, out))| {
            worker().run(part * share, values, out).map_err(|index| part * share * self.layout.block_values() + index)
        })
    }
}

impl Worker<'_> {
    fn run<V: Value>(&mut self, first: usize, values: &[V], out: &mut [u8]) -> Result<(), usize> {
        let capacity = self.setup.layout.block_values();
        for (offset, (values, out)) in values.chunks(capacity).zip(out.chunks_exact_mut(BLOCK_BYTES)).enumerate() {
            self.block((first + offset) as u64, values, out).map_err(|index| offset * capacity + index)?;
        }
        Ok(())
    }

    fn block<V: Value>(&mut self, block: u64, values: &[V], out: &mut [u8]) -> Result<(), usize> {
        self.sampler.uniform(&mut self.mask, block, &mut self.product);
        ntt::multiply_and_invert(&mut self.product, self.secret);

        self.sampler.coins(&mut self.rounding, block, &mut self.coins);
        self.pack(values)?;
        self.sampler.binomial(&mut self.noise, block, &mut self.error);
        let delta = self.setup.layout.delta;
        let (product, message, error) = (&*self.product, &*self.message, &*self.error);
        at_its_best(|| {
            for (index, word) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                let value = field::add_signed(product[index], (message[index] << delta) + error[index]);
                *word = value.to_le_bytes();
            }
        });
        Ok(())
    }

    /// The rounded values in their slots; or the index of the first one that is refused.
    fn pack<V: Value>(&mut self, values: &[V]) -> Result<(), usize> {
        let Encryption { layout, clip, factor, .. } = *self.setup;
        let largest = layout.largest();
        let message = &mut *self.message;
        message.fill(0);
        let mut refused = false;
        for (slot, (values, coins)) in values.chunks(N).zip(self.coins.chunks_exact(N)).enumerate() {
            let shift = layout.slot_width * slot as u32;
            at_its_best(|| {
                for ((message, value), &coin) in message.iter_mut().zip(values).zip(coins) {
                    let value = value.widened();
                    let rounded = round(value * factor, coin);
                    // The second check is the silo's own, on what it is about to send; only the rounding of `factor`
                    // may carry a value one step beyond the range, and the clamp takes it back.
                    refused |= !within(value, clip) | (rounded.abs() > largest + 1);
                    *message += rounded.clamp(-largest, largest) << shift;
                }
            });
        }
        if refused {
            return Err(values.iter().position(|value| !within(value.widened(), clip)).unwrap_or(0));
        }
        Ok(())
    }
}

/// Whether a value may be encrypted; NaN and the infinities may not.
#[inline(always)]
fn within(value: f64, clip: f64) -> bool {
    value.abs() <= clip
}

/// Round to one of the two nearest integers, up with a probability equal to the fractional part (to 32 bits), so that
/// the expectation is the value itself. The distance is below one. Values that do not fit saturate.
const LARGEST_ROUNDED: f64 = 4_503_599_627_370_496.0;

#[inline(always)]
fn round(value: f64, coin: u32) -> i64 {
    let truncated = value.clamp(-LARGEST_ROUNDED, LARGEST_ROUNDED) as i64;
    let floor = truncated - i64::from(truncated as f64 > value);
    let fraction = value - floor as f64;
    const STEP: f64 = 1.0 / 4_294_967_296.0;
    floor + i64::from(f64::from(coin) * STEP < fraction)
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn integers_are_not_moved() {
        for value in [0.0, -0.0, 1.0, -1.0, 32767.0, -32767.0, 2_147_483_647.0, -2_147_483_647.0] {
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
    }

    #[test]
    fn what_does_not_fit_saturates_instead_of_failing() {
        assert!(round(1e300, 7) > 1 << 40);
        assert!(round(f64::INFINITY, 0) > 1 << 40);
        assert!(round(f64::NEG_INFINITY, 0) < -(1 << 40));
        assert_eq!(round(f64::NAN, 0), 0);
    }
}

//! b_j = a_j * s + e_j + 2^delta * pack(m_j), with a fresh s: one silo's contribution to one round.

use crate::field;
use crate::key;
use crate::layout::{BLOCK_BYTES, Layout};
use crate::masks::{Masks, Round};
use crate::message::Messages;
use crate::ntt;
use crate::parallel;
use crate::processor::at_its_best;
use crate::ring::{N, Polynomial};
use crate::rounding::{Rounding, Value};
use crate::shared::Shared;
use crate::stream::{Purpose, Stream};

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
    mask: Masks<'a>,
    product: Polynomial,
    messages: Messages<V>,
}

impl Encryption<'_> {
    /// Fill `out` with the blocks of `values`, or give the index of the first value that is not within the clip range.
    pub fn run<V: Value>(&self, values: Shared<'_, V>, out: &mut [u8], threads: usize) -> Result<(), usize> {
        assert_eq!(out.len(), self.layout.blocks(values.len()) * BLOCK_BYTES);
        let mut secret = key::secret(self.key_seed, self.parameters);
        ntt::forward(&mut secret);
        ntt::divide_by_degree(&mut secret);
        let round = Round::of(self.context, self.parameters);
        let noise = Stream::new(self.noise_seed, Purpose::Noise, &[self.parameters, self.context]);
        let coins = Stream::new(self.noise_seed, Purpose::Rounding, &[self.parameters, self.context]);
        let rounding = Rounding { clip: self.clip, factor: self.factor, largest: self.layout.largest() as f64 };
        let worker = || Worker {
            setup: self,
            secret: &secret,
            mask: round.masks(),
            product: Polynomial::zero(),
            messages: Messages::new(self.layout, rounding, noise.reader(), coins.reader()),
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
        let message = self.messages.block(block, values)?;
        ntt::multiply_and_invert(self.mask.block(block), self.secret, &mut self.product);
        at_its_best(add_message, (out.as_chunks_mut().0, &self.product, message));
        Ok(())
    }
}

/// Ciphertext, product and message of one block.
type Block<'a> = (&'a mut [[u8; 8]], &'a [u64; N], &'a [i64; N]);

#[inline(always)]
fn add_message((out, product, message): Block) {
    for ((word, &product), &message) in out.iter_mut().zip(product).zip(message) {
        *word = field::add_signed(product, message).to_le_bytes();
    }
}

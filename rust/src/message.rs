//! e_j + 2^delta * pack(m_j): the noise of a block with its rounded values above it, made a tile at a time.
//!
//! The keystream of a tile, its values and its sum stay in the cache next to the processor: nothing but the result is
//! written further out.

use crate::aligned::Aligned;
use crate::layout::Layout;
use crate::processor::at_its_best;
use crate::ring::N;
use crate::rounding::{Rounding, Value};
use crate::sampling::{Noise, TILE};
use crate::shared::Shared;
use crate::stream::Reader;

/// Makes the messages of one encryption; one for each thread.
pub struct Messages<V: Value> {
    layout: Layout,
    noise: Noise,
    rounder: Rounder<V>,
    sum: Aligned<i64, N>,
}

impl<V: Value> Messages<V> {
    pub fn new(layout: Layout, rounding: Rounding, noise: Reader, coins: Reader) -> Self {
        Self { layout, noise: Noise::new(noise), rounder: Rounder::new(rounding, coins), sum: Aligned::zero() }
    }

    /// The message of one block, or the index of the first value that is refused.
    pub fn block(&mut self, block: u64, values: Shared<'_, V>) -> Result<&[i64; N], usize> {
        let mut refused: Option<usize> = None;
        for (tile, sum) in self.sum.as_chunks_mut().0.iter_mut().enumerate() {
            for slot in 0..self.layout.slots {
                if let Some(next) = values.part(slot * N + (tile + 1) * TILE, TILE) {
                    next.prefetch();
                }
            }
            self.noise.tile(block, tile, sum);
            for slot in 0..self.layout.slots {
                let first = slot * N + tile * TILE;
                let Some(values) = values.part(first, TILE) else { break };
                let shift = self.layout.delta + self.layout.slot_width * slot as u32;
                if let Err(index) = self.rounder.add(block, first, values, shift, sum) {
                    refused = Some(refused.map_or(index, |earlier| earlier.min(index)));
                }
            }
        }
        refused.map_or(Ok(&self.sum), Err)
    }
}

/// Reads the values of a tile, and adds them, rounded, to numbers that are there.
pub struct Rounder<V: Value> {
    rounding: Rounding,
    coins: Reader,
    /// The coins of one tile of a slot, as they are in the stream, and its values, as they were read.
    drawn: Aligned<u8, { 4 * TILE }>,
    raw: Aligned<V, TILE>,
}

impl<V: Value> Rounder<V> {
    pub fn new(rounding: Rounding, coins: Reader) -> Self {
        Self { rounding, coins, drawn: Aligned::zero(), raw: Aligned::zero() }
    }

    /// Add the values from `first` of the block on, shifted to their slot; or give the index of the first that is
    /// refused.
    pub fn add(
        &mut self,
        block: u64,
        first: usize,
        values: Shared<'_, V>,
        shift: u32,
        sum: &mut [i64; TILE],
    ) -> Result<(), usize> {
        let raw = &mut self.raw[..values.len()];
        values.read(raw);
        self.coins.seek(block, 4 * first);
        self.coins.fill(&mut *self.drawn);
        // The flag says that something is refused, and the search that follows says what: neither is secret then.
        if at_its_best(add_rounded, (sum, raw, self.drawn.as_chunks().0, self.rounding, shift)) {
            let index = raw.iter().position(|value| !self.rounding.takes(value.widened()));
            return Err(first + index.expect("the flag is the same check"));
        }
        Ok(())
    }
}

/// Sum, values, coins and shift of one tile of a slot.
type Tile<'a, V> = (&'a mut [i64; TILE], &'a [V], &'a [[u8; 4]], Rounding, u32);

/// Add the rounded values to their slot; true when one of them is refused.
#[inline(always)]
fn add_rounded<V: Value>((sum, values, coins, rounding, shift): Tile<V>) -> bool {
    let mut refused = false;
    for ((sum, &value), &coin) in sum.iter_mut().zip(values).zip(coins) {
        let value = value.widened();
        refused |= !rounding.takes(value);
        *sum += rounding.round(value, u32::from_le_bytes(coin)) << shift;
    }
    refused
}

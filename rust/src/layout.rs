//! How rounded values lie in the coefficients of a ciphertext.
//!
//! Block j holds values j*N*k to (j+1)*N*k - 1. Slot t of coefficient i of the block is value j*N*k + t*N + i, so that
//! one slot of a block is one contiguous run of the update. A coefficient carries 2^delta * sum_t q_t 2^(W t).

use crate::ring::N;

/// The numbers of a parameter set that the kernel needs. Whether a roster fits is checked where the set is built.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// w: rounded values lie in [-(2^(w-1) - 1), 2^(w-1) - 1].
    pub value_bits: u32,
    /// k: values a coefficient holds.
    pub slots: usize,
    /// W: bits a slot takes, so that the sum of a whole roster fits.
    pub slot_width: u32,
    /// How far the message is shifted above the noise.
    pub delta: u32,
}

impl Layout {
    pub fn new(value_bits: u32, slots: usize, slot_width: u32, delta: u32) -> Result<Self, String> {
        let width = (slots as u32).saturating_mul(slot_width).saturating_add(delta);
        if !(2..=32).contains(&value_bits)
            || slot_width < value_bits
            || !(1..=8).contains(&slots)
            || delta < 1
            || width > 63
        {
            return Err(format!(
                "{slots} slots of {slot_width} bits for {value_bits}-bit values, shifted by {delta}, do not fit 63 bits"
            ));
        }
        Ok(Self { value_bits, slots, slot_width, delta })
    }

    /// The largest absolute value of one silo's rounded entry.
    pub fn largest(&self) -> i64 {
        (1 << (self.value_bits - 1)) - 1
    }

    /// Values a block holds.
    pub fn block_values(&self) -> usize {
        N * self.slots
    }

    pub fn blocks(&self, values: usize) -> usize {
        values.div_ceil(self.block_values())
    }
}

/// Bytes of one block of a ciphertext: N words of 64 bits, little endian.
pub const BLOCK_BYTES: usize = 8 * N;

#[inline(always)]
pub fn read_word(word: &[u8]) -> u64 {
    u64::from_le_bytes(word.try_into().expect("eight bytes"))
}

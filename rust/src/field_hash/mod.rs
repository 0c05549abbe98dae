//! The field hash: h = A (x || rho) mod p, a commitment to short integers that a proof over F_p opens by one sum.
//!
//! `docs/field-hash.md` defines the matrix, its sizes and what they rest on. Nothing here branches on, or indexes by, an
//! entry: whether one is out of its range is the only thing that is told of them.

mod matrix;
pub mod python;

use zeroize::Zeroizing;

use crate::field;
use crate::processor::at_its_best;
use crate::proof::E;
use matrix::{LANES, Matrix};

/// Inputs of one hash, at most.
pub const LARGEST_SIZE: usize = 1 << 20;

/// Up to so many inputs the matrix has the first number of rows, and the second beyond.
pub const SMALL_SIZE: usize = 1 << 11;

/// Rows by the bits of the range, up to 8 and up to 16, and then by size.
pub const ROWS: [[usize; 2]; 2] = [[152, 256], [384, 528]];

/// Bits of randomness beyond those of the hash: by the leftover hash lemma its distance from uniform is 2^-129.
const SPARE_BITS: usize = 256;

/// What is not as it must be.
#[derive(Debug, PartialEq)]
pub enum Unhashable {
    Size,
    Range,
    Entry,
}

/// Rows of the matrix, and entries of rho, for inputs of a size in a range; see [`FieldHash::new`].
pub fn dimensions(size: usize, low: i32, high: i32) -> Result<[usize; 2], Unhashable> {
    if !(1..=LARGEST_SIZE).contains(&size) {
        return Err(Unhashable::Size);
    }
    let width = i64::from(high) - i64::from(low) + 1;
    if !(16..=1 << 16).contains(&width) || low < -(1 << 15) || high >= 1 << 16 {
        return Err(Unhashable::Range);
    }
    let rows = ROWS[usize::from(width > 1 << 8)][usize::from(size > SMALL_SIZE)];
    Ok([rows, (64 * rows + SPARE_BITS).div_ceil(width.ilog2() as usize)])
}

/// The matrix for inputs of one size, in one range.
pub struct FieldHash {
    matrix: Matrix,
    size: usize,
    low: i32,
    high: i32,
    /// The sum of the columns, times `low`: entries are counted from there.
    shift: Vec<u64>,
}

impl FieldHash {
    /// For `size` integers from `low` to `high`: at least 16 of them, at most 2^16.
    pub fn new(size: usize, low: i32, high: i32) -> Result<Self, Unhashable> {
        let [rows, blinds] = dimensions(size, low, high)?;
        let mut hash = Self { matrix: Matrix::new(rows, size, blinds), size, low, high, shift: vec![0; rows] };
        if low != 0 {
            let sums = hash.sums(|_, count| vec![1; count].into());
            let factor = i128::from(low).rem_euclid(i128::from(field::P)) as u64;
            hash.shift = sums.iter().map(|&sum| field::mul(sum, factor)).collect();
        }
        Ok(hash)
    }

    pub fn rows(&self) -> usize {
        self.matrix.rows
    }

    /// Entries of rho.
    pub fn blinds(&self) -> usize {
        self.matrix.columns - self.size
    }

    /// Bits that an entry of rho has: as many as its range has whole.
    fn blind_bits(&self) -> u32 {
        (self.high - self.low + 1).ilog2()
    }

    fn bytes_of_a_blind(&self) -> usize {
        if self.blind_bits() <= 8 { 1 } else { 2 }
    }

    /// Bytes that rho is made of.
    pub fn blind_bytes(&self) -> usize {
        self.blinds() * self.bytes_of_a_blind()
    }

    /// The entries of rho that these bytes, [`Self::blind_bytes`] of them, stand for: from `low` on, within the range.
    pub fn blind(&self, bytes: &[u8]) -> Zeroizing<Vec<i32>> {
        assert_eq!(bytes.len(), self.blind_bytes());
        let mask = (1 << self.blind_bits()) - 1;
        let little_endian = |one: &[u8]| one.iter().rev().fold(0, |word, &byte| word << 8 | i32::from(byte));
        Zeroizing::new(
            bytes.chunks_exact(self.bytes_of_a_blind()).map(|one| self.low + (little_endian(one) & mask)).collect(),
        )
    }

    /// h of the inputs and of the entries of rho that `rho` stands for: a word below p a row.
    pub fn hash(&self, inputs: &[i32], rho: &[u8]) -> Result<Vec<u64>, Unhashable> {
        self.hash_entries(inputs, &self.blind(rho))
    }

    /// h of the inputs and of the entries of rho.
    pub fn hash_entries(&self, inputs: &[i32], blind: &[i32]) -> Result<Vec<u64>, Unhashable> {
        assert_eq!((inputs.len(), blind.len()), (self.size, self.blinds()));
        if !(at_its_best(within, (inputs, self.low, self.high)) & at_its_best(within, (blind, self.low, self.high))) {
            return Err(Unhashable::Entry);
        }
        let entry = |column: usize| if column < self.size { inputs[column] } else { blind[column - self.size] };
        let from_low = |start, count| {
            Zeroizing::new((start..start + count).map(|column| (entry(column) - self.low) as u32).collect())
        };
        Ok(self.sums(from_low).iter().zip(&self.shift).map(|(&sum, &shift)| field::add(sum, shift)).collect())
    }

    /// The columns, each times an entry below 2^16, added up. `entries(start, count)`: those of a tile.
    fn sums(&self, entries: impl Fn(usize, usize) -> Zeroizing<Vec<u32>>) -> Vec<u64> {
        let mut sums = vec![0; self.matrix.rows];
        self.matrix.each_tile(|start, tile| {
            let entries = entries(start, tile.len() / self.matrix.rows);
            at_its_best(add_tile, (tile, entries.as_slice(), sums.as_mut_slice()));
        });
        sums
    }

    /// A^T w: for each column, inputs first, the sum of its words times the weights, one weight a row.
    pub fn combination(&self, weights: &[E]) -> Vec<E> {
        assert_eq!(weights.len(), self.matrix.rows);
        let mut combined = Vec::with_capacity(self.matrix.columns);
        self.matrix.each_tile(|_, tile| at_its_best(combine_tile, (tile, weights, &mut combined)));
        combined
    }
}

#[inline(always)]
fn within((inputs, low, high): (&[i32], i32, i32)) -> bool {
    inputs.iter().fold(true, |all, &input| all & (input >= low) & (input <= high))
}

/// Add the columns of a tile, each times its entry, to `sums`. Words are taken in halves of 32 bits, so that TILE products
/// with entries of 16 bits stay below 2^56.
#[inline(always)]
fn add_tile((tile, entries, sums): (&[u64], &[u32], &mut [u64])) {
    let groups = tile.chunks_exact(LANES * entries.len()).zip(sums.as_chunks_mut::<LANES>().0);
    for (words, sums) in groups {
        let (mut low, mut high) = ([0u64; LANES], [0u64; LANES]);
        for (column, &entry) in words.as_chunks::<LANES>().0.iter().zip(entries) {
            let entry = u64::from(entry);
            for lane in 0..LANES {
                low[lane] += (column[lane] & 0xFFFF_FFFF) * entry;
                high[lane] += (column[lane] >> 32) * entry;
            }
        }
        for lane in 0..LANES {
            let whole = u128::from(low[lane]) + (u128::from(high[lane]) << 32);
            sums[lane] = field::add(sums[lane], field::reduce(whole));
        }
    }
}

/// Append to `combined`, for each column of a tile, the sum of its words times the weights.
#[inline(always)]
fn combine_tile((tile, weights, combined): (&[u64], &[E], &mut Vec<E>)) {
    let columns = tile.len() / weights.len();
    let start = combined.len();
    combined.resize(start + columns, E::ZERO);
    let groups = tile.chunks_exact(LANES * columns).zip(weights.as_chunks::<LANES>().0);
    for (words, weights) in groups {
        for (column, sum) in words.as_chunks::<LANES>().0.iter().zip(&mut combined[start..]) {
            let (mut re, mut im) = (0, 0);
            for lane in 0..LANES {
                re = field::add(re, field::mul(column[lane], weights[lane].re));
                im = field::add(im, field::mul(column[lane], weights[lane].im));
            }
            *sum += E::new(re, im);
        }
    }
}

#[cfg(test)]
mod tests;

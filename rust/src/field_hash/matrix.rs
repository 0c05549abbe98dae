//! The public matrix A: each column is read from a stream of its own, so that no column depends on the matrix's size.

use std::ops::Range;

use crate::field::P;

/// Rows that lie beside each other in memory: what is added up at once.
pub const LANES: usize = 8;

/// Columns that are worked on at once: 300 to 1,000 KB of words.
pub const TILE: usize = 256;

/// A larger matrix is expanded again each time that it is used.
const LARGEST_KEPT: usize = 384 << 20;

const INPUT: &[u8] = b"quatrefoil/field-hash/v1 input";
const BLIND: &[u8] = b"quatrefoil/field-hash/v1 blind";

pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    size: usize,
    /// Tiles one after the other; in a tile groups of LANES rows, in a group column after column.
    kept: Option<Vec<u64>>,
}

impl Matrix {
    /// `size` columns for inputs, then `blinds` for rho.
    pub fn new(rows: usize, size: usize, blinds: usize) -> Self {
        assert!(rows.is_multiple_of(LANES));
        let columns = size + blinds;
        let mut matrix = Self { rows, columns, size, kept: None };
        if 8 * rows * columns <= LARGEST_KEPT {
            let mut words = vec![0; rows * columns];
            for (index, tile) in words.chunks_mut(rows * TILE).enumerate() {
                matrix.expand(index * TILE..index * TILE + tile.len() / rows, tile);
            }
            matrix.kept = Some(words);
        }
        matrix
    }

    /// Call `work` with the first column and the words of each tile in turn.
    pub fn each_tile(&self, mut work: impl FnMut(usize, &[u64])) {
        let mut fresh = vec![0; if self.kept.is_some() { 0 } else { self.rows * TILE }];
        for start in (0..self.columns).step_by(TILE) {
            let columns = start..self.columns.min(start + TILE);
            match &self.kept {
                Some(words) => work(start, &words[columns.start * self.rows..columns.end * self.rows]),
                None => {
                    let tile = &mut fresh[..columns.len() * self.rows];
                    self.expand(columns, tile);
                    work(start, tile);
                }
            }
        }
    }

    #[cfg(test)]
    pub fn forget(&mut self) {
        self.kept = None;
    }

    fn expand(&self, columns: Range<usize>, tile: &mut [u64]) {
        let count = columns.len();
        let mut words = vec![0; self.rows];
        for (place, column) in columns.enumerate() {
            let (label, index) = if column < self.size { (INPUT, column) } else { (BLIND, column - self.size) };
            let mut hasher = blake3::Hasher::new();
            hasher.update(label).update(&(index as u32).to_le_bytes());
            let mut stream = hasher.finalize_xof();
            read_elements(&mut words, |bytes| stream.fill(bytes));
            for (group, words) in words.chunks_exact(LANES).enumerate() {
                tile[(group * count + place) * LANES..][..LANES].copy_from_slice(words);
            }
        }
    }
}

/// Fill `words` with the little-endian words of a stream, but for those that are not below p.
fn read_elements(words: &mut [u64], mut fill: impl FnMut(&mut [u8])) {
    let mut found = 0;
    while found < words.len() {
        let mut bytes = vec![0; 8 * (words.len() - found)];
        fill(&mut bytes);
        for &word in bytes.as_chunks::<8>().0 {
            let word = u64::from_le_bytes(word);
            if word < P {
                words[found] = word;
                found += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_not_below_p_are_passed_over() {
        let mut stream = [u64::MAX, 1, P, 2, P - 1, 3].into_iter();
        let mut words = [0; 4];
        read_elements(&mut words, |bytes| {
            for word in bytes.as_chunks_mut::<8>().0 {
                *word = stream.next().unwrap().to_le_bytes();
            }
        });
        assert_eq!(words, [1, 2, P - 1, 3]);
        assert_eq!(stream.next(), None);
    }
}

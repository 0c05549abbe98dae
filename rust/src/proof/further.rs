//! Further claims of a statement: norms of parts of the update, and agreement with a public direction (docs/proofs.md,
//! "Further claims"). Each has a slack of its own in the auxiliary vector.

use std::ops::Range;

use zeroize::Zeroizing;

use super::column::Column;
use super::ext::E;
use super::multilinear::ge;
use super::shape::{SLACK_BITS, SMALL_RUN, Shape};
use super::transcript::{Digest, content};
use crate::field;
use crate::ring::N;

/// Claims that a statement may have: their slacks lie before the key in every shape.
pub const LARGEST_CLAIMS: usize = 56;

/// The sum of the squares of values `first` to `end - 1` is at most `bound`.
#[derive(Clone, Debug, PartialEq)]
pub struct PartNorm {
    pub first: usize,
    pub end: usize,
    pub bound: u64,
}

/// The sum of value times entry is at least minus the sum of the entries' magnitudes: rounding moves it by less.
#[derive(Clone)]
pub struct Direction {
    /// The sum of the entries' magnitudes; not known with the digest alone.
    pub tolerance: u64,
    /// H_CONTENT of the entries, two bytes each, little endian.
    pub digest: Digest,
    /// For each group and slot the entries beside its values, as elements of F_p. Empty where only the digest is known:
    /// enough for a statement's digest, not for a proof.
    columns: Vec<Vec<u64>>,
}

#[derive(Clone, Default)]
pub struct Further {
    pub norms: Vec<PartNorm>,
    pub direction: Option<Direction>,
}

impl Further {
    /// The claims, or what is wrong with them.
    pub fn new(shape: &Shape, norms: Vec<PartNorm>, direction: Option<Direction>) -> Result<Self, String> {
        if norms.len() + usize::from(direction.is_some()) > LARGEST_CLAIMS {
            return Err(format!("{} norms of parts and a direction are over {LARGEST_CLAIMS} claims", norms.len()));
        }
        for PartNorm { first, end, .. } in &norms {
            if !(first < end && *end <= shape.values) {
                return Err(format!("values {first} to {end} are no part of {}", shape.values));
            }
        }
        Ok(Self { norms, direction })
    }

    /// How many claims there are: the norms, then the direction.
    pub fn count(&self) -> usize {
        self.norms.len() + usize::from(self.direction.is_some())
    }

    /// Powers of gamma that they take: one for each claim and for each bit of its slack.
    pub fn weights(&self) -> usize {
        self.count() * (1 + SLACK_BITS)
    }

    /// What a statement says of them: nothing where there are none.
    pub fn bytes(&self) -> Vec<u8> {
        if self.count() == 0 {
            return Vec::new();
        }
        let mut bytes = (self.norms.len() as u32).to_le_bytes().to_vec();
        bytes.extend(u32::from(self.direction.is_some()).to_le_bytes());
        for norm in &self.norms {
            bytes.extend([norm.first as u64, norm.end as u64, norm.bound].iter().flat_map(|part| part.to_le_bytes()));
        }
        if let Some(direction) = &self.direction {
            bytes.extend(direction.digest);
        }
        bytes
    }

    /// Whether a proof can be made and verified with what is known of them.
    pub fn is_known(&self) -> bool {
        self.direction.as_ref().is_none_or(|direction| !direction.columns.is_empty())
    }

    /// By how much each claim about these columns holds: negative where it does not. Values are in their range, so that
    /// no sum leaves 62 bits.
    pub fn slacks(&self, shape: &Shape, columns: &[Column]) -> Zeroizing<Vec<i64>> {
        let value = |group: usize, slot: usize, row: usize| {
            let limb = |limb: usize| columns[shape.limb_column(group, slot, limb)].re[row];
            let raised: u64 = (0..shape.limbs).map(|at| limb(at) << (shape.limb_bits as usize * at)).sum();
            raised as i64 - shape.offset() as i64
        };
        // Of a size that is never outgrown: nothing is left behind.
        let mut slacks = Zeroizing::new(vec![0; self.count()]);
        for (slack, norm) in slacks.iter_mut().zip(&self.norms) {
            let squares = |(group, slot)| -> i64 {
                norm.rows(shape, group, slot).map(|row| value(group, slot, row).pow(2)).sum()
            };
            *slack = norm.bound as i64 - places(shape).map(squares).sum::<i64>();
        }
        if let Some(direction) = &self.direction {
            let products = |((group, slot), entries): ((usize, usize), &Vec<u64>)| -> i64 {
                entries.iter().enumerate().map(|(row, &entry)| field::centred(entry) * value(group, slot, row)).sum()
            };
            let sum: i64 = places(shape).zip(&direction.columns).map(products).sum();
            slacks[self.norms.len()] = sum + direction.tolerance as i64;
        }
        slacks
    }
}

impl PartNorm {
    /// The rows of the part in the columns of a group and slot: values lie there in their order.
    pub fn rows(&self, shape: &Shape, group: usize, slot: usize) -> Range<usize> {
        rows_before(shape, group, slot, self.first)..rows_before(shape, group, slot, self.end)
    }

    /// The vector that is 1 on these rows, at a point.
    pub fn at(&self, shape: &Shape, group: usize, slot: usize, z: &[E]) -> E {
        let rows = self.rows(shape, group, slot);
        if rows.is_empty() { E::ZERO } else { ge(z, rows.start) - ge(z, rows.end) }
    }
}

impl Direction {
    pub fn new(shape: &Shape, entries: &[i16]) -> Self {
        let mut columns = vec![vec![0; shape.rows()]; shape.groups * shape.layout.slots];
        for (block, entries) in entries.chunks(shape.layout.block_values()).enumerate() {
            let (group, row) = shape.place(block);
            for (slot, entries) in entries.chunks(N).enumerate() {
                let rows = &mut columns[group * shape.layout.slots + slot][row..];
                rows.iter_mut().zip(entries).for_each(|(row, &entry)| *row = field::add_signed(0, i64::from(entry)));
            }
        }
        let tolerance = entries.iter().map(|&entry| u64::from(entry.unsigned_abs())).sum();
        Self { tolerance, digest: direction_digest(entries), columns }
    }

    /// Of which only the digest is known.
    pub fn named(digest: Digest) -> Self {
        Self { tolerance: 0, digest, columns: Vec::new() }
    }

    /// The entries beside the values of a group and slot.
    pub fn column(&self, shape: &Shape, group: usize, slot: usize) -> &[u64] {
        &self.columns[group * shape.layout.slots + slot]
    }
}

/// H_CONTENT of the entries, two bytes each.
pub fn direction_digest(entries: &[i16]) -> Digest {
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    content(&bytes)
}

/// Every group and slot, in the order of columns.
pub fn places(shape: &Shape) -> impl Iterator<Item = (usize, usize)> + use<> {
    let slots = shape.layout.slots;
    (0..shape.groups * slots).map(move |index| (index / slots, index % slots))
}

/// Where the bits of a claim's slack start in the auxiliary vector.
pub fn slack_row(shape: &Shape, claim: usize) -> usize {
    shape.pad_row + SMALL_RUN * (claim + 1) + (SMALL_RUN - SLACK_BITS)
}

/// How many rows of the columns of a group and slot hold values with an index below `value`.
fn rows_before(shape: &Shape, group: usize, slot: usize, value: usize) -> usize {
    let block_values = shape.layout.block_values();
    let behind = value.saturating_sub(group * shape.column_blocks * block_values);
    let (blocks, rest) = (behind / block_values, behind % block_values);
    (blocks * N + rest.saturating_sub(slot * N).min(N)).min(shape.rows())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn slacks_lie_between_the_first_one_and_the_key() {
        for (layout, values) in [
            (Layout::new(16, 2, 24, 15).unwrap(), 5),
            (Layout::new(16, 2, 24, 15).unwrap(), 9 * 2 * N),
            (Layout::new(12, 3, 17, 12).unwrap(), 100),
        ] {
            let shape = Shape::new(layout, values).unwrap();
            assert!(slack_row(&shape, LARGEST_CLAIMS - 1) + SLACK_BITS <= shape.secret_row);
            // A run of a slack begins at a multiple of its length, so that it lies in one column.
            assert_eq!((slack_row(&shape, 0) - 2) % SMALL_RUN, 0);
        }
    }

    #[test]
    fn the_rows_of_a_part_are_those_of_its_values() {
        let layout = Layout::new(12, 3, 17, 12).unwrap();
        let shape = Shape::new(layout, 9 * 3 * N - 100).unwrap();
        let (size, last) = (layout.block_values(), shape.values);
        for (first, end) in [(0, 1), (0, last), (N - 1, 2 * N + 1), (5 * size + 17, last), (size, 2 * size)] {
            let norm = PartNorm { first, end, bound: 0 };
            let mut counted = 0;
            for (group, slot) in places(&shape) {
                for row in norm.rows(&shape, group, slot) {
                    let value = (group * shape.column_blocks + row / N) * size + slot * N + row % N;
                    assert!((first..end).contains(&value));
                    counted += 1;
                }
            }
            assert_eq!(counted, end - first);
        }
    }

    #[test]
    fn parts_that_are_none_and_too_many_are_refused() {
        let shape = Shape::new(Layout::new(16, 2, 24, 15).unwrap(), 10).unwrap();
        let norm = |first, end| PartNorm { first, end, bound: 1 };
        for wrong in [norm(3, 3), norm(4, 3), norm(0, 11)] {
            assert!(Further::new(&shape, vec![wrong], None).is_err());
        }
        assert!(Further::new(&shape, vec![norm(0, 10); LARGEST_CLAIMS], None).is_ok());
        let direction = Some(Direction::new(&shape, &[1; 10]));
        assert!(Further::new(&shape, vec![norm(0, 10); LARGEST_CLAIMS], direction).is_err());
    }
}

//! The tables that entries are looked up in.

use crate::field;
use crate::proof::ext::E;

/// Pairs (v0, v1); those of a range or an interval have v1 = 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Table {
    /// (v, min(max(v, low), high)) for v = -2^q_bits, .., 2^q_bits - 1.
    Clip { q_bits: u32, low: i64, high: i64 },
    /// (v, 0) for v = 0, .., 2^shift - 1.
    Range { shift: u32 },
    /// (v, 0) for v = low, .., high.
    Interval { low: i64, high: i64 },
}

/// Entries `first`, .. of a table from an index on, up to the next piece: v0 + beta v1 is `start`, `start + step`, ..
pub struct Piece {
    pub first: usize,
    pub start: E,
    pub step: E,
}

impl Table {
    /// v0 of the first entry.
    pub fn least(self) -> i64 {
        match self {
            Self::Clip { q_bits, .. } => -(1 << q_bits),
            Self::Range { .. } => 0,
            Self::Interval { low, .. } => low,
        }
    }

    pub fn len(self) -> usize {
        match self {
            Self::Clip { q_bits, .. } => 2 << q_bits,
            Self::Range { shift } => 1 << shift,
            Self::Interval { low, high } => (high - low + 1) as usize,
        }
    }

    /// (v0, v1) of an entry.
    pub fn entry(self, index: usize) -> (i64, i64) {
        let value = self.least() + index as i64;
        match self {
            Self::Clip { low, high, .. } => (value, value.clamp(low, high)),
            Self::Range { .. } | Self::Interval { .. } => (value, 0),
        }
    }

    /// v0 + beta v1 in pieces on which it grows evenly.
    pub fn pieces(self, beta: E) -> Vec<Piece> {
        let piece = |first: usize, slope: E| {
            let (v0, v1) = self.entry(first);
            let start = element(v0) + beta * element(v1);
            Piece { first, start, step: E::ONE + slope }
        };
        let Self::Clip { low, high, .. } = self else { return vec![piece(0, E::ZERO)] };
        // Up to low, from there to high, and behind it, of what the table has of them.
        let index = |value: i64| (value - self.least()).clamp(0, self.len() as i64) as usize;
        let starts = [(0, E::ZERO), (index(low), beta), (index(high), E::ZERO)];
        let ends = [starts[1].0, starts[2].0, self.len()];
        let some = starts.into_iter().zip(ends).filter(|&((start, _), end)| start < end);
        some.map(|((start, slope), _)| piece(start, slope)).collect()
    }
}

fn element(value: i64) -> E {
    E::base(field::add_signed(0, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_every_entry() {
        let beta = E::new(12345, 678);
        for table in [
            Table::Clip { q_bits: 4, low: -3, high: 9 },
            Table::Clip { q_bits: 3, low: -100, high: 5 },
            Table::Clip { q_bits: 3, low: 0, high: 65535 },
            Table::Clip { q_bits: 2, low: -4, high: 3 },
            Table::Clip { q_bits: 0, low: 0, high: 0 },
            Table::Clip { q_bits: 5, low: 0, high: 0 },
            Table::Range { shift: 5 },
            Table::Interval { low: -7, high: 12 },
        ] {
            let pieces = table.pieces(beta);
            for index in 0..table.len() {
                let piece = pieces.iter().rfind(|piece| piece.first <= index).unwrap();
                let (v0, v1) = table.entry(index);
                let expected = element(v0) + beta * element(v1);
                assert_eq!(piece.start + piece.step.scale((index - piece.first) as u64), expected, "{table:?} {index}");
            }
        }
    }
}

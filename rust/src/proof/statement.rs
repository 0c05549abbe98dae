//! What is proven, as bytes: everything public is in them before the first challenge.

use super::ext::E;
use super::further::Further;
use super::shape::Shape;
use super::transcript::{Digest, Draw, Transcript};
use crate::ring::N;
use crate::sampling::ETA;

/// 0 <= beta < 2^62.
pub const LARGEST_BOUND: u64 = (1 << 62) - 1;

/// The public side of a proof, with the blocks of the ciphertext as their content digest.
#[derive(Clone)]
pub struct Statement<'a> {
    pub shape: &'a Shape,
    /// beta: the sum of all squares is at most this.
    pub bound: u64,
    pub further: &'a Further,
    pub parameters: Digest,
    pub context: Digest,
    /// Whatever else the proof must not be moved away from.
    pub binding: Digest,
    /// H_CONTENT(b_0 || b_1 || ..)
    pub ciphertext: Digest,
    /// h_k of each member, where the key is in shares.
    pub commitments: &'a [Digest],
}

impl Statement<'_> {
    /// The transcript before the first message.
    pub fn transcript(&self) -> Transcript {
        let (shape, layout) = (self.shape, &self.shape.layout);
        let (code, row) = (shape.code, shape.row_code);
        let numbers = [
            layout.value_bits as usize,
            layout.slots,
            layout.slot_width as usize,
            layout.delta as usize,
            ETA as usize,
            N,
            shape.log_rows,
            code.log_message,
            code.log_length,
            code.queries,
            row.log_message,
            row.log_length,
            row.queries,
            shape.limb_bits as usize,
        ];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|&number| (number as u32).to_le_bytes()).collect();
        bytes.extend((shape.values as u64).to_le_bytes());
        bytes.extend(self.bound.to_le_bytes());
        for digest in [&self.parameters, &self.context, &self.binding, &self.ciphertext] {
            bytes.extend(digest);
        }
        bytes.extend(self.further.bytes());
        if let Some(sharing) = shape.sharing {
            // Nothing can be taken for the end of something else: then there are always further claims, if none.
            if self.further.count() == 0 {
                bytes.extend([0; 8]);
            }
            bytes.extend(sharing.numbers().iter().flat_map(|number| number.to_le_bytes()));
            self.commitments.iter().for_each(|commitment| bytes.extend(commitment));
        }
        Transcript::new("quatrefoil/proof/bounded-update/v1", &bytes)
    }
}

/// The challenges that follow root 1.
pub struct First {
    /// Where the key, as a multilinear polynomial, is evaluated for the keeper.
    pub zeta: Vec<E>,
    /// Where the lookup argument's fractions are.
    pub alpha: E,
}

impl First {
    pub fn draw(transcript: &mut Transcript, root: &Digest) -> Self {
        transcript.absorb("root1", root);
        let mut draw = transcript.draw("zeta");
        let zeta = draw.elements(N.ilog2() as usize);
        Self { zeta, alpha: alpha(&mut draw) }
    }
}

/// No entry of a table or a column is ever alpha: their parts of X are 1 or 2, and that of alpha is not.
fn alpha(draw: &mut Draw) -> E {
    loop {
        let alpha = draw.element();
        if alpha.im != 1 && alpha.im != 2 {
            return alpha;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::proof::further::{Direction, PartNorm};
    use crate::sharing::Threshold;

    #[test]
    fn every_part_of_the_statement_changes_its_digest() {
        let layout = Layout::new(16, 2, 24, 15).unwrap();
        let shape = Shape::new(layout, 100).unwrap();
        let statement = Statement {
            shape: &shape,
            bound: 5,
            further: &Further::default(),
            parameters: [1; 32],
            context: [2; 32],
            binding: [3; 32],
            ciphertext: [4; 32],
            commitments: &[],
        };
        let norm = |first, end, bound| PartNorm { first, end, bound };
        let further = |norms, direction| Further::new(&shape, norms, direction).unwrap();
        let direction = |entry| Some(Direction::new(&shape, &[entry; 100]));
        let claims = [
            further(vec![norm(0, 9, 5)], None),
            further(vec![norm(1, 9, 5)], None),
            further(vec![norm(0, 8, 5)], None),
            further(vec![norm(0, 9, 6)], None),
            further(vec![norm(0, 9, 5), norm(0, 9, 5)], None),
            further(vec![norm(0, 9, 5)], direction(3)),
            further(vec![], direction(3)),
            further(vec![], direction(-3)),
        ];
        let other_values = Shape::new(layout, 101).unwrap();
        let other_width = Shape::new(Layout::new(16, 2, 23, 15).unwrap(), 100).unwrap();
        let other_shift = Shape::new(Layout::new(16, 2, 24, 14).unwrap(), 100).unwrap();
        let digest = |statement: Statement| statement.transcript().state();
        let mut digests: Vec<_> =
            claims.iter().map(|further| digest(Statement { further, ..statement.clone() })).collect();
        digests.extend([
            digest(statement.clone()),
            digest(Statement { bound: 6, ..statement.clone() }),
            digest(Statement { parameters: [9; 32], ..statement.clone() }),
            digest(Statement { context: [9; 32], ..statement.clone() }),
            digest(Statement { binding: [9; 32], ..statement.clone() }),
            digest(Statement { ciphertext: [9; 32], ..statement.clone() }),
            digest(Statement { shape: &other_values, ..statement.clone() }),
            digest(Statement { shape: &other_width, ..statement.clone() }),
            digest(Statement { shape: &other_shift, ..statement.clone() }),
        ]);
        let threshold = |privacy, packing| shape.shared(Threshold::new(5, privacy, packing).unwrap()).unwrap();
        let (one, two) = (threshold(2, 1), threshold(3, 1));
        let commitments = |last: u8| [[5; 32], [6; 32], [7; 32], [8; 32], [last; 32]];
        digests.extend([
            digest(Statement { shape: &one, commitments: &commitments(9), ..statement.clone() }),
            digest(Statement { shape: &one, commitments: &commitments(1), ..statement.clone() }),
            digest(Statement { shape: &two, commitments: &commitments(9), ..statement.clone() }),
            digest(Statement { shape: &one, commitments: &commitments(9), further: &claims[0], ..statement.clone() }),
        ]);
        for (index, one) in digests.iter().enumerate() {
            assert!(digests[index + 1..].iter().all(|other| one != other));
        }
    }
}

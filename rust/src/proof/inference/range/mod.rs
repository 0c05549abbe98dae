//! The proof that committed weights are integers within the program's range (docs/inference-proofs.md, "Range of the
//! weights"): every entry of their columns is looked up in one table.

mod prover;
mod soundness;
#[cfg(test)]
mod tests;
mod verifier;

pub use prover::prove;
pub use soundness::bits;
pub use verifier::verify;

use std::ops::Range;

use super::bytes;
use super::cells::Cells;
use super::mask_row::MaskRow;
use super::program::Program;
use super::shape::{Fraction, I, Shape, Tag};
use super::tables::Table;
use super::weights_shape::WeightsShape;
use crate::proof::codes;
use crate::proof::ext::{E, ELEMENT_BYTES};
use crate::proof::multilinear::eq_table;
use crate::proof::opened::{bump, split, sum_mask_weights, weights_of_rows};
use crate::proof::proof_bytes::{DIGEST_BYTES, Format};
use crate::proof::shape::log2_ceil;
use crate::proof::transcript::{Digest, Transcript};

const MAGIC: &[u8; 8] = b"QFPROOFR";

/// What is looked up, as the shape of proofs of answers has it: the weights stand where hidden inputs would, and no row
/// belongs to a layer.
pub struct RangeShape {
    /// Base columns: the n_1 columns of weights, then A of uses. Its code is that of the fresh columns.
    pub looked_up: Shape,
}

impl RangeShape {
    /// The shape of the proof about a commitment of this program.
    pub fn new(program: &Program, weights: &WeightsShape) -> Self {
        let log_rows = weights.log_rows;
        let [code, _] = codes::of_rows(log_rows);
        let row_code = codes::of_opened_row(code.log_message.max(weights.code.log_message));
        let largest = program.largest_weight as i64;
        let table = Table::Interval { low: -largest, high: largest };
        let (columns, tables) = (weights.weight_columns, table.len().div_ceil(1 << log_rows));
        let lookups = (0..columns).map(|value| Fraction::Lookup { value, beside: None, tag: (I, value) });
        let of_tables = (0..tables).map(|index| Fraction::Table { column: columns + index, index });
        let mut vectors: [Range<usize>; 4] = Default::default();
        vectors[I] = 0..columns;
        let mut tags: [Vec<Tag>; 4] = Default::default();
        tags[I] = vec![Tag { first: 0, table: 0 }];
        let mut features = [0; 4];
        features[I] = columns;
        let looked_up = Shape {
            program: program.clone(),
            cells: Cells::default(),
            weights: weights.clone(),
            // A column is one feature of as many samples as it has rows.
            batch: 1 << log_rows,
            log_batch: log_rows,
            hashing: None,
            layers: Vec::new(),
            features,
            tables: vec![table],
            tags,
            log_rows,
            columns: vectors,
            table_columns: columns..columns + tables,
            fractions: lookups.chain(of_tables).collect(),
            code,
            row_code,
            masks: MaskRow::default(),
        };
        Self { looked_up }
    }

    /// n_1
    pub fn weights_columns(&self) -> usize {
        self.looked_up.table_columns.start
    }

    /// A
    pub fn uses_columns(&self) -> usize {
        self.looked_up.table_columns.len()
    }

    /// m
    pub fn fresh(&self) -> usize {
        self.uses_columns() + 2 * self.looked_up.inverse_columns()
    }

    /// The coefficients of g.
    pub fn round_masks(&self) -> usize {
        (0..self.looked_up.log_rows).map(|round| self.looked_up.degree(round)).sum()
    }

    /// M
    pub fn mask_row(&self) -> usize {
        self.round_masks() + self.fresh() + self.weights_columns()
    }

    /// Words of a leaf of trees 1, 2, M and W.
    pub fn leaf_words(&self) -> [usize; 4] {
        let (shape, weights) = (&self.looked_up, &self.looked_up.weights);
        let runs = shape.runs();
        [self.uses_columns() * runs + 6, 2 * shape.inverse_columns() * runs, 2, weights.columns * weights.runs()]
    }

    /// ceil(log2 m); at least 1, ceil(log2 n_1)
    pub fn column_variables(&self) -> [usize; 2] {
        [log2_ceil(self.fresh()), log2_ceil(self.weights_columns()).max(1)]
    }

    pub fn format(&self) -> Format {
        let (shape, weights) = (&self.looked_up, &self.looked_up.weights);
        let codes = [shape.code, weights.code];
        let elements = self.round_masks()
            + self.fresh()
            + self.weights_columns()
            + bytes::opened_elements(self.mask_row(), codes, shape.row_code)
            + shape.code.queries
            + weights.appended();
        // Roots 1, M and 2, then 3.
        let least = bytes::HEAD_BYTES + 4 * DIGEST_BYTES + ELEMENT_BYTES * elements;
        let [first, second, masks, columns] = self.leaf_words();
        let own = bytes::openings(shape.code, &[first, second]) + bytes::openings(weights.code, &[masks, columns]);
        let most = least + own + bytes::opening_of_runs(&codes, shape.row_code);
        Format { magic: MAGIC, least, most }
    }

    /// The transcript before the first message: its state is the statement digest.
    pub fn transcript(&self, root: &Digest) -> Transcript {
        let (shape, weights) = (&self.looked_up, &self.looked_up.weights);
        let head = bytes::program_and(&shape.program, &[weights.openings, weights.log_rows]);
        let codes = bytes::numbers_of(&[shape.code, weights.code, shape.row_code]);
        Transcript::new("quatrefoil/proof/weights-range/v1", &[&head[..], &codes, root].concat())
    }
}

/// The weights of all claims once z is known.
struct Claims<'a> {
    /// kappa_V of the fresh columns, kappa_g, kappa_w of the columns of weights.
    fresh: Vec<E>,
    sum_mask: E,
    weights: Vec<E>,
    /// What is opened of the fresh columns, and of the weights.
    opened: [super::opened::Claim<'a>; 2],
}

impl<'a> Claims<'a> {
    fn draw(shape: &RangeShape, transcript: &mut Transcript, z: &'a [E]) -> Self {
        let (looked_up, commitment) = (&shape.looked_up, &shape.looked_up.weights);
        let [variables, weights_variables] = shape.column_variables();
        let mut draw = transcript.draw("kappa");
        let fresh: Vec<E> = eq_table(&draw.elements(variables)).iter().take(shape.fresh()).collect();
        let sum_mask = draw.element();
        let kappa = eq_table(&draw.elements(weights_variables));
        let weights: Vec<E> = kappa.iter().take(shape.weights_columns()).collect();

        let bump = bump(z);
        let zeros = |count| std::iter::repeat_n(E::ZERO, count);
        let bumped = |columns: &[E]| columns.iter().map(|&column| column * bump).collect::<Vec<_>>();
        let mut masks = sum_mask_weights(sum_mask, z, |round| looked_up.degree(round));
        masks.extend(bumped(&fresh));
        masks.extend(zeros(weights.len()));
        let mut weights_masks: Vec<E> = zeros(masks.len() - weights.len()).collect();
        weights_masks.extend(bumped(&weights));

        let (high, low) = split(z, looked_up.code);
        let of_fresh = super::opened::Claim {
            code: looked_up.code,
            appended: looked_up.code.queries,
            rows: weights_of_rows(&fresh, high),
            low,
            masks,
        };
        let (high, low) = split(z, commitment.code);
        // The columns of biases have weight 0.
        let columns: Vec<E> = weights.iter().copied().chain(zeros(commitment.columns - weights.len())).collect();
        let of_weights = super::opened::Claim {
            code: commitment.code,
            appended: commitment.appended(),
            rows: weights_of_rows(&columns, high),
            low,
            masks: weights_masks,
        };
        Self { fresh, sum_mask, weights, opened: [of_fresh, of_weights] }
    }
}

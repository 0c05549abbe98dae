//! The proof that two commitments hold the same weights and biases (docs/inference-proofs.md, "Link").

mod prover;
#[cfg(test)]
mod tests;
mod verifier;

pub use prover::prove;
pub use verifier::verify;

use super::bytes;
use super::errors::Errors;
use super::program::Program;
use super::weights_shape::WeightsShape;
use crate::proof::ext::{E, ELEMENT_BYTES};
use crate::proof::multilinear::eq_table;
use crate::proof::opened::{OpenedRow, OpenedRows, rounds, split, weights_of_rows};
use crate::proof::proof_bytes::{DIGEST_BYTES, Format};
use crate::proof::shape::log2_ceil;
use crate::proof::transcript::{Digest, Transcript};

const MAGIC: &[u8; 8] = b"QFPROOFL";

/// The two parts of mu_A, and of mu_B.
const MASK_WORDS: usize = 4;

/// The transcript before the first message: its state is the statement digest.
fn transcript(program: &Program, shape: &WeightsShape, roots: &[Digest; 2]) -> Transcript {
    let head = bytes::program_and(program, &[shape.openings, shape.log_rows]);
    let codes = bytes::numbers_of(&[shape.code, shape.row_code]);
    Transcript::new("quatrefoil/proof/weights-link/v1", &[&head[..], &codes, roots.as_flattened()].concat())
}

/// Why there is no link.
pub fn unlike(old: usize, new: usize) -> String {
    format!("a commitment to {old} openings does not link to one to {new}")
}

fn format(shape: &WeightsShape) -> Format {
    let (code, row_code) = (shape.code, shape.row_code);
    let codes = [code, code];
    // sigma, t, the end of u of each commitment, the rounds and the combined run.
    let elements = 2 + 2 * shape.appended() + 2 * rounds(&codes) + row_code.message();
    let least = bytes::HEAD_BYTES + 2 * DIGEST_BYTES + ELEMENT_BYTES * elements;
    let words = shape.columns * shape.runs();
    let openings = bytes::openings(code, &[MASK_WORDS, words, words]);
    Format { magic: MAGIC, least, most: least + openings + bytes::opening_of_runs(&codes, row_code) }
}

/// Where the columns of both are compared.
struct Point {
    z: Vec<E>,
    /// kappa_w eq(z_hi, r), row after row.
    rows: Vec<E>,
}

impl Point {
    fn draw(shape: &WeightsShape, transcript: &mut Transcript) -> Self {
        let z = transcript.draw("point").elements(shape.log_rows);
        let kappa = eq_table(&transcript.draw("kappa").elements(shape.column_variables()));
        let columns: Vec<E> = kappa.iter().take(shape.columns).collect();
        let rows = weights_of_rows(&columns, split(&z, shape.code).0);
        Self { z, rows }
    }

    /// z_lo
    fn low(&self, shape: &WeightsShape) -> &[E] {
        split(&self.z, shape.code).1
    }

    fn opened<'a>(&'a self, shape: &WeightsShape, epsilon: E) -> OpenedRow<'a> {
        OpenedRow { code: shape.code, appended: shape.appended(), weights: &self.rows, low: self.low(shape), epsilon }
    }

    /// Of the old commitment and of the new one.
    fn both<'a>(&'a self, shape: &WeightsShape, epsilon: E) -> OpenedRows<'a> {
        let rows = (0..2).map(|_| self.opened(shape, epsilon)).collect();
        OpenedRows { rows, row_code: shape.row_code }
    }
}

/// -log2 of the sum of all errors.
pub fn bits(shape: &WeightsShape) -> f64 {
    let mut errors = Errors::default();
    errors.over_field(log2_ceil(shape.columns) + shape.log_rows + 1);
    for _ in 0..2 {
        errors.over_field((log2_ceil(shape.columns) + log2_ceil(shape.runs())) * shape.code.length());
        errors.over_field(shape.code.length());
        errors.positions(2.0, shape.row_coefficients(), shape.code);
    }
    errors.second(&[shape.code, shape.code], shape.row_code);
    errors.bits()
}

//! How long a proof of answers is, and what it begins with. What is read is read by lengths that are known before.

use super::program::Program;
use super::shape::Shape;
use crate::proof::codes::Code;
use crate::proof::ext::ELEMENT_BYTES;
use crate::proof::opened;
use crate::proof::proof_bytes::{DIGEST_BYTES, Format, largest_opening};

pub const MAGIC: &[u8; 8] = b"QFPROOFI";

/// Magic, version, reserved, statement digest.
pub const HEAD_BYTES: usize = 8 + 2 + 2 + DIGEST_BYTES;

/// Proofs of a shape.
pub fn format(shape: &Shape) -> Format {
    let least = fixed_bytes(shape);
    let weights = &shape.weights;
    let own = openings(shape.code, &shape.leaf_words()) + openings(weights.code, &shape.weights_leaf_words());
    Format { magic: MAGIC, least, most: least + own + opening_of_runs(&[shape.code, weights.code], shape.row_code) }
}

/// Bytes of everything but the openings.
fn fixed_bytes(shape: &Shape) -> usize {
    let weights = &shape.weights;
    let layers = shape.layers.iter().map(|layer| {
        let rounds: usize = (0..layer.log_inputs).map(|round| layer.degree(round)).sum();
        usize::from(layer.is_hidden()) + 1 + rounds + usize::from(!layer.public) + 1
    });
    let rounds = shape.masks.rounds.len() + shape.masks.weights_rounds.len();
    let values = shape.committed() + weights.columns;
    let elements = layers.sum::<usize>()
        + rounds
        + values
        + opened_elements(shape.masks.length, [shape.code, weights.code], shape.row_code)
        + shape.code.queries
        + weights.appended();
    // Roots 1, M and 2, then 3.
    HEAD_BYTES + 4 * DIGEST_BYTES + ELEMENT_BYTES * elements
}

/// Sigma of both openings, u_m, the rounds of the second sum-check and the combined run.
pub fn opened_elements(masks: usize, codes: [Code; 2], row_code: Code) -> usize {
    2 + masks + codes[0].queries + 2 * opened::rounds(&codes) + row_code.message()
}

/// The most bytes that open some salted trees of one code.
pub fn openings(code: Code, words: &[usize]) -> usize {
    words.iter().map(|&words| largest_opening(code, words, true)).sum()
}

/// The most bytes that open the tree of opened rows of these codes.
pub fn opening_of_runs(codes: &[Code], row_code: Code) -> usize {
    largest_opening(row_code, opened::leaf_words(codes, row_code), false)
}

/// Length of the program, the program, and numbers: what statements about weights begin with.
pub fn program_and(program: &Program, numbers: &[usize]) -> Vec<u8> {
    let length = (program.bytes.len() as u32).to_le_bytes();
    let numbers = numbers.iter().flat_map(|&number| (number as u32).to_le_bytes());
    length.into_iter().chain(program.bytes.iter().copied()).chain(numbers).collect()
}

/// The numbers of codes.
pub fn numbers_of(codes: &[Code]) -> Vec<u8> {
    let numbers = codes.iter().flat_map(|code| [code.log_message, code.log_length, code.queries]);
    numbers.flat_map(|number| (number as u32).to_le_bytes()).collect()
}

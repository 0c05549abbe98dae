//! The statement of a proof of answers: everything public is in it before the first challenge.

use super::shape::Shape;
use crate::proof::codes::Code;
use crate::proof::transcript::{Digest, Transcript};

/// The public side of a proof, inputs and outputs as their content digests.
#[derive(Clone)]
pub struct Statement<'a> {
    pub shape: &'a Shape,
    /// The commitment to the weights.
    pub root: Digest,
    /// H_CONTENT of the inputs, or of their hashes.
    pub inputs: Digest,
    pub outputs: Digest,
    /// Whatever else the proof must not be moved away from.
    pub binding: Digest,
}

impl Statement<'_> {
    /// The transcript before the first message: its state is the statement digest.
    pub fn transcript(&self) -> Transcript {
        let (shape, weights) = (self.shape, &self.shape.weights);
        let program = &shape.program.bytes;
        let mut bytes = (program.len() as u32).to_le_bytes().to_vec();
        bytes.extend(program);
        let code = |code: Code| [code.log_message, code.log_length, code.queries];
        let numbers = [
            vec![shape.batch, weights.openings, usize::from(shape.hashing.is_some()), shape.log_rows],
            code(shape.code).to_vec(),
            vec![weights.log_rows],
            [code(weights.code), code(shape.row_code)].concat(),
        ];
        bytes.extend(numbers.concat().into_iter().flat_map(|number| (number as u32).to_le_bytes()));
        for digest in [&self.root, &self.inputs, &self.outputs, &self.binding] {
            bytes.extend(digest);
        }
        Transcript::new("quatrefoil/proof/inference/v1", &bytes)
    }
}

//! Zero-knowledge proofs of answers: docs/inference-proofs.md defines the argument and every byte of a proof.

mod blinded;
mod bytes;
mod cells;
mod claims;
mod errors;
#[cfg(test)]
mod laps;
mod layer_shape;
mod layer_vector;
mod layers;
#[cfg(test)]
mod lies;
mod link;
mod looked_up;
mod lookups;
mod mask_row;
mod mask_weights;
mod masks;
mod opened;
mod place;
mod placed;
mod program;
mod program_bytes;
mod prover;
mod public;
pub mod python;
mod range;
mod rounded;
mod rounds;
mod rounds_end;
mod shape;
mod soundness;
mod statement;
mod sums;
mod tables;
#[cfg(test)]
mod tests;
mod uses;
mod verifier;
mod weights;
mod weights_claims;
mod weights_group;
mod weights_rounds;
mod weights_shape;
mod window;
mod witness;

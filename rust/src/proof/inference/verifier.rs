//! The verifier of proofs of answers.

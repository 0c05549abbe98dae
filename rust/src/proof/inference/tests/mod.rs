//! Whole proofs of answers, made, verified and attacked.

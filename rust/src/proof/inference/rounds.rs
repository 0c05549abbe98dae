//! The prover's sum-check over the rows of the columns.

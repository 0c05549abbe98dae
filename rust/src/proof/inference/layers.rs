//! The prover's sum-checks of the layers.

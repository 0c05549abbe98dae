//! Two commitments to the same weights.

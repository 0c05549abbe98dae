//! The range of committed weights.

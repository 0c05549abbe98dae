//! Keys in shares for a committee: docs/committee.md defines the sharing and every byte.

mod answers;
mod dealing;
pub mod python;
#[cfg(test)]
mod tests;
mod threshold;

pub use dealing::Polynomials;
pub use threshold::{SALT_BYTES, Threshold, interpolation};

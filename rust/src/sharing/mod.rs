//! Keys in shares for a committee: docs/committee.md defines the sharing and every byte.

mod adding;
mod dealing;
pub mod python;
mod recovery;
#[cfg(test)]
mod tests;
mod threshold;

pub use dealing::Polynomials;
pub use threshold::{SALT_BYTES, Threshold, interpolation};

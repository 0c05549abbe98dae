//! The ring F_p[X]/(X^N + 1): its degree, and its polynomials.

use crate::aligned::Aligned;

/// The ring degree.
pub const N: usize = 4096;

/// N coefficients or evaluations, wiped when dropped.
pub type Polynomial = Aligned<u64, N>;

//! The hot loops of the prover and the verifier, several elements at a time.
//!
//! Each function takes the [`Width`] it is to run at, and gives the same canonical results at all of them. Elements of
//! E = F_p[X] / (X^2 - 7) are kept as two arrays, the parts of 1 and the parts of X, so that lanes load as they lie.
//!
//! Plonky3 has this arithmetic too (`p3-goldilocks`), but chooses its instructions when it is compiled: a wheel for every
//! x86-64 would get its portable code on all of them. Here the processor is asked when the program runs.

mod accumulate;
#[cfg(test)]
mod bench;
pub mod blake;
pub mod code;
#[cfg(target_arch = "x86_64")]
mod code_lanes;
mod code_portable;
pub mod column;
pub mod combine;
mod compression;
pub mod ext;
pub mod fold;
pub mod fractions;
#[cfg(target_arch = "x86_64")]
mod ifma;
pub mod inversion;
pub mod packed;
mod polynomial;
pub mod round;
#[cfg(test)]
pub mod samples;
pub mod tables;
pub mod width;
mod words;

pub use width::{Width, Work};

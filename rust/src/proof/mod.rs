//! Zero-knowledge proofs of bounded updates: docs/proofs.md defines the argument and every byte of a proof.

mod blinding;
mod codes;
mod column;
mod combination;
mod committing;
mod constraint;
mod ext;
mod further;
pub mod inference;
mod inverses;
#[cfg(test)]
mod lies;
mod masks;
mod messages;
mod multilinear;
mod multiplicity;
mod opened;
mod opening;
mod polynomial;
mod proof_bytes;
mod prover;
mod published;
pub mod python;
mod rejected;
mod relation;
mod rounds;
mod run;
mod runs;
mod shape;
mod share_check;
mod sorting;
mod soundness;
mod statement;
mod sumcheck;
#[cfg(test)]
mod tests;
mod transcript;
mod tree;
mod verifier;
mod weights;
pub mod wide;
mod witness;
mod words;

pub use blinding::uniform;
pub use ext::{E, ELEMENT_BYTES};
pub use multilinear::eq_table;
pub use published::{hide, published};
pub use transcript::share_commitment;

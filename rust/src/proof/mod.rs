//! Proofs of bounded updates: `docs/proofs.md` defines them.

pub mod wide;

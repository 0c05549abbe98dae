//! Seeded random bytes: AES-256 in counter mode under a key derived with HKDF-SHA256 (NIST SP 800-38A, RFC 5869).
//!
//! Part j of a stream is the keystream that starts at the 128-bit big-endian counter block j * 2^64, so that any thread
//! can produce any part without those before it.

use aes::Aes256;
use ctr::cipher::array::Array;
use ctr::cipher::common::array::sizes::U16;
use ctr::cipher::{InnerIvInit, KeyInit, SetIvState, StreamCipherCore};
use ctr::{CtrCore, flavors::Ctr128BE};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// What a stream is for: the label that separates it from every other one derived from the same seed.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// The public polynomials a_j of a round.
    Mask,
    /// The secret polynomial s of one silo in one round.
    Secret,
    /// The error polynomials e_j of one silo in one round.
    Noise,
    /// The coins of stochastic rounding.
    Rounding,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Mask => b"quatrefoil/additive/v1/a",
            Self::Secret => b"quatrefoil/additive/v1/secret",
            Self::Noise => b"quatrefoil/additive/v1/noise",
            Self::Rounding => b"quatrefoil/additive/v1/rounding",
        }
    }
}

/// A seeded keystream; its key schedule is wiped when it is dropped.
#[derive(Clone)]
pub struct Stream {
    cipher: Aes256,
}

impl Stream {
    /// HKDF-SHA256 without salt; `info` is the label, then `context` (the parameter digest, and what else binds the use).
    pub fn new(seed: &[u8; 32], purpose: Purpose, context: &[&[u8]]) -> Self {
        let info: Vec<u8> = [&[purpose.label()], context].concat().concat();
        let mut key = Zeroizing::new([0u8; 32]);
        let (mut extracted, hkdf) = Hkdf::<Sha256>::extract(None, seed);
        extracted.as_mut_slice().zeroize();
        hkdf.expand(&info, key.as_mut_slice()).expect("32 bytes are within the 8160 that HKDF-SHA256 can give");
        Self { cipher: Aes256::new((&*key).into()) }
    }

    /// A reader at the start of part `part`.
    pub fn reader(&self) -> Reader {
        Reader { core: CtrCore::inner_iv_init(self.cipher.clone(), &counter_block(0)) }
    }
}

/// Reads the parts of a stream one after the other.
pub struct Reader {
    core: CtrCore<Aes256, Ctr128BE>,
}

impl Reader {
    /// Go to the start of a part.
    pub fn seek(&mut self, part: u64) {
        self.core.set_iv(&counter_block(part));
    }

    /// The next bytes of the part, a multiple of 16 of them.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let (blocks, rest) = Array::<u8, U16>::slice_as_chunks_mut(bytes);
        assert!(rest.is_empty(), "a stream is read in whole AES blocks");
        self.core.write_keystream_blocks(blocks);
    }
}

fn counter_block(part: u64) -> Array<u8, U16> {
    (u128::from(part) << 64).to_be_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_distinct_and_repeatable() {
        let mut reader = Stream::new(&[7; 32], Purpose::Noise, &[b"context"]).reader();
        let mut parts = [[0u8; 64]; 3];
        for (part, bytes) in [0, 1, 0].into_iter().zip(parts.iter_mut()) {
            reader.seek(part);
            reader.fill(bytes);
        }
        assert_eq!(parts[0], parts[2]);
        assert_ne!(parts[0], parts[1]);
    }

    #[test]
    fn two_reads_continue_one_part() {
        let mut reader = Stream::new(&[7; 32], Purpose::Mask, &[]).reader();
        let (mut whole, mut halves) = ([0u8; 512], [0u8; 512]);
        reader.seek(5);
        reader.fill(&mut whole);
        reader.seek(5);
        reader.fill(&mut halves[..208]);
        reader.fill(&mut halves[208..]);
        assert_eq!(whole, halves);
    }

    #[test]
    fn purpose_and_context_separate_streams() {
        let mut seen = Vec::new();
        for purpose in [Purpose::Mask, Purpose::Secret, Purpose::Noise, Purpose::Rounding] {
            for context in [b"one", b"two"] {
                let mut reader = Stream::new(&[1; 32], purpose, &[context]).reader();
                let mut bytes = [0u8; 32];
                reader.seek(0);
                reader.fill(&mut bytes);
                assert!(!seen.contains(&bytes));
                seen.push(bytes);
            }
        }
    }
}

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

#[cfg(target_arch = "x86_64")]
use crate::processor::{Level, level};
#[cfg(target_arch = "x86_64")]
use crate::vaes::{self, RoundKeys};

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
    /// What blinds the key in a proof's key binding.
    Pad,
    /// What blinds the values in one proof.
    Blinding,
    /// The salts of one proof's trees.
    Salt,
    /// What hides a key in its shares.
    Sharing,
    /// The salts of members' shares.
    ShareSalt,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Mask => b"quatrefoil/additive/v1/a",
            Self::Secret => b"quatrefoil/additive/v1/secret",
            Self::Noise => b"quatrefoil/additive/v1/noise",
            Self::Rounding => b"quatrefoil/additive/v1/rounding",
            Self::Pad => b"quatrefoil/proof/v1/pad",
            Self::Blinding => b"quatrefoil/proof/v1/blinding",
            Self::Salt => b"quatrefoil/proof/v1/salt",
            Self::Sharing => b"quatrefoil/committee/v1/sharing",
            Self::ShareSalt => b"quatrefoil/committee/v1/salt",
        }
    }
}

/// A seeded keystream; its key schedule is wiped when it is dropped.
#[derive(Clone)]
pub struct Stream {
    cipher: Cipher,
}

/// AES-256 under one key.
#[allow(clippy::large_enum_variant)] // One a thread: its size does not matter.
#[derive(Clone)]
enum Cipher {
    /// By the crate: one or two blocks a register, or none.
    Narrow(Aes256),
    /// Four blocks a register.
    #[cfg(target_arch = "x86_64")]
    Wide(RoundKeys),
}

impl Cipher {
    fn new(key: &[u8; 32]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if level() == Level::Avx512 && vaes::is_here() {
            // SAFETY: it is here.
            return Self::Wide(unsafe { RoundKeys::new(key) });
        }
        Self::Narrow(Aes256::new(key.into()))
    }
}

impl Stream {
    /// HKDF-SHA256 without salt; `info` is the label, then `context` (the parameter digest, and what else binds the use).
    pub fn new(seed: &[u8; 32], purpose: Purpose, context: &[&[u8]]) -> Self {
        let info: Vec<u8> = [&[purpose.label()], context].concat().concat();
        let mut key = Zeroizing::new([0u8; 32]);
        let (mut extracted, hkdf) = Hkdf::<Sha256>::extract(None, seed);
        extracted.as_mut_slice().zeroize();
        hkdf.expand(&info, key.as_mut_slice()).expect("32 bytes are within the 8160 that HKDF-SHA256 can give");
        Self { cipher: Cipher::new(&key) }
    }

    /// A reader at the start of part `part`.
    pub fn reader(&self) -> Reader {
        match &self.cipher {
            Cipher::Narrow(cipher) => Reader::Narrow(CtrCore::inner_iv_init(cipher.clone(), &counter_block(0, 0))),
            #[cfg(target_arch = "x86_64")]
            Cipher::Wide(keys) => Reader::Wide { keys: keys.clone(), part: 0, next: 0 },
        }
    }
}

/// Reads the parts of a stream one after the other.
#[allow(clippy::large_enum_variant)] // As above.
pub enum Reader {
    Narrow(CtrCore<Aes256, Ctr128BE>),
    /// `next`: the block of the part that is read next.
    #[cfg(target_arch = "x86_64")]
    Wide {
        keys: RoundKeys,
        part: u64,
        next: u64,
    },
}

impl Reader {
    /// Go to a byte of a part, the first of an AES block.
    pub fn seek(&mut self, to: u64, byte: usize) {
        assert!(byte.is_multiple_of(16), "a stream is read in whole AES blocks");
        let block = (byte / 16) as u64;
        match self {
            Self::Narrow(core) => core.set_iv(&counter_block(to, block)),
            #[cfg(target_arch = "x86_64")]
            Self::Wide { part, next, .. } => (*part, *next) = (to, block),
        }
    }

    /// The next bytes of the part, a multiple of 16 of them.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        assert!(bytes.len().is_multiple_of(16), "a stream is read in whole AES blocks");
        match self {
            Self::Narrow(core) => core.write_keystream_blocks(Array::<u8, U16>::slice_as_chunks_mut(bytes).0),
            #[cfg(target_arch = "x86_64")]
            Self::Wide { keys, part, next } => {
                // SAFETY: there are round keys for it only where it is here.
                unsafe { keys.keystream(*part, *next, bytes) };
                *next += (bytes.len() / 16) as u64;
            }
        }
    }
}

fn counter_block(part: u64, block: u64) -> Array<u8, U16> {
    (u128::from(part) << 64 | u128::from(block)).to_be_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_distinct_and_repeatable() {
        let mut reader = Stream::new(&[7; 32], Purpose::Noise, &[b"context"]).reader();
        let mut parts = [[0u8; 64]; 3];
        for (part, bytes) in [0, 1, 0].into_iter().zip(parts.iter_mut()) {
            reader.seek(part, 0);
            reader.fill(bytes);
        }
        assert_eq!(parts[0], parts[2]);
        assert_ne!(parts[0], parts[1]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn four_blocks_a_register_give_the_bytes_of_the_crate() {
        if !vaes::is_here() {
            return;
        }
        for (number, part) in [0, 1, 0x0102_0304_0506_0708, u64::MAX].into_iter().enumerate() {
            let key: [u8; 32] = std::array::from_fn(|index| (index * 37 + number * 101) as u8);
            // SAFETY: it is here.
            let keys = unsafe { RoundKeys::new(&key) };
            let mut wide = Reader::Wide { keys, part: 0, next: 0 };
            let mut narrow = Reader::Narrow(CtrCore::inner_iv_init(Aes256::new((&key).into()), &counter_block(0, 0)));
            wide.seek(part, 0);
            narrow.seek(part, 0);
            for length in [16, 512, 48, 32768, 528, 0, 4080, 49152] {
                let (mut here, mut there) = (vec![0u8; length], vec![1u8; length]);
                wide.fill(&mut here);
                narrow.fill(&mut there);
                assert_eq!(here, there, "{length} bytes of part {part}");
            }
        }
    }

    #[test]
    fn two_reads_continue_one_part() {
        let mut reader = Stream::new(&[7; 32], Purpose::Mask, &[]).reader();
        let (mut whole, mut halves) = ([0u8; 512], [0u8; 512]);
        reader.seek(5, 0);
        reader.fill(&mut whole);
        reader.seek(5, 0);
        reader.fill(&mut halves[..208]);
        reader.fill(&mut halves[208..]);
        assert_eq!(whole, halves);
        reader.seek(5, 208);
        reader.fill(&mut halves[..304]);
        assert_eq!(whole[208..], halves[..304]);
    }

    #[test]
    fn purpose_and_context_separate_streams() {
        let mut seen = Vec::new();
        let additive = [Purpose::Mask, Purpose::Secret, Purpose::Noise, Purpose::Rounding];
        let proof = [Purpose::Pad, Purpose::Blinding, Purpose::Salt];
        for purpose in additive.into_iter().chain(proof).chain([Purpose::Sharing, Purpose::ShareSalt]) {
            for context in [b"one", b"two"] {
                let mut reader = Stream::new(&[1; 32], purpose, &[context]).reader();
                let mut bytes = [0u8; 32];
                reader.seek(0, 0);
                reader.fill(&mut bytes);
                assert!(!seen.contains(&bytes));
                seen.push(bytes);
            }
        }
    }
}

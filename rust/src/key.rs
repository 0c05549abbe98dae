//! The secret polynomials, and their sum: what decrypts the sum of exactly those silos' ciphertexts.

use crate::aligned::Aligned;
use crate::field;
use crate::processor::at_its_best;
use crate::ring::Polynomial;
use crate::sampling::{Noise, TILE};
use crate::stream::{Purpose, Stream};

/// Expands the secrets of silos, one after the other.
pub struct Secrets<'a> {
    parameters: &'a [u8; 32],
    small: Aligned<i64, TILE>,
}

impl<'a> Secrets<'a> {
    pub fn new(parameters: &'a [u8; 32]) -> Self {
        Self { parameters, small: Aligned::zero() }
    }

    /// Add the coefficients of s, expanded from a silo's key seed, to a sum of secrets.
    pub fn add(&mut self, seed: &[u8; 32], sum: &mut Polynomial) {
        let mut noise = Noise::new(Stream::new(seed, Purpose::Secret, &[self.parameters]).reader());
        for (tile, sum) in sum.as_chunks_mut().0.iter_mut().enumerate() {
            noise.tile(0, tile, &mut self.small);
            at_its_best(add_small, (sum, &self.small));
        }
    }
}

#[inline(always)]
pub fn add_small((sum, small): (&mut [u64; TILE], &[i64; TILE])) {
    for (sum, &small) in sum.iter_mut().zip(small) {
        *sum = field::add_signed(*sum, small);
    }
}

/// The coefficients of s, expanded from a silo's key seed.
pub fn secret(seed: &[u8; 32], parameters: &[u8; 32]) -> Polynomial {
    let mut secret = Polynomial::zero();
    Secrets::new(parameters).add(seed, &mut secret);
    secret
}

//! The secret polynomials, and their sum: what decrypts the sum of exactly those silos' ciphertexts.

use zeroize::Zeroize;

use crate::field;
use crate::ntt::{N, Polynomial};
use crate::processor::at_its_best;
use crate::sampling::Sampler;
use crate::stream::{Purpose, Stream};

/// Expands the secrets of silos, one after the other.
pub struct Secrets<'a> {
    parameters: &'a [u8; 32],
    sampler: Sampler,
    small: Box<[i64; N]>,
}

impl Drop for Secrets<'_> {
    fn drop(&mut self) {
        self.small.zeroize();
    }
}

impl<'a> Secrets<'a> {
    pub fn new(parameters: &'a [u8; 32]) -> Self {
        Self { parameters, sampler: Sampler::new(), small: Box::new([0; N]) }
    }

    /// Add the coefficients of s, expanded from a silo's key seed, to a sum of secrets.
    pub fn add(&mut self, seed: &[u8; 32], sum: &mut Polynomial) {
        let mut reader = Stream::new(seed, Purpose::Secret, &[self.parameters]).reader();
        self.sampler.binomial(&mut reader, 0, &mut self.small);
        at_its_best(add_small, (&mut **sum, &*self.small));
    }
}

#[inline(always)]
pub fn add_small((sum, small): (&mut [u64; N], &[i64; N])) {
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

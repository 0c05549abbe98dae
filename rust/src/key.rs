//! The secret polynomials, and their sum: what decrypts the sum of exactly those silos' ciphertexts.

use zeroize::Zeroize;

use crate::field;
use crate::ntt::{N, Polynomial};
use crate::sampling::Sampler;
use crate::stream::{Purpose, Stream};

/// The coefficients of s, expanded from a silo's key seed.
pub fn secret(seed: &[u8; 32], parameters: &[u8; 32]) -> Polynomial {
    let mut small = Box::new([0i64; N]);
    let mut reader = Stream::new(seed, Purpose::Secret, &[parameters]).reader();
    Sampler::new().binomial(&mut reader, 0, &mut small);
    let mut secret = Polynomial::zero();
    for (coefficient, &value) in secret.iter_mut().zip(small.iter()) {
        *coefficient = field::from_signed(value);
    }
    small.zeroize();
    secret
}

/// Add the secret of one more silo to a sum of secrets.
pub fn accumulate(sum: &mut Polynomial, seed: &[u8; 32], parameters: &[u8; 32]) {
    for (total, &value) in sum.iter_mut().zip(secret(seed, parameters).iter()) {
        *total = field::add(*total, value);
    }
}

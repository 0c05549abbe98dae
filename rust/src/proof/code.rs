//! Reed-Solomon code words in coefficient form: the coefficients of a polynomial, and its values at the powers of a root.

use super::codes::Code;
use crate::field;

/// Turns rows into code words of one length.
///
/// A word is kept in bit-reversed order: entry i is the value at omega^r(i), r reversing the bits of an index. The
/// transform gives it so, and a tree over it needs no other order.
pub struct Encoder {
    log_length: usize,
    /// For each layer, half a block of twiddles.
    twiddles: Vec<Vec<u64>>,
}

impl Encoder {
    pub fn new(code: Code) -> Self {
        let root = field::root_of_unity(code.length() as u64);
        let mut layer = vec![1; code.length() / 2];
        for index in 1..layer.len() {
            layer[index] = field::mul(layer[index - 1], root);
        }
        let mut twiddles = Vec::with_capacity(code.log_length);
        while !layer.is_empty() {
            let next = layer.iter().step_by(2).copied().collect::<Vec<_>>();
            let half = layer.len() / 2;
            twiddles.push(layer);
            layer = next;
            layer.truncate(half);
        }
        Self { log_length: code.log_length, twiddles }
    }

    pub fn length(&self) -> usize {
        1 << self.log_length
    }

    /// The code word of the polynomial with these coefficients, lowest first: a run of the row, then those appended.
    pub fn encode(&self, run: &[u64], appended: &[u64], word: &mut [u64]) {
        let filled = run.len() + appended.len();
        word[..run.len()].copy_from_slice(run);
        word[run.len()..filled].copy_from_slice(appended);
        word[filled..].fill(0);
        for twiddles in &self.twiddles {
            for block in word.chunks_exact_mut(2 * twiddles.len()) {
                let (left, right) = block.split_at_mut(twiddles.len());
                if twiddles.len() >= filled {
                    scaled_copy(&left[..filled], &mut right[..filled], twiddles);
                } else {
                    butterflies(left, right, twiddles);
                }
            }
        }
    }
}

/// Where the upper half of a block is zero.
fn scaled_copy(left: &[u64], right: &mut [u64], twiddles: &[u64]) {
    for ((a, b), &twiddle) in left.iter().zip(right).zip(twiddles) {
        *b = field::mul(*a, twiddle);
    }
}

/// a + b and t (a - b).
fn butterflies(left: &mut [u64], right: &mut [u64], twiddles: &[u64]) {
    for ((a, b), &twiddle) in left.iter_mut().zip(right).zip(twiddles) {
        let difference = field::sub(*a, *b);
        *a = field::add(*a, *b);
        *b = field::mul(difference, twiddle);
    }
}

/// Where a position of a code word, or of a level of its tree, is in bit-reversed order.
#[inline(always)]
pub fn reversed(position: usize, bits: usize) -> usize {
    if bits == 0 { 0 } else { position.reverse_bits() >> (usize::BITS as usize - bits) }
}

/// omega^position
pub fn point(code: Code, position: usize) -> u64 {
    field::pow(field::root_of_unity(code.length() as u64), position as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::ext::E;
    use crate::proof::polynomial::horner;

    #[test]
    fn words_are_the_values_of_the_polynomial() {
        for (log_message, log_length, queries) in [(3, 6, 5), (4, 5, 3), (2, 7, 0)] {
            let code = Code { log_message, log_length, queries };
            let encoder = Encoder::new(code);
            let run: Vec<u64> = (0..code.message() as u64).map(|i| i * i * 1_000_003 + 7).collect();
            let appended: Vec<u64> = (0..queries as u64).map(|i| i + 99).collect();
            let mut word = vec![5; encoder.length()];
            encoder.encode(&run, &appended, &mut word);
            for position in 0..code.length() {
                let coefficients = run.iter().chain(&appended).map(|&coefficient| E::base(coefficient));
                let value = horner(coefficients, point(code, position));
                assert_eq!(E::base(word[reversed(position, log_length)]), value);
            }
        }
    }
}

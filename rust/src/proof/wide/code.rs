//! The transform of the code: a polynomial of few coefficients, at all the powers of omega.
//!
//! A run of M = 2^m coefficients and up to M more behind it are evaluated at n = B M points. With X = omega^i Y the points
//! omega^(i + B j) are those of a cyclic transform of M points, with what is appended folded in: Y^M = 1. So nothing is
//! ever done to the zeros behind the coefficients, and a transform stays within the second-level cache.
//!
//! Those of M points are passes of radix 8, 4 or 2, down to squares of 64 by 64 or rows of 64, in which every root of unity
//! is a power of two (`crate::wide`). Words come in bit-reversed order: entry r(i), r reversing the bits of an index, is
//! the value at omega^i.

use std::ops::Range;

use super::packed::Packed;
use super::{Width, Work};
use crate::field;

/// The points that a pass leaves to the next ones, in one go, when that few are left.
const SQUARE_BITS: u32 = 12;
pub(super) const ROW_BITS: u32 = 6;

/// A row of coefficients, the lowest first: those of one slice, then those of the other.
pub type Coefficients<'a> = [&'a [u64]; 2];

/// The transform for one M and one n, with its powers of omega.
pub struct Code {
    message_bits: u32,
    length_bits: u32,
    pub(super) passes: Vec<Pass>,
    pub(super) cosets: Vec<Coset>,
}

/// A radix, and what comes after it: entry s L / r + c is what row s of column c is multiplied by, in blocks of L points.
pub(super) struct Pass {
    pub(super) radix_bits: u32,
    pub(super) block_bits: u32,
    /// Nothing for the first pass, whose are those of the coset, and for the last.
    pub(super) twiddles: Vec<u64>,
}

/// What makes coset i of the first pass.
pub struct Coset {
    /// omega^(i M), what an appended coefficient is worth.
    wrapped: u64,
    /// omega^(i t M / r) for the points of a column.
    pub(super) inputs: Vec<u64>,
    /// As in [`Pass`], times omega^(i c).
    pub(super) twiddles: Vec<u64>,
}

impl Code {
    /// Runs of 2^message_bits coefficients, 64 at least, and words of 2^length_bits.
    pub fn new(message_bits: u32, length_bits: u32) -> Self {
        assert!(ROW_BITS < message_bits && message_bits < length_bits && length_bits <= 32);
        let omega = field::root_of_unity(1 << length_bits);
        let coset_bits = length_bits - message_bits;
        let mut passes = Vec::new();
        let mut block_bits = message_bits;
        while block_bits > 0 {
            let radix_bits = radix_bits(block_bits);
            let inner = radix_bits < block_bits && block_bits < message_bits;
            let root = field::pow(omega, 1 << (length_bits - block_bits));
            let twiddles = if inner { powers(root, block_bits, radix_bits, 0, 1) } else { Vec::new() };
            passes.push(Pass { radix_bits, block_bits, twiddles });
            block_bits -= radix_bits;
        }
        let first = passes[0].radix_bits;
        let coset = |coset: u64| Coset {
            wrapped: field::pow(omega, coset << message_bits),
            inputs: (0..1 << first).map(|t: u64| field::pow(omega, (coset * t) << (message_bits - first))).collect(),
            twiddles: powers(omega, message_bits, first, coset, 1 << coset_bits),
        };
        Self { message_bits, length_bits, passes, cosets: (0..1 << coset_bits).map(coset).collect() }
    }

    /// n, the entries of a code word.
    pub fn length(&self) -> usize {
        1 << self.length_bits
    }

    /// The code words of some rows, each from a multiple of `stride` on in `out`. A stride of n and a cache line more
    /// spares [`super::blake::leaves`] collisions.
    pub fn encode(&self, width: Width, rows: &[Coefficients], stride: usize, out: &mut [u64]) {
        assert!(rows.iter().all(|[first, second]| first.len() + second.len() <= 2 << self.message_bits));
        assert!(stride >= self.length() && (rows.is_empty() || out.len() >= (rows.len() - 1) * stride + self.length()));
        // One coset of every row after the other: its powers of omega stay near.
        for index in 0..self.cosets.len() {
            let block = bit_reversed(index, self.length_bits - self.message_bits);
            let place: Range<usize> = block << self.message_bits..(block + 1) << self.message_bits;
            for (row, word) in rows.iter().zip(out.chunks_mut(stride)) {
                self.encode_coset(width, index, row, &mut word[place.clone()]);
            }
        }
    }

    fn encode_coset(&self, width: Width, index: usize, row: &Coefficients, out: &mut [u64]) {
        let coset = &self.cosets[index];
        let [first, second] = row;
        let (start, wrapped) = first.split_at(first.len().min(out.len()));
        let (behind, second) = second.split_at(second.len().min(out.len() - start.len()));
        out[..start.len()].copy_from_slice(start);
        out[start.len()..][..behind.len()].copy_from_slice(behind);
        out[start.len() + behind.len()..].fill(0);
        for (value, &appended) in out.iter_mut().zip(wrapped.iter().chain(second)) {
            *value = field::add(*value, field::mul(appended, coset.wrapped));
        }
        width.run(Transform { code: self, coset, out });
    }
}

struct Transform<'a> {
    code: &'a Code,
    coset: &'a Coset,
    out: &'a mut [u64],
}

impl Work for Transform<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Packed>(self) {
        unsafe { V::transform(self.code, self.coset, self.out) }
    }
}

fn radix_bits(block_bits: u32) -> u32 {
    match block_bits {
        ROW_BITS | SQUARE_BITS => ROW_BITS,
        _ if block_bits > SQUARE_BITS => (block_bits - SQUARE_BITS).min(3),
        _ => (block_bits - ROW_BITS).min(3),
    }
}

/// root^(c (i + b k)) for row s, which holds frequency k = r(s), and column c: entry s L / r + c.
fn powers(root: u64, block_bits: u32, radix_bits: u32, i: u64, b: u64) -> Vec<u64> {
    let mut powers = Vec::with_capacity(1 << block_bits);
    for row in 0..1 << radix_bits {
        let step = field::pow(root, i + b * bit_reversed(row, radix_bits) as u64);
        let mut power = 1;
        for _ in 0..1 << (block_bits - radix_bits) {
            powers.push(power);
            power = field::mul(power, step);
        }
    }
    powers
}

/// `index` with its lower bits, that many, the other way round.
#[inline(always)]
pub fn bit_reversed(index: usize, bits: u32) -> usize {
    if bits == 0 { 0 } else { index.reverse_bits() >> (usize::BITS - bits) }
}

#[cfg(test)]
mod tests {
    use super::super::samples::words;
    use super::*;

    fn evaluate(code: &Code, row: &Coefficients, index: usize) -> u64 {
        let point = field::pow(field::root_of_unity(code.length() as u64), index as u64);
        row.iter().flat_map(|part| part.iter()).rev().fold(0, |sum, &c| field::add(field::mul(sum, point), c))
    }

    #[test]
    fn every_width_evaluates_at_the_powers_of_omega() {
        for (message_bits, length_bits, lengths) in
            [(7, 9, [128, 3]), (8, 12, [256, 0]), (9, 13, [100, 51]), (10, 14, [1024, 1024]), (11, 14, [2048, 125])]
        {
            let code = Code::new(message_bits, length_bits);
            let memory = words(5, lengths[0] + lengths[1]);
            let row = [&memory[..lengths[0]], &memory[lengths[0]..]];
            for width in Width::all() {
                let mut out = vec![7; code.length()];
                code.encode(width, &[row], code.length(), &mut out);
                for position in (0..code.length()).step_by(37).chain([1, code.length() - 1]) {
                    let expected = evaluate(&code, &row, bit_reversed(position, length_bits));
                    assert_eq!(out[position], expected, "{} {message_bits} {position}", width.name());
                }
            }
        }
    }

    #[test]
    fn every_width_gives_the_same_words_for_long_runs_and_many_rows() {
        for (message_bits, length_bits) in [(12, 14), (13, 15), (14, 16), (15, 17), (16, 17), (17, 19), (19, 21)] {
            let code = Code::new(message_bits, length_bits);
            let message = words(6, (1 << message_bits) + 152);
            let rows = [[&message[..1 << message_bits], &message[1 << message_bits..]], [&message[3..320], &[]]];
            let stride = code.length() + 8;
            let mut portable = vec![0; 2 * stride];
            code.encode(Width::all()[0], &rows, stride, &mut portable);
            for width in Width::all() {
                let mut out = vec![0; 2 * stride];
                code.encode(width, &rows, stride, &mut out);
                assert!(out == portable, "{} {message_bits}", width.name());
            }
            let position = code.length() / 3;
            let index = bit_reversed(position, length_bits);
            assert_eq!(portable[position], evaluate(&code, &rows[0], index), "{message_bits}");
            assert_eq!(portable[stride + position], evaluate(&code, &rows[1], index));
        }
    }

    #[test]
    #[should_panic(expected = "2 << self.message_bits")]
    fn more_coefficients_than_the_code_takes_are_refused() {
        Code::new(8, 10).encode(Width::best(), &[[&[0; 512], &[0]]], 1024, &mut [0; 1024]);
    }
}

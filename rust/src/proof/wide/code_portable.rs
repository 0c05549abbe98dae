//! The passes of the code's transform, one column after the other.

use super::code::{Code, Coset, ROW_BITS};
use crate::field;

/// The largest radix.
const POINTS: usize = 1 << ROW_BITS;

/// The transform of one coset, in place.
pub(super) fn transform(code: &Code, coset: &Coset, values: &mut [u64]) {
    let roots = roots();
    for (number, pass) in code.passes.iter().enumerate() {
        let radix = 1 << pass.radix_bits;
        let columns = 1 << (pass.block_bits - pass.radix_bits);
        let (inputs, twiddles) =
            if number == 0 { (&coset.inputs[..], &coset.twiddles[..]) } else { (&[][..], &pass.twiddles[..]) };
        let mut points = [0; POINTS];
        for block in values.chunks_exact_mut(columns * radix) {
            for column in 0..columns {
                for (point, value) in points.iter_mut().zip(block[column..].iter().step_by(columns)) {
                    *point = *value;
                }
                for (point, &input) in points[..radix].iter_mut().zip(inputs) {
                    *point = field::mul(*point, input);
                }
                small(&mut points[..radix], &roots);
                for (row, value) in block[column..].iter_mut().step_by(columns).enumerate() {
                    let point = points[row];
                    *value = match twiddles.get(row * columns + column) {
                        Some(&twiddle) => field::mul(point, twiddle),
                        None => point,
                    };
                }
            }
        }
    }
}

/// Powers of the root of order 64.
fn roots() -> [u64; POINTS / 2] {
    let root = field::root_of_unity(POINTS as u64);
    let mut roots = [1; POINTS / 2];
    for index in 1..roots.len() {
        roots[index] = field::mul(roots[index - 1], root);
    }
    roots
}

/// The cyclic transform of up to 64 points, to bit-reversed order.
#[inline(always)]
fn small(points: &mut [u64], roots: &[u64; POINTS / 2]) {
    let mut half = points.len() / 2;
    while half > 0 {
        let step = POINTS / 2 / half;
        for group in points.chunks_exact_mut(2 * half) {
            let (left, right) = group.split_at_mut(half);
            (left[0], right[0]) = (field::add(left[0], right[0]), field::sub(left[0], right[0]));
            for ((a, b), &root) in left.iter_mut().zip(right).zip(roots.iter().step_by(step)).skip(1) {
                let difference = field::sub(*a, *b);
                *a = field::add(*a, *b);
                *b = field::mul(difference, root);
            }
        }
        half /= 2;
    }
}

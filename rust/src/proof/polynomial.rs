//! Polynomials over E by their values at 0, 1, 2, ..

use zeroize::Zeroizing;

use super::ext::{E, parts_of};
use super::wide::{Width, tables};
use crate::field;

/// The value at `z` of the polynomial of degree d with these values at 0, .., d (Lagrange, without a division by z - i).
pub fn interpolate(values: &[E], z: E) -> E {
    let count = values.len();
    // prefixes[i] = prod_{j < i} (z - j)
    let mut prefixes = vec![E::ONE; count];
    for index in 1..count {
        prefixes[index] = prefixes[index - 1] * (z - E::base(index as u64 - 1));
    }
    let factorials: Vec<u64> = factorials(count);
    let (mut suffix, mut sum) = (E::ONE, E::ZERO);
    for index in (0..count).rev() {
        let rest = count - 1 - index;
        let scale = field::invert(field::mul(factorials[index], factorials[rest]));
        let term = (prefixes[index] * suffix * values[index]).scale(scale);
        sum = if rest.is_multiple_of(2) { sum + term } else { sum - term };
        suffix = suffix * (z - E::base(index as u64));
    }
    sum
}

fn factorials(count: usize) -> Vec<u64> {
    let mut factorials = vec![1; count];
    for index in 1..count {
        factorials[index] = field::mul(factorials[index - 1], index as u64);
    }
    factorials
}

/// The values at 0, .., `degree` of the polynomial that `values` determine, by differences.
pub fn extrapolate(values: &mut Zeroizing<Vec<E>>, degree: usize) {
    // Backward differences at the last value: diagonal[i] is the i-th.
    let mut diagonal = values.clone();
    diagonal.reverse();
    for order in 1..diagonal.len() {
        for index in (order..diagonal.len()).rev() {
            diagonal[index] = diagonal[index - 1] - diagonal[index];
        }
    }
    // Of a size that is not outgrown: nothing is left behind.
    let mut more = Zeroizing::new(Vec::with_capacity(degree + 1));
    more.extend_from_slice(values);
    while more.len() <= degree {
        for index in (0..diagonal.len() - 1).rev() {
            diagonal[index] = diagonal[index] + diagonal[index + 1];
        }
        more.push(diagonal[0]);
    }
    *values = more;
}

/// The values at some points of F_p of the polynomial with these coefficients, lowest first.
pub fn evaluate(coefficients: &[E], points: &[u64]) -> Vec<E> {
    tables::evaluate(Width::best(), &parts_of(coefficients), points).into_iter().map(E::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_determine_the_polynomial() {
        let coefficients: Vec<E> = (0..6).map(|i| E::new(i * 1_000_003 + 1, 99 - i)).collect();
        let at = |z: E| coefficients.iter().rev().fold(E::ZERO, |value, &coefficient| value * z + coefficient);
        let values: Vec<E> = (0..12).map(|x| at(E::base(x))).collect();
        let mut more = Zeroizing::new(values[..6].to_vec());
        extrapolate(&mut more, 11);
        assert_eq!(*more, values);
        for z in [E::new(5, 6), E::base(3), E::ZERO] {
            assert_eq!(interpolate(&values[..6], z), at(z));
            assert_eq!(interpolate(&values, z), at(z));
        }
        assert_eq!(evaluate(&coefficients, &[7, 0]), [values[7], values[0]]);
        let mut constant = Zeroizing::new(vec![E::X]);
        extrapolate(&mut constant, 3);
        assert_eq!(*constant, [E::X; 4]);
    }
}

//! One opened row: all rows of the trees combine to u = mu + epsilon sum_i weight_i row_i, a claim about its entries is a
//! claim about all of them, and is in turn one about a run of u (docs/proofs.md, "The opening").
//!
//! A proof has one opened row, or two with codes of their own, which one second sum-check is about. The caller drives the
//! transcript where what belongs to both is sent or drawn together.

mod joint;
mod prover;
mod verifier;

pub use joint::{OpenedRows, leaf_words, rounds};
pub use prover::Combined;
pub use verifier::check_mask_row;

use super::codes::Code;
use super::column::Column;
use super::ext::{E, HALF, powers};
use super::multilinear::{eq, eq_table};
use super::wide::{Width, tables};
use crate::{field, parallel};

/// What both sides know of an opened row once epsilon is drawn.
pub struct OpenedRow<'a> {
    /// The code of the rows, and how many elements are appended to each of them.
    pub code: Code,
    pub appended: usize,
    /// The weights of the rows, in the order of the trees' words.
    pub weights: &'a [E],
    /// z_lo: the claim is <eq(z_lo), u[0..C]>.
    pub low: &'a [E],
    pub epsilon: E,
}

/// z_hi, which chooses a run of a column, and z_lo.
pub fn split(z: &[E], code: Code) -> (&[E], &[E]) {
    z.split_at(z.len() - code.log_message)
}

/// kappa_V eq(z_hi, r), row after row of each column.
pub fn weights_of_rows(columns: &[E], high: &[E]) -> Vec<E> {
    let runs = eq_table(high);
    columns.iter().flat_map(|&column| runs.iter().map(move |run| column * run)).collect()
}

/// What the coefficients a_(i,d) of a sum-check's mask are weighed with at its point: factor (z_i^d - 1/2).
pub fn sum_mask_weights(factor: E, z: &[E], degree: impl Fn(usize) -> usize) -> Vec<E> {
    let mut weights = Vec::with_capacity((0..z.len()).map(&degree).sum());
    for (round, &z) in z.iter().enumerate() {
        let mut power = E::ONE;
        for _ in 0..degree(round) {
            power = power * z;
            weights.push(factor * (power - E::base(HALF)));
        }
    }
    weights
}

/// x (1 - x) for the last variable x.
pub fn bump(z: &[E]) -> E {
    let x = z[z.len() - 1];
    x * (E::ONE - x)
}

pub fn inner_product(a: &[E], b: &[E]) -> E {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// What a row's claim is multiplied with, and the values at each of its opened positions: a factor, and the same times chi,
/// chi^2, ..
fn value_weights(factor: E, chi: E, count: usize) -> (E, Vec<E>) {
    (factor, powers(chi, count + 1)[1..].iter().map(|&power| factor * power).collect())
}

/// Omega, laid out: eq(z_lo, j) + sum_i chi^(i+1) x_i^j, times the factor of the claim.
fn row_weights(low: &[E], points: &[u64], (factor, weights): &(E, Vec<E>), threads: usize) -> Column {
    /// Nanoseconds that three powers take.
    const THREE: usize = 1;
    let mut out = eq_table(low);
    // Of one claim it is 1. Compared by parts, so that what is compared shows in the machine code.
    if factor.parts() != E::ONE.parts() {
        (0..out.len()).for_each(|index| out.set(index, *factor * out.at(index)));
    }
    let share = parallel::share(out.len(), parallel::worth(threads, out.len() * points.len() / 3, THREE));
    let parts = out.re.chunks_mut(share).zip(out.im.chunks_mut(share)).enumerate();
    let done: Result<(), ()> = parallel::run(parts, |(part, (re, im))| {
        // A part begins where its weights have been multiplied that often.
        let begun = |(&point, &weight): (&u64, &E)| weight.scale(field::pow(point, (part * share) as u64)).parts();
        let weights: Vec<_> = points.iter().zip(weights).map(begun).collect();
        tables::add_powers(Width::best(), points, &weights, [re, im]);
        Ok(())
    });
    done.expect("no part fails");
    out
}

/// Omega at `r`, in closed form.
fn row_weights_at(low: &[E], points: &[u64], (factor, weights): &(E, Vec<E>), r: &[E]) -> E {
    let terms = points.iter().zip(weights).map(|(&point, &weight)| {
        let mut square = point;
        r.iter().rev().fold(weight, |product, &r| {
            let factor = E::ONE - r + r.scale(square);
            square = field::mul(square, square);
            product * factor
        })
    });
    *factor * eq(low, r) + terms.sum()
}

/// f(r) of a round of the second sum-check, from f(0), the coefficient of X^2, and the claim f(0) + f(1).
fn round_at(claim: E, [constant, square]: [E; 2], r: E) -> E {
    let at_one = claim - constant;
    constant + r * (at_one - constant - square + r * square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::column::dot;

    #[test]
    fn the_weights_of_a_row_agree_with_their_closed_form() {
        let element = |i: u64| E::new(i * i + 3, 2 * i + 1);
        let (low, r): (Vec<E>, Vec<E>) = ((0..5).map(element).collect(), (5..10).map(element).collect());
        let (points, weights) = ([3, 1 << 40, 17], value_weights(element(77), element(99), 3));
        let laid_out = row_weights(&low, &points, &weights, 1);
        assert_eq!(dot(&laid_out, &eq_table(&r)), row_weights_at(&low, &points, &weights, &r));
        assert_eq!(weights.1[1], element(77) * element(99) * element(99));
        let low: Vec<E> = (0..12).map(element).collect();
        let alone = row_weights(&low, &points, &weights, 1);
        assert!((2..4).all(|threads| row_weights(&low, &points, &weights, threads).iter().eq(alone.iter())));
    }

    #[test]
    fn a_round_is_the_quadratic_through_its_values() {
        let [a, b, c, r] = [E::new(5, 1), E::new(7, 2), E::new(11, 3), E::new(13, 4)];
        let at = |x: E| a + b * x + c * x * x;
        assert_eq!(round_at(at(E::ZERO) + at(E::ONE), [a, c], r), at(r));
    }
}

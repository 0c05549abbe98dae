//! The opening: the claimed values of all columns and of g become one claim about one opened row, and that a claim about a
//! run of it. What both sides compute is here.

use super::column::Column;
use super::ext::{E, HALF, powers};
use super::multilinear::{eq, eq_table};
use super::shape::Shape;
use super::wide::{Width, tables};
use crate::{field, parallel};

/// The weights of the committed columns, of their rows, and of the mask row.
pub struct Opening {
    /// kappa_V for every committed column.
    pub columns: Vec<E>,
    /// kappa_g
    pub sum_mask: E,
    /// kappa_V eq(z_hi, r), row after row.
    pub rows: Vec<E>,
    /// w_m
    pub masks: Vec<E>,
}

impl Opening {
    pub fn new(shape: &Shape, kappa: &[E], sum_mask: E, z: &[E]) -> Self {
        let (high, _) = split(shape, z);
        let columns: Vec<E> = eq_table(kappa).iter().take(shape.committed()).collect();
        let runs = eq_table(high);
        let rows = columns.iter().flat_map(|&column| runs.iter().map(move |run| column * run)).collect();
        let mut masks = Vec::with_capacity(shape.mask_row());
        for (round, &z) in z.iter().enumerate() {
            let mut power = E::ONE;
            for _ in 0..shape.degree(round) {
                power = power * z;
                masks.push(sum_mask * (power - E::base(HALF)));
            }
        }
        let bump = bump(z);
        masks.extend(columns.iter().map(|&column| column * bump));
        Self { columns, sum_mask, rows, masks }
    }
}

/// z_hi and z_lo
pub fn split<'a>(shape: &Shape, z: &'a [E]) -> (&'a [E], &'a [E]) {
    z.split_at(z.len() - shape.code.log_message)
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

/// The powers chi, chi^2, .., one for each opened position.
pub fn position_weights(chi: E, count: usize) -> Vec<E> {
    powers(chi, count + 1)[1..].to_vec()
}

/// Omega, laid out: eq(z_lo, j) + sum_i chi^(i+1) x_i^j.
pub fn row_weights(low: &[E], points: &[u64], weights: &[E], threads: usize) -> Column {
    /// Less is not worth a thread.
    const LEAST: usize = 1 << 10;
    let mut out = eq_table(low);
    let share = parallel::share(out.len(), threads).max(LEAST);
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
pub fn row_weights_at(low: &[E], points: &[u64], weights: &[E], r: &[E]) -> E {
    let terms = points.iter().zip(weights).map(|(&point, &weight)| {
        let mut square = point;
        r.iter().rev().fold(weight, |product, &r| {
            let factor = E::ONE - r + r.scale(square);
            square = field::mul(square, square);
            product * factor
        })
    });
    eq(low, r) + terms.sum()
}

/// f(r) of a round of the second sum-check, from f(0), the coefficient of X^2, and the claim f(0) + f(1).
pub fn round_at(claim: E, [constant, square]: [E; 2], r: E) -> E {
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
        let (points, weights) = ([3, 1 << 40, 17], position_weights(element(99), 3));
        let laid_out = row_weights(&low, &points, &weights, 1);
        assert_eq!(dot(&laid_out, &eq_table(&r)), row_weights_at(&low, &points, &weights, &r));
        assert_eq!(weights[1], element(99) * element(99));
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

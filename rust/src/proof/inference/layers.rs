//! The prover's sum-checks of the layers: sum_i X[i] m[i] over vectors of E, both masked in the last variable.

use zeroize::{Zeroize, Zeroizing};

use super::blinded::Blinded;
use crate::parallel;
use crate::proof::column::{Column, fold_all};
use crate::proof::ext::E;
use crate::proof::opened::bump;
use crate::proof::polynomial::interpolate;
use crate::proof::published::{hide, published};
use crate::proof::wide::column::{Column as Lines, products as sum_products};
use crate::proof::wide::{Width, ext};

/// What a layer's sum-check ends with.
pub struct Ending {
    pub point: Vec<E>,
    /// X'(s), m'(s)
    pub factors: Zeroizing<[E; 2]>,
    /// Whether the claim was true.
    pub holds: bool,
}

/// Run all rounds of sum X m = `sum`. `rho`: rho_X, rho_M. `send` takes a round and gives its challenge.
pub fn prove(
    mut factors: [Column; 2],
    rho: &[E; 2],
    sum: E,
    mut mask: Blinded,
    threads: usize,
    mut send: impl FnMut(&[E]) -> E,
) -> Ending {
    let (mut claim, mut mismatch, mut point) = (Zeroizing::new(sum), 0, Vec::new());
    while factors[0].len() > 1 {
        let values = if mask.is_last() { last_round(&factors, rho) } else { round(&factors, threads) };
        hide(values.iter().flat_map(|value| value.parts()));
        // Without a branch, until it is known of all rounds.
        let difference = values[0] + values[1] - *claim;
        mismatch |= difference.re | difference.im;
        let z = send(&mask.sent(&values));
        *claim = interpolate(&values, z);
        mask.bind(z);
        fold_all(&mut factors.each_mut(), z, threads);
        point.push(z);
    }
    let bump = bump(&point);
    let masked = [0, 1].map(|factor| factors[factor].at(0) + rho[factor] * bump);
    Ending { point, factors: Zeroizing::new(masked), holds: published(mismatch == 0) }
}

/// At 0, 1, 2.
fn round(factors: &[Column; 2], threads: usize) -> Zeroizing<Vec<E>> {
    let [x, m] = factors;
    at_three(&products(x.lines(), m.lines(), x.len() / 2, threads))
}

/// At 0, .., 4: the masks show.
fn last_round(factors: &[Column; 2], rho: &[E; 2]) -> Zeroizing<Vec<E>> {
    let at = |t: u64| {
        let bump = E::base(t) * (E::ONE - E::base(t));
        let line = |factor: usize| {
            let (low, high) = (factors[factor].at(0), factors[factor].at(1));
            low + (high - low).scale(t) + rho[factor] * bump
        };
        line(0) * line(1)
    };
    Zeroizing::new((0..=4).map(at).collect())
}

/// The values at 0, 1, 2 of a quadratic polynomial, from those at 0 and 1 and the coefficient of t^2.
pub fn at_three(&[at_zero, at_one, square]: &[E; 3]) -> Zeroizing<Vec<E>> {
    Zeroizing::new(vec![at_zero, at_one, at_one + at_one - at_zero + square + square])
}

/// sum a(t) b(t) over all pairs of rows, on several threads: at 0, at 1, and the coefficient of t^2.
pub fn products(a: Lines, b: Lines, half: usize, threads: usize) -> Zeroizing<[E; 3]> {
    /// Nanoseconds that a pair takes.
    const PAIR: usize = 4;
    let share = parallel::share(half, parallel::worth(threads, half, PAIR));
    let mut parts = vec![[[0; 2]; 3]; half.div_ceil(share)];
    let done: Result<(), ()> = parallel::run(parts.iter_mut().enumerate(), |(part, sums)| {
        let first = part * share;
        *sums = sum_products(Width::best(), a, b, half, first..(first + share).min(half));
        Ok(())
    });
    done.expect("no part fails");
    let mut sums = [[0; 2]; 3];
    for part in &parts {
        sums.iter_mut().zip(part).for_each(|(sum, &some)| *sum = ext::add(*sum, some));
    }
    hide(sums.iter().flatten().copied());
    parts.zeroize();
    let out = Zeroizing::new(sums.map(E::from));
    sums.zeroize();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::inference::blinded::degrees;
    use crate::proof::multilinear::eq_table;
    use crate::proof::wide::samples::elements;

    fn vector(seed: u64, length: usize) -> Column {
        Column::of(elements(seed, length).into_iter().map(E::from))
    }

    /// Both sides; whether the claim was true, and what the last claim is off by.
    fn run(variables: usize, error: E) -> (bool, bool) {
        let (x, m) = (vector(1, 1 << variables), vector(2, 1 << variables));
        let rho: [E; 2] = [E::new(5, 9), E::new(1 << 60, 3)];
        let degrees = degrees(variables, 2, 4);
        let coefficients: Vec<E> = elements(3, 2 * variables + 2).into_iter().map(E::from).collect();
        let constant = E::new(11, 12);
        let sum: E = x.iter().zip(m.iter()).map(|(x, m)| x * m).sum::<E>() + error;
        let mut claim = sum + constant.scale(1 << variables);
        let mut mask = Blinded::new(&coefficients, degrees.clone(), constant);
        let mut state = 0;
        let ending =
            prove([x.clone(), m.clone()], &rho, sum, Blinded::new(&coefficients, degrees, constant), 2, |round| {
                let mut values = round.to_vec();
                values.insert(1, claim - values[0]);
                state += 1;
                let z = E::new(state * 1_000_003, state + 5);
                claim = interpolate(&values, z);
                z
            });
        // g at the point, from the rounds of nothing.
        let mut g = constant.scale(1 << variables);
        for &z in &ending.point {
            let mut values = mask.sent(&vec![E::ZERO; mask.degree() + 1]);
            values.insert(1, g - values[0]);
            g = interpolate(&values, z);
            mask.bind(z);
        }
        let eq = eq_table(&ending.point);
        let at = |vector: &Column, rho: E| {
            vector.iter().zip(eq.iter()).map(|(v, e)| v * e).sum::<E>() + rho * bump(&ending.point)
        };
        let expected = [at(&x, rho[0]), at(&m, rho[1])];
        assert_eq!(*ending.factors, expected);
        (ending.holds, claim == expected[0] * expected[1] + g)
    }

    #[test]
    fn the_last_claim_is_the_product_of_the_masked_vectors_at_the_point() {
        for variables in [1, 2, 5, 15] {
            assert_eq!(run(variables, E::ZERO), (true, true));
        }
    }

    #[test]
    fn a_claim_that_is_not_true_is_noticed_by_both_sides() {
        for variables in [1, 4] {
            assert_eq!(run(variables, E::ONE), (false, false));
            assert_eq!(run(variables, E::X), (false, false));
        }
    }
}

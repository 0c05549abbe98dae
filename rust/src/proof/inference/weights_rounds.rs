//! The prover's sum-check over the rows of the weights: sum_w C_w W_w, where the weights C are public and the columns W
//! are masked in the last variable.

use zeroize::Zeroizing;

use super::blinded::Blinded;
use super::layers::{at_three, products};
use crate::proof::column::{Column, drop_all, fold_all, folded_all};
use crate::proof::ext::E;
use crate::proof::opened::bump;
use crate::proof::polynomial::interpolate;
use crate::proof::published::{hide, published};

/// What the sum-check over WL rows ends with.
pub struct Ending {
    pub point: Vec<E>,
    /// W'_w(w) of all columns.
    pub values: Zeroizing<Vec<E>>,
    /// Whether the claim was true.
    pub holds: bool,
}

/// Run all rounds of sum C W = `sum`. `weights`: C_w. `rho`: rho_w. `send` takes a round and gives its challenge.
pub fn prove(
    columns: &[&Column],
    mut weights: Vec<Column>,
    rho: &[E],
    sum: E,
    mut mask: Blinded,
    threads: usize,
    mut send: impl FnMut(&[E]) -> E,
) -> Ending {
    assert!(columns.len() == weights.len() && columns.len() == rho.len());
    let (mut claim, mut mismatch, mut point) = (Zeroizing::new(sum), 0, Vec::new());
    let mut folded: Vec<Column> = Vec::new();
    while weights[0].len() > 1 {
        let now: Vec<&Column> = if point.is_empty() { columns.to_vec() } else { folded.iter().collect() };
        let values = if mask.is_last() { last_round(&now, &weights, rho) } else { round(&now, &weights, threads) };
        hide(values.iter().flat_map(|value| value.parts()));
        // Without a branch, until it is known of all rounds.
        let difference = values[0] + values[1] - *claim;
        mismatch |= difference.re | difference.im;
        let z = send(&mask.sent(&values));
        *claim = interpolate(&values, z);
        mask.bind(z);
        if point.is_empty() {
            folded = folded_all(columns, z, threads);
        } else {
            fold_all(&mut folded.iter_mut().collect::<Vec<_>>(), z, threads);
        }
        fold_all(&mut weights.iter_mut().collect::<Vec<_>>(), z, threads);
        point.push(z);
    }
    let bump = bump(&point);
    let values = folded.iter().zip(rho).map(|(column, &rho)| column.at(0) + rho * bump).collect();
    drop_all(folded, threads);
    Ending { point, values: Zeroizing::new(values), holds: published(mismatch == 0) }
}

/// At 0, 1, 2.
fn round(columns: &[&Column], weights: &[Column], threads: usize) -> Zeroizing<Vec<E>> {
    let mut sums = Zeroizing::new([E::ZERO; 3]);
    for (column, weights) in columns.iter().zip(weights) {
        let some = products(column.lines(), weights.lines(), weights.len() / 2, threads);
        sums.iter_mut().zip(some.iter()).for_each(|(sum, &some)| *sum += some);
    }
    at_three(&sums)
}

/// At 0, .., 3: the masks show.
fn last_round(columns: &[&Column], weights: &[Column], rho: &[E]) -> Zeroizing<Vec<E>> {
    let line = |column: &Column, t: u64| column.at(0) + (column.at(1) - column.at(0)).scale(t);
    let at = |t: u64| {
        let bump = E::base(t) * (E::ONE - E::base(t));
        let terms = columns.iter().zip(weights).zip(rho);
        terms.map(|((column, weights), &rho)| (line(column, t) + rho * bump) * line(weights, t)).sum()
    };
    Zeroizing::new((0..=3).map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::inference::blinded::degrees;
    use crate::proof::multilinear::eq_table;
    use crate::proof::wide::samples::{elements, words};

    fn run(variables: usize, count: usize, error: E) -> (bool, bool) {
        let rows = 1 << variables;
        let columns: Vec<Column> =
            (0..count as u64).map(|seed| Column { re: words(seed, rows), im: Vec::new() }).collect();
        let weights: Vec<Column> =
            (9..9 + count as u64).map(|seed| Column::of(elements(seed, rows).into_iter().map(E::from))).collect();
        let some = |seed: u64, count: usize| -> Vec<E> { elements(seed, count).into_iter().map(E::from).collect() };
        let (rho, coefficients) = (some(50, count), some(51, 2 * variables + 1));
        let constant = E::new(3, 8);
        let terms = columns.iter().zip(&weights);
        let products = terms.map(|(column, weights)| column.iter().zip(weights.iter()).map(|(a, b)| a * b).sum::<E>());
        let sum = products.sum::<E>() + error;
        let mut claim = sum + constant.scale(rows as u64);
        let blinded = || Blinded::new(&coefficients, degrees(variables, 2, 3), constant);
        let (mut mask, mut state) = (blinded(), 0);
        let mut g = constant.scale(rows as u64);
        let refs: Vec<&Column> = columns.iter().collect();
        let ending = prove(&refs, weights.clone(), &rho, sum, blinded(), 2, |round| {
            let (mut values, mut of_g) = (round.to_vec(), mask.sent(&vec![E::ZERO; mask.degree() + 1]));
            values.insert(1, claim - values[0]);
            of_g.insert(1, g - of_g[0]);
            state += 1;
            let z = E::new(state * 1_000_003, state + 5);
            (claim, g) = (interpolate(&values, z), interpolate(&of_g, z));
            mask.bind(z);
            z
        });
        let eq = eq_table(&ending.point);
        let at = |vector: &Column| vector.iter().zip(eq.iter()).map(|(v, e)| v * e).sum::<E>();
        let mut expected = g;
        for ((column, weights), (&rho, &value)) in columns.iter().zip(&weights).zip(rho.iter().zip(&*ending.values)) {
            assert_eq!(value, at(column) + rho * bump(&ending.point));
            expected += value * at(weights);
        }
        (ending.holds, claim == expected)
    }

    #[test]
    fn the_last_claim_is_that_of_the_masked_columns_at_the_point() {
        for (variables, count) in [(1, 1), (2, 3), (6, 5), (15, 2)] {
            assert_eq!(run(variables, count, E::ZERO), (true, true));
        }
    }

    #[test]
    fn a_claim_that_is_not_true_is_noticed_by_both_sides() {
        for variables in [1, 4] {
            assert_eq!(run(variables, 2, E::ONE), (false, false));
            assert_eq!(run(variables, 1, E::X), (false, false));
        }
    }
}

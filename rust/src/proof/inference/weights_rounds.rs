//! The prover's sum-check over the rows of the weights: sum_w C_w W_w, where the weights C are public and the columns W
//! are masked in the last variable.

use zeroize::Zeroizing;

use super::blinded::Blinded;
use super::layers::{at_three, products};
use super::weights_group::Group;
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

/// Run all rounds of sum C W = `sum`. Every column is laid out, beside its weights C, or in a group. `rho`: rho_w. `send` takes
/// a round and gives its challenge.
#[allow(clippy::too_many_arguments)]
pub fn prove(
    columns: &[&Column],
    laid_out: Vec<(usize, Column)>,
    mut groups: Vec<Group>,
    rho: &[E],
    sum: E,
    mut mask: Blinded,
    threads: usize,
    mut send: impl FnMut(&[E]) -> E,
) -> Ending {
    let (numbers, mut weights): (Vec<usize>, Vec<Column>) = laid_out.into_iter().unzip();
    let originals: Vec<&Column> = numbers.iter().map(|&number| columns[number]).collect();
    let (mut claim, mut mismatch, mut point) = (Zeroizing::new(sum), 0, Vec::new());
    let mut folded: Vec<Column> = Vec::new();
    for round_number in 0..columns[0].len().ilog2() {
        groups.iter_mut().for_each(|group| group.prepare(columns, &point, threads));
        let now: Vec<&Column> = if round_number == 0 { originals.clone() } else { folded.iter().collect() };
        let values = if mask.is_last() {
            let laid_out = numbers.iter().zip(now).zip(&weights);
            let laid_out =
                laid_out.map(|((&number, column), weights)| (number, column, [weights.at(0), weights.at(1)]));
            last_round(laid_out.chain(groups.iter().flat_map(Group::last)), rho)
        } else {
            round(&now, &weights, &groups, threads)
        };
        hide(values.iter().flat_map(|value| value.parts()));
        // Without a branch, until it is known of all rounds.
        let difference = values[0] + values[1] - *claim;
        mismatch |= difference.re | difference.im;
        let z = send(&mask.sent(&values));
        *claim = interpolate(&values, z);
        mask.bind(z);
        if round_number == 0 {
            folded = folded_all(&originals, z, threads);
        } else {
            fold_all(&mut folded.iter_mut().collect::<Vec<_>>(), z, threads);
        }
        fold_all(&mut weights.iter_mut().collect::<Vec<_>>(), z, threads);
        groups.iter_mut().for_each(|group| group.fold(z));
        point.push(z);
    }
    let bump = bump(&point);
    let mut values = Zeroizing::new(vec![E::ZERO; columns.len()]);
    let laid_out = numbers.iter().zip(&folded).map(|(&number, column)| (number, column.at(0)));
    for (number, value) in laid_out.chain(groups.iter().flat_map(Group::values)) {
        values[number] = value + rho[number] * bump;
    }
    drop_all(folded, threads);
    Ending { point, values, holds: published(mismatch == 0) }
}

/// At 0, 1, 2.
fn round(columns: &[&Column], weights: &[Column], groups: &[Group], threads: usize) -> Zeroizing<Vec<E>> {
    let mut sums = Zeroizing::new([E::ZERO; 3]);
    let mut add = |some: &[E; 3]| sums.iter_mut().zip(some).for_each(|(sum, &some)| *sum += some);
    for (column, weights) in columns.iter().zip(weights) {
        add(&products(column.lines(), weights.lines(), weights.len() / 2, threads));
    }
    groups.iter().for_each(|group| add(&group.round(threads)));
    at_three(&sums)
}

/// At 0, .., 3: the masks show.
fn last_round<'a>(columns: impl Iterator<Item = (usize, &'a Column, [E; 2])>, rho: &[E]) -> Zeroizing<Vec<E>> {
    let mut values = Zeroizing::new(vec![E::ZERO; 4]);
    let line = |low: E, high: E, t: u64| low + (high - low).scale(t);
    for (number, column, [low, high]) in columns {
        for (t, value) in (0..).zip(values.iter_mut()) {
            let bump = E::base(t) * (E::ONE - E::base(t));
            *value += (line(column.at(0), column.at(1), t) + rho[number] * bump) * line(low, high, t);
        }
    }
    values
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
        let ending =
            prove(&refs, weights.iter().cloned().enumerate().collect(), Vec::new(), &rho, sum, blinded(), 2, |round| {
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

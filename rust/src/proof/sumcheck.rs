//! The prover's rounds of the masked sum-check of F + g.
//!
//! In round i, F summed over the later variables is `before * eq(tau_i, X) * T(X) + U(X)`: eq over the variables before
//! is a number, eq over those after weighs the rows, and T has one degree less. T(1) follows from the claim.

use zeroize::{Zeroize, Zeroizing};

use super::column::{Column, drop_all, fold_all, folded_all};
use super::constraint::{self, Public, Relation};
use super::ext::{E, HALF};
use super::multilinear::eq_table;
use super::polynomial::{extrapolate, interpolate};
use super::published::{hide, published};
use super::rounds::{Rows, sum_rows};
use super::run::{Run, Target};
use super::shape::Shape;
use super::weights::Weights;
use crate::parallel;

/// What the sum-check is about, apart from the columns.
pub struct Claim<'a> {
    pub shape: &'a Shape,
    pub weights: &'a Weights<'a>,
    pub relation: &'a Relation,
    pub tau: &'a [E],
    /// The mask row: the coefficients of g, then rho of every committed column.
    pub masks: &'a [E],
    /// The sum of F over the cube.
    pub sum: E,
}

/// What the rounds end with.
pub struct Ending {
    /// The values of the columns at the point, without masks.
    pub values: Zeroizing<Vec<E>>,
    pub point: Vec<E>,
    /// Whether the claim was true. When it was not, the last round does not fit it.
    pub holds: bool,
}

/// Run all rounds. `originals`: the base columns, then the inverse columns. `send` takes a round and gives its challenge.
pub fn prove(
    claim: &Claim,
    originals: &[&Column],
    tables: Vec<(Column, Column)>,
    relation: Column,
    runs: Vec<Run>,
    threads: usize,
    mut send: impl FnMut(&[E]) -> E,
) -> Ending {
    let shape = claim.shape;
    let (entries, selected) = tables.into_iter().unzip();
    let eq = eq_table(&claim.tau[1..]);
    let mut state = State {
        claim,
        folded: Vec::new(),
        entries,
        selected,
        relation,
        eq,
        runs,
        before: E::ONE,
        sum: claim.sum,
        mask: E::ZERO,
        threads,
    };
    let mut point = Vec::with_capacity(shape.log_rows);
    let mut mismatch = 0;
    for round in 0..shape.log_rows {
        let columns: Vec<&Column> = if round == 0 { originals.to_vec() } else { state.folded.iter().collect() };
        let values = if round + 1 < shape.log_rows { state.round(round, &columns) } else { state.last_round(&columns) };
        hide(values.iter().flat_map(|value| value.parts()));
        #[cfg(test)]
        super::lies::leak(&values);
        // Without a branch, until it is known of all rounds.
        let difference = values[0] + values[1] - state.sum;
        mismatch |= difference.re | difference.im;
        let z = send(&state.masked(round, &values));
        state.fold(round, originals, &values, z);
        point.push(z);
    }
    let values: Zeroizing<Vec<E>> = Zeroizing::new(state.folded.iter().map(|column| column.at(0)).collect());
    hide(values.iter().flat_map(|value| value.parts()));
    drop_all(std::mem::take(&mut state.folded), threads);
    Ending { values, point, holds: published(mismatch == 0) }
}

struct State<'a> {
    claim: &'a Claim<'a>,
    /// The columns after the first round.
    folded: Vec<Column>,
    entries: Vec<Column>,
    selected: Vec<Column>,
    /// Rel on every row, times its weight.
    relation: Column,
    /// eq of the variables after this round's.
    eq: Column,
    runs: Vec<Run>,
    /// eq of the variables before this round's.
    before: E,
    /// The claim about F, without g.
    sum: E,
    /// g of the variables before this round's.
    mask: E,
    threads: usize,
}

impl Drop for State<'_> {
    fn drop(&mut self) {
        self.sum.zeroize();
        self.mask.zeroize();
    }
}

impl State<'_> {
    /// The values at 0, .., d of the round polynomial of F.
    fn round(&self, round: usize, columns: &[&Column]) -> Zeroizing<Vec<E>> {
        let (shape, weights) = (self.claim.shape, self.claim.weights);
        let tau = self.claim.tau[round];
        let scale = |x: usize| self.before * (E::ONE - tau + (tau + tau - E::ONE).scale(x as u64));
        // Zero with probability 2^-128 only: the challenges are public, so that the branch tells nothing.
        let inverse = Some(scale(1)).filter(|&at_one| at_one != E::ZERO).map(E::invert);
        let tables: Vec<_> = self.entries.iter().zip(&self.selected).collect();
        let rows = Rows { shape, columns, tables: &tables, relation: &self.relation, eq: &self.eq };
        let (mut inner, mut outer) = sum_rows(&rows, weights, self.threads);
        let mut weighed = self.weighed(columns);
        [&inner, &outer, &weighed].into_iter().for_each(|sums| hide(sums.iter().flat_map(|sum| sum.parts())));
        let degree = shape.degree(round);
        extrapolate(&mut outer, degree);
        extrapolate(&mut weighed, degree);
        outer.iter_mut().zip(weighed.iter()).for_each(|(outer, &weighed)| *outer += weighed);
        if let Some(inverse) = inverse {
            let at_zero = scale(0) * inner[0] + outer[0];
            inner[1] = (self.sum - at_zero - outer[1]) * inverse;
        } else {
            inner[1] = self.at_one(columns);
        }
        extrapolate(&mut inner, degree);
        inner
            .iter_mut()
            .zip(outer.iter())
            .enumerate()
            .for_each(|(x, (inner, &outer))| *inner = scale(x) * *inner + outer);
        inner
    }

    /// T(1): T(0) of the columns with their halves the other way round.
    fn at_one(&self, columns: &[&Column]) -> E {
        let swap = |column: &Column| column.swapped();
        let columns: Vec<Column> = columns.iter().map(|column| swap(column)).collect();
        let [entries, selected] = [&self.entries, &self.selected].map(|part| part.iter().map(swap).collect::<Vec<_>>());
        let rows = Rows {
            shape: self.claim.shape,
            columns: &columns.iter().collect::<Vec<_>>(),
            tables: &entries.iter().zip(&selected).collect::<Vec<_>>(),
            relation: &self.relation.swapped(),
            eq: &self.eq,
        };
        sum_rows(&rows, self.claim.weights, self.threads).0[0]
    }

    /// The sums of the runs of weights at 0, 1, 2, 3: cubic at most.
    fn weighed(&self, columns: &[&Column]) -> Zeroizing<Vec<E>> {
        let half = columns[0].len() / 2;
        // Only runs over whole columns are worth a thread. They come last, so that each takes every so many.
        let step = if self.runs.iter().any(|run| run.weights.len() == 2 * half) { self.threads } else { 1 };
        let mut parts = Zeroizing::new(vec![[E::ZERO; 4]; step]);
        let done: Result<(), ()> = parallel::run(parts.iter_mut().enumerate(), |(part, sums)| {
            for run in self.runs.iter().skip(part).step_by(step) {
                let of_run = run.sums(self.claim.shape, self.claim.weights, columns, half);
                sums.iter_mut().zip(of_run.iter()).for_each(|(sum, &some)| *sum += some);
            }
            Ok(())
        });
        done.expect("no part fails");
        let mut sums = Zeroizing::new(vec![E::ZERO; 4]);
        parts.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sum, &some)| *sum += some));
        sums
    }

    /// The last round, in which the masks of the columns show.
    fn last_round(&self, columns: &[&Column]) -> Zeroizing<Vec<E>> {
        let Claim { shape, weights, relation, tau, masks, .. } = *self.claim;
        let last = shape.log_rows - 1;
        let targets: Vec<Target> = self.runs.iter().map(|run| run.target).collect();
        let line = |low: E, high: E, x: u64| low + (high - low).scale(x);
        let at = |column: &Column, x: u64| line(column.at(0), column.at(1), x);
        let rho = &masks[shape.round_masks()..];
        let values = (0..=shape.degree(last) as u64)
            .map(|x| {
                let bump = E::base(x) * (E::ONE - E::base(x));
                let masked = |(index, column): (usize, &&Column)| at(column, x) + mask_of(shape, rho, index) * bump;
                let values: Zeroizing<Vec<E>> = Zeroizing::new(columns.iter().enumerate().map(masked).collect());
                let public = Public {
                    eq: self.before * line(E::ONE - tau[last], tau[last], x),
                    tables: self.entries.iter().map(|column| at(column, x)).collect(),
                    selected: self.selected.iter().map(|column| at(column, x)).collect(),
                    runs: self.runs.iter().map(|run| at(&run.weights, x)).collect(),
                };
                constraint::constraint(shape, weights, relation, &targets, &values, &public)
            })
            .collect();
        Zeroizing::new(values)
    }

    /// What is sent: F and g, without the value at 1.
    fn masked(&self, round: usize, values: &[E]) -> Vec<E> {
        let shape = self.claim.shape;
        // g summed over the variables after this one: their terms cancel, and so each row counts the same.
        let count = 1 << (shape.log_rows - 1 - round);
        let masked = values.iter().enumerate().map(|(x, &value)| {
            value + (self.mask + round_mask(self.claim.masks, shape, round, E::base(x as u64))).scale(count)
        });
        masked.enumerate().filter(|&(x, _)| x != 1).map(|(_, value)| value).collect()
    }

    /// Fix the round's variable to `z`.
    fn fold(&mut self, round: usize, originals: &[&Column], values: &[E], z: E) {
        let Claim { shape, tau, masks, .. } = *self.claim;
        self.sum = interpolate(values, z);
        self.mask += round_mask(masks, shape, round, z);
        self.before = self.before * (E::ONE - tau[round] + (tau[round] + tau[round] - E::ONE) * z);
        let half = self.relation.len() / 2;
        let mut columns: Vec<&mut Column> = self.entries.iter_mut().chain([&mut self.relation]).collect();
        if round == 0 {
            // What is over F_p comes to be over E.
            let base: Vec<&Column> = originals.iter().copied().chain(&self.selected).collect();
            self.folded = folded_all(&base, z, self.threads);
            self.selected = self.folded.split_off(originals.len());
        } else {
            columns.extend(self.selected.iter_mut().chain(&mut self.folded));
        }
        fold_all(&mut columns, z, self.threads);
        self.runs.iter_mut().for_each(|run| run.fold(half, z));
        // eq over fewer variables is the sum of its halves.
        for index in 0..half / 2 {
            self.eq.set(index, self.eq.at(index) + self.eq.at(index + half / 2));
        }
        self.eq.re.truncate(half / 2);
        self.eq.im.truncate(half / 2);
    }
}

/// rho of a column as the constraint sees it: those of an inverse column's parts, together.
fn mask_of(shape: &Shape, rho: &[E], index: usize) -> E {
    match index.checked_sub(shape.base_columns()) {
        None => rho[index],
        Some(inverse) => {
            let part = shape.base_columns() + 2 * inverse;
            rho[part] + rho[part + 1].times_x()
        }
    }
}

/// g_i(x) = sum_d a_(i,d) (x^d - 1/2)
pub fn round_mask(masks: &[E], shape: &Shape, round: usize, x: E) -> E {
    let coefficients = &masks[shape.round_mask_range(round)];
    let (mut sum, mut power) = (E::ZERO, E::ONE);
    for &coefficient in coefficients {
        power = power * x;
        sum += coefficient * (power - E::base(HALF));
    }
    sum
}

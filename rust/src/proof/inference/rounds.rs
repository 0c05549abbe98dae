//! The prover's sum-check over the rows of the columns: the lookup argument, and linear claims with weights that are a
//! product of one over the features and Omega, over the samples.
//!
//! While variables are of features, a linear claim is about sums over the samples, which are few. From the first variable
//! of the samples on it is about one combination of what the columns have been folded to.

use std::sync::Mutex;

use zeroize::{Zeroize, Zeroizing};

use super::blinded::Blinded;
use super::layers::{at_three, products};
use super::looked_up::{LookedUp, chunks};
use super::placed::Placed;
use super::shape::{Fraction, Shape, Y};
use crate::parallel;
use crate::proof::column::{Column, drop_all, fold_all, folded_all};
use crate::proof::combination::combine;
use crate::proof::ext::E;
use crate::proof::multilinear::eq_table;
use crate::proof::polynomial::{extrapolate, interpolate};
use crate::proof::published::{hide, published};
use crate::proof::wide::Width;
use crate::proof::wide::column::Column as Lines;
use crate::proof::wide::round::{Chunk, Round, RoundSums, round};

/// Nanoseconds that a pair of rows takes in each column.
const PAIR: usize = 13;

/// What the sum-check is about.
pub struct Claim<'a> {
    pub shape: &'a Shape,
    /// The base columns, and the inverse columns.
    pub columns: &'a [Column],
    pub inverses: &'a [Column],
    pub tau: &'a [E],
    /// The powers of gamma of the lookups and of the sum of the inverse columns: m_q + 1.
    pub gamma: &'a [E],
    /// rho of every committed column.
    pub rho: &'a [E],
    /// Omega: B' entries.
    pub omega: &'a Column,
    /// The sum of F over the cube.
    pub sum: E,
}

/// The linear claims of a base column of Q, R, Y or I, over its features. Wiped when dropped.
pub struct Linear {
    /// With the powers of gamma.
    pub weights: Column,
    /// sum_b Omega_b V[f B' + b]
    pub sums: Column,
}

/// What the rounds end with.
pub struct Ending {
    pub point: Vec<E>,
    /// y_V of all committed columns.
    pub values: Zeroizing<Vec<E>>,
    /// Whether the claim was true. When it was not, the last round does not fit it.
    pub holds: bool,
}

/// Run all rounds. `linear`: of every base column of Q, R, Y and I, in their order. `place`: of an ArgMax. `send` takes a round and gives its
/// challenge.
pub fn prove(
    claim: &Claim,
    lookups: LookedUp,
    linear: Vec<Linear>,
    place: Option<Placed>,
    mut mask: Blinded,
    threads: usize,
    mut send: impl FnMut(&[E]) -> E,
) -> Ending {
    let shape = claim.shape;
    let mut state = State {
        claim,
        lookups,
        folded: Vec::new(),
        linear,
        place,
        omega: claim.omega.clone(),
        samples: None,
        eq: eq_table(&claim.tau[1..]),
        zeros: vec![0; if shape.fractions.is_empty() { 0 } else { shape.rows() }],
        before: E::ONE,
        sum: claim.sum,
        point: Vec::with_capacity(shape.log_rows),
        threads,
    };
    let mut mismatch = 0;
    for number in 0..shape.log_rows {
        if number == (shape.log_rows - shape.log_batch).min(shape.log_rows - 1) {
            state.go_on_to_samples();
        }
        let values = if mask.is_last() { state.last_round() } else { state.round(mask.degree()) };
        hide(values.iter().flat_map(|value| value.parts()));
        // Without a branch, until it is known of all rounds.
        let difference = values[0] + values[1] - state.sum;
        mismatch |= difference.re | difference.im;
        let z = send(&mask.sent(&values));
        mask.bind(z);
        state.fold(&values, z);
    }
    let values = state.values();
    drop_all(std::mem::take(&mut state.folded), threads);
    Ending { point: std::mem::take(&mut state.point), values, holds: published(mismatch == 0) }
}

pub struct State<'a> {
    pub claim: &'a Claim<'a>,
    pub lookups: LookedUp<'a>,
    /// After the first round: what is looked up, entries, selectors, uses, inverse columns.
    pub folded: Vec<Column>,
    pub linear: Vec<Linear>,
    pub place: Option<Placed<'a>>,
    pub omega: Column,
    /// From the first variable of the samples on.
    pub samples: Option<Samples>,
    /// eq of the variables after this round's.
    pub eq: Column,
    pub zeros: Vec<u64>,
    /// eq of the variables before this round's.
    pub before: E,
    /// The claim about F, without g.
    pub sum: E,
    pub point: Vec<E>,
    pub threads: usize,
}

/// What the columns have been folded to.
pub struct Samples {
    pub y: Vec<Column>,
    /// All columns with the weights of their linear claims.
    pub combined: Column,
}

impl Drop for State<'_> {
    fn drop(&mut self) {
        self.sum.zeroize();
    }
}

impl State<'_> {
    /// As [`chunks`] takes them, and then the inverse columns.
    pub fn columns(&self) -> Vec<&Column> {
        if self.point.is_empty() {
            self.lookups.columns().into_iter().chain(self.claim.inverses).collect()
        } else {
            self.folded.iter().collect()
        }
    }

    fn half(&self) -> usize {
        self.eq.len()
    }

    /// The values at 0, .., d of the round polynomial of F.
    fn round(&self, degree: usize) -> Zeroizing<Vec<E>> {
        let tau = self.claim.tau[self.point.len()];
        let scale = |x: usize| self.before * (E::ONE - tau + (tau + tau - E::ONE).scale(x as u64));
        // Zero with probability 2^-128 only: the challenges are public, so that the branch tells nothing.
        let inverse = Some(scale(1)).filter(|&at_one| at_one != E::ZERO).map(E::invert);
        let (mut inner, [low, high]) = self.sum_rows(&self.columns());
        let mut outer = self.linear_sums();
        if let Some(place) = &self.place {
            outer.iter_mut().zip(place.round(self.threads).iter()).for_each(|(outer, &sum)| *outer += sum);
        }
        let gamma = self.claim.gamma[self.claim.gamma.len() - 1];
        outer.iter_mut().zip([low, high, high + high - low]).for_each(|(outer, total)| *outer += gamma * total);
        [&inner, &outer].into_iter().for_each(|sums| hide(sums.iter().flat_map(|sum| sum.parts())));
        extrapolate(&mut outer, degree);
        if let Some(inverse) = inverse {
            let at_zero = scale(0) * inner[0] + outer[0];
            inner[1] = (self.sum - at_zero - outer[1]) * inverse;
        } else {
            inner[1] = self.at_one();
        }
        extrapolate(&mut inner, degree);
        let both = inner.iter_mut().zip(outer.iter()).enumerate();
        both.for_each(|(x, (inner, &outer))| *inner = scale(x) * *inner + outer);
        inner
    }

    /// The sums under eq at 0, .., f_max + 1, but for that at 1, which is left zero; those of the inverse columns at 0, 1.
    fn sum_rows(&self, columns: &[&Column]) -> (Zeroizing<Vec<E>>, [E; 2]) {
        let shape = self.claim.shape;
        let (half, degree) = (self.half(), shape.largest_chunk() + 1);
        let mut values = Zeroizing::new(vec![E::ZERO; degree + 1]);
        if shape.fractions.is_empty() {
            return (values, [E::ZERO; 2]);
        }
        let lookups = chunks(shape, self.lookups.alpha, &self.lookups.at, columns);
        let inverses = &columns[columns.len() - shape.inverse_columns()..];
        let chunks: Vec<Chunk> = lookups
            .iter()
            .zip(inverses)
            .map(|(lookups, inverse)| Chunk { lookups, inverse: inverse.lines() })
            .collect();
        let relation = Lines::Base(&self.zeros[..2 * half]);
        let rows = Round { half, eq: self.eq.parts(), chunks: &chunks, relation, degree };
        let share = parallel::share(half, parallel::worth(self.threads, half * shape.lookups(), PAIR));
        let total: Mutex<Option<RoundSums>> = Mutex::new(None);
        let done: Result<(), ()> = parallel::run((0..half.div_ceil(share)).map(|part| part * share), |first| {
            let sums = round(Width::best(), &rows, first..(first + share).min(half));
            hide(sums.chunks.iter().flatten().chain(&sums.inverses).copied().flatten());
            let mut total = total.lock().expect("no holder panics");
            match &mut *total {
                None => *total = Some(sums),
                Some(total) => total.add(&sums),
            }
            Ok(())
        });
        done.expect("no part fails");
        let sums = total.into_inner().expect("no holder panics").expect("there are rows");
        for (chunk, &gamma) in sums.chunks.iter().zip(self.claim.gamma) {
            let others = values.iter_mut().enumerate().filter(|&(x, _)| x != 1);
            others.zip(chunk).for_each(|((_, value), &sum)| *value += gamma * E::from(sum));
        }
        (values, sums.inverses.map(E::from))
    }

    /// T(1): T(0) of the columns with their halves the other way round.
    fn at_one(&self) -> E {
        let swapped: Vec<Column> = self.columns().into_iter().map(Column::swapped).collect();
        self.sum_rows(&swapped.iter().collect::<Vec<_>>()).0[0]
    }

    /// The sums of the linear claims at 0, 1, 2.
    fn linear_sums(&self) -> Zeroizing<Vec<E>> {
        if let Some(samples) = &self.samples {
            return at_three(&products(samples.combined.lines(), self.omega.lines(), self.half(), self.threads));
        }
        let mut sums = Zeroizing::new([E::ZERO; 3]);
        for Linear { weights, sums: column } in &self.linear {
            let some = products(column.lines(), weights.lines(), weights.len() / 2, self.threads);
            sums.iter_mut().zip(some.iter()).for_each(|(sum, &some)| *sum += some);
        }
        at_three(&sums)
    }

    /// Fold Y to where the other columns are, and combine them.
    fn go_on_to_samples(&mut self) {
        let (shape, length) = (self.claim.shape, 2 * self.half());
        let weights: Vec<E> = eq_table(&self.point).iter().collect();
        let fold = |column: &Column| {
            let rows: Vec<&[u64]> = column.re.chunks_exact(length).collect();
            combine(&rows, &weights, self.threads)
        };
        let y: Vec<Column> = self.claim.columns[shape.columns[Y].clone()].iter().map(fold).collect();
        let columns = self.columns();
        let mut combined = Column::extension(length);
        let mut add = |column: &Column, factor: E, constant: E| {
            for row in 0..length {
                combined.set(row, combined.at(row) + column.at(row) * factor - constant);
            }
        };
        // Without a variable of the samples there is only the last round, which looks at every column by itself.
        if shape.log_batch > 0 {
            for (number, (value, beside)) in lookups_of(shape).enumerate() {
                let weight = self.linear[value].weights.at(0);
                add(columns[number], weight, self.lookups.tags[number].at(0) * weight);
                if let Some(beside) = beside {
                    let weight = self.linear[beside].weights.at(0) - self.lookups.beta * weight;
                    add(&y[beside - shape.columns[Y].start], weight, E::ZERO);
                }
            }
        }
        self.samples = Some(Samples { y, combined });
    }

    /// Fix the round's variable to `z`.
    fn fold(&mut self, values: &[E], z: E) {
        let (tau, half, threads) = (self.claim.tau[self.point.len()], self.half(), self.threads);
        self.sum = interpolate(values, z);
        self.before = self.before * (E::ONE - tau + (tau + tau - E::ONE) * z);
        if self.point.is_empty() {
            self.folded = folded_all(&self.columns(), z, threads);
            let looked = std::mem::take(&mut self.lookups.looked);
            let virtuals = looked.into_iter().filter_map(|looked| looked.into_virtual());
            let tables = std::mem::take(&mut self.lookups.entries);
            drop_all(virtuals.chain(tables).collect(), threads);
        } else {
            fold_all(&mut self.folded.iter_mut().collect::<Vec<_>>(), z, threads);
        }
        if self.point.len() + self.claim.shape.log_batch < self.claim.shape.log_rows {
            let linear = self.linear.iter_mut();
            linear.flat_map(|linear| [&mut linear.weights, &mut linear.sums]).for_each(|column| column.fold(z));
            self.lookups.tags.iter_mut().for_each(|tags| tags.fold(z));
        } else {
            self.omega.fold(z);
        }
        if let Some(place) = &mut self.place {
            place.fold(z, threads);
        }
        if let Some(samples) = &mut self.samples {
            let y = samples.y.iter_mut();
            y.chain([&mut samples.combined]).for_each(|column| column.fold(z));
        }
        // eq over fewer variables is the sum of its halves.
        for index in 0..half / 2 {
            self.eq.set(index, self.eq.at(index) + self.eq.at(index + half / 2));
        }
        self.eq.re.truncate(half / 2);
        self.eq.im.truncate(half / 2);
        self.point.push(z);
    }
}

/// What is looked up, in order: the column, and that of Y beside it.
pub fn lookups_of(shape: &Shape) -> impl Iterator<Item = (usize, Option<usize>)> + '_ {
    shape.fractions.iter().filter_map(|fraction| match *fraction {
        Fraction::Lookup { value, beside, .. } => Some((value, beside)),
        Fraction::Table { .. } => None,
    })
}

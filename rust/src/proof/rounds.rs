//! The sums over all rows of one round of the sum-check: where the prover's time goes.

use std::sync::Mutex;

use super::column::Column;
use super::constraint::{Weights, lookups, totals};
use super::ext::{E, Element};
use super::shape::Shape;
use crate::parallel;

/// Fewer rows than this are not worth a thread.
const ROWS_A_PART: usize = 1 << 9;

/// The columns of a round. Rows `j` and `j + half` differ in the variable of the round.
pub struct Rows<'a> {
    pub shape: &'a Shape,
    /// Base columns, then inverse columns.
    pub columns: &'a [&'a Column],
    pub entries: &'a [Column],
    pub selected: &'a [Column],
    /// Rel, times its weight.
    pub relation: &'a Column,
    pub eq: &'a Column,
    /// Whether the sum at 1 is wanted, too.
    pub with_one: bool,
}

/// The sums under eq at 0, 1, .., f_max + 1, and those of the totals at 0, 1, 2.
pub fn sum_rows(rows: &Rows, weights: &Weights<E>, threads: usize) -> (Vec<E>, Vec<E>) {
    let weights = weights.splat();
    let half = rows.eq.len();
    let points = rows.shape.largest_chunk() + 2;
    let sums = Mutex::new((vec![E::ZERO; points], vec![E::ZERO; 3]));
    let share = parallel::share(half, threads).max(ROWS_A_PART);
    let done: Result<(), ()> = parallel::run((0..half.div_ceil(share)).map(|part| part * share), |first| {
        let last = (first + share).min(half);
        let (inner, outer) = sum_range::<E>(rows, &weights, first, last, points);
        let mut sums = sums.lock().expect("no holder panics");
        sums.0.iter_mut().zip(inner).for_each(|(sum, some)| *sum += some);
        sums.1.iter_mut().zip(outer).for_each(|(sum, some)| *sum += some);
        Ok(())
    });
    done.expect("no part fails");
    sums.into_inner().expect("no holder panics")
}

fn sum_range<F: Element>(
    rows: &Rows,
    weights: &Weights<F>,
    first: usize,
    last: usize,
    points: usize,
) -> (Vec<E>, Vec<E>) {
    let (shape, half) = (rows.shape, rows.eq.len());
    let zero = F::splat(E::ZERO);
    let (mut inner, mut outer) = (vec![zero; points], [zero; 3]);
    let mut values = Lines::new(rows.columns.len());
    let mut entries = Lines::new(rows.entries.len());
    let mut selected = Lines::new(rows.selected.len());
    let mut relation = Lines::new(1);
    for row in (first..last).step_by(F::LANES) {
        let eq = F::load(&rows.eq.re, &rows.eq.im, row);
        values.load(rows.columns.iter().copied(), row, half);
        entries.load(rows.entries.iter(), row, half);
        selected.load(rows.selected.iter(), row, half);
        relation.load(std::iter::once(rows.relation), row, half);
        for x in 0..points {
            if x < 3 {
                outer[x] = outer[x] + totals(shape, weights, &values.at);
            }
            if x != 1 || rows.with_one {
                let zero_part = lookups(shape, weights, &values.at, &entries.at, &selected.at);
                inner[x] = inner[x] + eq * (zero_part + relation.at[0]);
            }
            if x + 1 < points {
                [&mut values, &mut entries, &mut selected, &mut relation].into_iter().for_each(Lines::step);
            }
        }
    }
    (inner.into_iter().map(F::total).collect(), outer.into_iter().map(F::total).collect())
}

/// Columns at one row, as lines in the variable of the round: the values at 0, 1, 2, .., one after the other.
struct Lines<F> {
    at: Vec<F>,
    slope: Vec<F>,
}

impl<F: Element> Lines<F> {
    fn new(count: usize) -> Self {
        Self { at: vec![F::splat(E::ZERO); count], slope: vec![F::splat(E::ZERO); count] }
    }

    #[inline(always)]
    fn load<'a>(&mut self, columns: impl Iterator<Item = &'a Column>, row: usize, half: usize) {
        for ((at, slope), column) in self.at.iter_mut().zip(&mut self.slope).zip(columns) {
            *at = F::load(&column.re, &column.im, row);
            *slope = F::load(&column.re, &column.im, row + half) - *at;
        }
    }

    #[inline(always)]
    fn step(&mut self) {
        for (at, &slope) in self.at.iter_mut().zip(&self.slope) {
            *at = *at + slope;
        }
    }
}

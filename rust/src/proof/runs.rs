//! Weights over a run of rows: the claims about the key, the pad, the slack and the empty slots.
//!
//! A run has 2^l rows from a multiple of 2^l on. Until only 2^l rows are left, fixing a variable scales all of it, so
//! that it never has to be laid out over a column.

use super::column::{Column, dot};
use super::constraint::Weights;
use super::ext::E;
use super::multilinear::{eq, eq_index, eq_pair_from, eq_table};
use super::shape::{SLACK_BITS, SMALL_RUN, Shape};
use crate::ntt::N;

/// What the weights of a run are multiplied with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A base column.
    Linear(usize),
    /// Its square.
    Square(usize),
    /// u_(G-1,t) - off for slot t.
    Rounded(usize),
}

pub struct Run {
    pub target: Target,
    /// The first of its rows.
    pub first: usize,
    pub weights: Column,
}

/// The point that the relation is checked at, and the others that weights follow from.
pub struct Points<'a> {
    pub tau: &'a [E],
    pub zeta: &'a [E],
    /// W_s
    pub key: &'a Column,
}

impl Points<'_> {
    /// tau_lo
    fn coefficient(&self) -> &[E] {
        &self.tau[self.tau.len() - N.ilog2() as usize..]
    }
}

/// All runs of a proof, laid out.
pub fn runs(shape: &Shape, weights: &Weights, points: &Points) -> Vec<Run> {
    let binding = eq_table(points.zeta);
    let (relation_weight, binding_weight) = (weights.relation(shape), weights.binding(shape));
    let key = (0..N).map(|row| relation_weight * points.key.at(row) + binding_weight * binding.at(row));
    let (linear, squares) = small_weights(shape, weights);
    let mut laid_out = vec![Column::of(key), Column::of(linear), Column::of(squares)];
    let coefficients = eq_table(points.coefficient());
    for slot in 0..shape.layout.slots {
        let (weight, cut) = (weights.cut(shape, slot), shape.cut(slot));
        laid_out.push(Column::of((0..N).map(|i| if i < cut { E::ZERO } else { weight * coefficients.at(i) })));
    }
    let places = places(shape).into_iter().zip(laid_out);
    places.map(|((target, first), weights)| Run { target, first, weights }).collect()
}

/// The targets of the runs.
pub fn targets(shape: &Shape) -> Vec<Target> {
    places(shape).into_iter().map(|(target, _)| target).collect()
}

/// The runs at a point, in closed form.
pub fn runs_at(shape: &Shape, weights: &Weights, points: &Points, z: &[E]) -> Vec<E> {
    let (_, low) = z.split_at(z.len() - N.ilog2() as usize);
    let (linear, squares) = small_weights(shape, weights);
    let small = eq_table(&z[z.len() - SMALL_RUN.ilog2() as usize..]);
    let mut values = vec![
        weights.relation(shape) * dot(points.key, &eq_table(low)) + weights.binding(shape) * eq(points.zeta, low),
        dot(&Column::of(linear), &small),
        dot(&Column::of(squares), &small),
    ];
    for slot in 0..shape.layout.slots {
        values.push(weights.cut(shape, slot) * eq_pair_from(points.coefficient(), low, shape.cut(slot)));
    }
    for (index, (value, (_, first))) in values.iter_mut().zip(places(shape)).enumerate() {
        let variables = if index == 1 || index == 2 { SMALL_RUN } else { N }.ilog2() as usize;
        *value = *value * eq_index(&z[..z.len() - variables], first >> variables);
    }
    values
}

/// Targets and first rows, in the order of the runs: s; pi and the bits, twice; each slot of the last block.
fn places(shape: &Shape) -> Vec<(Target, usize)> {
    let place = |index: usize| (shape.auxiliary_column(index / shape.rows()), index % shape.rows());
    let ((key, key_row), (small, small_row)) = (place(shape.secret_row), place(shape.pad_row));
    let mut places =
        vec![(Target::Linear(key), key_row), (Target::Linear(small), small_row), (Target::Square(small), small_row)];
    let (_, last) = shape.place(shape.blocks - 1);
    places.extend((0..shape.layout.slots).map(|slot| (Target::Rounded(slot), last)));
    places
}

/// The weights of pi and of the bits, and those of their squares.
fn small_weights(shape: &Shape, weights: &Weights) -> (Vec<E>, Vec<E>) {
    let binding = weights.binding(shape);
    let (mut linear, mut squares) = (vec![binding, binding.times_x()], vec![E::ZERO; 2]);
    for bit in 0..SLACK_BITS {
        let boolean = weights.bit(shape, bit);
        linear.push(weights.norm(shape).scale(1 << bit) - boolean);
        squares.push(boolean);
    }
    (linear, squares)
}

impl Run {
    /// Fix variable 0 of columns of twice `half` rows.
    pub fn fold(&mut self, half: usize, z: E) {
        if self.weights.len() > half {
            self.weights.fold(z);
            return;
        }
        let upper = self.first >= half;
        let factor = if upper { z } else { E::ONE - z };
        self.first %= half;
        for index in 0..self.weights.len() {
            self.weights.set(index, self.weights.at(index) * factor);
        }
    }

    /// The weight of row `index` of the run where variable 0 is 0, and by how much it differs where it is 1. The row is
    /// `self.first % half + index`.
    pub fn line(&self, half: usize, index: usize) -> (E, E) {
        let weight = self.weights.at(index);
        if self.weights.len() > half {
            (weight, self.weights.at(index + half) - weight)
        } else if self.first >= half {
            (E::ZERO, weight)
        } else {
            (weight, E::ZERO - weight)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn runs_fold_to_their_closed_form() {
        let layout = Layout::new(16, 2, 24, 15).unwrap();
        for values in [5, 2 * 2 * N + N + 9, 9 * 2 * N] {
            let shape = Shape::new(layout, values).unwrap();
            let element = |seed: usize, i: usize| E::new((seed * 1000 + 7 * i + 1) as u64, (seed + i * i) as u64);
            let weights = Weights::new(&shape, element(1, 1), element(2, 2));
            let key = Column::of((0..N).map(|i| element(3, i)));
            let tau: Vec<E> = (0..shape.log_rows).map(|i| element(4, i)).collect();
            let zeta: Vec<E> = (0..12).map(|i| element(5, i)).collect();
            let z: Vec<E> = (0..shape.log_rows).map(|i| element(6, i)).collect();
            let points = Points { tau: &tau, zeta: &zeta, key: &key };
            let mut runs = runs(&shape, &weights, &points);
            let mut half = shape.rows();
            for &z in &z {
                half /= 2;
                for run in &mut runs {
                    let (low, slope) = run.line(half, 0);
                    let row = run.first % half;
                    run.fold(half, z);
                    assert_eq!(run.first, row);
                    assert_eq!(run.weights.at(0), low + slope * z);
                }
            }
            let folded: Vec<E> = runs.iter().map(|run| run.weights.at(0)).collect();
            assert_eq!(folded, runs_at(&shape, &weights, &points, &z));
            assert!(runs.iter().map(|run| run.target).eq(targets(&shape)));
        }
    }
}

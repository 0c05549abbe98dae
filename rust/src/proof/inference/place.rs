//! The place of the largest: how an ArgMax's distances, and the largest itself, are held to what is compared and to the
//! answers (docs/inference-proofs.md, "Claims", "The place").

use super::program::Compares;
use super::public::Batch;
use super::shape::{Q, R, Shape};
use crate::proof::column::Column;
use crate::proof::ext::E;
use crate::proof::multilinear::eq_table;

/// ties(w): sum_b Omega_b of the weights at the places whose numbers have to be less than that of the answer.
pub fn ties(compares: &Compares, batch: &Batch, weights: &Column) -> E {
    let mut before = Vec::with_capacity(weights.len() + 1);
    before.push(E::ZERO);
    for weight in weights.iter() {
        before.push(before[before.len() - 1] + weight);
    }
    let of_sample = |(&answer, omega): (&usize, E)| {
        let places = compares.strict(answer);
        omega * (before[places.end] - before[places.start])
    };
    batch.answers.iter().zip(batch.omega.iter()).map(of_sample).sum()
}

/// That every sample's distance is 0 at its answer: a claim whose weights are no product of some over features and Omega.
pub struct Place {
    /// Its power of gamma.
    pub gamma: E,
    /// What q weighs where r weighs 1.
    pub scale: u64,
    /// The columns of Q, among all, that have distances, and those of R beside them.
    pub columns: Vec<(usize, Option<usize>)>,
    /// The first feature of the first of them, and that of the distances.
    start: usize,
    first: usize,
}

impl Place {
    /// Of a program that ends in ArgMax.
    pub fn new(shape: &Shape, gamma: E) -> Self {
        let ([distances, _], room) = (shape.cells.compared(), shape.features_a_column());
        let columns = distances.offset / room..(distances.range().end - 1) / room + 1;
        let rounded = distances.shift > 0;
        let of_both = columns
            .clone()
            .map(|column| (shape.columns[Q].start + column, rounded.then_some(shape.columns[R].start + column)));
        Self {
            gamma,
            scale: 1 << distances.shift,
            columns: of_both.collect(),
            start: columns.start * room,
            first: distances.offset,
        }
    }

    /// For each sample its answer's feature, as a column among [`Self::columns`] and one of its features.
    fn entries<'a>(&'a self, shape: &Shape, batch: &'a Batch) -> impl Iterator<Item = (usize, usize)> + 'a {
        let (room, first) = (shape.features_a_column(), self.first - self.start);
        batch.answers.iter().map(move |answer| ((first + answer) / room, (first + answer) % room))
    }

    /// The weights on r of each column, row by row.
    pub fn laid_out(&self, shape: &Shape, batch: &Batch) -> Vec<Column> {
        let mut weights: Vec<Column> = self.columns.iter().map(|_| Column::extension(shape.rows())).collect();
        for (sample, (column, feature)) in self.entries(shape, batch).enumerate() {
            weights[column].set(feature * shape.samples() + sample, self.gamma * batch.omega.at(sample));
        }
        weights
    }

    /// They at a point.
    pub fn at(&self, shape: &Shape, batch: &Batch, z: &[E]) -> Vec<E> {
        let (features, samples) = z.split_at(z.len() - shape.log_batch);
        let (features, samples) = (eq_table(features), eq_table(samples));
        let mut weights = vec![E::ZERO; self.columns.len()];
        for (sample, (column, feature)) in self.entries(shape, batch).enumerate() {
            weights[column] += batch.omega.at(sample) * samples.at(sample) * features.at(feature);
        }
        weights.into_iter().map(|weight| weight * self.gamma).collect()
    }

    /// What such weights on the base columns come to: on their values, for example.
    pub fn weighed(&self, weights: &[E], values: &[E]) -> E {
        let terms = self.columns.iter().zip(weights);
        terms.map(|(&(q, r), &weight)| weight * (values[q].scale(self.scale) + r.map_or(E::ZERO, |r| values[r]))).sum()
    }
}

//! Columns of one Dense in the sum-check over the rows of the weights: what they are weighed with is a product of one factor
//! an output and one an input.
//!
//! While variables are of outputs, the sum is about the products of rows with the inputs' factors, one a row. From the
//! first variable of the inputs on it is about one combination of what the columns have been folded to.

use super::layers::products;
use super::shape::Shape;
use super::weights_claims::{LayerWeights, WeightsClaims};
use crate::parallel;
use crate::proof::column::Column;
use crate::proof::combination::{combine, combine_words};
use crate::proof::ext::E;
use crate::proof::multilinear::eq_table;

/// Columns that hold rows of one Dense and nothing else.
pub struct Group {
    /// Which of all columns.
    pub columns: Vec<usize>,
    /// The inputs' factors: a row's length.
    inputs: Column,
    /// For each column, the factor of each row; and before the inputs' variables, the row's product with `inputs`.
    outputs: Vec<Column>,
    sums: Vec<Column>,
    /// From the first variable of the inputs on: the columns, and all of them with the factors of their rows.
    folded: Vec<Column>,
    combined: Column,
}

/// Group what can be grouped.
pub fn groups(shape: &Shape, claims: &WeightsClaims, columns: &[&Column], threads: usize) -> Vec<Group> {
    let (weights, rows) = (&shape.weights, shape.weights.rows());
    let mut groups = Vec::new();
    for (place, layer) in weights.places.iter().zip(&claims.layers) {
        let LayerWeights::Dense { outputs, inputs, .. } = layer else { continue };
        if place.stride > rows {
            continue;
        }
        let end = place.start + place.outputs * place.stride;
        let alone = |column: &usize| {
            let (first, last) = (column * rows, (column + 1) * rows);
            let others = weights.places.iter().filter(|other| other.step != place.step);
            let other = |other: &super::weights_shape::Place| {
                other.start < last && other.start + other.outputs * other.stride > first
            };
            *column < weights.weight_columns && !others.into_iter().any(other)
        };
        let own: Vec<usize> = (place.start / rows..end.div_ceil(rows)).filter(alone).collect();
        if own.is_empty() {
            continue;
        }
        let mut inputs = inputs.clone();
        resize(&mut inputs, place.products);
        resize(&mut inputs, place.stride);
        let in_column = rows / place.stride;
        let outputs: Vec<Column> = own
            .iter()
            .map(|column| {
                let first = (column * rows).saturating_sub(place.start) / place.stride;
                let skipped = place.start.saturating_sub(column * rows) / place.stride;
                let mut factors = Column::extension(in_column);
                for row in skipped..in_column.min(skipped + place.outputs - first) {
                    factors.set(row, outputs.at(first + row - skipped));
                }
                factors
            })
            .collect();
        let sums = own.iter().map(|&column| row_products(columns[column], &inputs, threads)).collect();
        groups.push(Group { columns: own, inputs, outputs, sums, folded: Vec::new(), combined: Column::default() });
    }
    groups
}

fn resize(column: &mut Column, length: usize) {
    column.re.resize(length, 0);
    column.im.resize(length, 0);
}

/// The product of every row with the same factors.
fn row_products(column: &Column, inputs: &Column, threads: usize) -> Column {
    let mut out = Column::extension(column.len() / inputs.len());
    /// Nanoseconds that a word takes.
    const WORD: usize = 2;
    let share = parallel::share(out.len(), parallel::worth(threads, column.len(), WORD));
    let parts = out.re.chunks_mut(share).zip(out.im.chunks_mut(share)).zip(column.re.chunks(share * inputs.len()));
    let done: Result<(), ()> = parallel::run(parts, |((re, im), rows)| {
        for ((row, re), im) in rows.chunks_exact(inputs.len()).zip(re).zip(im) {
            [*re, *im] = combine_words(row, inputs).parts();
        }
        Ok(())
    });
    done.expect("no part fails");
    out
}

impl Group {
    /// Whether all variables of outputs are fixed.
    fn over_inputs(&self) -> bool {
        self.outputs[0].len() == 1
    }

    /// Go on to the inputs, when it is time. `point`: what is fixed so far.
    pub fn prepare(&mut self, columns: &[&Column], point: &[E], threads: usize) {
        if !self.over_inputs() || !self.folded.is_empty() {
            return;
        }
        let eq: Vec<E> = eq_table(point).iter().collect();
        let length = self.inputs.len();
        let fold = |&column: &usize| {
            let rows: Vec<&[u64]> = columns[column].re.chunks_exact(length).collect();
            combine(&rows, &eq, threads)
        };
        self.folded = self.columns.iter().map(fold).collect();
        self.combined = Column::extension(length);
        for (column, factor) in self.folded.iter().zip(&self.outputs) {
            let factor = factor.at(0);
            for row in 0..length {
                self.combined.set(row, self.combined.at(row) + column.at(row) * factor);
            }
        }
    }

    /// The sums at 0 and 1, and the coefficient of the square.
    pub fn round(&self, threads: usize) -> [E; 3] {
        let mut sums = [E::ZERO; 3];
        let mut add = |a: &Column, b: &Column| {
            let some = products(a.lines(), b.lines(), a.len() / 2, threads);
            sums.iter_mut().zip(some.iter()).for_each(|(sum, &some)| *sum += some);
        };
        if self.over_inputs() {
            add(&self.combined, &self.inputs);
        } else {
            self.sums.iter().zip(&self.outputs).for_each(|(sums, outputs)| add(sums, outputs));
        }
        sums
    }

    pub fn fold(&mut self, z: E) {
        if self.over_inputs() {
            let columns = self.folded.iter_mut().chain([&mut self.inputs, &mut self.combined]);
            columns.for_each(|column| column.fold(z));
        } else {
            self.outputs.iter_mut().chain(&mut self.sums).for_each(|column| column.fold(z));
        }
    }

    /// Each column that is left with two rows, with both weights; the last variable is one of the inputs.
    pub fn last(&self) -> impl Iterator<Item = (usize, &Column, [E; 2])> {
        let weights = |factor: E| [factor * self.inputs.at(0), factor * self.inputs.at(1)];
        let columns = self.columns.iter().zip(&self.folded).zip(&self.outputs);
        columns.map(move |((&number, column), outputs)| (number, column, weights(outputs.at(0))))
    }

    /// The values of the columns, when all variables are fixed.
    pub fn values(&self) -> impl Iterator<Item = (usize, E)> {
        self.columns.iter().zip(&self.folded).map(|(&number, column)| (number, column.at(0)))
    }
}

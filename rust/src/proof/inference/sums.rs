//! Sums over the samples, with Omega, of everything between the layers: all that the layers' sum-checks and the linear claims
//! look at while variables are of features.

use super::cells::Cell;
use super::claims::Linear;
use super::place::ties;
use super::program::Kind;
use super::public::Batch;
use super::rounds;
use super::shape::{I, Q, R, Shape, VECTORS, Y};
use crate::field;
use crate::parallel;
use crate::proof::column::Column;
use crate::proof::combination::combine_words;
use crate::proof::ext::E;

/// Of the features of Q, R, Y and I, cut as the columns are.
pub struct Sums([Vec<Column>; VECTORS]);

impl Sums {
    pub fn new(shape: &Shape, columns: &[Column], batch: &Batch, threads: usize) -> Self {
        let vectors = [Q, R, Y, I].map(|vector| &columns[shape.columns[vector].clone()]);
        Self(vectors.map(|columns| over_samples(columns, &batch.omega, threads)))
    }

    /// A feature of a vector.
    fn at(&self, shape: &Shape, vector: usize, feature: usize) -> E {
        let room = shape.features_a_column();
        self.0[vector][feature / room].at(feature % room)
    }

    /// A of a layer that is rounded, without its mask: its cell's sums as 2^shift q + r - half.
    pub fn rounded(&self, shape: &Shape, cell: usize, outputs: &Column, batch: &Batch) -> E {
        let cell = &shape.cells.all[cell];
        self.digits(shape, cell, outputs) - (batch.sum * outputs.iter().sum::<E>()).scale(cell.half())
    }

    /// A of a layer whose sums an ArgMax compares, without its mask.
    pub fn compared(&self, shape: &Shape, outputs: &Column, batch: &Batch) -> E {
        let compares = shape.program.compares().expect("an ArgMax compares");
        let [distances, largest] = shape.cells.compared();
        let sum = outputs.iter().sum::<E>();
        let floor = batch.sum.scale(field::add_signed(0, compares.floor));
        sum * (self.digits(shape, largest, &Column::of([E::ONE])) + floor)
            - self.digits(shape, distances, outputs)
            - ties(&compares, batch, outputs)
    }

    /// 2^shift q + r of a cell's features, with weights.
    fn digits(&self, shape: &Shape, cell: &Cell, weights: &Column) -> E {
        let value = |feature: usize| match cell.shift {
            0 => self.at(shape, Q, feature),
            shift => self.at(shape, Q, feature).scale(1 << shift) + self.at(shape, R, feature),
        };
        cell.range().zip(weights.iter()).map(|(feature, weight)| weight * value(feature)).sum()
    }

    /// The features of a value.
    pub fn value(&self, shape: &Shape, number: usize, batch: &Batch) -> Column {
        let features = shape.program.value(number).features();
        let Some(step) = number.checked_sub(1) else {
            return match shape.hashing {
                Some(_) => Column::of((0..features).map(|feature| self.at(shape, I, feature))),
                None => batch.inputs.clone(),
            };
        };
        let cells = &shape.cells.all[shape.cells.of_step[step].clone()];
        let source = || self.value(shape, shape.program.steps[step].sources[0], batch);
        match &shape.program.steps[step].kind {
            Kind::Flatten => source(),
            Kind::MaxPool { window } => {
                let (from, source) = (shape.program.value(shape.program.steps[step].sources[0]), source());
                let given = &shape.program.value(number).shape;
                let (image, given) = ([from.shape[1], from.shape[2]], [given[1], given[2]]);
                let least = batch.sum.scale(field::add_signed(0, from.low));
                let first: Vec<Option<usize>> = window.under(0, image, given).collect();
                Column::of((0..features).map(|feature| {
                    let channel = feature / first.len() * image[0] * image[1];
                    let under = first[feature % first.len()].map_or(least, |under| source.at(channel + under));
                    cells.iter().fold(under, |sum, cell| sum + self.at(shape, Y, cell.offset + feature))
                }))
            }
            _ => Column::of(cells[0].range().map(|feature| self.at(shape, Y, feature))),
        }
    }

    /// The linear claims of every base column of Q, R, Y and I.
    pub fn weighed(self, shape: &Shape, linear: &Linear) -> Vec<rounds::Linear> {
        let room = shape.features_a_column();
        let mut weighed = Vec::new();
        for (weights, sums) in linear.weights.iter().zip(self.0) {
            for (index, sums) in sums.into_iter().enumerate() {
                let part = |part: &[u64]| {
                    let mut out = part[index * room..part.len().min((index + 1) * room)].to_vec();
                    out.resize(room, 0);
                    out
                };
                let weights = Column { re: part(&weights.re), im: part(&weights.im) };
                weighed.push(rounds::Linear { weights, sums });
            }
        }
        weighed
    }
}

/// sum_b Omega_b V[f B' + b] for the features of every column of a vector.
fn over_samples(columns: &[Column], omega: &Column, threads: usize) -> Vec<Column> {
    /// Entries of a block, and nanoseconds that one takes.
    const BLOCK: usize = 1 << 14;
    const ENTRY: usize = 1;
    let samples = omega.len();
    let mut out: Vec<Column> = columns.iter().map(|column| Column::extension(column.len() / samples)).collect();
    let entries: usize = columns.iter().map(Column::len).sum();
    let block = (BLOCK / samples).max(1);
    let mut blocks = Vec::new();
    for (column, out) in columns.iter().zip(&mut out) {
        let out = out.re.chunks_mut(block).zip(out.im.chunks_mut(block));
        blocks.extend(column.re.chunks(block * samples).zip(out));
    }
    let share = parallel::share(blocks.len(), parallel::worth(threads, entries, ENTRY));
    let done: Result<(), ()> = parallel::run(blocks.chunks_mut(share), |blocks| {
        for (rows, (re, im)) in blocks {
            for ((row, re), im) in rows.chunks_exact(samples).zip(re.iter_mut()).zip(im.iter_mut()) {
                [*re, *im] = combine_words(row, omega).parts();
            }
        }
        Ok(())
    });
    done.expect("no part fails");
    out
}

//! The prover's share of the claim about the place of the largest: it has weights of its own on every row, and so columns
//! of its own in the sum-check (docs/inference-proofs.md, "Claims").

use zeroize::Zeroizing;

use super::layers::{at_three, products};
use super::place::Place;
use super::public::Batch;
use super::shape::Shape;
use crate::proof::column::{Column, fold_all};
use crate::proof::combination::combine;
use crate::proof::ext::E;

/// The columns that have distances, as 2^shift q + r, and their weights.
pub struct Placed<'a> {
    place: &'a Place,
    sums: Vec<Column>,
    weights: Vec<Column>,
}

impl<'a> Placed<'a> {
    pub fn new(place: &'a Place, shape: &Shape, columns: &[Column], batch: &Batch, threads: usize) -> Self {
        let sum = |&(q, r): &(usize, Option<usize>)| {
            let both = [Some((q, place.scale)), r.map(|r| (r, 1))];
            let (rows, scales): (Vec<&[u64]>, Vec<E>) = both
                .into_iter()
                .flatten()
                .map(|(column, scale)| (columns[column].re.as_slice(), E::base(scale)))
                .unzip();
            combine(&rows, &scales, threads)
        };
        Self { place, sums: place.columns.iter().map(sum).collect(), weights: place.laid_out(shape, batch) }
    }

    /// At 0, 1, 2, before the masks of the columns show.
    pub fn round(&self, threads: usize) -> Zeroizing<Vec<E>> {
        let mut sums = Zeroizing::new([E::ZERO; 3]);
        for (column, weights) in self.sums.iter().zip(&self.weights) {
            let some = products(column.lines(), weights.lines(), weights.len() / 2, threads);
            sums.iter_mut().zip(some.iter()).for_each(|(sum, &some)| *sum += some);
        }
        at_three(&sums)
    }

    /// In the last round at x, of the masked values of the base columns there.
    pub fn at(&self, x: u64, masked: &[E]) -> E {
        let weights: Vec<E> = self.weights.iter().map(|weights| weights.line_at(x)).collect();
        self.place.weighed(&weights, masked)
    }

    /// Fix the round's variable to `z`.
    pub fn fold(&mut self, z: E, threads: usize) {
        fold_all(&mut self.sums.iter_mut().chain(&mut self.weights).collect::<Vec<_>>(), z, threads);
    }
}

//! The prover's side of an opened row: the row, its tree, and the proof of what is said of it.

use zeroize::Zeroizing;

use super::{OpenedRow, OpenedRows};
use crate::proof::column::Column;
use crate::proof::combination::{combine, combine_onto};
use crate::proof::ext::E;
use crate::proof::messages::Outgoing;
use crate::proof::tree::Tree;
use crate::proof::wide::{Width, column};

/// u, cut into what goes into the rows' tree and what is sent.
pub struct Combined {
    /// u[0..C]
    pub message: Column,
    /// u[C..K]
    pub appended: Vec<E>,
}

impl OpenedRow<'_> {
    /// u of some rows and what is appended to each of them; mu is as long as both.
    pub fn combine(&self, mu: &[E], rows: &[&[u64]], appended: &[&[u64]], threads: usize) -> Combined {
        let message = self.code.message();
        assert_eq!((mu.len(), rows.len(), appended.len()), (message + self.appended, self.weights.len(), rows.len()));
        let weights: Vec<E> = self.weights.iter().map(|&weight| self.epsilon * weight).collect();
        if rows.is_empty() {
            return Combined { message: Column::of(mu[..message].iter().copied()), appended: mu[message..].to_vec() };
        }
        let tail = combine_onto(|index| mu[message + index], appended, &weights, threads);
        Combined { message: combine_onto(|index| mu[index], rows, &weights, threads), appended: tail.iter().collect() }
    }
}

impl OpenedRows<'_> {
    /// The tree over the runs of the vector. It has no salts.
    pub fn commit(&self, vector: &Column, threads: usize) -> Tree {
        let code = self.row_code;
        let words = code.encode(&code.transform(), &self.parts_of_runs(vector), |_| Zeroizing::default(), threads);
        Tree::commit(words, code.log_length, None, threads)
    }

    /// The second sum-check for the claims and the values at some points of each row, with weights from chi; then the combined
    /// run.
    pub fn prove<const ROWS: usize>(
        &self,
        messages: &mut Outgoing,
        vector: &Column,
        points: [&[u64]; ROWS],
        chi: E,
        threads: usize,
    ) {
        let omega = self.omega(points, &self.value_weights(chi, &points.map(<[u64]>::len)), threads);
        let r = fold(messages, vector.clone(), omega);
        let (high, _low) = r.split_at(self.run_variables());
        let combined: Vec<E> =
            combine(&self.parts_of_runs(vector), &self.weights_of_parts(high), threads).iter().collect();
        #[cfg(test)]
        let combined = crate::proof::lies::combined(combined, _low);
        messages.send_elements("row", &combined);
    }

    /// The runs of the vector: for each that has an entry of a row, the part of 1, then that of X.
    fn parts_of_runs<'b>(&self, vector: &'b Column) -> Vec<&'b [u64]> {
        let length = self.row_code.message();
        let run = |run: usize| [&vector.re, &vector.im].map(|part| &part[run * length..(run + 1) * length]);
        self.runs().flat_map(run).collect()
    }
}

/// The rounds of the second sum-check; its point.
fn fold(messages: &mut Outgoing, mut row: Column, mut omega: Column) -> Vec<E> {
    let mut point = Vec::with_capacity(row.len().ilog2() as usize);
    while row.len() > 1 {
        let half = row.len() / 2;
        let [constant, _, square] =
            column::products(Width::best(), row.lines(), omega.lines(), half, 0..half).map(E::from);
        messages.send_elements("fold", &[constant, square]);
        let r = messages.transcript.draw("r").element();
        row.fold(r);
        omega.fold(r);
        point.push(r);
    }
    point
}

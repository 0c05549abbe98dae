//! The prover's side of an opened row: the row, its tree, and the proof of what is said of it.

use zeroize::Zeroizing;

use super::{OpenedRow, position_weights, row_weights, weights_of_parts};
use crate::proof::codes::Code;
use crate::proof::column::Column;
use crate::proof::combination::{combine, combine_onto};
use crate::proof::ext::E;
use crate::proof::messages::Outgoing;
use crate::proof::tree::Tree;
use crate::proof::wide::{Width, column};

/// u, cut into what goes into its tree and what is sent.
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

    /// The tree over the runs of u[0..C]. It has no salts.
    pub fn commit(&self, row: &Column, threads: usize) -> Tree {
        let code = self.row_code;
        let words = code.encode(&code.transform(), &parts_of_runs(row, code), |_| Zeroizing::default(), threads);
        Tree::commit(words, code.log_length, None, threads)
    }

    /// The second sum-check for the claim and the values at some points, with weights from chi; then the combined run.
    pub fn prove(&self, messages: &mut Outgoing, row: &Column, points: &[u64], chi: E, threads: usize) {
        let omega = row_weights(self.low, points, &position_weights(chi, points.len()), threads);
        let r = fold(messages, row.clone(), omega);
        let (high, _low) = r.split_at(self.run_variables());
        let combined: Vec<E> =
            combine(&parts_of_runs(row, self.row_code), &weights_of_parts(high), threads).iter().collect();
        #[cfg(test)]
        let combined = crate::proof::lies::combined(combined, _low);
        messages.send_elements("row", &combined);
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

/// The runs of the opened row: for each, the part of 1, then that of X.
fn parts_of_runs(row: &Column, code: Code) -> Vec<&[u64]> {
    let runs = row.re.chunks_exact(code.message()).zip(row.im.chunks_exact(code.message()));
    runs.flat_map(|(re, im)| [re, im]).collect()
}

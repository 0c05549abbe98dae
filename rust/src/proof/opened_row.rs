//! The prover's side of the opening: the row that all rows combine to, the proof of what is said of it, and the openings.

use super::blinding::Use;
use super::codes::Code;
use super::column::{Column, dot};
use super::combination::{combine, combine_onto};
use super::ext::{E, bytes_of};
use super::multilinear::eq_table;
use super::opening::{self, Opening, inner_product, position_weights, row_weights};
use super::prover::{Masks, Prover};
use super::published::publish;
use super::tree::{Tree, stride};
use super::wide::{Width, column};
use super::witness::Witness;
use super::words::Words;
use crate::parallel;

impl Prover<'_> {
    pub fn open(&mut self, witness: &Witness, inverses: &[Column], trees: [&Tree; 2], masks: &Masks, z: &[E]) {
        let shape = self.shape;
        let (message, queries) = (shape.code.message(), shape.code.queries);
        let mut draw = self.transcript.draw("kappa");
        let kappa = draw.elements(shape.column_variables());
        let opening = Opening::new(shape, &kappa, draw.element(), z);
        let (_, low) = opening::split(shape, z);
        let sigma = dot(&Column::of(masks.mu[..message].iter().copied()), &eq_table(low))
            + inner_product(&opening.masks, &masks.nu[..shape.mask_row()]);
        self.send("sigma", &[&sigma.to_bytes()]);
        let epsilon = self.transcript.draw("epsilon").element();

        let (row, appended) = self.opened_row(witness, inverses, &opening, &masks.mu, epsilon);
        let mask_row = self.opened_mask_row(masks, epsilon);
        #[cfg(test)]
        let (mask_row, appended) = super::lies::opened(shape, mask_row, appended);
        let row_code = shape.row_code;
        let third_tree = self.commit_row(&row, row_code);
        self.send("opening", &[&bytes_of(&mask_row), &bytes_of(&appended), &third_tree.root()]);

        let positions = self.transcript.draw("positions").positions(queries, shape.code.log_length);
        let start = self.proof.len();
        for (number, tree) in trees.into_iter().enumerate() {
            tree.open(&positions, Some(self.blinding.salts(number as u64 + 1)), &mut self.proof);
        }
        publish(&self.proof[start..]);
        self.transcript.absorb("opened", &self.proof[start..]);
        let chi = self.transcript.draw("chi").element();
        let points = shape.code.points(&positions);
        let omega = row_weights(low, &points, &position_weights(chi, points.len()), self.threads);
        let r = self.fold_row(row.clone(), omega);

        let (high, _) = r.split_at(shape.code.log_message - row_code.log_message);
        let combined = self.combined_run(&row, high);
        #[cfg(test)]
        let combined = super::lies::combined(combined, &r[high.len()..]);
        self.send("row", &[&bytes_of(&combined)]);
        let positions = self.transcript.draw("positions2").positions(row_code.queries, row_code.log_length);
        third_tree.open(&positions, None, &mut self.proof);
    }

    /// u, cut into what goes into tree 3 and what is sent.
    fn opened_row(
        &self,
        witness: &Witness,
        inverses: &[Column],
        opening: &Opening,
        mu: &[E],
        epsilon: E,
    ) -> (Column, Vec<E>) {
        let code = self.shape.code;
        let first = self.rows_of(witness.columns.iter().map(|column| column.re.as_slice()));
        let second = self.rows_of(inverses.iter().flat_map(|column| [column.re.as_slice(), column.im.as_slice()]));
        let appended = |tree, rows: &[&[u64]]| -> Vec<_> {
            (0..rows.len()).map(|row| self.blinding.words(Use::Row { tree, row }, code.queries)).collect()
        };
        let (appended_first, appended_second) = (appended(1, &first), appended(2, &second));
        let tails: Vec<&[u64]> = appended_first.iter().chain(&appended_second).map(|words| words.as_slice()).collect();
        let weights: Vec<E> = opening.rows.iter().map(|&weight| epsilon * weight).collect();
        let row = combine_onto(|index| mu[index], &[first, second].concat(), &weights, self.threads);
        let tail = combine_onto(|index| mu[code.message() + index], &tails, &weights, 1);
        (row, tail.iter().collect())
    }

    /// u_m
    fn opened_mask_row(&self, masks: &Masks, epsilon: E) -> Vec<E> {
        let shape = self.shape;
        let first = shape.base_columns() * shape.runs();
        let appended = |row| self.blinding.words(Use::Row { tree: 1, row }, shape.code.queries);
        let (re, im) = (appended(first), appended(first + 1));
        let appended = re.iter().zip(&*im).map(|(&re, &im)| E::new(re, im));
        let row = masks.row.iter().copied().chain(appended);
        masks.nu.iter().zip(row).map(|(&nu, mask)| nu + epsilon * mask).collect()
    }

    fn commit_row(&self, row: &Column, code: Code) -> Tree {
        let (transform, stride) = (code.transform(), stride(code.log_length));
        let runs = parts_of_runs(row, code);
        let mut words = Words::zeros(runs.len() * stride);
        let share = parallel::share(runs.len(), self.threads);
        let parts = words.chunks_mut(share * stride).zip(runs.chunks(share));
        let done: Result<(), ()> = parallel::run(parts, |(words, runs)| {
            let rows: Vec<_> = runs.iter().map(|&run| [run, &[]]).collect();
            transform.encode(Width::best(), &rows, stride, words);
            Ok(())
        });
        done.expect("no part fails");
        Tree::commit(words, code.log_length, None, self.threads)
    }

    /// The second sum-check; its point.
    fn fold_row(&mut self, mut row: Column, mut omega: Column) -> Vec<E> {
        let mut point = Vec::with_capacity(self.shape.code.log_message);
        while row.len() > 1 {
            let half = row.len() / 2;
            let [constant, _, square] =
                column::products(Width::best(), row.lines(), omega.lines(), half, 0..half).map(E::from);
            self.send("fold", &[&bytes_of(&[constant, square])]);
            let r = self.transcript.draw("r").element();
            row.fold(r);
            omega.fold(r);
            point.push(r);
        }
        point
    }

    /// u_2
    fn combined_run(&self, row: &Column, high: &[E]) -> Vec<E> {
        let runs = parts_of_runs(row, self.shape.row_code);
        combine(&runs, &weights_of_parts(high), self.threads).iter().collect()
    }
}

/// The runs of the opened row: for each, the part of 1, then that of X.
fn parts_of_runs(row: &Column, code: Code) -> Vec<&[u64]> {
    let runs = row.re.chunks_exact(code.message()).zip(row.im.chunks_exact(code.message()));
    runs.flat_map(|(re, im)| [re, im]).collect()
}

/// eq(r_hi, run) for the parts of every run, as the words of tree 3 are ordered.
pub fn weights_of_parts(high: &[E]) -> Vec<E> {
    eq_table(high).iter().flat_map(|weight| [weight, weight.times_x()]).collect()
}

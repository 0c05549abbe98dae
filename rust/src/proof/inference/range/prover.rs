//! The prover of the range of committed weights.

use zeroize::Zeroizing;

use super::{Claims, MAGIC, RangeShape};
use crate::proof::blinding::{Blinding, Use};
use crate::proof::column::{Column, drop_all};
use crate::proof::committing::Committing;
use crate::proof::ext::{E, powers};
use crate::proof::inference::blinded::{Blinded, degrees};
use crate::proof::inference::looked_up::LookedUp;
use crate::proof::inference::masks::{FIRST, MU_W, Masks, SECOND};
use crate::proof::inference::opened::{self, Secrets};
use crate::proof::inference::rounds;
use crate::proof::inference::weights::Commitment;
use crate::proof::messages::Outgoing;
use crate::proof::multiplicity;
use crate::proof::published::hide;

/// Tables that uses are counted of have at most so many entries: see `multiplicity`.
const LARGEST_TABLE: usize = 1 << 16;

/// Prove the range of the weights of a commitment, by one of its openings. The reason where that cannot be done.
pub fn prove(commitment: &Commitment, seed: &[u8; 32], threads: usize) -> Result<Vec<u8>, String> {
    let shape = RangeShape::new(&commitment.program, &commitment.shape);
    let entries = shape.looked_up.entries();
    if entries > LARGEST_TABLE {
        return Err(format!(
            "weights of magnitude up to {} are {entries} integers, uses of {LARGEST_TABLE} can be counted",
            commitment.program.largest_weight
        ));
    }
    let transcript = shape.transcript(&commitment.root());
    let blinding = Blinding::new(seed, &transcript.state());
    let columns = base_columns(&shape, commitment, threads);
    let messages = Outgoing::new(MAGIC, transcript);
    let mu = [shape.looked_up.row_coefficients(), commitment.shape.row_coefficients()];
    let masks = Masks::new(&blinding, shape.mask_row() + shape.looked_up.code.queries, mu);
    let prover = Prover { shape: &shape, commitment, columns: &columns, blinding, masks, threads, messages };
    let proof = prover.run();
    drop_all(columns, threads);
    // The columns were held to the range when they were committed to.
    proof.ok_or_else(|| "the committed weights are not in their range".into())
}

/// The columns of weights, then those of uses.
fn base_columns(shape: &RangeShape, commitment: &Commitment, threads: usize) -> Vec<Column> {
    let mut columns = commitment.columns()[..shape.weights_columns()].to_vec();
    let entries: Vec<&[u64]> = columns.iter().map(|column| column.re.as_slice()).collect();
    let table = shape.looked_up.tables[0];
    let counted = table.len().next_power_of_two();
    let uses = multiplicity::count(&entries, (-table.least()) as u64, counted, threads);
    let rows = shape.looked_up.rows();
    let mut of_uses: Vec<Column> = (0..shape.uses_columns()).map(|_| Column::base(rows)).collect();
    for (column, uses) in of_uses.iter_mut().zip(uses[..table.len()].chunks(rows)) {
        column.re[..uses.len()].copy_from_slice(uses);
    }
    columns.extend(of_uses);
    columns
}

struct Prover<'a> {
    shape: &'a RangeShape,
    commitment: &'a Commitment,
    columns: &'a [Column],
    blinding: Blinding,
    masks: Masks,
    threads: usize,
    messages: Outgoing,
}

impl Prover<'_> {
    /// The proof, unless what is claimed does not hold.
    fn run(mut self) -> Option<Vec<u8>> {
        let (shape, threads) = (&self.shape.looked_up, self.threads);
        let code = shape.code;
        let uses = self.rows_of(self.columns[self.shape.weights_columns()..].iter().map(|column| column.re.as_slice()));
        let committing = Committing::new(&self.blinding, code, threads);
        let first_tree = self.masks.first_tree(&committing, &uses);
        let mu_tree = self.masks.mu_tree(&self.blinding, shape.weights.code, threads);
        self.messages.send("roots", &[&first_tree.root(), &mu_tree.root()]);
        let alpha = self.messages.transcript.draw("lookup").element();

        let looked_up = LookedUp::new(shape, self.columns, alpha, E::ZERO, threads);
        #[allow(unused_mut)]
        let mut inverses = looked_up.inverse_columns(shape, threads);
        #[cfg(test)]
        crate::proof::inference::lies::balance(&mut inverses);
        hide(inverses.iter().flat_map(|column| column.re.iter().chain(&column.im).copied()));
        let inverse_rows = self.rows_of(inverses.iter().flat_map(|column| [column.re.as_slice(), &column.im]));
        let second_tree = committing.tree(SECOND, &inverse_rows, usize::MAX);
        drop(committing);
        self.messages.send("root2", &[&second_tree.root()]);

        let ending = self.rounds(looked_up, &inverses);
        let claims = Claims::draw(self.shape, &mut self.messages.transcript, &ending.point);
        let appended: Vec<_> = (0..uses.len())
            .map(|row| (FIRST, row))
            .chain((0..inverse_rows.len()).map(|row| (SECOND, row)))
            .map(|(tree, row)| self.blinding.words(Use::Row { tree, row }, code.queries))
            .collect();
        let trees = [(&first_tree, FIRST), (&second_tree, SECOND), (&mu_tree, MU_W)];
        let secrets = Secrets {
            mask_row: &self.masks.row,
            nu: &self.masks.nu,
            mu: [&self.masks.mu, &self.masks.mu_w],
            rows: &[uses, inverse_rows].concat(),
            appended: &appended.iter().map(|words| words.as_slice()).collect::<Vec<_>>(),
            weights: self.commitment,
            trees: trees.map(|(tree, number)| (tree, self.blinding.salts(number))),
        };
        opened::prove(&mut self.messages, claims.opened.each_ref(), shape.row_code, secrets, threads);
        drop_all(inverses, threads);
        [first_tree, second_tree, mu_tree].into_iter().for_each(|tree| tree.drop_on(threads));
        #[cfg(test)]
        return Some(self.messages.proof);
        #[cfg(not(test))]
        ending.holds.then_some(self.messages.proof)
    }

    fn rows_of<'b>(&self, columns: impl Iterator<Item = &'b [u64]>) -> Vec<&'b [u64]> {
        columns.flat_map(|column| column.chunks_exact(self.shape.looked_up.code.message())).collect()
    }

    fn rounds(&mut self, looked_up: LookedUp, inverses: &[Column]) -> rounds::Ending {
        let shape = &self.shape.looked_up;
        let tau = self.messages.transcript.draw("point").elements(shape.log_rows);
        let gamma = self.messages.transcript.draw("gamma").element();
        let rho = self.rho();
        let omega = Column::extension(shape.samples());
        let claim = rounds::Claim {
            shape,
            columns: self.columns,
            inverses,
            tau: &tau,
            gamma: &powers(gamma, shape.inverse_columns() + 1),
            rho: &rho,
            omega: &omega,
            sum: E::ZERO,
        };
        let degrees = degrees(shape.log_rows, shape.largest_chunk() + 2, 2 * shape.largest_chunk() + 3);
        let mask = Blinded::new(&self.masks.row[..self.shape.round_masks()], degrees, E::ZERO);
        // There are no linear claims.
        let nothing = || rounds::Linear { weights: Column::extension(1), sums: Column::extension(1) };
        let linear = (0..self.shape.weights_columns()).map(|_| nothing()).collect();
        let messages = &mut self.messages;
        let ending = rounds::prove(&claim, looked_up, linear, None, mask, self.threads, |round| {
            messages.send_elements("round", round);
            messages.transcript.draw("z").element()
        });
        let (weights, fresh) = ending.values.split_at(self.shape.weights_columns());
        self.messages.send_elements("values", &[fresh, weights].concat());
        ending
    }

    /// rho of the weights' columns, then of the fresh ones: in the mask row they are the other way round.
    fn rho(&self) -> Zeroizing<Vec<E>> {
        let (first, end) = (self.shape.round_masks(), self.shape.mask_row());
        let (fresh, weights) = self.masks.row[first..end].split_at(self.shape.fresh());
        Zeroizing::new([weights, fresh].concat())
    }
}

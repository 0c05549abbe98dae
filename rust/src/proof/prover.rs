//! The prover: the messages of docs/proofs.md, in their order.

use zeroize::Zeroizing;

use super::blinding::{Blinding, Use};
use super::column::{Column, dot, drop_all};
use super::combination::{combine, combine_onto};
use super::committing::Committing;
use super::constraint::{Relation, table_columns};
use super::ext::{E, bytes_of};
use super::further::Further;
use super::inverses::inverse_columns;
use super::messages::Outgoing;
use super::multilinear::eq_table;
use super::opened::{Combined, OpenedRow, OpenedRows, bump, inner_product, split};
use super::opening::Opening;
use super::proof_bytes::MAGIC;
use super::published::hide;
use super::relation::{block_weights, ciphertext_at, key_weights};
use super::runs::{Points, runs};
use super::shape::Shape;
use super::statement::{First, Statement};
use super::sumcheck::{self, Claim, Ending};
use super::tree::Tree;
use super::weights::Weights;
use super::witness::Witness;
use crate::ring::N;

/// The public side beyond the statement: the a_j of the round as evaluations, and the blocks of the ciphertext.
pub struct Ciphertext<'a> {
    pub masks: &'a [u64],
    pub blocks: &'a [u8],
}

/// A proof, and whether the witness fits the statement: where it does not, the proof will be rejected.
pub struct Attempt {
    pub proof: Vec<u8>,
    pub holds: bool,
}

pub fn prove(
    statement: &Statement,
    ciphertext: &Ciphertext,
    witness: &Witness,
    seed: &[u8; 32],
    threads: usize,
) -> Attempt {
    let transcript = statement.transcript();
    let blinding = Blinding::new(seed, &transcript.state());
    let messages = Outgoing::new(MAGIC, transcript);
    let further = statement.further;
    Prover { shape: statement.shape, bound: statement.bound, further, ciphertext, blinding, threads, messages }
        .run(witness)
}

pub struct Prover<'a> {
    shape: &'a Shape,
    bound: u64,
    further: &'a Further,
    ciphertext: &'a Ciphertext<'a>,
    blinding: Blinding,
    threads: usize,
    messages: Outgoing,
}

/// The uniform elements that hide what is opened.
pub struct Masks {
    /// The coefficients of g, then rho of every committed column.
    pub row: Zeroizing<Vec<E>>,
    pub mu: Zeroizing<Vec<E>>,
    pub nu: Zeroizing<Vec<E>>,
}

impl Prover<'_> {
    fn run(mut self, witness: &Witness) -> Attempt {
        let shape = self.shape;
        let queries = shape.code.queries;
        let masks = Masks {
            row: self.blinding.elements(Use::MaskRow, shape.mask_row()),
            mu: self.blinding.elements(Use::Mu, shape.row_coefficients()),
            nu: self.blinding.elements(Use::Nu, shape.mask_row() + queries),
        };
        let committing = Committing::new(&self.blinding, shape.code, self.threads);
        hide([&masks.row, &masks.mu, &masks.nu].into_iter().flat_map(|mask| mask.iter().flat_map(|mask| mask.parts())));
        let first_tree = self.commit_columns(&committing, witness, &masks);
        self.messages.proof.extend(first_tree.root());
        let First { zeta, alpha } = First::draw(&mut self.messages.transcript, &first_tree.root());

        let tables: Vec<_> = (0..shape.tables).map(|a| table_columns(shape, a)).collect();
        let weights = Weights::new(shape, self.further, alpha, E::ZERO);
        #[allow(unused_mut)]
        let mut inverses = inverse_columns(shape, &weights, &witness.columns, &tables, self.threads);
        #[cfg(test)]
        super::lies::balance(&mut inverses);
        hide(inverses.iter().flat_map(|column| column.re.iter().chain(&column.im).copied()));
        let second_tree = self.commit_inverses(&committing, &inverses);
        drop(committing);
        #[allow(unused_mut)]
        let mut v = self.key_values(witness, &zeta);
        #[cfg(test)]
        super::lies::key_values(&mut v);
        self.messages.send("root2", &[&bytes_of(&v), &second_tree.root()]);

        let ending = self.sum_check(witness, &inverses, tables, &zeta, alpha, &v, &masks);
        let values = self.masked_values(&ending, &inverses, &masks.row);
        self.messages.send_elements("values", &values);
        self.open(witness, &inverses, [&first_tree, &second_tree], &masks, &ending.point);
        drop_all(inverses, self.threads);
        [first_tree, second_tree].into_iter().for_each(|tree| tree.drop_on(self.threads));
        Attempt { proof: self.messages.proof, holds: ending.holds }
    }

    fn commit_columns(&self, committing: &Committing, witness: &Witness, masks: &Masks) -> Tree {
        let mut rows = self.rows_of(witness.columns.iter().map(|column| column.re.as_slice()));
        let parts: Vec<Column> = [&masks.row, &masks.nu, &masks.mu].map(|mask| Column::of(mask.iter().copied())).into();
        rows.extend(parts.iter().flat_map(|part| [part.re.as_slice(), part.im.as_slice()]));
        // The mask row has elements appended as the columns' rows have; mu and nu are uniform already.
        let appended = rows.len() - 4;
        committing.tree(1, &rows, appended)
    }

    fn commit_inverses(&self, committing: &Committing, inverses: &[Column]) -> Tree {
        let rows = self.rows_of(inverses.iter().flat_map(|column| [column.re.as_slice(), column.im.as_slice()]));
        committing.tree(2, &rows, rows.len())
    }

    pub fn rows_of<'b>(&self, columns: impl Iterator<Item = &'b [u64]>) -> Vec<&'b [u64]> {
        columns.flat_map(|column| column.chunks_exact(self.shape.code.message())).collect()
    }

    /// v = s~(zeta) + pi, or V at the base points.
    fn key_values(&self, witness: &Witness, zeta: &[E]) -> Vec<E> {
        let entry = |index: usize| witness.auxiliary(self.shape, index);
        if let Some(sharing) = self.shape.sharing {
            let across = eq_table(&zeta[zeta.len() - sharing.words().ilog2() as usize..]);
            let value = |point: usize| {
                let mask = self.shape.mask_share_row() + 2 * point;
                let values = (0..sharing.words()).map(|index| entry(self.shape.share_row(point) + index));
                values
                    .zip(across.iter())
                    .fold(E::new(entry(mask), entry(mask + 1)), |sum, (value, across)| sum + across.scale(value))
            };
            return (0..sharing.recovery()).map(value).collect();
        }
        let pad = E::new(entry(self.shape.pad_row), entry(self.shape.pad_row + 1));
        let weights = eq_table(zeta);
        vec![(0..N).fold(pad, |sum, i| sum + weights.at(i).scale(entry(self.shape.secret_row + i)))]
    }

    /// The masked sum-check.
    #[allow(clippy::too_many_arguments)]
    fn sum_check(
        &mut self,
        witness: &Witness,
        inverses: &[Column],
        tables: Vec<(Column, Column)>,
        zeta: &[E],
        alpha: E,
        v: &[E],
        masks: &Masks,
    ) -> Ending {
        let shape = self.shape;
        let mut draw = self.messages.transcript.draw("point");
        #[allow(unused_mut)]
        let (mut tau, theta) = (draw.elements(shape.log_rows), draw.elements(shape.group_variables()));
        #[cfg(test)]
        super::lies::draw(&mut tau);
        let weights = Weights::new(shape, self.further, alpha, self.messages.transcript.draw("gamma").element());

        let blocks = block_weights(shape, &tau, &theta);
        let key = key_weights(self.ciphertext.masks, &blocks, &tau, self.threads);
        let ciphertext = ciphertext_at(self.ciphertext.blocks, &blocks, &tau, self.threads);
        let relation = Relation::new(shape, &eq_table(&theta));
        let claim = Claim {
            shape,
            weights: &weights,
            relation: &relation,
            tau: &tau,
            masks: &masks.row,
            sum: claimed_sum(shape, &weights, ciphertext, self.bound, v),
        };
        let originals: Vec<&Column> = witness.columns.iter().chain(inverses).collect();
        let rows = self.relation_rows(witness, &relation, weights.relation(shape));
        let runs = runs(shape, &weights, &Points { tau: &tau, zeta, key: &key });
        let threads = self.threads;
        sumcheck::prove(&claim, &originals, tables, rows, runs, threads, |round| {
            self.messages.send_elements("round", round);
            self.messages.transcript.draw("z").element()
        })
    }

    /// Rel on every row, times its weight.
    fn relation_rows(&self, witness: &Witness, relation: &Relation, weight: E) -> Column {
        let columns: Vec<&[u64]> = witness.columns[..relation.factors.len()].iter().map(|column| &*column.re).collect();
        let factors: Vec<E> = relation.factors.iter().map(|&factor| factor * weight).collect();
        let constant = relation.constant * weight;
        combine_onto(|_| constant, &columns, &factors, self.threads)
    }

    /// V'(z) of all committed columns: base columns, then the parts of the inverse columns.
    fn masked_values(&self, ending: &Ending, inverses: &[Column], masks: &[E]) -> Vec<E> {
        let z = &ending.point;
        let (base, combined) = ending.values.split_at(self.shape.base_columns());
        // Of a size that is never outgrown: nothing is left behind unmasked.
        let mut values = Zeroizing::new(Vec::with_capacity(self.shape.committed()));
        values.extend_from_slice(base);
        let (high, low) = split(z, self.shape.code);
        let (runs, low) = (eq_table(high).iter().collect::<Vec<_>>(), eq_table(low));
        for (column, &combined) in inverses.iter().zip(combined) {
            let re = dot(&combine(&self.rows_of(std::iter::once(column.re.as_slice())), &runs, self.threads), &low);
            values.extend([re, (combined - re) * E::X.invert()]);
        }
        hide(values.iter().flat_map(|value| value.parts()));
        let rho = &masks[self.shape.round_masks()..];
        values.iter().zip(rho).map(|(&value, &rho)| value + rho * bump(z)).collect()
    }

    fn open(&mut self, witness: &Witness, inverses: &[Column], trees: [&Tree; 2], masks: &Masks, z: &[E]) {
        let (shape, code, row_code, threads) = (self.shape, self.shape.code, self.shape.row_code, self.threads);
        let mut draw = self.messages.transcript.draw("kappa");
        let kappa = draw.elements(shape.column_variables());
        let opening = Opening::new(shape, &kappa, draw.element(), z);
        let (_, low) = split(z, code);
        let sigma = dot(&Column::of(masks.mu[..code.message()].iter().copied()), &eq_table(low))
            + inner_product(&opening.masks, &masks.nu[..shape.mask_row()]);
        self.messages.send_elements("sigma", &[sigma]);
        let epsilon = self.messages.transcript.draw("epsilon").element();

        let opened = OpenedRow { code, appended: code.queries, weights: &opening.rows, low, epsilon };
        let Combined { message, appended } = self.combine(&opened, witness, inverses, &masks.mu);
        let mask_row = self.opened_mask_row(masks, epsilon);
        #[cfg(test)]
        let (mask_row, appended) = super::lies::opened(shape.mask_row(), mask_row, appended);
        let opened = OpenedRows { rows: vec![opened], row_code };
        let third_tree = opened.commit(&message, threads);
        self.messages.send("opening", &[&bytes_of(&mask_row), &bytes_of(&appended), &third_tree.root()]);

        let positions = self.messages.transcript.draw("positions").positions(code.queries, code.log_length);
        let salts = [1, 2].map(|tree| self.blinding.salts(tree));
        let trees = trees.into_iter().zip(salts).map(|(tree, salts)| (tree, positions.as_slice(), salts));
        self.messages.open("opened", trees);
        let chi = self.messages.transcript.draw("chi").element();
        opened.prove(&mut self.messages, &message, [&code.points(&positions)], chi, threads);
        let positions = self.messages.transcript.draw("positions2").positions(row_code.queries, row_code.log_length);
        third_tree.open(&positions, None, &mut self.messages.proof);
    }

    /// u
    fn combine(&self, opened: &OpenedRow, witness: &Witness, inverses: &[Column], mu: &[E]) -> Combined {
        let first = self.rows_of(witness.columns.iter().map(|column| column.re.as_slice()));
        let second = self.rows_of(inverses.iter().flat_map(|column| [column.re.as_slice(), column.im.as_slice()]));
        let appended = |tree, rows: &[&[u64]]| -> Vec<_> {
            (0..rows.len()).map(|row| self.blinding.words(Use::Row { tree, row }, opened.appended)).collect()
        };
        let (of_first, of_second) = (appended(1, &first), appended(2, &second));
        let tails: Vec<&[u64]> = of_first.iter().chain(&of_second).map(|words| words.as_slice()).collect();
        opened.combine(mu, &[first, second].concat(), &tails, self.threads)
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
}

/// The sum of F over the cube: the public side of all claims.
pub fn claimed_sum(shape: &Shape, weights: &Weights, ciphertext: E, bound: u64, v: &[E]) -> E {
    let key = match shape.sharing {
        Some(_) => v.iter().zip(weights.shares(shape)).map(|(&v, &weight)| v * weight).sum(),
        None => weights.binding(shape) * v[0],
    };
    let norms = weights.further.norms.iter().enumerate();
    let further: E = norms.map(|(claim, norm)| weights.claim(shape, claim).scale(norm.bound)).sum();
    let tolerance = weights
        .further
        .direction
        .as_ref()
        .map_or(E::ZERO, |direction| weights.claim(shape, weights.further.norms.len()).scale(direction.tolerance));
    weights.relation(shape) * ciphertext + weights.norm(shape).scale(bound) + key + further - tolerance
}

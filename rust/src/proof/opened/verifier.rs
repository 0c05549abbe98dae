//! The verifier's side of an opened row: its values at the opened positions, the second sum-check, and the runs.

use super::{OpenedRow, OpenedRows, inner_product, round_at};
use crate::field;
use crate::proof::column::{Column, dot};
use crate::proof::combination::combine_words;
use crate::proof::ext::E;
use crate::proof::messages::Incoming;
use crate::proof::multilinear::eq_table;
use crate::proof::polynomial::evaluate;
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;
use crate::proof::tree::{self, Opened};

/// What the second sum-check leaves to be opened: u_2, the combination of the runs with eq(r_hi).
pub struct Run {
    high: Vec<E>,
    combined: Vec<E>,
}

impl OpenedRow<'_> {
    /// (u[0..C])(x) at all opened positions: of the trees whose words are those of the rows, in order (what the first has
    /// behind them is something else), and of the values of mu.
    pub fn values(&self, trees: &[&Opened], mu: &[E], appended: &[E], points: &[u64]) -> Vec<E> {
        let others: usize = trees[1..].iter().map(|tree| tree.width()).sum();
        let mut rest = self.weights;
        let mut weights = Vec::with_capacity(trees.len());
        for (number, tree) in trees.iter().enumerate() {
            let count = if number == 0 { rest.len() - others } else { tree.width() };
            let (own, behind) = rest.split_at(count);
            weights.push(Column::of(own.iter().copied()));
            rest = behind;
        }
        let tails = evaluate(appended, points);
        let values = points.iter().zip(&tails).enumerate().map(|(number, (&x, tail))| {
            let sums = trees.iter().zip(&weights);
            let sum = sums.map(|(tree, weights)| combine_words(&tree.at(number)[..weights.len()], weights)).sum::<E>();
            let shift = field::pow(x, self.code.message() as u64);
            mu[number] + self.epsilon * sum - tail.scale(shift)
        });
        values.collect()
    }
}

impl OpenedRows<'_> {
    /// The second sum-check for the claims <eq(z_lo), u[0..C]> and the values at some points, with weights from chi.
    pub fn check<const ROWS: usize>(
        &self,
        messages: &mut Incoming,
        claims: [(E, &[E]); ROWS],
        points: [&[u64]; ROWS],
        chi: E,
    ) -> Result<Run, Rejected> {
        let weights = self.value_weights(chi, &points.map(<[u64]>::len));
        let sums = claims.iter().zip(&weights);
        let sums = sums.map(|((claim, values), (factor, weights))| *factor * *claim + inner_product(weights, values));
        let mut claim: E = sums.sum();
        let mut r = Vec::with_capacity(self.rounds());
        for _ in 0..self.rounds() {
            let round = messages.receive("fold", 2)?;
            let challenge = messages.transcript.draw("r").element();
            claim = round_at(claim, [round[0], round[1]], challenge);
            r.push(challenge);
        }
        let combined = messages.receive("row", self.row_code.message())?;
        let (high, low) = r.split_at(self.run_variables());
        let value = dot(&eq_table(low), &Column::of(combined.iter().copied()));
        if value * self.omega_at(points, &weights, &r) != claim {
            return Err(Rejected::Row);
        }
        Ok(Run { high: high.to_vec(), combined })
    }

    /// The runs in the rows' tree at some positions against their combination.
    pub fn check_run(
        &self,
        messages: &mut Incoming,
        root: Digest,
        run: &Run,
        positions: &[usize],
    ) -> Result<(), Rejected> {
        let weights = Column::of(self.weights_of_parts(&run.high));
        let (log_length, width) = (self.row_code.log_length, weights.len());
        let opening = tree::Opening { tree: "3", root, log_length, width, salted: false, positions };
        let opened = opening.check(&mut messages.bytes)?;
        let values = evaluate(&run.combined, &self.row_code.points(positions));
        for (number, (&position, &value)) in positions.iter().zip(&values).enumerate() {
            if combine_words(opened.at(number), &weights) != value {
                return Err(Rejected::Run { position });
            }
        }
        Ok(())
    }
}

/// The opened words of the mask row and of nu, from word `at` on, against u_m with what is appended to it.
pub fn check_mask_row(
    opened: &Opened,
    at: usize,
    mask_row: &[E],
    epsilon: E,
    positions: &[usize],
    points: &[u64],
) -> Result<(), Rejected> {
    let parts = opened.elements(at).into_iter().zip(opened.elements(at + 2));
    for ((&position, value), (mask, nu)) in positions.iter().zip(evaluate(mask_row, points)).zip(parts) {
        if nu + epsilon * mask != value {
            return Err(Rejected::MaskRow { position });
        }
    }
    Ok(())
}

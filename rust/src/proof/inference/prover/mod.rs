//! The prover: the messages of docs/inference-proofs.md, in their order.

/// For the bench.
macro_rules! lap {
    ($name:literal) => {
        #[cfg(test)]
        crate::proof::inference::laps::lap($name)
    };
}

mod layers;
mod opening;
mod rounds;

use super::bytes::MAGIC;
use super::claims::{Linear, Maps};
use super::looked_up::LookedUp;
use super::mask_weights::MaskWeights;
use super::masks::{Masks, SECOND};
use super::public::{Batch, Public};
use super::shape::Shape;
use super::statement::Statement;
use super::sums::Sums;
use super::weights::Commitment;
use super::weights_claims::WeightsClaims;
use super::witness::Witness;
use crate::proof::blinding::Blinding;
use crate::proof::column::{Column, drop_all};
use crate::proof::committing::Committing;
use crate::proof::messages::Outgoing;
use crate::proof::published::hide;

/// A proof, and whether the witness fits the statement: where it does not, the proof will be rejected.
pub struct Attempt {
    pub proof: Vec<u8>,
    pub holds: bool,
}

/// Prove a statement about a batch. The statement is of the commitment's root and of what is public.
pub fn prove(
    statement: &Statement,
    commitment: &Commitment,
    public: &Public,
    witness: &Witness,
    seed: &[u8; 32],
    threads: usize,
) -> Attempt {
    let transcript = statement.transcript();
    let blinding = Blinding::new(seed, &transcript.state());
    let messages = Outgoing::new(MAGIC, transcript);
    let shape = statement.shape;
    let mu = [shape.row_coefficients(), shape.weights.row_coefficients()];
    let masks = Masks::new(&blinding, shape.masks.length + shape.code.queries, mu);
    Prover { shape, commitment, public, witness, blinding, masks, threads, messages }.run()
}

struct Prover<'a> {
    shape: &'a Shape,
    commitment: &'a Commitment,
    public: &'a Public<'a>,
    witness: &'a Witness,
    blinding: Blinding,
    masks: Masks,
    threads: usize,
    messages: Outgoing,
}

impl<'a> Prover<'a> {
    fn run(mut self) -> Attempt {
        let (shape, threads) = (self.shape, self.threads);
        let committing = Committing::new(&self.blinding, shape.code, threads);
        let first_tree = self.masks.first_tree(&committing, &self.base_rows());
        lap!("tree 1");
        let mu_tree = self.masks.mu_tree(&self.blinding, shape.weights.code, threads);
        lap!("tree M");
        self.messages.send("roots", &[&first_tree.root(), &mu_tree.root()]);
        let mut draw = self.messages.transcript.draw("lookup");
        let (alpha, beta) = (draw.element(), draw.element());

        let looked_up = LookedUp::new(shape, &self.witness.columns, alpha, beta, threads);
        lap!("lookups");
        #[allow(unused_mut)]
        let mut inverses = looked_up.inverse_columns(shape, threads);
        #[cfg(test)]
        crate::proof::inference::lies::balance(&mut inverses);
        hide(inverses.iter().flat_map(|column| column.re.iter().chain(&column.im).copied()));
        lap!("inverses");
        let second_tree = committing.tree(SECOND, &self.inverse_rows(&inverses), usize::MAX);
        drop(committing);
        self.messages.send("root2", &[&second_tree.root()]);
        lap!("tree 2");

        let r_b = self.messages.transcript.draw("batch").elements(shape.log_batch);
        let batch = Batch::new(shape, self.public, &r_b, threads);
        lap!("public sums");
        let sums = Sums::new(shape, &self.witness.columns, &batch, threads);
        lap!("sums");
        let layers = self.layers(&batch, &sums);
        lap!("layers");

        let maps = Maps::draw(shape, &mut self.messages.transcript);
        let tau = self.messages.transcript.draw("point").elements(shape.log_rows);
        let mut draw = self.messages.transcript.draw("gamma");
        let (gamma, gamma_w) = (draw.element(), draw.element());
        let linear = Linear::new(shape, &batch, &layers.points, &layers.sent, &maps, gamma);
        lap!("linear");
        let over_rows = self.rounds(&batch, &layers, &linear, looked_up, &inverses, sums, &tau, gamma);
        lap!("rounds");
        let claims = WeightsClaims::new(shape, batch.sum, &layers.points, &layers.sent, gamma_w);
        lap!("weights claims");
        let over_weights = self.weights_rounds(&layers, &claims);
        lap!("weights rounds");

        let [z, w] = [&over_rows.point[..], &over_weights.point];
        let transcript = &mut self.messages.transcript;
        let weights = MaskWeights::draw(shape, transcript, &layers.points, &linear, &claims, [z, w]);
        self.open(&weights, [z, w], &inverses, [&first_tree, &second_tree, &mu_tree]);
        lap!("opening");
        drop_all(inverses, threads);
        [first_tree, second_tree, mu_tree].into_iter().for_each(|tree| tree.drop_on(threads));
        lap!("wiping");
        Attempt { proof: self.messages.proof, holds: layers.holds & over_rows.holds & over_weights.holds }
    }

    /// The runs of the base columns.
    fn base_rows(&self) -> Vec<&'a [u64]> {
        self.rows_of(self.witness.columns.iter().map(|column| column.re.as_slice()))
    }

    /// The runs of the parts of the inverse columns.
    fn inverse_rows<'b>(&self, inverses: &'b [Column]) -> Vec<&'b [u64]> {
        self.rows_of(inverses.iter().flat_map(|column| [column.re.as_slice(), column.im.as_slice()]))
    }

    fn rows_of<'b>(&self, columns: impl Iterator<Item = &'b [u64]>) -> Vec<&'b [u64]> {
        columns.flat_map(|column| column.chunks_exact(self.shape.code.message())).collect()
    }
}

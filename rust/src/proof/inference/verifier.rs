//! The verifier of proofs of answers: reads a proof in order, and gives a verdict or the first reason against it.

use super::bytes::format;
use super::claims::{LayerPoint, LayerSent, Linear, Maps, inputs_at, outputs_at};
use super::lookups::{Lookups, constraint};
use super::mask_weights::MaskWeights;
use super::opened::{self, Claim, Trees};
use super::public::{Batch, Public};
use super::shape::Shape;
use super::statement::Statement;
use super::weights_claims::WeightsClaims;
use crate::proof::codes::Code;
use crate::proof::ext::{E, powers};
use crate::proof::messages::Incoming;
use crate::proof::multilinear::{eq, eq_pair_from};
use crate::proof::opened::{inner_product, split, weights_of_rows};
use crate::proof::polynomial::interpolate;
use crate::proof::proof_bytes::Bytes;
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;

/// Check a proof; the digest of the statement it is for. `statement` has the digests of what is `public`.
pub fn verify(statement: &Statement, public: &Public, proof: &[u8], threads: usize) -> Result<Digest, Rejected> {
    let (shape, transcript) = (statement.shape, statement.transcript());
    let digest = transcript.state();
    let bytes = Bytes::new(proof, &format(shape), &digest)?;
    let messages = Incoming { transcript, bytes };
    Verifier { shape, public, root: statement.root, threads, messages }.run()?;
    Ok(digest)
}

struct Verifier<'a> {
    shape: &'a Shape,
    public: &'a Public<'a>,
    /// Of the weights.
    root: Digest,
    threads: usize,
    messages: Incoming<'a>,
}

/// What the layers leave to be checked.
#[derive(Default)]
struct Layers {
    points: Vec<LayerPoint>,
    sent: Vec<LayerSent>,
    /// G_i: what their masks must be.
    masks: Vec<E>,
}

/// What a sum-check over rows leaves to be opened.
struct Values {
    point: Vec<E>,
    /// The claimed values of all columns.
    columns: Vec<E>,
    /// What its mask must be.
    mask: E,
}

impl Verifier<'_> {
    fn run(mut self) -> Result<(), Rejected> {
        let shape = self.shape;
        let [first, masks] = self.messages.read("roots", |bytes| Ok([bytes.digest()?, bytes.digest()?]))?;
        let mut draw = self.messages.transcript.draw("lookup");
        let lookups = Lookups { alpha: draw.element(), beta: draw.element() };
        let second = self.messages.read("root2", |bytes| bytes.digest())?;
        let r_b = self.messages.transcript.draw("batch").elements(shape.log_batch);
        let batch = Batch::new(shape, self.public, &r_b, self.threads);
        let layers = self.layers(&batch)?;

        let maps = Maps::draw(shape, &mut self.messages.transcript);
        let tau = self.messages.transcript.draw("point").elements(shape.log_rows);
        let mut draw = self.messages.transcript.draw("gamma");
        let (gamma, gamma_w) = (draw.element(), draw.element());
        let linear = Linear::new(shape, &batch, &layers.points, &layers.sent, &maps, gamma);
        let rows = self.rounds_over_rows(&lookups, &linear, &batch, &r_b, &tau, gamma)?;
        let claims = WeightsClaims::new(shape, batch.sum, &layers.points, &layers.sent, gamma_w);
        let weights = self.rounds_over_weights(&claims)?;
        let points = [&rows.point[..], &weights.point[..]];
        let kappa = MaskWeights::draw(shape, &mut self.messages.transcript, &layers.points, &linear, &claims, points);
        let claimed = [
            inner_product(&kappa.columns, &rows.columns)
                + kappa.sum_mask * rows.mask
                + inner_product(&kappa.layers, &layers.masks),
            inner_product(&kappa.weights_columns, &weights.columns) + kappa.weights_sum_mask * weights.mask,
        ];
        self.open(&kappa, points, claimed, [first, second, masks, self.root])?;
        self.messages.bytes.finish()
    }

    /// The rounds of a sum-check of this claim: its point, and the claim at it.
    fn rounds(
        &mut self,
        labels: [&str; 2],
        mut claim: E,
        variables: usize,
        degree: impl Fn(usize) -> usize,
    ) -> Result<(Vec<E>, E), Rejected> {
        let mut point = Vec::with_capacity(variables);
        for round in 0..variables {
            let mut values = self.messages.receive(labels[0], degree(round))?;
            values.insert(1, claim - values[0]);
            let challenge = self.messages.transcript.draw(labels[1]).element();
            claim = interpolate(&values, challenge);
            point.push(challenge);
        }
        Ok((point, claim))
    }

    fn layers(&mut self, batch: &Batch) -> Result<Layers, Rejected> {
        let mut layers = Layers::default();
        for layer in &self.shape.layers {
            let outputs = self.messages.transcript.draw("layer").elements(layer.output_variables());
            let (a, b) = match layer.is_hidden() {
                true => {
                    let sent = self.messages.receive("claim", 2)?;
                    (sent[0], sent[1])
                }
                false => (outputs_at(batch, layer, &outputs), self.messages.receive("claim", 1)?[0]),
            };
            let degree = |round| layer.degree(round);
            let (inputs, claim) = self.rounds(["layer round", "s"], a - b, layer.log_inputs, degree)?;
            let (x, m) = match layer.public {
                false => {
                    let sent = self.messages.receive("ends", 2)?;
                    (sent[0], sent[1])
                }
                true => (inputs_at(batch, layer, &inputs), self.messages.receive("ends", 1)?[0]),
            };
            layers.points.push(LayerPoint { outputs, inputs });
            layers.sent.push(LayerSent { a, b, x, m });
            layers.masks.push(claim - x * m);
        }
        Ok(layers)
    }

    fn rounds_over_rows(
        &mut self,
        lookups: &Lookups,
        linear: &Linear,
        batch: &Batch,
        r_b: &[E],
        tau: &[E],
        gamma: E,
    ) -> Result<Values, Rejected> {
        let shape = self.shape;
        let degree = |round| shape.degree(round);
        let (point, claim) = self.rounds(["round", "z"], linear.sum, shape.log_rows, degree)?;
        let columns = self.messages.receive("values", shape.committed())?;

        let (features, samples) = point.split_at(shape.log_rows - shape.log_batch);
        let omega = eq_pair_from(r_b, samples, 0) - eq_pair_from(r_b, samples, shape.batch);
        let (base, parts) = columns.split_at(shape.base_columns());
        let inverses: Vec<E> = parts.chunks_exact(2).map(|parts| parts[0] + parts[1].times_x()).collect();
        let powers = powers(gamma, shape.inverse_columns() + 1);
        let rows = constraint(shape, lookups, &lookups.at(shape, &point), base, &inverses, &powers);
        let fractions = powers[shape.inverse_columns()] * inverses.iter().copied().sum();
        let claims = inner_product(&linear.at(shape, features), &base[..shape.table_columns.start]);
        let place = linear.place.as_ref().map_or(E::ZERO, |place| place.weighed(&place.at(shape, batch, &point), base));
        let mask = claim - (eq(tau, &point) * rows + fractions + omega * claims + place);
        Ok(Values { point, columns, mask })
    }

    fn rounds_over_weights(&mut self, claims: &WeightsClaims) -> Result<Values, Rejected> {
        let weights = &self.shape.weights;
        let degree = |round| weights.degree(round);
        let (point, claim) = self.rounds(["weights round", "w"], claims.sum, weights.log_rows, degree)?;
        let columns = self.messages.receive("weights values", weights.columns)?;
        let mask = claim - inner_product(&claims.at(self.shape, &point), &columns);
        Ok(Values { point, columns, mask })
    }

    fn open(
        &mut self,
        kappa: &MaskWeights,
        [z, w]: [&[E]; 2],
        claimed: [E; 2],
        roots: [Digest; 4],
    ) -> Result<(), Rejected> {
        let (shape, weights) = (self.shape, &self.shape.weights);
        let of_columns = claim(shape.code, shape.code.queries, &kappa.columns, z, &kappa.row);
        let of_weights = claim(weights.code, weights.appended(), &kappa.weights_columns, w, &kappa.weights_row);
        let ([first, second], [masks, columns]) = (shape.leaf_words(), shape.weights_leaf_words());
        let trees = Trees { roots, widths: [first, second, masks, columns] };
        opened::verify(&mut self.messages, [&of_columns, &of_weights], shape.row_code, claimed, &trees)
    }
}

fn claim<'a>(code: Code, appended: usize, kappa: &[E], point: &'a [E], masks: &[E]) -> Claim<'a> {
    let (high, low) = split(point, code);
    Claim { code, appended, rows: weights_of_rows(kappa, high), low, masks: masks.to_vec() }
}

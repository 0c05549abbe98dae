//! The verifier of the range of committed weights.

use super::{Claims, RangeShape};
use crate::proof::ext::{E, powers};
use crate::proof::inference::lookups::{Lookups, constraint};
use crate::proof::inference::opened::{self, Trees};
use crate::proof::inference::program::Program;
use crate::proof::inference::weights_shape::WeightsShape;
use crate::proof::messages::Incoming;
use crate::proof::multilinear::eq;
use crate::proof::opened::inner_product;
use crate::proof::polynomial::interpolate;
use crate::proof::proof_bytes::Bytes;
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;

/// Check a proof about the commitment with this root; the digest of the statement it is for.
pub fn verify(program: &Program, weights: &WeightsShape, root: &Digest, proof: &[u8]) -> Result<Digest, Rejected> {
    let shape = &RangeShape::new(program, weights);
    let looked_up = &shape.looked_up;
    let transcript = shape.transcript(root);
    let digest = transcript.state();
    let bytes = Bytes::new(proof, &shape.format(), &digest)?;
    let mut messages = Incoming { transcript, bytes };

    let [first, mu] = messages.read("roots", |bytes| Ok([bytes.digest()?, bytes.digest()?]))?;
    let alpha = messages.transcript.draw("lookup").element();
    let second = messages.read("root2", |bytes| bytes.digest())?;
    let tau = messages.transcript.draw("point").elements(looked_up.log_rows);
    let gamma = messages.transcript.draw("gamma").element();
    let (mut claim, mut z) = (E::ZERO, Vec::with_capacity(looked_up.log_rows));
    for round in 0..looked_up.log_rows {
        let mut values = messages.receive("round", looked_up.degree(round))?;
        values.insert(1, claim - values[0]);
        let challenge = messages.transcript.draw("z").element();
        claim = interpolate(&values, challenge);
        z.push(challenge);
    }
    let values = messages.receive("values", shape.fresh() + shape.weights_columns())?;
    let claims = Claims::draw(shape, &mut messages.transcript, &z);

    let (fresh, of_weights) = values.split_at(shape.fresh());
    let (uses, parts) = fresh.split_at(shape.uses_columns());
    let inverses: Vec<E> = parts.chunks_exact(2).map(|parts| parts[0] + parts[1].times_x()).collect();
    let lookups = Lookups { alpha, beta: E::ZERO };
    let public = lookups.at(looked_up, &z);
    let powers = powers(gamma, inverses.len() + 1);
    let rows = constraint(looked_up, &lookups, &public, &[of_weights, uses].concat(), &inverses, &powers);
    let total = inverses.iter().copied().sum::<E>();
    let mask = claim - eq(&tau, &z) * rows - powers[inverses.len()] * total;

    let claimed =
        [inner_product(&claims.fresh, fresh) + claims.sum_mask * mask, inner_product(&claims.weights, of_weights)];
    let trees = Trees { roots: [first, second, mu, *root], widths: shape.leaf_words() };
    opened::verify(&mut messages, claims.opened.each_ref(), looked_up.row_code, claimed, &trees)?;
    messages.bytes.finish()?;
    Ok(digest)
}

//! The verifier of a link between two commitments.

use super::{MASK_WORDS, Point, format, transcript};
use crate::proof::inference::program::Program;
use crate::proof::inference::weights_shape::WeightsShape;
use crate::proof::messages::Incoming;
use crate::proof::proof_bytes::Bytes;
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;
use crate::proof::tree;

/// Check that the commitments with these roots, the old one first, hold the same; the digest of the statement.
pub fn verify(program: &Program, shape: &WeightsShape, roots: &[Digest; 2], proof: &[u8]) -> Result<Digest, Rejected> {
    let transcript = transcript(program, shape, roots);
    let digest = transcript.state();
    let bytes = Bytes::new(proof, &format(shape), &digest)?;
    let mut messages = Incoming { transcript, bytes };
    let (code, row_code) = (shape.code, shape.row_code);

    let mu_root = messages.read("roots", |bytes| bytes.digest())?;
    let point = Point::draw(shape, &mut messages.transcript);
    let sigma = messages.receive("sigma", 1)?[0];
    let epsilon = messages.transcript.draw("epsilon").element();
    let (value, ends, row_roots) = messages.read("opening", |bytes| {
        let value = bytes.element()?;
        let ends = [bytes.elements(shape.appended())?, bytes.elements(shape.appended())?];
        Ok((value, ends, [bytes.digest()?, bytes.digest()?]))
    })?;
    let places = messages.transcript.draw("places").positions(code.queries, code.log_length);
    let (log_length, words) = (code.log_length, shape.columns * shape.runs());
    let tree = |tree, root, width| tree::Opening { tree, root, log_length, width, salted: true, positions: &places };
    let openings = [tree("M", mu_root, MASK_WORDS), tree("A", roots[0], words), tree("B", roots[1], words)];
    let [mu, old, new] = messages.opened("opened", openings)?;
    let chi = messages.transcript.draw("chi").elements(2);

    let row = point.opened(shape, epsilon);
    let points = code.points(&places);
    let mut runs = Vec::with_capacity(2);
    for (number, (opened, claim)) in [(&old, value), (&new, value - sigma)].into_iter().enumerate() {
        let at_places = row.values(&[opened], &mu.elements(2 * number), &ends[number], &points);
        runs.push(row.check(&mut messages, claim, &at_places, &points, chi[number])?);
    }
    let drawn = ["positions2", "places2"]
        .map(|label| messages.transcript.draw(label).positions(row_code.queries, row_code.log_length));
    for (number, run) in runs.iter().enumerate() {
        row.check_run(&mut messages, ["3", "4"][number], row_roots[number], run, &drawn[number])?;
    }
    messages.bytes.finish()?;
    Ok(digest)
}

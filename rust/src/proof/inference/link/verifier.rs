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
    let (value, ends, row_root) = messages.read("opening", |bytes| {
        let value = bytes.element()?;
        let ends = [bytes.elements(shape.appended())?, bytes.elements(shape.appended())?];
        Ok((value, ends, bytes.digest()?))
    })?;
    let places = messages.transcript.draw("places").positions(code.queries, code.log_length);
    let (log_length, words) = (code.log_length, shape.columns * shape.runs());
    let tree = |tree, root, width| tree::Opening { tree, root, log_length, width, salted: true, positions: &places };
    let openings = [tree("M", mu_root, MASK_WORDS), tree("A", roots[0], words), tree("B", roots[1], words)];
    let [mu, old, new] = messages.opened("opened", openings)?;
    let chi = messages.transcript.draw("chi").element();

    let rows = point.both(shape, epsilon);
    let points = code.points(&places);
    let at_places =
        |number: usize, opened| rows.rows[number].values(&[opened], &mu.elements(2 * number), &ends[number], &points);
    let (of_old, of_new) = (at_places(0, &old), at_places(1, &new));
    let run = rows.check(&mut messages, [(value, &of_old), (value - sigma, &of_new)], [&points, &points], chi)?;
    let positions = messages.transcript.draw("positions2").positions(row_code.queries, row_code.log_length);
    rows.check_run(&mut messages, row_root, &run, &positions)?;
    messages.bytes.finish()?;
    Ok(digest)
}

//! The prover of a link between two commitments.

use zeroize::Zeroizing;

use super::{MAGIC, Point, transcript, unlike};
use crate::proof::blinding::{Blinding, Use};
use crate::proof::column::{Column, dot};
use crate::proof::committing::Committing;
use crate::proof::ext::{E, bytes_of};
use crate::proof::inference::weights::Commitment;
use crate::proof::messages::Outgoing;
use crate::proof::multilinear::eq_table;
use crate::proof::published::hide;

/// The number of tree M in the blinding stream.
const MU: u64 = 1;

/// Prove that a commitment holds the weights of an older one, by one opening of each. The reason where it does not.
pub fn prove(old: &Commitment, new: &Commitment, seed: &[u8; 32], threads: usize) -> Result<Vec<u8>, String> {
    let shape = &old.shape;
    if old.program.bytes != new.program.bytes {
        return Err("the two commitments are of different programs".into());
    }
    if shape.openings != new.shape.openings {
        return Err(unlike(shape.openings, new.shape.openings));
    }
    #[cfg(not(test))]
    if !old.holds_the_same(new) {
        return Err("the two commitments hold different weights".into());
    }
    let transcript = transcript(&old.program, shape, &[old.root(), new.root()]);
    let blinding = Blinding::new(seed, &transcript.state());
    let mut messages = Outgoing::new(MAGIC, transcript);
    let mu = [Use::Mu, Use::MuW].map(|part| blinding.elements(part, shape.row_coefficients()));
    hide(mu.iter().flat_map(|mu| mu.iter().flat_map(|mu| mu.parts())));
    let parts = mu.each_ref().map(|mu| Column::of(mu.iter().copied()));
    let rows = parts.each_ref().map(|part| part.parts());
    let mu_tree = Committing::new(&blinding, shape.code, threads).tree(MU, rows.as_flattened(), 0);
    messages.send("roots", &[&mu_tree.root()]);

    let point = Point::draw(shape, &mut messages.transcript);
    let low = eq_table(point.low(shape));
    let at_low = |vector: &[E]| dot(&Column::of(vector[..low.len()].iter().copied()), &low);
    let differences: Zeroizing<Vec<E>> =
        Zeroizing::new(mu[0].iter().zip(mu[1].iter()).map(|(&one, &other)| one - other).collect());
    messages.send_elements("sigma", &[at_low(&differences)]);
    let epsilon = messages.transcript.draw("epsilon").element();
    let row = point.opened(shape, epsilon);
    let both = [old, new];
    let u = [0, 1].map(|number| both[number].combine(&row, &mu[number], threads));
    let value = dot(&u[0].message, &low);
    let elements = [bytes_of(&[value]), bytes_of(&u[0].appended), bytes_of(&u[1].appended)];
    let [value, old_end, new_end] = elements.each_ref().map(Vec::as_slice);
    let rows = point.both(shape, epsilon);
    let vector = rows.lay_out(u.map(|u| u.message));
    let tree = rows.commit(&vector, threads);
    messages.send("opening", &[value, old_end, new_end, &tree.root()]);

    let code = shape.code;
    let places = messages.transcript.draw("places").positions(code.queries, code.log_length);
    let opened = [
        (&mu_tree, places.as_slice(), blinding.salts(MU)),
        (old.tree(), places.as_slice(), old.salts()),
        (new.tree(), places.as_slice(), new.salts()),
    ];
    messages.open("opened", opened);
    let chi = messages.transcript.draw("chi").element();
    let points = code.points(&places);
    rows.prove(&mut messages, &vector, [&points, &points], chi, threads);
    let row_code = shape.row_code;
    let positions = messages.transcript.draw("positions2").positions(row_code.queries, row_code.log_length);
    tree.open(&positions, None, &mut messages.proof);
    mu_tree.drop_on(threads);
    Ok(messages.proof)
}

//! What is shown is blinded: with other randomness everything shown is different, and nothing else is.

use std::collections::HashSet;

use super::{Instance, wide};
use crate::proof::blinding::{Blinding, Use};
use crate::proof::column::{Column, dot};
use crate::proof::constraint::table_columns;
use crate::proof::ext::E;
use crate::proof::inverses::inverse_columns;
use crate::proof::multilinear::eq_table;
use crate::proof::opened::bump;
use crate::proof::opening::Opening;
use crate::proof::proof_bytes::{Bytes, Format, HEAD_BYTES, SALT_BYTES};
use crate::proof::statement::First;
use crate::proof::transcript::Transcript;
use crate::proof::weights::Weights;

#[test]
fn every_element_that_is_shown_depends_on_the_seed() {
    let instance = Instance::new(wide(), 5);
    let (one, two) = (instance.prove(1).proof, instance.prove_with(&[8; 32]).proof);
    let shape = &instance.shape;
    let elements = |proof: &[u8]| {
        let start = HEAD_BYTES + 32;
        let count = shape.round_masks() + shape.committed() + 1 + shape.mask_row() + 2 * shape.code.queries;
        proof[start..start + 16 * count].chunks_exact(8).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let same = elements(&one).iter().zip(elements(&two)).filter(|(one, two)| **one == *two).count();
    assert_eq!(same, 0);
    // v is blinded by the pad, which belongs to the key and not to the proof.
    assert_ne!(one[44..76], two[44..76]);
}

#[test]
fn one_seed_blinds_two_statements_differently() {
    let instance = Instance::new(wide(), 5);
    let mut other = Instance::new(wide(), 5);
    other.bound -= 1;
    // The witness is the same: only the blinding makes root 1 another.
    assert_ne!(instance.prove(1).proof[44..76], other.prove(1).proof[44..76]);
}

/// What a proof shows, with the challenges it was shown for.
struct Shown {
    gamma: E,
    alpha: E,
    z: Vec<E>,
    values: Vec<E>,
    opening: Opening,
    epsilon: E,
    mask_row: Vec<E>,
    appended: Vec<E>,
    salts: Vec<Vec<u8>>,
}

fn shown(instance: &Instance, proof: &[u8]) -> Shown {
    let (shape, mut transcript) = (&instance.shape, instance.statement().transcript());
    let mut bytes = Bytes::new(proof, &Format::bounded_update(shape), &transcript.state()).unwrap();
    let First { alpha, .. } = First::draw(&mut transcript, &bytes.digest().unwrap());
    let start = bytes.at();
    bytes.element().unwrap();
    bytes.digest().unwrap();
    transcript.absorb("root2", bytes.since(start));
    transcript.draw("point");
    let gamma = transcript.draw("gamma").element();
    let mut receive = |transcript: &mut Transcript, label: &str, count: usize| {
        let start = bytes.at();
        let elements = bytes.elements(count).unwrap();
        transcript.absorb(label, bytes.since(start));
        elements
    };
    let mut z = Vec::new();
    for round in 0..shape.log_rows {
        receive(&mut transcript, "round", shape.degree(round));
        z.push(transcript.draw("z").element());
    }
    let values = receive(&mut transcript, "values", shape.committed());
    let mut draw = transcript.draw("kappa");
    let kappa = draw.elements(shape.column_variables());
    let opening = Opening::new(shape, &kappa, draw.element(), &z);
    receive(&mut transcript, "sigma", 1);
    let epsilon = transcript.draw("epsilon").element();
    let start = bytes.at();
    let mask_row = bytes.elements(shape.mask_row() + shape.code.queries).unwrap();
    let appended = bytes.elements(shape.code.queries).unwrap();
    bytes.digest().unwrap();
    transcript.absorb("opening", bytes.since(start));
    let positions = transcript.draw("positions").positions(shape.code.queries, shape.code.log_length);
    let salt = |_| {
        let salt = bytes.take(SALT_BYTES).unwrap().to_vec();
        bytes.take(8 * shape.leaf_words()[0]).unwrap();
        salt
    };
    let salts = positions.iter().map(salt).collect();
    Shown { gamma, alpha, z, values, opening, epsilon, mask_row, appended, salts }
}

#[test]
fn every_mask_is_in_what_it_blinds() {
    let instance = Instance::new(wide(), 5);
    let (shape, proof) = (&instance.shape, instance.prove(1).proof);
    let shown = shown(&instance, &proof);
    let blinding = Blinding::new(&[9; 32], &instance.statement().transcript().state());
    let queries = shape.code.queries;

    // y_V - V(z) = rho_V x (1 - x)
    let tables: Vec<_> = (0..shape.tables).map(|a| table_columns(shape, a)).collect();
    let weights = Weights::new(shape, &instance.further, shown.alpha, shown.gamma);
    let inverses = inverse_columns(shape, &weights, &instance.witness.columns, &tables, 1);
    let parts = inverses.iter().flat_map(|column| [&column.re, &column.im]);
    let columns: Vec<&Vec<u64>> = instance.witness.columns.iter().map(|column| &column.re).chain(parts).collect();
    let row = blinding.elements(Use::MaskRow, shape.mask_row());
    let point = eq_table(&shown.z);
    for (index, (column, &value)) in columns.iter().zip(&shown.values).enumerate() {
        let unmasked = dot(&Column { re: column.to_vec(), im: vec![0; column.len()] }, &point);
        assert_eq!(value - unmasked, row[shape.round_masks() + index] * bump(&shown.z));
        assert_ne!(value, unmasked, "column {index}");
    }

    // u_m - epsilon (mask row) = nu, so that the mask row is what was committed to, too.
    let nu = blinding.elements(Use::Nu, shape.mask_row() + queries);
    let first_mask = shape.base_columns() * shape.runs();
    let tail = |row| blinding.words(Use::Row { tree: 1, row }, queries);
    let (re, im) = (tail(first_mask), tail(first_mask + 1));
    let tails = re.iter().zip(&*im).map(|(&re, &im)| E::new(re, im));
    for (index, mask) in row.iter().copied().chain(tails).enumerate() {
        assert_eq!(shown.mask_row[index] - shown.epsilon * mask, nu[index]);
        assert!(nu[index] != E::ZERO && mask != E::ZERO);
    }

    // The end of u, less what the rows' appended elements give, is the end of mu.
    let mu = blinding.elements(Use::Mu, shape.row_coefficients());
    let second = 2 * shape.inverse_columns() * shape.runs();
    let rows: Vec<_> = (0..first_mask)
        .map(tail)
        .chain((0..second).map(|row| blinding.words(Use::Row { tree: 2, row }, queries)))
        .collect();
    for index in 0..queries {
        let sum: E = rows.iter().zip(&shown.opening.rows).map(|(row, &weight)| weight.scale(row[index])).sum();
        assert_eq!(shown.appended[index] - shown.epsilon * sum, mu[shape.code.message() + index]);
        assert!(rows.iter().all(|row| row[index] != 0));
    }
    let distinct: HashSet<&Vec<u8>> = shown.salts.iter().collect();
    assert_eq!(distinct.len(), shown.salts.len());
    assert!(!distinct.contains(&vec![0; SALT_BYTES]));
}

//! Links: honest ones are accepted, and no two models are linked.

use super::{bits, format, prove, verify};
use crate::allocations::left_behind;
use crate::proof::inference::weights::Commitment;
use crate::proof::inference::weights::tests::{WEIGHTS, bytes, program};
use crate::proof::rejected::Rejected;

fn committed(openings: usize, weights: &[i32], seed: u8) -> Commitment {
    Commitment::new(&program(127), openings, &bytes(weights), &[seed; 32], 1).unwrap()
}

fn verdict(old: &Commitment, new: &Commitment, proof: &[u8]) -> Result<(), Rejected> {
    verify(&old.program, &old.shape, &[old.root(), new.root()], proof).map(|_| ())
}

#[test]
fn honest_links_are_accepted_and_the_same_on_any_number_of_threads() {
    for openings in [1, 3] {
        let (old, new) = (committed(openings, &WEIGHTS, 1), committed(openings, &WEIGHTS, 2));
        assert!(old.holds_the_same(&new));
        let proof = prove(&old, &new, &[9; 32], 1).unwrap();
        assert_eq!(proof, prove(&old, &new, &[9; 32], 2).unwrap());
        verdict(&old, &new, &proof).unwrap();
        assert!(bits(&old.shape) > 99.0);
    }
}

#[test]
fn a_changed_weight_or_bias_is_rejected() {
    let old = committed(1, &WEIGHTS, 1);
    for index in 0..WEIGHTS.len() {
        let mut weights = WEIGHTS;
        weights[index] -= weights[index].signum();
        let new = committed(1, &weights, 2);
        assert!(!old.holds_the_same(&new));
        let proof = prove(&old, &new, &[9; 32], 1).unwrap();
        assert_eq!(verdict(&old, &new, &proof), Err(Rejected::Row), "entry {index}");
    }
}

#[test]
fn two_weights_that_are_swapped_are_rejected() {
    let old = committed(1, &WEIGHTS, 1);
    let mut weights = WEIGHTS;
    weights.swap(0, 1);
    let new = committed(1, &weights, 2);
    let proof = prove(&old, &new, &[9; 32], 1).unwrap();
    assert_eq!(verdict(&old, &new, &proof), Err(Rejected::Row));
}

#[test]
fn a_link_is_of_two_roots_in_their_order() {
    let (old, new, third) = (committed(1, &WEIGHTS, 1), committed(1, &WEIGHTS, 2), committed(1, &WEIGHTS, 3));
    let proof = prove(&old, &new, &[9; 32], 1).unwrap();
    for (one, other) in [(&new, &old), (&old, &third), (&third, &new)] {
        assert_eq!(verdict(one, other, &proof), Err(Rejected::Statement));
    }
}

#[test]
fn other_programs_and_openings_are_refused() {
    let old = committed(1, &WEIGHTS, 1);
    let refused = |new: &Commitment| prove(&old, new, &[9; 32], 1).unwrap_err();
    assert!(refused(&committed(2, &WEIGHTS, 1)).contains("1 openings does not link to one to 2"));
    let other = Commitment::new(&program(128), 1, &bytes(&WEIGHTS), &[1; 32], 1).unwrap();
    assert!(refused(&other).contains("different programs"));
}

#[test]
fn every_changed_word_is_rejected() {
    let (old, new) = (committed(1, &WEIGHTS, 1), committed(1, &WEIGHTS, 2));
    let proof = prove(&old, &new, &[9; 32], 1).unwrap();
    for at in (0..proof.len()).step_by(proof.len() / 60).chain([8, 11, 12, proof.len() - 1]) {
        let mut changed = proof.clone();
        changed[at] ^= 1;
        assert!(verdict(&old, &new, &changed).is_err(), "byte {at}");
    }
    assert!(verdict(&old, &new, &proof[..proof.len() - 1]).is_err());
    let longer = [&proof[..], &[0]].concat();
    assert_eq!(verdict(&old, &new, &longer), Err(Rejected::Trailing { bytes: 1 }));
    let most = format(&old.shape).most;
    assert_eq!(verdict(&old, &new, &vec![0; most + 1]), Err(Rejected::Long { bytes: most + 1, most }));
}

#[test]
fn nothing_hidden_is_left_in_freed_memory() {
    let (old, new) = (committed(1, &WEIGHTS, 1), committed(1, &WEIGHTS, 2));
    // A seed of its own: what it expands to is of this test alone.
    let (hidden, found) = left_behind(|| assert!(prove(&old, &new, &[102; 32], 1).is_ok()));
    assert!(hidden >= 4 * old.shape.row_coefficients(), "{hidden}");
    assert_eq!(found, 0);
}

//! Ranges of weights: honest proofs are accepted, what is false is not.

use super::{RangeShape, bits, prove, verify};
use crate::allocations::left_behind;
use crate::proof::inference::lies::{self, Lie};
use crate::proof::inference::program::Program;
use crate::proof::inference::weights::Commitment;
use crate::proof::inference::weights::tests::{bytes, program};
use crate::proof::lies::Opened;
use crate::proof::rejected::Rejected;

/// Weights within 127, and the last one of the first layer a given one.
fn committed(program: &Program, openings: usize, weight: i32) -> Commitment {
    let weights = [1, -127, 127, 4, 5, weight, 1 << 20, -9, 10, 11, 12, 13, -14, 15];
    Commitment::new(program, openings, &bytes(&weights), &[1; 32], 1).unwrap()
}

fn verdict(program: &Program, commitment: &Commitment, proof: &[u8]) -> Result<(), Rejected> {
    verify(program, &commitment.shape, &commitment.root(), proof).map(|_| ())
}

#[test]
fn honest_proofs_are_accepted_and_the_same_on_any_number_of_threads() {
    for openings in [1, 3] {
        let program = program(127);
        let commitment = committed(&program, openings, -6);
        let proof = prove(&commitment, &[9; 32], 1).unwrap();
        assert_eq!(proof, prove(&commitment, &[9; 32], 2).unwrap());
        assert_ne!(proof, prove(&commitment, &[8; 32], 1).unwrap());
        verdict(&program, &commitment, &proof).unwrap();
        assert!(bits(&RangeShape::new(&program, &commitment.shape)) > 99.0);
    }
}

/// A commitment of a program with larger weights, taken for one of 127 at most.
fn taken_for_smaller(weight: i32) -> Commitment {
    let mut commitment = committed(&program(200), 1, weight);
    commitment.program = program(127);
    commitment
}

#[test]
fn a_weight_over_the_range_is_rejected() {
    for weight in [127, -127, 128, -128, 200] {
        let commitment = taken_for_smaller(weight);
        for lie in [&[][..], &[Lie::Balanced]] {
            let proof = lies::with(lie, || prove(&commitment, &[9; 32], 1).unwrap());
            let accepted = weight.abs() <= 127 && lie.is_empty();
            // Inverse columns that add up already are not changed when they are balanced.
            let verdict = verdict(&commitment.program, &commitment, &proof);
            if accepted {
                verdict.unwrap();
            } else if weight.abs() > 127 {
                assert_eq!(verdict, Err(Rejected::Row), "{weight} {lie:?}");
            }
        }
    }
}

#[test]
fn what_is_opened_is_held_to_what_was_committed_to() {
    let program = program(127);
    let commitment = committed(&program, 1, -6);
    let verdict = |opened| {
        let lies = crate::proof::lies::Lies { opened: Some(opened), ..crate::proof::lies::NONE };
        let proof = crate::proof::lies::with(lies, || prove(&commitment, &[9; 32], 1).unwrap());
        verdict(&program, &commitment, &proof)
    };
    assert!(matches!(verdict(Opened::MaskRow), Err(Rejected::MaskRow { .. })));
    assert_eq!(verdict(Opened::Appended), Err(Rejected::Row));
    assert_eq!(verdict(Opened::SecondAppended), Err(Rejected::Row));
    assert!(matches!(verdict(Opened::Run), Err(Rejected::Run { .. })));
}

#[test]
fn a_proof_is_of_one_root_program_and_number_of_openings() {
    let first = program(127);
    let commitment = committed(&first, 1, -6);
    let proof = prove(&commitment, &[9; 32], 1).unwrap();
    let other = committed(&first, 1, -7);
    assert_eq!(verify(&first, &commitment.shape, &other.root(), &proof), Err(Rejected::Statement));
    let larger = program(126);
    assert_eq!(verify(&larger, &commitment.shape, &commitment.root(), &proof), Err(Rejected::Statement));
    let more = committed(&first, 2, -6);
    assert!(verify(&first, &more.shape, &commitment.root(), &proof).is_err());
}

#[test]
fn every_changed_word_is_rejected() {
    let program = program(127);
    let commitment = committed(&program, 1, -6);
    let proof = prove(&commitment, &[9; 32], 1).unwrap();
    for at in (0..proof.len()).step_by(proof.len() / 60).chain([8, 11, 12, proof.len() - 1]) {
        let mut changed = proof.clone();
        changed[at] ^= 1;
        assert!(verdict(&program, &commitment, &changed).is_err(), "byte {at}");
    }
    assert!(verdict(&program, &commitment, &proof[..proof.len() - 1]).is_err());
    let longer = [&proof[..], &[0]].concat();
    assert_eq!(verdict(&program, &commitment, &longer), Err(Rejected::Trailing { bytes: 1 }));
    let largest = RangeShape::new(&program, &commitment.shape).format().most;
    let long = vec![0; largest + 1];
    assert_eq!(verdict(&program, &commitment, &long), Err(Rejected::Long { bytes: largest + 1, most: largest }));
}

#[test]
fn weights_of_more_than_16_bits_are_refused_with_the_numbers() {
    let commitment = committed(&program(1 << 15), 1, 5);
    let refused = prove(&commitment, &[9; 32], 1).unwrap_err();
    assert!(refused.contains("32768 are 65537 integers"), "{refused}");
    let program = program((1 << 15) - 1);
    let commitment = committed(&program, 1, 32767);
    verdict(&program, &commitment, &prove(&commitment, &[9; 32], 1).unwrap()).unwrap();
}

#[test]
fn nothing_hidden_is_left_in_freed_memory() {
    let program = program(127);
    let commitment = committed(&program, 1, -6);
    // Seeds of their own: every challenge, and with it every sum, is of this test alone.
    let (hidden, found) = left_behind(|| assert!(prove(&commitment, &[101; 32], 1).is_ok()));
    let shape = RangeShape::new(&program, &commitment.shape);
    let least = 2 * (shape.looked_up.row_coefficients() + 2 * shape.mask_row() + 3 * shape.looked_up.log_rows);
    assert!(hidden > least, "{hidden} {least}");
    assert_eq!(found, 0);
    let (hidden, found) = left_behind(|| drop(committed(&program, 1, -7)));
    assert!(hidden >= commitment.rows().len() * commitment.shape.appended(), "{hidden}");
    assert_eq!(found, 0);
}

//! Memcheck follows what commitments to weights and the proofs about them alone hide (`crate::taint`): weights, biases, and
//! the seeds of commitments and of proofs. What is sent is public from then on, and so are answers that are told anyway:
//! whether weights are in their range, and whether two commitments hold the same.

use std::hint::black_box;

use crate::processor;
use crate::proof::inference::link;
use crate::proof::inference::program::Program;
use crate::proof::inference::range;
use crate::proof::inference::weights::Commitment;
use crate::proof::inference::weights::tests::{bytes, program};
use crate::taint::{at_each_level, dependent, secret, secret_seed};

/// Of the program of two layers: weights of (2, 3) and 2 biases, weights of (2, 2) and 2 biases.
const WEIGHTS: [i32; 14] = [1, -2, 3, 4, 5, -127, 100, -9, 10, 11, 12, 13, -14, 15];

fn committed(program: &Program, seed: u8) -> Commitment {
    Commitment::new(program, 1, &secret(&bytes(&WEIGHTS)), &secret_seed(seed), 1).unwrap()
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn nothing_of_a_range_or_a_link_depends_on_weights_or_seeds() {
    let program = program(127);
    at_each_level(|| {
        println!("proofs of a range and of a link, the {} copy", processor::level().name());
        let found = dependent(|| {
            let (commitment, other) = (committed(&program, 1), committed(&program, 2));
            range::prove(&commitment, &secret_seed(4), 1).unwrap();
            assert!(commitment.holds_the_same(&other));
            link::prove(&commitment, &other, &secret_seed(5), 1).unwrap();
        });
        assert_eq!(found, 0);
    });
}

/// What is hidden is marked where proofs begin.
#[test]
#[ignore = "under valgrind: make constant-time"]
fn the_marks_reach_weights_and_what_is_appended() {
    let program = program(127);
    at_each_level(|| {
        let commitment = committed(&program, 1);
        let hidden = [
            ("a weight", commitment.entry(0)),
            ("a bias", commitment.bias(&commitment.shape.places[0], 1)),
            ("an appended element", commitment.appended_to(0)[0]),
            ("a salt", u64::from(commitment.salts().one(0)[0])),
        ];
        for (name, word) in hidden {
            let looked_at = || {
                if black_box(word) & 1 == 1 {
                    black_box(name);
                }
            };
            assert_eq!(dependent(looked_at), 1, "{name}");
        }
    });
}

//! Memcheck follows what proofs about committed weights hide through all of them (`crate::taint`): weights, biases, sums,
//! and the seeds of commitments and of proofs. What is sent is public from then on, and so are answers that are told anyway:
//! whether weights are in their range, whether two commitments hold the same, whether a proof holds.

use std::hint::black_box;

use crate::proof::inference::link;
use crate::proof::inference::program::Program;
use crate::proof::inference::prover::prove;
use crate::proof::inference::public::{Inputs, Public};
use crate::proof::inference::range;
use crate::proof::inference::shape::Shape;
use crate::proof::inference::statement::Statement;
use crate::proof::inference::weights::Commitment;
use crate::proof::inference::weights::tests::{bytes, program};
use crate::proof::inference::witness::{Trace, Witness};
use crate::processor;
use crate::taint::{at_each_level, dependent, secret, secret_seed};

/// Of the program of two layers: weights of (2, 3) and 2 biases, weights of (2, 2) and 2 biases.
const WEIGHTS: [i32; 14] = [1, -2, 3, 4, 5, -127, 100, -9, 10, 11, 12, 13, -14, 15];
const INPUTS: [[i32; 3]; 2] = [[1, 2, 3], [-128, 127, 0]];

/// The sums of the first layer, and the outputs, of every input.
fn run() -> (Vec<i32>, Vec<i32>) {
    let dense = |weights: &[i32], biases: &[i32], x: &[i32]| -> Vec<i32> {
        let rows = weights.chunks_exact(x.len()).zip(biases);
        rows.map(|(row, bias)| bias + row.iter().zip(x).map(|(weight, x)| weight * x).sum::<i32>()).collect()
    };
    let sums = INPUTS.map(|input| dense(&WEIGHTS[..6], &WEIGHTS[6..8], &input));
    let outputs = sums.each_ref().map(|sums| {
        let rounded: Vec<i32> = sums.iter().map(|sum| ((sum + 8) >> 4).clamp(0, 127)).collect();
        dense(&WEIGHTS[8..12], &WEIGHTS[12..], &rounded)
    });
    (sums.concat(), outputs.concat())
}

fn committed(program: &Program, seed: u8) -> Commitment {
    Commitment::new(program, 1, &secret(&bytes(&WEIGHTS)), &secret_seed(seed), 1).unwrap()
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn nothing_depends_on_weights_sums_or_seeds() {
    let program = program(127);
    let shape = Shape::new(&program, INPUTS.len(), false, 1).unwrap();
    let inputs = INPUTS.concat();
    let (sums, outputs) = run();
    at_each_level(|| {
        println!("proofs of answers, of a range and of a link, the {} copy", processor::level().name());
        let found = dependent(|| {
            let (commitment, other) = (committed(&program, 1), committed(&program, 2));
            let sums = secret(&sums);
            let trace = Trace { inputs: &inputs, sums: &[&sums], randomness: None };
            let witness = Witness::new(&shape, &trace, 1).unwrap();
            let public = Public::new(&shape, Inputs::Open(&inputs), &outputs).unwrap();
            let [of_inputs, of_outputs] = public.digests(1);
            let root = commitment.root();
            let statement =
                Statement { shape: &shape, root, inputs: of_inputs, outputs: of_outputs, binding: [7; 32] };
            assert!(prove(&statement, &commitment, &public, &witness, &secret_seed(3), 1).holds);
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

//! Memcheck follows what a proof of answers hides through all of it (`crate::taint`): weights, sums between the layers,
//! hidden inputs with what blinds their hashes, and the seeds of commitment and blinding. What is sent is public from then on, and so are three answers that tell nothing or
//! are told anyway: whether weights are in their range, whether the proof holds, and whether a word of the blinding stream
//! is below p.

use super::comparing::comparing;
use super::instances::{Instance, weights_bytes};
use super::models::{Model, of_every_kind, others};
use crate::processor;
use crate::proof::inference::prover::prove;
use crate::proof::inference::weights::Commitment;
use crate::proof::inference::witness::{Trace, Witness};
use crate::taint::{at_each_level, dependent, secret, secret_seed};

/// The branches and addresses that depend on a secret.
fn dependent_in_a_proof(instance: &mut Instance, model: &Model) -> usize {
    let (weights, proof_seed) = (secret(&weights_bytes(model)), secret_seed(9));
    let sums: Vec<Vec<i32>> = instance.sums.iter().map(|sums| secret(sums)).collect();
    let openings = instance.shape.weights.openings;
    let randomness = instance.randomness.as_ref().map(|randomness| secret(randomness));
    let inputs = match randomness {
        Some(_) => secret(&instance.inputs),
        None => instance.inputs.clone(),
    };
    dependent(|| {
        instance.commitment = Commitment::new(&model.program, openings, &weights, &secret_seed(7), 1).unwrap();
        let sums: Vec<&[i32]> = sums.iter().map(Vec::as_slice).collect();
        let trace =
            Trace { inputs: &inputs, sums: &sums, outputs: &instance.outputs, randomness: randomness.as_deref() };
        let witness = Witness::new(&instance.shape, &trace, 1).unwrap();
        let (statement, public) = (instance.statement(), instance.public());
        assert!(prove(&statement, &instance.commitment, &public, &witness, &proof_seed, 1).holds);
    })
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn of_a_proof_of_answers_nothing_but_the_proof() {
    // Of places of sums and of a value with ties too.
    let comparing = comparing().into_iter().step_by(2).take(2).map(|(_, model)| model);
    for model in [of_every_kind(), others().swap_remove(2).1].into_iter().chain(comparing) {
        at_each_level(|| {
            let mut instance = Instance::new(&model, 3, 2);
            println!("a proof of answers, the {} copy", processor::level().name());
            assert_eq!(dependent_in_a_proof(&mut instance, &model), 0);
        });
    }
}

/// The hashes are public. How they are made is followed where field hashes are.
#[test]
#[ignore = "under valgrind: make constant-time"]
fn of_a_proof_about_hidden_inputs_nothing_but_the_proof() {
    let model = of_every_kind();
    at_each_level(|| {
        let mut instance = Instance::hidden(&model, 3, 2);
        println!("a proof about hidden inputs, the {} copy", processor::level().name());
        assert_eq!(dependent_in_a_proof(&mut instance, &model), 0);
    });
}

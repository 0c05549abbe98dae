//! Models that end in ArgMax: no other place than that of the largest is proven, and each of the claims about it is needed.

use super::comparing::comparing;
use super::instances::Instance;
use super::models::{Builder, Model, clip};
use crate::proof::inference::lies::{self, Lie};
use crate::proof::inference::prover::Attempt;
use crate::proof::inference::public::{Inputs, Public};
use crate::proof::inference::verifier::verify;
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;

const BATCH: usize = 5;

fn check(instance: &Instance, attempt: &Attempt) -> Result<Digest, Rejected> {
    verify(&instance.statement(), &instance.public(), &attempt.proof, 1)
}

/// However a prover goes on, what it sends is rejected where the algebra ends.
fn rejects(instance: &Instance, told: &[Lie]) {
    for lies in [told.to_vec(), [told, &[Lie::Balanced]].concat()] {
        let attempt = lies::with(&lies, || instance.prove());
        assert!(!attempt.holds, "{lies:?}");
        assert_eq!(check(instance, &attempt), Err(Rejected::Row), "{lies:?}");
    }
}

fn several() -> Vec<(&'static str, Model)> {
    comparing().into_iter().filter(|(name, _)| *name != "one place").collect()
}

/// Of sums, with two outputs that are alike and larger than the others.
fn tied(last: bool) -> Model {
    let builder = Builder::new(&[6], 0, 15, 3).dense(0, 9, clip(2, 0, 15, 8)).dense(1, 4, None);
    let mut model = Model::random(builder.argmax(2, last, 5, 7).program(), 21);
    let second = model.weights[1][9..18].to_vec();
    model.weights[1][27..].copy_from_slice(&second);
    model.biases[1] = vec![0, 1000, 0, 1000];
    model
}

#[test]
fn another_answer_is_rejected_wherever_it_is() {
    for (name, model) in several() {
        let mut instance = Instance::new(&model, BATCH, 2);
        let (outputs, features) =
            (instance.outputs.clone(), instance.shape.program.compares().unwrap().features as i32);
        let honest = instance.prove();
        assert!(honest.holds && check(&instance, &honest).is_ok(), "{name}");
        for sample in [0, BATCH - 1] {
            // The next place and the one before.
            for other in [1, features - 1].map(|more| (outputs[sample] + more) % features) {
                instance.outputs[sample] = other;
                let attempt = instance.prove();
                assert!(!attempt.holds, "{name} {sample} {other}");
                assert_eq!(check(&instance, &attempt), Err(Rejected::Row), "{name} {sample} {other}");
                assert_eq!(check(&instance, &honest), Err(Rejected::Statement));
            }
            instance.outputs[sample] = outputs[sample];
        }
        instance.outputs.rotate_left(1);
        if instance.outputs != outputs {
            rejects(&instance, &[]);
        }
    }
}

#[test]
fn another_answer_is_rejected_though_every_distance_is_in_its_table() {
    // A largest that is as large as no distance needs to be below 0 for: only the claim of the place is false.
    for (_, model) in several() {
        let mut instance = Instance::new(&model, BATCH, 2);
        let features = instance.shape.program.compares().unwrap().features as i32;
        for sample in [0, BATCH - 1] {
            instance.outputs[sample] = (instance.outputs[sample] + 1) % features;
            rejects(&instance, &[Lie::Largest]);
            rejects(&instance, &[]);
        }
    }
}

#[test]
fn a_largest_that_is_one_too_large_is_rejected_even_of_the_right_answer() {
    for (_, model) in comparing() {
        let instance = Instance::new(&model, BATCH, 2);
        assert!(lies::with(&[Lie::Above(0)], || instance.prove()).holds);
        rejects(&instance, &[Lie::Above(1)]);
    }
}

#[test]
fn of_a_tie_no_other_place_is_proven() {
    for last in [false, true] {
        let model = tied(last);
        let mut instance = Instance::new(&model, BATCH, 2);
        assert!(instance.outputs.iter().all(|&answer| answer == if last { 3 } else { 1 }));
        assert!(check(&instance, &instance.prove()).is_ok());
        let other = if last { 1 } else { 3 };
        instance.outputs[2] = other;
        // A distance of -1; a larger largest; distances in which the tie does not count.
        for told in [&[][..], &[Lie::Largest], &[Lie::Untied]] {
            rejects(&instance, told);
        }
        instance.outputs.fill(other);
        for told in [&[][..], &[Lie::Largest], &[Lie::Untied]] {
            rejects(&instance, told);
        }
    }
}

#[test]
fn ties_are_the_only_difference_between_the_first_and_the_last_place() {
    // What one program answers on a tie the other does not prove, and without ties both prove the same answers.
    let (first, last) = (tied(false), tied(true));
    let mut instance = Instance::new(&first, BATCH, 2);
    let of_last = Instance::new(&last, BATCH, 2);
    assert_ne!(instance.outputs, of_last.outputs);
    instance.outputs.clone_from(&of_last.outputs);
    rejects(&instance, &[]);
    let apart = |mut model: Model| {
        model.biases[1][3] = 999;
        Instance::new(&model, BATCH, 2)
    };
    let both = [apart(first), apart(last)];
    assert_eq!(both[0].outputs, both[1].outputs);
    for instance in both {
        assert!(check(&instance, &instance.prove()).is_ok());
    }
}

#[test]
fn sums_that_are_not_the_models_are_rejected_though_their_largest_is_the_answer() {
    for (name, model) in several() {
        let mut instance = Instance::new(&model, BATCH, 2);
        if !instance.shape.program.compares().unwrap().of_sums {
            continue;
        }
        // Every sum of a sample is one more: the distances stay as they are.
        let sums = instance.sums.last_mut().unwrap();
        let each = sums.len() / BATCH;
        sums[..each].iter_mut().for_each(|sum| *sum += 1);
        let attempt = instance.prove();
        assert!(!attempt.holds, "{name}");
        assert_eq!(check(&instance, &attempt), Err(Rejected::Row), "{name}");
    }
}

#[test]
fn hidden_inputs_have_places_too() {
    let (_, model) = comparing().swap_remove(0);
    let mut instance = Instance::hidden(&model, BATCH, 2);
    assert!(check(&instance, &instance.prove()).is_ok());
    instance.outputs[1] = (instance.outputs[1] + 1) % 5;
    rejects(&instance, &[Lie::Largest]);
}

#[test]
fn a_place_that_is_none_is_refused_with_its_number() {
    let (_, model) = comparing().swap_remove(0);
    let mut instance = Instance::new(&model, BATCH, 2);
    for wrong in [5, -1, i32::MIN, i32::MAX] {
        instance.outputs[3] = wrong;
        let refused = Public::new(&instance.shape, Inputs::Open(&instance.inputs), &instance.outputs);
        let reason = format!("output 3 is {wrong}, not a place from 0 to 4");
        assert_eq!(refused.err(), Some(reason));
    }
    let refused = Public::new(&instance.shape, Inputs::Open(&instance.inputs), &instance.outputs[1..]);
    assert!(refused.is_err_and(|reason| reason.contains("4 entries of outputs are not 5 times 1")));
}

//! Provers that lie: each is told so by its own check, and gives a proof that is rejected.

use super::comparing::comparing;
use super::instances::Instance;
use super::models::{Model, of_every_kind, others};
use crate::field;
use crate::proof::inference::lies::{self, Lie};
use crate::proof::inference::prover::Attempt;
use crate::proof::inference::verifier::verify;
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;

fn check(instance: &Instance, attempt: &Attempt) -> Result<Digest, Rejected> {
    verify(&instance.statement(), &instance.public(), &attempt.proof, 1)
}

fn two_layers() -> Model {
    others().into_iter().find(|(name, _)| *name == "two layers").unwrap().1
}

/// What a liar sends is rejected where the algebra ends; `noticed` says whether its own check sees it.
fn rejects(instance: &Instance, lies: &[Lie], noticed: bool) {
    let attempt = lies::with(lies, || instance.prove());
    assert_eq!(attempt.holds, !noticed, "{lies:?}");
    assert_eq!(check(instance, &attempt), Err(Rejected::Row), "{lies:?}");
}

#[test]
fn a_sum_that_is_rounded_otherwise_is_rejected_even_if_the_fractions_add_up() {
    for model in [two_layers(), of_every_kind()] {
        let instance = Instance::new(&model, 3, 2);
        for more in [1, -1, 2] {
            rejects(&instance, &[Lie::Rounding(more)], true);
            rejects(&instance, &[Lie::Rounding(more), Lie::Balanced], true);
        }
    }
}

#[test]
fn another_sum_of_any_cell_is_rejected_though_all_rows_are_in_their_tables() {
    for model in others().into_iter().chain(comparing()).map(|(_, model)| model).chain([of_every_kind()]) {
        let instance = Instance::new(&model, 3, 2);
        for (number, cell) in instance.shape.cells.all.iter().enumerate() {
            let feature = cell.offset + 7 * number % cell.features;
            rejects(&instance, &[Lie::Remainder { feature, sample: number % 3 }], true);
        }
    }
}

#[test]
fn another_activation_is_rejected_even_if_the_fractions_add_up() {
    for model in [two_layers(), of_every_kind()] {
        let instance = Instance::new(&model, 2, 2);
        for more in [1, -1] {
            rejects(&instance, &[Lie::Activation(more)], true);
            rejects(&instance, &[Lie::Activation(more), Lie::Balanced], true);
        }
    }
}

#[test]
fn fractions_that_do_not_add_up_are_rejected_however_it_is_hidden() {
    let instance = Instance::new(&two_layers(), 5, 2);
    rejects(&instance, &[Lie::Uses], true);
    rejects(&instance, &[Lie::Uses, Lie::Balanced], true);
}

#[test]
fn claims_and_values_that_are_not_those_of_the_columns_are_rejected() {
    for model in [two_layers(), of_every_kind()] {
        let instance = Instance::new(&model, 2, 2);
        for lie in [Lie::Sum(1), Lie::Sum(-3), Lie::Bias, Lie::Ends(0), Lie::Ends(1)] {
            rejects(&instance, &[lie], true);
        }
        // What is changed when it is sent, and nowhere else.
        for lie in [Lie::Value, Lie::WeightsValue] {
            rejects(&instance, &[lie], false);
        }
    }
}

#[test]
fn answers_of_a_model_with_one_other_weight_or_bias_are_rejected() {
    for model in [two_layers(), of_every_kind()] {
        let samples = model.inputs(3, 5);
        let mut instance = Instance::new(&model, 3, 2);
        let (sums, outputs) = (instance.sums.clone(), instance.outputs.clone());
        for layer in 0..model.weights.len() {
            let mut other =
                Model { weights: model.weights.clone(), biases: model.biases.clone(), program: model.program.clone() };
            let weight = other.weights[layer].last_mut().unwrap();
            *weight += if *weight > 0 { -1 } else { 1 };
            instance.compute(&other, &samples);
            // A weight of what is never seen, as behind pads, changes nothing.
            let same = (&instance.sums, &instance.outputs) == (&sums, &outputs);
            let attempt = instance.prove();
            assert_eq!(attempt.holds, same);
            if !same {
                assert_eq!(check(&instance, &attempt), Err(Rejected::Row));
            }

            other.weights[layer].clone_from(&model.weights[layer]);
            other.biases[layer][0] += 1;
            instance.compute(&other, &samples);
            let attempt = instance.prove();
            assert!(!attempt.holds);
            assert_eq!(check(&instance, &attempt), Err(Rejected::Row));
        }
    }
}

#[test]
fn other_weights_under_the_same_root_are_rejected() {
    let model = two_layers();
    let mut other = two_layers();
    other.weights[1][4] += if other.weights[1][4] > 0 { -1 } else { 1 };
    let mut instance = Instance::new(&other, 3, 2);
    let mut committed = Instance::new(&model, 3, 2).commitment;
    // The tree is that of the model, the columns are those of the other one: everything but the openings fits.
    committed.swap_columns(&mut instance.commitment);
    instance.commitment = committed;
    let attempt = instance.prove();
    assert!(attempt.holds);
    assert_eq!(check(&instance, &attempt), Err(Rejected::Row));
}

#[test]
fn a_layer_that_is_skipped_is_rejected() {
    let model = two_layers();
    let mut skipping = two_layers();
    // The first layer gives nothing but its bias.
    skipping.weights[0].fill(0);
    let mut instance = Instance::new(&model, 3, 2);
    instance.compute(&skipping, &model.inputs(3, 5));
    let attempt = instance.prove();
    assert!(!attempt.holds);
    assert_eq!(check(&instance, &attempt), Err(Rejected::Row));
}

#[test]
fn answers_that_are_swapped_or_changed_are_rejected() {
    for model in [two_layers(), of_every_kind(), others().swap_remove(5).1] {
        let honest = Instance::new(&model, 3, 2);
        let each = honest.outputs.len() / 3;
        let mut swapped = Instance::new(&model, 3, 2);
        swapped.outputs.rotate_left(each);
        let mut changed = Instance::new(&model, 3, 2);
        changed.outputs[0] += 1;
        // An input that is changed, where that changes what comes out.
        let mut samples = model.inputs(3, 5);
        samples[0][0] += if samples[0][0] < model.program.input.high { 1 } else { -1 };
        let mut inputs = Instance::new(&model, 3, 2);
        inputs.compute(&model, &samples);
        let changes = inputs.sums != honest.sums || inputs.outputs != honest.outputs;
        inputs.sums.clone_from(&honest.sums);
        inputs.outputs.clone_from(&honest.outputs);
        let swaps = swapped.outputs != honest.outputs;
        let false_ones = [(swapped, swaps), (changed, true), (inputs, changes)];
        for (instance, _) in false_ones.into_iter().filter(|(_, is_false)| *is_false) {
            let attempt = instance.prove();
            assert!(!attempt.holds);
            assert_eq!(check(&instance, &attempt), Err(Rejected::Row));
            assert_eq!(check(&instance, &honest.prove()), Err(Rejected::Statement));
        }
    }
}

#[test]
fn a_proof_is_not_moved_to_other_receipts_or_another_model() {
    let instance = Instance::new(&two_layers(), 2, 2);
    let attempt = instance.prove();
    assert!(check(&instance, &attempt).is_ok());
    let mut statement = instance.statement();
    statement.binding[0] ^= 1;
    assert_eq!(verify(&statement, &instance.public(), &attempt.proof, 1), Err(Rejected::Statement));
    let mut statement = instance.statement();
    statement.root[31] ^= 1;
    assert_eq!(verify(&statement, &instance.public(), &attempt.proof, 1), Err(Rejected::Statement));
    // Its digest put in its place is not enough.
    let mut moved = attempt.proof.clone();
    moved[12..44].copy_from_slice(&statement.transcript().state());
    assert!(verify(&statement, &instance.public(), &moved, 1).is_err());
}

#[test]
fn threads_do_not_change_a_proof_and_seeds_do() {
    let instance = Instance::new(&of_every_kind(), 5, 2);
    let proof = instance.prove_on(&[9; 32], 1).proof;
    assert!(proof == instance.prove_on(&[9; 32], 3).proof);
    let other = instance.prove_on(&[8; 32], 1).proof;
    assert!(proof[..44] == other[..44] && proof[44..108] != other[44..108]);
}

#[test]
fn hidden_inputs_that_are_not_those_of_the_hashes_are_rejected() {
    for model in [two_layers(), of_every_kind()] {
        let samples = model.inputs(2, 5);
        let other = |more: i64| {
            let mut samples = samples.clone();
            samples[1][0] += if samples[1][0] < model.program.input.high { more } else { -more };
            samples
        };
        // Of another input everything but its hash is right.
        let mut instance = Instance::hidden(&model, 2, 2);
        instance.compute(&model, &other(1));
        let attempt = instance.prove();
        assert!(!attempt.holds);
        assert_eq!(check(&instance, &attempt), Err(Rejected::Row));
        // Other randomness of the hash.
        let mut instance = Instance::hidden(&model, 2, 2);
        instance.randomness.as_mut().unwrap()[3] ^= 1;
        let attempt = instance.prove();
        assert!(!attempt.holds);
        assert_eq!(check(&instance, &attempt), Err(Rejected::Row));
        // The hash of another input.
        let mut instance = Instance::hidden(&model, 2, 2);
        instance.hashes[5] ^= 1;
        let attempt = instance.prove();
        assert!(!attempt.holds);
        assert_eq!(check(&instance, &attempt), Err(Rejected::Row));
    }
}

#[test]
fn a_hidden_input_outside_its_range_is_rejected_even_if_its_hash_and_all_sums_fit() {
    let model = two_layers();
    let mut samples = model.inputs(2, 5);
    samples[1][0] = model.program.input.high + 1;
    let mut instance = Instance::hidden(&model, 2, 2);
    let honest = instance.inputs.clone();
    instance.compute(&model, &samples);
    // The hash is linear: that of the input, and what the entry is more.
    let outside = std::mem::replace(&mut instance.inputs, honest);
    let more = i64::from(outside[6]) - i64::from(instance.inputs[6]);
    let one = |entry: i32| {
        let mut other = Instance::hidden(&model, 2, 2);
        other.inputs.clone_from(&instance.inputs);
        other.inputs[6] = entry;
        other.hash();
        other.hashes
    };
    let (zero, one) = (one(0), one(1));
    instance.hash();
    for (hash, (zero, one)) in instance.hashes.iter_mut().zip(zero.into_iter().zip(one)) {
        let step = field::sub(one, zero);
        *hash = field::add(*hash, field::mul(step, field::add_signed(0, more)));
    }
    instance.inputs = outside;
    for lies in [vec![], vec![Lie::Balanced]] {
        rejects(&instance, &lies, true);
    }
}

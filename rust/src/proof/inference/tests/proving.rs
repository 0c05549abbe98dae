//! Proofs that are honestly made, of models of every kind.

use super::comparing::comparing;
use super::instances::Instance;
use super::models::{Model, of_every_kind, others};
use crate::field;
use crate::proof::inference::verifier::verify;

fn all() -> Vec<(&'static str, Model)> {
    [("every kind", of_every_kind())].into_iter().chain(others()).chain(comparing()).collect()
}

#[test]
fn columns_are_what_a_model_computes_one_sum_at_a_time() {
    for (name, model) in all() {
        let instance = Instance::new(&model, 3, 2);
        let (shape, samples) = (&instance.shape, model.inputs(3, 5));
        for threads in [1, 2] {
            let witness = instance.witness(threads);
            for (sample, input) in samples.iter().enumerate() {
                let trace = model.run(input);
                let entries = trace.by_cell();
                for cell in &shape.cells.all {
                    for (feature, entry) in entries[&(cell.step, cell.place)].iter().enumerate() {
                        for vector in [0, 1, 2].into_iter().filter(|&vector| vector != 1 || cell.shift > 0) {
                            let row = (cell.offset + feature) * shape.samples() + sample;
                            let column = &witness.columns[shape.columns[vector].start + row / shape.rows()];
                            let expected = field::add_signed(0, entry[vector]);
                            assert_eq!(column.re[row % shape.rows()], expected, "{name}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_honest_proof_fits_its_witness() {
    for (name, model) in all() {
        for batch in [1, 3] {
            let instance = Instance::new(&model, batch, 2);
            let attempt = instance.prove();
            assert!(attempt.holds, "{name} {batch}");
        }
    }
}

#[test]
fn an_honest_proof_with_hidden_inputs_fits_its_witness_and_is_accepted() {
    for (name, model) in all() {
        let input = &model.program.input;
        if input.high - input.low < 15 {
            continue;
        }
        for batch in [1, 3] {
            let instance = Instance::hidden(&model, batch, 2);
            let attempt = instance.prove();
            assert!(attempt.holds, "{name} {batch}");
            let (statement, public) = (instance.statement(), instance.public());
            assert!(verify(&statement, &public, &attempt.proof, 1).is_ok(), "{name} {batch}");
        }
    }
}

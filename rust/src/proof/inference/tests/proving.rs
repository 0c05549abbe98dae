//! Proofs that are honestly made, of models of every kind.

use super::instances::Instance;
use super::models::{Model, of_every_kind, others};
use crate::field;

fn all() -> Vec<(&'static str, Model)> {
    [("every kind", of_every_kind())].into_iter().chain(others()).collect()
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
            if let Ok(folder) = std::env::var("QF_DUMP") {
                let path = |end: &str| format!("{folder}/{}-{batch}.{end}", name.replace([' ', ','], "-"));
                let bytes = |values: &[i32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
                std::fs::write(path("program"), &instance.shape.program.bytes).unwrap();
                std::fs::write(path("inputs"), bytes(&instance.inputs)).unwrap();
                std::fs::write(path("outputs"), bytes(&instance.outputs)).unwrap();
                std::fs::write(path("proof"), &attempt.proof).unwrap();
                let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                std::fs::write(path("root"), hex(&instance.commitment.root())).unwrap();
            }
        }
    }
}

//! Where the time of a proof goes: `cargo test --release -- --ignored --nocapture inference::tests::bench`. With QF_MODEL only
//! the model that is so called, with QF_THREADS so many threads; then the peak of memory is that model's.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::instances::{Instance, weights_bytes};
use super::models::{Builder, Model, clip, window};
use crate::parallel;
use crate::proof::inference::laps;
use crate::proof::inference::program::Program;
use crate::proof::inference::verifier::verify;

/// The classifier of small pictures: 784-128-10.
pub fn digits() -> Program {
    Builder::new(&[784], 0, 255, 127).dense(0, 128, clip(13, 0, 255, 11)).dense(1, 10, None).program()
}

fn wide() -> Program {
    let dense = |builder: Builder, source| builder.dense(source, 2048, clip(14, 0, 255, 11));
    dense(Builder::new(&[2048], 0, 255, 127), 0).dense(1, 2048, None).program()
}

/// LeNet-5, with average pools.
fn lenet(largest: bool) -> Program {
    let two = || window([2, 2], [2, 2], [0; 4]);
    let pool = |builder: Builder, source| {
        if largest { builder.largest(source, two()) } else { builder.average(source, two(), 1, clip(2, 0, 255, 8)) }
    };
    let builder =
        Builder::new(&[1, 28, 28], 0, 255, 127).conv(0, 6, window([5, 5], [1, 1], [2; 4]), clip(11, 0, 255, 11));
    let builder = pool(builder, 1).conv(2, 16, window([5, 5], [1, 1], [0; 4]), clip(13, 0, 255, 11));
    pool(builder, 3)
        .flatten(4)
        .dense(5, 120, clip(13, 0, 255, 11))
        .dense(6, 84, clip(12, 0, 255, 11))
        .dense(7, 10, None)
        .program()
}

fn memory(name: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned()
}

#[test]
#[ignore = "a bench"]
fn where_the_time_goes() {
    parallel::WORTH_IN_TESTS.store(parallel::WORTH, Ordering::Relaxed);
    let (only, threads) = (std::env::var("QF_MODEL").ok(), std::env::var("QF_THREADS").ok());
    let threads: Vec<usize> = threads.map_or(vec![1, 2], |threads| vec![threads.parse().unwrap()]);
    for (name, program, batch) in [
        ("digits-1", digits(), 1),
        ("digits-1024", digits(), 1024),
        ("lenet-256", lenet(false), 256),
        ("lenet-max-256", lenet(true), 256),
        ("wide-1024", wide(), 1024),
    ] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        // Small weights, so that sums fit; the inputs are of one sample, again and again.
        let mut model = Model::random(program, 3);
        model.weights.iter_mut().flatten().for_each(|weight| *weight %= 40);
        let begun = Instant::now();
        let mut instance = Instance::empty(&model, batch, 8);
        println!(
            "{name}: commit {:.1} ms, {} weights",
            begun.elapsed().as_secs_f64() * 1e3,
            weights_bytes(&model).len() / 4
        );
        instance.compute_one(&model, &model.inputs(1, 5)[0]);
        let shape = &instance.shape;
        println!(
            "  L 2^{} x {} + 2 x {}, WL 2^{} x {}, M {}, {} entries of tables",
            shape.log_rows,
            shape.base_columns(),
            shape.inverse_columns(),
            shape.weights.log_rows,
            shape.weights.columns,
            shape.masks.length,
            shape.entries()
        );
        println!("  before: {} (peak {})", memory("VmRSS:"), memory("VmHWM:"));
        for &threads in &threads {
            for _ in 0..2 {
                let (public, statement) = (instance.public(), instance.statement());
                laps::start();
                let busy = laps::now();
                let begun = Instant::now();
                let witness = instance.witness(threads);
                laps::lap("witness");
                let attempt = crate::proof::inference::prover::prove(
                    &statement,
                    &instance.commitment,
                    &public,
                    &witness,
                    &[9; 32],
                    threads,
                );
                let total = begun.elapsed();
                let (laps, busy) = (laps::take(), laps::now() - busy);
                println!(
                    "  {threads} threads: {:.1} ms, {:.1} ms of processors, {} bytes, holds {}, peak {}",
                    total.as_secs_f64() * 1e3,
                    busy.as_secs_f64() * 1e3,
                    attempt.proof.len(),
                    attempt.holds,
                    memory("VmHWM:")
                );
                let laps: Vec<String> =
                    laps.iter().map(|(name, time)| format!("{name} {:.1}", time.as_secs_f64() * 1e3)).collect();
                println!("    {}", laps.join(", "));
                let begun = Instant::now();
                let (public, statement) = (instance.public(), instance.statement());
                let read = begun.elapsed();
                let verdict = verify(&statement, &public, &attempt.proof, threads);
                let [total, read] = [begun.elapsed(), read].map(|time| time.as_secs_f64() * 1e3);
                println!(
                    "    verified in {total:.1} ms, {read:.1} of them to hash what is public: {}",
                    verdict.is_ok()
                );
            }
        }
    }
}

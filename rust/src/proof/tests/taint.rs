//! Memcheck follows what a proof hides through all of it (`crate::taint`): values, seeds of key, noise and blinding. What
//! is sent is public from then on, and so are three answers that tell nothing or are told anyway: whether the norm is
//! within the bound, whether the proof holds, and whether a word of the blinding stream is below p.

use super::{Instance, narrow, wide};
use crate::encryption::Encryption;
use crate::layout::Layout;
use crate::processor;
use crate::proof::prover::prove;
use crate::proof::witness::Witness;
use crate::sampling::TILE;
use crate::shared::Shared;
use crate::taint::{at_each_level, dependent, secret, secret_seed};

/// Values as those of [`Instance::new`]; the branches that depend on a secret.
fn branches_of_a_proof(layout: Layout, count: usize) -> usize {
    let instance = Instance::new(layout, count);
    let plain: Vec<f64> = (0..count).map(|i| ((i % 201) as f64 - 100.0) / 128.0).collect();
    let values = secret(&plain);
    let (key_seed, noise_seed, proof_seed) = (secret_seed(1), secret_seed(2), secret_seed(9));
    let encryption = Encryption {
        layout,
        parameters: &[5; 32],
        context: &[6; 32],
        clip: 1.0,
        factor: layout.largest() as f64 * 0.25,
        first: 0,
        key_seed: &key_seed,
        noise_seed: &noise_seed,
    };
    // SAFETY: the vector lives longer.
    let shared = unsafe { Shared::new(values.as_ptr(), values.len()) };
    dependent(|| {
        let witness =
            Witness::new(&instance.shape, &encryption, shared, instance.bound, 1).expect("it is within bounds");
        let attempt = prove(&instance.statement(), &instance.ciphertext(), &witness, &proof_seed, 1);
        assert!(attempt.holds);
    })
}

/// One branch for each tile of values: whether any in it is refused, as in an encryption.
#[test]
#[ignore = "under valgrind: make constant-time"]
fn of_a_proof_only_whether_a_value_is_refused() {
    // Tables that are compared, and tables that are sorted.
    for (layout, count) in [(wide(), 700), (narrow(), 700)] {
        at_each_level(|| {
            println!("a proof, {} values, the {} copy", count, processor::level().name());
            assert_eq!(branches_of_a_proof(layout, count), count.div_ceil(TILE));
        });
    }
}

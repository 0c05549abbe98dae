//! Memcheck follows what a proof hides through all of it (`crate::taint`): values, seeds of key, noise and blinding. What
//! is sent is public from then on, and so are three answers that tell nothing or are told anyway: whether the norm is
//! within the bound, whether the proof holds, and whether a word of the blinding stream is below p.

use std::hint::black_box;

use super::further::claims;
use super::shares::refused;
use super::{Instance, dealt, narrow, wide};
use crate::encryption::Encryption;
use crate::layout::Layout;
use crate::processor;
use crate::proof::blinding::{Blinding, Use};
use crate::proof::lies::{self, Lies, NONE};
use crate::proof::prover::prove;
use crate::proof::witness::Witness;
use crate::sampling::TILE;
use crate::shared::Shared;
use crate::sharing::Polynomials;
use crate::taint::{at_each_level, dependent, secret, secret_seed};

/// A witness of secret values and seeds, those of [`Instance::new`].
fn secret_witness(instance: &Instance, layout: Layout, count: usize) -> Witness {
    let plain: Vec<f64> = (0..count).map(|i| ((i % 201) as f64 - 100.0) / 128.0).collect();
    let values = secret(&plain);
    let (key_seed, noise_seed, sharing_seed) = (secret_seed(1), secret_seed(2), secret_seed(3));
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
    let dealt = instance.shape.sharing.map(|sharing| Polynomials::new(sharing, &key_seed, &sharing_seed, &[5; 32]));
    Witness::new(&instance.shape, &encryption, shared, instance.bound, &instance.further, dealt.as_ref(), 1)
        .expect("it is within bounds")
}

/// The branches and addresses that depend on a secret.
fn dependent_in_a_proof(instance: &Instance, layout: Layout, count: usize) -> usize {
    let proof_seed = secret_seed(9);
    dependent(|| {
        let witness = secret_witness(instance, layout, count);
        assert!(prove(&instance.statement(), &instance.ciphertext(), &witness, &proof_seed, 1).holds);
    })
}

/// One branch for each tile of values: whether any in it is refused, as in an encryption.
#[test]
#[ignore = "under valgrind: make constant-time"]
fn of_a_proof_only_whether_a_value_is_refused() {
    // Tables that are compared, and tables that are sorted.
    for (layout, count) in [(wide(), 700), (narrow(), 700)] {
        let shared = Instance::shared(layout, count, &dealt(8, 3, 2), claims);
        for instance in [Instance::new(layout, count), Instance::with(layout, count, claims), shared] {
            at_each_level(|| {
                println!("a proof, {} values, the {} copy", count, processor::level().name());
                assert_eq!(dependent_in_a_proof(&instance, layout, count), count.div_ceil(TILE));
            });
        }
    }
}

#[test]
#[ignore = "under valgrind: make constant-time"]
fn a_branch_and_an_index_in_every_round_are_noticed() {
    let (layout, count) = (wide(), 700);
    let instance = Instance::new(layout, count);
    at_each_level(|| {
        let found = lies::with(Lies { leaky: true, ..NONE }, || dependent_in_a_proof(&instance, layout, count));
        assert_eq!(found, count.div_ceil(TILE) + 2 * instance.shape.log_rows);
    });
}

/// Whether a share fits is told to its dealer: of one that does, nothing shows.
#[test]
#[ignore = "under valgrind: make constant-time"]
fn nothing_depends_on_a_share_that_is_checked() {
    let dealt = dealt(8, 3, 2);
    let instance = Instance::shared(wide(), 5, &dealt, claims);
    let attempt = instance.prove(1);
    at_each_level(|| {
        let share = secret(&dealt.share(2));
        assert_eq!(dependent(|| assert_eq!(refused(&instance, &attempt.proof, 2, &share), None)), 0);
    });
}

/// What a proof hides is marked where the prover begins.
#[test]
#[ignore = "under valgrind: make constant-time"]
fn the_marks_reach_columns_and_masks() {
    let (layout, count) = (wide(), 5);
    let instance = Instance::new(layout, count);
    let shape = &instance.shape;
    at_each_level(|| {
        let witness = secret_witness(&instance, layout, count);
        let blinding = Blinding::new(&secret_seed(9), &[0; 32]);
        let hidden = [
            ("an error", witness.columns[shape.error_column(0)].re[0]),
            ("a limb", witness.columns[shape.limb_column(0, 0, 0)].re[0]),
            ("uses of an entry", witness.auxiliary(shape, 0)),
            ("the pad", witness.auxiliary(shape, shape.pad_row)),
            ("a bit of the slack", witness.auxiliary(shape, shape.pad_row + 2)),
            ("the key", witness.auxiliary(shape, shape.secret_row)),
            ("a mask", blinding.words(Use::Mu, 1)[0]),
            ("a salt", u64::from(blinding.salts(1).one(0)[0])),
        ];
        for (name, word) in hidden {
            // The lowest bit: of a bit of the slack, and of -1, 0 and 1 modulo p, others are known, and so is that they
            // are no other number.
            let looked_at = || {
                if black_box(word) & 1 == 1 {
                    black_box(name);
                }
            };
            assert_eq!(dependent(looked_at), 1, "{name}");
        }
    });
}

//! Whole proofs, verified: honest ones are accepted, and whatever is changed or forged is not.

use super::instances::Instance;
use super::models::{Model, of_every_kind, others};
use crate::proof::inference::lies::{self, Lie};
use crate::proof::inference::public::{Inputs, Public};
use crate::proof::inference::statement::Statement;
use crate::proof::inference::verifier::verify;
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;

fn check(instance: &Instance, proof: &[u8]) -> Result<Digest, Rejected> {
    verify(&instance.statement(), &instance.public(), proof, 2)
}

/// The reason against a proof that ends the verifier's algebra, or the first opening that does not fit it.
fn is_forged(reason: &Rejected) -> bool {
    matches!(reason, Rejected::Row | Rejected::MaskRow { .. } | Rejected::Run { .. })
}

fn all() -> Vec<(&'static str, Model)> {
    [("every kind", of_every_kind())].into_iter().chain(others()).collect()
}

#[test]
fn honest_proofs_are_accepted() {
    for (name, model) in all() {
        for batch in [1, 3, 4] {
            let instance = Instance::new(&model, batch, 2);
            let attempt = instance.prove();
            assert_eq!(
                check(&instance, &attempt.proof),
                Ok(instance.statement().transcript().state()),
                "{name} {batch}"
            );
        }
    }
}

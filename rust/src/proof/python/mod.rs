//! The door to Python: checks lengths, lets go of the interpreter while it computes, turns refusals into exceptions.

mod proving;
mod shape;
mod statement;
mod verifying;

use pyo3::prelude::*;

use super::further::LARGEST_CLAIMS;
use super::statement::LARGEST_BOUND;
pub use verifying::ProofRejected;

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("ProofUnavailable", py.get_type::<shape::ProofUnavailable>())?;
    module.add("UpdateUnprovable", py.get_type::<proving::UpdateUnprovable>())?;
    module.add("ProofRejected", py.get_type::<ProofRejected>())?;
    module.add("LARGEST_PROOF_BOUND", LARGEST_BOUND)?;
    module.add("MOST_FURTHER_CLAIMS", LARGEST_CLAIMS)?;
    module.add_class::<shape::PyShape>()?;
    module.add_class::<statement::PyContext>()?;
    module.add_class::<statement::PyStatement>()?;
    module.add_function(wrap_pyfunction!(statement::content_digest, module)?)?;
    module.add_function(wrap_pyfunction!(statement::direction_digest, module)?)?;
    module.add_function(wrap_pyfunction!(proving::prove_update, module)?)?;
    module.add_function(wrap_pyfunction!(verifying::verify_update, module)?)
}

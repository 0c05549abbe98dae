//! The door to Python: it checks every length, lets go of the interpreter while it computes, and turns refusals into
//! exceptions. Values come in as NumPy arrays. Another thread may write to one during a call: some of the old and some of
//! the new values are then encrypted, each of them checked.

mod adding;
pub mod checks;
mod decrypting;
pub mod encrypting;

use pyo3::prelude::*;

use crate::ring::N;
use crate::{field, probes, processor, sampling, steps, timing};

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("ValueRefused", py.get_type::<encrypting::ValueRefused>())?;
    module.add("WordRefused", py.get_type::<checks::WordRefused>())?;
    module.add("SumRefused", py.get_type::<decrypting::SumRefused>())?;
    module.add("RING_DEGREE", N)?;
    module.add("ETA", sampling::ETA)?;
    module.add("MODULUS", field::P)?;
    module.add("BUILT_WITH", processor::built_with())?;
    module.add_class::<checks::PyLayout>()?;
    module.add_class::<adding::Accumulator>()?;
    module.add_function(wrap_pyfunction!(encrypting::encrypt, module)?)?;
    module.add_function(wrap_pyfunction!(adding::combine_keys, module)?)?;
    module.add_function(wrap_pyfunction!(decrypting::decrypt, module)?)?;
    module.add_function(wrap_pyfunction!(probes::sampled_mask, module)?)?;
    module.add_function(wrap_pyfunction!(probes::sampled_noise, module)?)?;
    module.add_function(wrap_pyfunction!(probes::masks_expanded, module)?)?;
    module.add_function(wrap_pyfunction!(probes::limit_masks, module)?)?;
    module.add_function(wrap_pyfunction!(steps::run_step, module)?)?;
    module.add_function(wrap_pyfunction!(probes::processor_levels, module)?)?;
    module.add_function(wrap_pyfunction!(probes::limit_processor, module)?)?;
    module.add_function(wrap_pyfunction!(probes::proof_levels, module)?)?;
    module.add_function(wrap_pyfunction!(probes::limit_proofs, module)?)?;
    module.add_function(wrap_pyfunction!(timing::timed_steps, module)?)?;
    module.add_function(wrap_pyfunction!(timing::time_step, module)?)
}

//! What tests and benches look at from Python: the samplers, what is kept of a round, and the copies of the hot loops.

use numpy::PyArray1;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::masks;
use crate::processor::{self, Level};
use crate::proof::wide::Width;
use crate::python::checks::{PyLayout, exactly, seed};
use crate::ring::{N, Polynomial};
use crate::sampling::{self, Noise};
use crate::stream::{Purpose, Stream};

/// The public polynomial a_j of a context, as evaluations.
#[pyfunction]
pub fn sampled_mask<'py>(
    py: Python<'py>,
    layout: &PyLayout,
    context: &[u8],
    block: u64,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let mut reader = Stream::new(&exactly(context, "context")?, Purpose::Mask, &[&layout.digest]).reader();
    let mut out = Polynomial::zero();
    sampling::uniform(&mut reader, block, &mut out);
    Ok(PyArray1::from_slice(py, out.as_slice()))
}

/// The error polynomial e_j that a noise seed expands to.
#[pyfunction]
pub fn sampled_noise<'py>(
    py: Python<'py>,
    layout: &PyLayout,
    context: &[u8],
    noise_seed: PyBuffer<u8>,
    block: u64,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let context = exactly(context, "context")?;
    let reader = Stream::new(&*seed(py, &noise_seed)?, Purpose::Noise, &[&layout.digest, &context]).reader();
    let mut out = [0; N];
    Noise::new(reader).polynomial(block, &mut out);
    Ok(PyArray1::from_slice(py, &out))
}

/// The copies of the hot loops that run on this processor, the best first.
#[pyfunction]
pub fn processor_levels() -> Vec<&'static str> {
    Level::ALL.into_iter().filter(|level| level.is_here()).map(Level::name).collect()
}

/// How many public polynomials this process has expanded so far, of whatever round.
#[pyfunction]
pub fn masks_expanded() -> u64 {
    masks::expanded()
}

/// Keep up to this many bytes of a round's public polynomials from now on, and none of those that are kept now.
#[pyfunction]
#[pyo3(signature = (byte_count=masks::DEFAULT_LIMIT))]
pub fn limit_masks(byte_count: usize) {
    masks::limit(byte_count);
}

/// Use no copy above this one, in the whole process. They all give the same bytes. What was expanded by another copy is
/// dropped, so that this one is what is tested.
#[pyfunction]
pub fn limit_processor(level: &str) -> PyResult<()> {
    let known = Level::ALL.into_iter().find(|known| known.name() == level && known.is_here());
    let level = known.ok_or_else(|| PyValueError::new_err(format!("no level {level:?} on this processor")))?;
    processor::limit(level);
    masks::forget();
    Ok(())
}

/// The copies of the prover's loops that run on this processor, the best first.
#[pyfunction]
pub fn proof_levels() -> Vec<&'static str> {
    Width::all().into_iter().rev().map(Width::name).collect()
}

/// Use no copy of the prover's loops above this one, and none of the kernel's above its level, in the whole process.
#[pyfunction]
pub fn limit_proofs(level: &str) -> PyResult<()> {
    let known = Width::all().into_iter().find(|known| known.name() == level);
    known.ok_or_else(|| PyValueError::new_err(format!("no level {level:?} of proofs on this processor")))?.limit();
    masks::forget();
    Ok(())
}

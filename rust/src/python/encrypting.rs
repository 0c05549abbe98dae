//! Encryption.

use numpy::PyReadonlyArray1;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::checks::{PyLayout, checked_block, checked_threads, exactly, seed};
use crate::buffer;
use crate::encryption::Encryption;
use crate::layout::BLOCK_BYTES;
use crate::rounding::Value;
use crate::shared::Shared;

pyo3::create_exception!(quatrefoil._core, ValueRefused, PyException, "args: index of the value.");

/// `header` followed by the blocks that encrypt `values`, an array of float32 or float64.
#[pyfunction]
#[pyo3(signature = (layout, header, values, *, clip, factor, context, key_seed, noise_seed, threads, first_block=0))]
#[allow(clippy::too_many_arguments)]
pub fn encrypt<'py>(
    py: Python<'py>,
    layout: &PyLayout,
    header: &[u8],
    values: &Bound<'py, PyAny>,
    clip: f64,
    factor: f64,
    context: &[u8],
    key_seed: PyBuffer<u8>,
    noise_seed: PyBuffer<u8>,
    threads: usize,
    first_block: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let context = exactly(context, "context")?;
    let (key_seed, noise_seed) = (seed(py, &key_seed)?, seed(py, &noise_seed)?);
    let encryption = checked_encryption(layout, &context, clip, factor, first_block, &key_seed, &noise_seed)?;
    if let Ok(values) = values.extract::<PyReadonlyArray1<'py, f32>>() {
        encrypt_values(py, &encryption, header, &values, threads)
    } else if let Ok(values) = values.extract::<PyReadonlyArray1<'py, f64>>() {
        encrypt_values(py, &encryption, header, &values, threads)
    } else {
        Err(PyTypeError::new_err("values are a one-dimensional array of float32 or float64"))
    }
}

pub fn checked_encryption<'a>(
    layout: &'a PyLayout,
    context: &'a [u8; 32],
    clip: f64,
    factor: f64,
    first_block: u64,
    key_seed: &'a [u8; 32],
    noise_seed: &'a [u8; 32],
) -> PyResult<Encryption<'a>> {
    let largest = layout.layout.largest() as f64;
    // A factor of zero is a weight so small that no value leaves zero.
    if !(clip.is_finite() && clip > 0.0 && factor >= 0.0 && factor * clip <= largest * (1.0 + 1e-12)) {
        return Err(PyValueError::new_err(format!(
            "factor {factor} and clip {clip} do not fit values up to {largest}"
        )));
    }
    Ok(Encryption {
        layout: layout.layout,
        parameters: &layout.digest,
        context,
        clip,
        factor,
        first: checked_block(first_block)?,
        key_seed,
        noise_seed,
    })
}

fn encrypt_values<'py, V: numpy::Element + Value>(
    py: Python<'py>,
    encryption: &Encryption<'_>,
    header: &[u8],
    array: &PyReadonlyArray1<'py, V>,
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let threads = checked_threads(threads)?;
    let values = array.as_slice()?;
    // SAFETY: contiguous, aligned and held by `array`; all bits are a float.
    let values = unsafe { Shared::new(values.as_ptr(), values.len()) };
    let length = encryption.layout.blocks(values.len()).checked_mul(BLOCK_BYTES);
    let length = length.and_then(|bytes| bytes.checked_add(header.len()));
    let length =
        length.ok_or_else(|| PyValueError::new_err(format!("{} values do not fit in memory", values.len())))?;
    buffer::filled(py, length, |bytes| {
        let (head, blocks) = bytes.split_at_mut(header.len());
        head.copy_from_slice(header);
        py.detach(|| encryption.run(values, blocks, threads)).map_err(ValueRefused::new_err)
    })
}

//! Decryption of a sum under the sum of its keys, both of which are public to whoever decrypts.

use numpy::{PyArray1, PyArrayMethods};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

use super::checks::{PyLayout, WordRefused, blocks_of, checked_block, checked_threads, exactly};
use crate::decryption::{Decryption, Refused};
use crate::layout::{self, BLOCK_BYTES};
use crate::ring::Polynomial;
use crate::sum;

pyo3::create_exception!(quatrefoil._core, SumRefused, PyException, "args: what does not fit.");

/// The `length` values that the blocks at `offset` of `total` hold under the sum of secrets at `key_offset` of `key`.
#[pyfunction]
#[pyo3(signature = (layout, total, key, *, offset, key_offset, length, count, unit, context, threads, first_block=0))]
#[allow(clippy::too_many_arguments)]
pub fn decrypt<'py>(
    py: Python<'py>,
    layout: &PyLayout,
    total: &[u8],
    key: &[u8],
    offset: usize,
    key_offset: usize,
    length: usize,
    count: u32,
    unit: f64,
    context: &[u8],
    threads: usize,
    first_block: u64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let threads = checked_threads(threads)?;
    let context = exactly(context, "context")?;
    let blocks = blocks_of(total, offset)?;
    let key = blocks_of(key, key_offset)?;
    if blocks.len() != layout.block_bytes(length)? || key.len() != BLOCK_BYTES {
        return Err(PyValueError::new_err(format!("{length} values are not in {} bytes of blocks", blocks.len())));
    }
    sum::check(key).map_err(|refused| {
        SumRefused::new_err(format!("coefficient {} of the key is {}, not below p", refused.word, refused.value))
    })?;
    let mut secret = Polynomial::zero();
    for (coefficient, word) in secret.iter_mut().zip(key.chunks_exact(8)) {
        *coefficient = layout::read_word(word);
    }
    let first = checked_block(first_block)? as usize;
    let decryption =
        Decryption { layout: layout.layout, parameters: &layout.digest, context: &context, count, first, unit };
    if let Some((index, _)) = decryption.oversized(&secret) {
        return Err(SumRefused::new_err(format!("coefficient {index} of the key is no sum of {count} secrets")));
    }
    // NumPy's own function, which raises MemoryError where the crate's would panic. It leaves out the zeros: every value
    // is written, or the array is dropped.
    let values = py.import("numpy")?.call_method1("empty", (length,))?.cast_into::<PyArray1<f64>>()?;
    let mut writable = values.readwrite();
    let out = writable.as_slice_mut()?;
    py.detach(|| decryption.run(blocks, secret, out, threads)).map_err(sum_refused)?;
    drop(writable);
    Ok(values)
}

fn sum_refused(refused: Refused) -> PyErr {
    match refused {
        Refused::Word { word, value } => WordRefused::new_err((word, value)),
        Refused::Residual { coefficient, residual, bound } => SumRefused::new_err(format!(
            "coefficient {coefficient} leaves a residual of {residual}, beyond the noise bound of {bound}"
        )),
        Refused::Slot { coefficient, value, bound } => SumRefused::new_err(format!(
            "a slot of coefficient {coefficient} holds {value}, beyond its bound of {bound}"
        )),
        Refused::Padding { coefficient, value } => {
            SumRefused::new_err(format!("coefficient {coefficient} holds {value} behind the last value"))
        }
    }
}

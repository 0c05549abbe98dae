//! What every door to Python checks: parameter sets, seeds, digests, blocks, threads.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::layout::{BLOCK_BYTES, Layout};
use crate::sum::NotReduced;

const LARGEST_THREADS: usize = 256;

pyo3::create_exception!(quatrefoil._core, WordRefused, PyException, "args: position, value.");

/// The numbers of a parameter set that the kernel needs, and its digest.
#[pyclass(frozen, name = "Layout", module = "quatrefoil._core")]
pub struct PyLayout {
    pub layout: Layout,
    pub digest: [u8; 32],
}

#[pymethods]
impl PyLayout {
    #[new]
    fn new(value_bits: u32, slots: usize, slot_width: u32, delta: u32, digest: &[u8]) -> PyResult<Self> {
        let layout = Layout::new(value_bits, slots, slot_width, delta).map_err(PyValueError::new_err)?;
        Ok(Self { layout, digest: exactly(digest, "digest")? })
    }

    /// Bytes of the blocks that hold this many values.
    pub fn block_bytes(&self, values: usize) -> PyResult<usize> {
        let bytes = self.layout.blocks(values).checked_mul(BLOCK_BYTES);
        bytes.ok_or_else(|| PyValueError::new_err(format!("{values} values do not fit in memory")))
    }
}

pub fn exactly(bytes: &[u8], what: &str) -> PyResult<[u8; 32]> {
    bytes.try_into().map_err(|_| PyValueError::new_err(format!("{what} has {} bytes, not 32", bytes.len())))
}

pub fn seed(py: Python<'_>, buffer: &PyBuffer<u8>) -> PyResult<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    if buffer.len_bytes() != seed.len() {
        return Err(PyValueError::new_err(format!("a seed has {} bytes, not 32", buffer.len_bytes())));
    }
    buffer.copy_to_slice(py, seed.as_mut_slice())?;
    Ok(seed)
}

pub fn blocks_of(bytes: &[u8], offset: usize) -> PyResult<&[u8]> {
    let blocks = bytes.get(offset..).unwrap_or_default();
    if blocks.is_empty() || blocks.len() % BLOCK_BYTES != 0 {
        return Err(PyValueError::new_err(format!("{} bytes are not whole blocks of {BLOCK_BYTES}", blocks.len())));
    }
    Ok(blocks)
}

pub fn checked_threads(threads: usize) -> PyResult<usize> {
    if !(1..=LARGEST_THREADS).contains(&threads) {
        return Err(PyValueError::new_err(format!("{threads} threads are not 1 to {LARGEST_THREADS}")));
    }
    Ok(threads)
}

/// Positions are counted in coefficients, and those in 64 bits.
pub fn checked_block(block: u64) -> PyResult<u64> {
    if block > 1 << 40 {
        return Err(PyValueError::new_err(format!("block {block} is beyond {}", 1u64 << 40)));
    }
    Ok(block)
}

pub fn word_refused(refused: NotReduced) -> PyErr {
    WordRefused::new_err((refused.word, refused.value))
}

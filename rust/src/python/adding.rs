//! Sums of ciphertexts, and of keys.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::checks::{PyLayout, blocks_of, seed, word_refused};
use crate::key::Secrets;
use crate::layout::BLOCK_BYTES;
use crate::ring::Polynomial;
use crate::{buffer, sum};

/// A sum that grows as ciphertexts arrive, and holds none of them. Until the first has arrived it takes no memory.
#[pyclass(module = "quatrefoil._core")]
pub struct Accumulator {
    header_bytes: usize,
    block_bytes: usize,
    /// Room for a header, and the sum.
    total: Option<Py<PyBytes>>,
    /// Whether the object was given out, and must not change any more. Until then nothing else refers to it.
    given: bool,
}

#[pymethods]
impl Accumulator {
    #[new]
    fn new(header_bytes: usize, block_bytes: usize) -> PyResult<Self> {
        if block_bytes == 0 || !block_bytes.is_multiple_of(BLOCK_BYTES) {
            return Err(PyValueError::new_err(format!("{block_bytes} bytes are not whole blocks of {BLOCK_BYTES}")));
        }
        Ok(Self { header_bytes, block_bytes, total: None, given: false })
    }

    /// Add the blocks that start at `offset`; the sum stays as it was when they are refused.
    fn add(&mut self, py: Python<'_>, input: &Bound<'_, PyBytes>, offset: usize) -> PyResult<()> {
        let blocks = blocks_of(input.as_bytes(), offset)?;
        if blocks.len() != self.block_bytes {
            return Err(PyValueError::new_err(format!("{} bytes are not {}", blocks.len(), self.block_bytes)));
        }
        if self.total.is_some() {
            self.make_own(py)?;
            let total = self.total.as_ref().expect("it has begun").bind(py);
            // SAFETY: the object was not given out, so nothing else refers to it.
            let sum = &mut unsafe { buffer::contents(total) }[self.header_bytes..];
            return py.detach(|| sum::accumulate(sum, blocks)).map_err(word_refused);
        }
        let length = self.header_bytes.checked_add(self.block_bytes);
        let length = length.ok_or_else(|| PyValueError::new_err("the sum does not fit in memory"))?;
        let total = buffer::filled(py, length, |bytes| {
            let (head, sum) = bytes.split_at_mut(self.header_bytes);
            head.fill(0);
            py.detach(|| sum::begin(sum, blocks)).map_err(word_refused)
        })?;
        self.total = Some(total.unbind());
        Ok(())
    }

    /// `header` followed by the sum so far, of at least one ciphertext. The object itself is given out, not a copy: the
    /// next addition makes one.
    fn total<'py>(&mut self, py: Python<'py>, header: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        if header.len() != self.header_bytes {
            return Err(PyValueError::new_err(format!(
                "a header of {} bytes is not {}",
                header.len(),
                self.header_bytes
            )));
        }
        let Some(total) = &self.total else {
            return Err(PyValueError::new_err("nothing has been added yet"));
        };
        if self.given && total.as_bytes(py)[..header.len()] != *header {
            self.make_own(py)?;
        }
        let total = self.total.as_ref().expect("it has begun").bind(py).clone();
        if !self.given {
            // SAFETY: the object was not given out, so nothing reads it yet.
            let contents = unsafe { buffer::contents(&total) };
            contents[..header.len()].copy_from_slice(header);
            self.given = true;
        }
        Ok(total)
    }
}

impl Accumulator {
    /// Where the sum was given out, go on with a copy.
    fn make_own(&mut self, py: Python<'_>) -> PyResult<()> {
        if let (true, Some(total)) = (self.given, &self.total) {
            let old = total.as_bytes(py);
            let copy = buffer::filled(py, old.len(), |bytes| {
                bytes.copy_from_slice(old);
                Ok(())
            })?;
            self.total = Some(copy.unbind());
            self.given = false;
        }
        Ok(())
    }
}

/// `header` followed by the sum, modulo p, of the secret polynomials that the seeds expand to.
#[pyfunction]
pub fn combine_keys<'py>(
    py: Python<'py>,
    layout: &PyLayout,
    header: &[u8],
    seeds: Vec<PyBuffer<u8>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let seeds: Vec<_> = seeds.iter().map(|buffer| seed(py, buffer)).collect::<PyResult<_>>()?;
    let sum = py.detach(|| {
        let mut sum = Polynomial::zero();
        let mut secrets = Secrets::new(&layout.digest);
        seeds.iter().for_each(|seed| secrets.add(seed, &mut sum));
        sum
    });
    buffer::filled(py, header.len() + BLOCK_BYTES, |bytes| {
        bytes[..header.len()].copy_from_slice(header);
        for (out, coefficient) in bytes[header.len()..].chunks_exact_mut(8).zip(sum.iter()) {
            out.copy_from_slice(&coefficient.to_le_bytes());
        }
        Ok(())
    })
}

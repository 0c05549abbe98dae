//! The door to Python: checks lengths, lets go of the interpreter while it computes, turns refusals into exceptions.

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use super::{FieldHash, LARGEST_SIZE, ROWS, SMALL_SIZE, Unhashable};
use crate::field::P;
use crate::proof::{E, ELEMENT_BYTES, eq_table};

pyo3::create_exception!(quatrefoil._core, EntryRefused, PyException, "An entry is outside the range. args: none.");

/// The matrix for `size` inputs from `low` to `high`, kept up to 384 MiB and expanded each time beyond.
#[pyclass(frozen, name = "FieldHash", module = "quatrefoil._core")]
struct PyFieldHash {
    hash: FieldHash,
}

#[pymethods]
impl PyFieldHash {
    #[new]
    fn new(py: Python<'_>, size: usize, low: i32, high: i32) -> PyResult<Self> {
        let hash = py.detach(|| FieldHash::new(size, low, high)).map_err(|refused| {
            PyValueError::new_err(match refused {
                Unhashable::Size => format!("{size} inputs are not 1 to {LARGEST_SIZE}"),
                _ => format!("the range {low} to {high} is not of 16 to 2^16 integers from -2^15 to 2^16 - 1"),
            })
        })?;
        Ok(Self { hash })
    }

    /// Words of a hash.
    #[getter]
    fn rows(&self) -> usize {
        self.hash.rows()
    }

    /// Entries of rho.
    #[getter]
    fn rho_entries(&self) -> usize {
        self.hash.blinds()
    }

    /// Bytes that rho is made of.
    #[getter]
    fn rho_bytes(&self) -> usize {
        self.hash.blind_bytes()
    }

    /// The entries of rho that the bytes stand for.
    fn rho<'py>(&self, py: Python<'py>, rho: PyBuffer<u8>) -> PyResult<Bound<'py, PyArray1<i32>>> {
        let rho = self.randomness(py, &rho)?;
        Ok(PyArray1::from_slice(py, &self.hash.blind(&rho)))
    }

    /// h, as its words.
    fn hash<'py>(
        &self,
        py: Python<'py>,
        inputs: PyReadonlyArray1<'py, i32>,
        rho: PyBuffer<u8>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let given = inputs.as_slice()?;
        if given.len() != self.hash.size {
            return Err(PyValueError::new_err(format!("{} inputs are not {}", given.len(), self.hash.size)));
        }
        // A copy, so that another thread that writes to the array changes nothing between the check and the sum.
        let inputs = Zeroizing::new(given.to_vec());
        let rho = self.randomness(py, &rho)?;
        let words = py.detach(|| self.hash.hash(&inputs, &rho)).map_err(|_| EntryRefused::new_err(()))?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Ok(PyBytes::new(py, &bytes))
    }

    /// A^T eq(r), as its elements: for each entry, inputs first, the combination of its words by the rows' weights.
    fn row_combination<'py>(&self, py: Python<'py>, point: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let variables = self.hash.rows().next_power_of_two().ilog2() as usize;
        if point.len() != variables * ELEMENT_BYTES {
            return Err(PyValueError::new_err(format!("{} bytes are not {variables} elements", point.len())));
        }
        let words: Vec<u64> = point.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word)).collect();
        if words.iter().any(|&word| word >= P) {
            return Err(PyValueError::new_err("a word of the point is not below p"));
        }
        let combined = py.detach(|| {
            let point: Vec<E> = words.as_chunks::<2>().0.iter().map(|&[re, im]| E::new(re, im)).collect();
            let table = eq_table(&point);
            let weights: Vec<E> = (0..self.hash.rows()).map(|row| table.at(row)).collect();
            self.hash.combination(&weights).into_iter().flat_map(E::to_bytes).collect::<Vec<u8>>()
        });
        Ok(PyBytes::new(py, &combined))
    }
}

impl PyFieldHash {
    fn randomness(&self, py: Python<'_>, rho: &PyBuffer<u8>) -> PyResult<Zeroizing<Vec<u8>>> {
        let expected = self.hash.blind_bytes();
        if rho.len_bytes() != expected {
            return Err(PyValueError::new_err(format!("{} bytes of rho are not {expected}", rho.len_bytes())));
        }
        let mut bytes = Zeroizing::new(vec![0; expected]);
        rho.copy_to_slice(py, &mut bytes)?;
        Ok(bytes)
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("EntryRefused", module.py().get_type::<EntryRefused>())?;
    module.add("FIELD_HASH_ROWS", ROWS.map(|rows| (rows[0], rows[1])).to_vec())?;
    module.add("FIELD_HASH_SMALL", SMALL_SIZE)?;
    module.add("FIELD_HASH_LARGEST", LARGEST_SIZE)?;
    module.add_class::<PyFieldHash>()
}

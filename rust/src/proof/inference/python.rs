//! The door to Python for proofs about committed weights: checks lengths, lets go of the interpreter while it computes,
//! turns refusals into exceptions.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use zeroize::Zeroizing;

use super::bytes;
use super::program::Program;
use super::shape::Shape;
use super::soundness;
use super::weights::Commitment;
use crate::checked_threads;
use crate::proof::transcript::Digest;

/// A commitment to the weights of a model, kept for many proofs.
#[pyclass(frozen, name = "WeightsCommitment", module = "quatrefoil._core")]
struct PyCommitment {
    commitment: Commitment,
}

#[pymethods]
impl PyCommitment {
    #[new]
    fn new(
        py: Python<'_>,
        program: &[u8],
        openings: usize,
        weights: PyBuffer<u8>,
        seed: PyBuffer<u8>,
        threads: usize,
    ) -> PyResult<Self> {
        let (program, threads) = (parsed(program)?, checked_threads(threads)?);
        let (weights, seed) = (secret(py, &weights)?, crate::seed(py, &seed)?);
        let commitment = py.detach(|| Commitment::new(&program, openings, &weights, &seed, threads));
        Ok(Self { commitment: commitment.map_err(PyValueError::new_err)? })
    }

    #[getter]
    fn root(&self) -> Digest {
        self.commitment.root()
    }

    #[getter]
    fn openings(&self) -> usize {
        self.commitment.shape.openings
    }
}

/// The numbers of the proofs for a batch, in the order of docs/inference-proofs.md.
#[pyfunction]
fn inference_shape<'py>(
    py: Python<'py>,
    program: &[u8],
    openings: usize,
    batch: usize,
    hidden: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let shape = shape_of(&parsed(program)?, openings, batch, hidden)?;
    let (weights, format) = (&shape.weights, bytes::format(&shape));
    let numbers = [
        ("batch", shape.batch),
        ("openings", weights.openings),
        ("rows", shape.rows()),
        ("base_columns", shape.base_columns()),
        ("table_columns", shape.table_columns.len()),
        ("tables", shape.tables.len()),
        ("table_entries", shape.entries()),
        ("fractions", shape.fractions.len()),
        ("inverse_columns", shape.inverse_columns()),
        ("linear_claims", shape.linear_claims()),
        ("mask_row", shape.masks.length),
        ("code_message", shape.code.message()),
        ("code_length", shape.code.length()),
        ("queries", shape.code.queries),
        ("row_code_message", shape.row_code.message()),
        ("row_code_length", shape.row_code.length()),
        ("row_queries", shape.row_code.queries),
        ("weights_rows", weights.rows()),
        ("weights_columns", weights.columns),
        ("weights_code_message", weights.code.message()),
        ("weights_code_length", weights.code.length()),
        ("weights_queries", weights.code.queries),
        ("weights_appended", weights.appended()),
        ("least_proof_bytes", format.least),
        ("largest_proof_bytes", format.most),
    ];
    let dict = PyDict::new(py);
    for (name, number) in numbers {
        dict.set_item(name, number)?;
    }
    dict.set_item("soundness_bits", soundness::bits(&shape))?;
    Ok(dict)
}

/// What is drawn, what can go wrong, and log2 of the error.
#[pyfunction]
fn inference_soundness_terms(
    program: &[u8],
    openings: usize,
    batch: usize,
    hidden: bool,
) -> PyResult<Vec<(&'static str, &'static str, f64)>> {
    let shape = shape_of(&parsed(program)?, openings, batch, hidden)?;
    let terms = soundness::terms(&shape).into_iter();
    Ok(terms.map(|term| (term.drawn, term.failure, term.log2_error)).collect())
}

fn parsed(program: &[u8]) -> PyResult<Program> {
    Program::parse(program).map_err(PyValueError::new_err)
}

fn shape_of(program: &Program, openings: usize, batch: usize, hidden: bool) -> PyResult<Shape> {
    Shape::new(program, batch, hidden, openings).map_err(PyValueError::new_err)
}

/// A copy that is wiped.
fn secret(py: Python<'_>, buffer: &PyBuffer<u8>) -> PyResult<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; buffer.len_bytes()]);
    buffer.copy_to_slice(py, &mut bytes)?;
    Ok(bytes)
}

/// Little-endian integers of 32 bits.
fn integers(bytes: &[u8], what: &str) -> PyResult<Zeroizing<Vec<i32>>> {
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(PyValueError::new_err(format!("{} bytes of {what} are no integers of 4 bytes", bytes.len())));
    }
    Ok(Zeroizing::new(words.iter().map(|word| i32::from_le_bytes(*word)).collect()))
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyCommitment>()?;
    module.add_function(wrap_pyfunction!(inference_shape, module)?)?;
    module.add_function(wrap_pyfunction!(inference_soundness_terms, module)?)
}

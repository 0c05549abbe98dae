//! The door to Python for proofs about committed weights: checks lengths, lets go of the interpreter while it computes,
//! turns refusals into exceptions.

use std::borrow::Cow;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use zeroize::Zeroizing;

use super::program::{Program, Value};
use super::prover::{Attempt, prove};
use super::public::{Inputs, Public};
use super::shape::Shape;
use super::statement::Statement;
use super::verifier::verify;
use super::weights::Commitment;
use super::weights_shape::WeightsShape;
use super::witness::{Trace, Witness};
use super::{bytes, link, range, soundness};
use crate::field_hash::FieldHash;
use crate::layout::read_word;
use crate::proof::column::drop_all;
use crate::proof::python::ProofRejected;
use crate::proof::rejected::Rejected;
use crate::proof::transcript::Digest;
use crate::python::checks::{self, checked_threads, exactly};

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
        let (weights, seed) = (secret(py, &weights)?, checks::seed(py, &seed)?);
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
        ("weights", weights.entries()),
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

/// A proof that these outputs are what the committed model computes from these inputs, by one opening of the commitment.
/// The inputs are hidden where there is randomness of their hashes. `sums`: of every Dense and Conv
/// whose sums do not come out.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn prove_inference<'py>(
    py: Python<'py>,
    commitment: &PyCommitment,
    inputs: PyBuffer<u8>,
    outputs: &[u8],
    sums: Vec<PyBuffer<u8>>,
    batch: usize,
    randomness: Option<PyBuffer<u8>>,
    binding: &[u8],
    seed: PyBuffer<u8>,
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let commitment = &commitment.commitment;
    let (binding, threads, seed) = (exactly(binding, "binding")?, checked_threads(threads)?, checks::seed(py, &seed)?);
    let shape = shape_of(&commitment.program, commitment.shape.openings, batch, randomness.is_some())?;
    let inputs = secret_integers(py, &inputs, "inputs")?;
    let outputs = integers(outputs, "outputs")?;
    let sums = sums.iter().map(|sums| secret_integers(py, sums, "sums")).collect::<PyResult<Vec<_>>>()?;
    let randomness = randomness.map(|bytes| secret_integers(py, &bytes, "randomness")).transpose()?;
    let attempt = py.detach(|| {
        let sums: Vec<&[i32]> = sums.iter().map(|sums| sums.as_slice()).collect();
        let randomness = randomness.as_ref().map(|randomness| randomness.as_slice());
        let trace = Trace { inputs: &inputs, sums: &sums, outputs: &outputs, randomness };
        let witness = Witness::new(&shape, &trace, threads)?;
        let hashes = randomness.map(|randomness| hashes(&shape, &inputs, randomness)).transpose()?;
        let inputs = hashes.as_ref().map_or(Inputs::Open(&inputs), |hashes| Inputs::Hashed(hashes));
        let public = Public::new(&shape, inputs, &outputs)?;
        let statement = statement(&shape, commitment.root(), &public, binding, threads);
        let attempt = prove(&statement, commitment, &public, &witness, &seed, threads);
        drop_all(witness.columns, threads);
        Ok(attempt)
    });
    match attempt.map_err(PyValueError::new_err::<String>)? {
        Attempt { proof, holds: true } => Ok(PyBytes::new(py, &proof)),
        Attempt { holds: false, .. } => Err(PyValueError::new_err(
            "the outputs or sums are not what the committed model computes from these inputs",
        )),
    }
}

/// The statement digest and -log2 of the soundness error, or `ProofRejected`. `inputs`: their hashes, where they are hidden.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn verify_inference(
    py: Python<'_>,
    program: &[u8],
    openings: usize,
    root: &[u8],
    inputs: &[u8],
    hidden: bool,
    outputs: &[u8],
    batch: usize,
    binding: &[u8],
    proof: &[u8],
    threads: usize,
) -> PyResult<(Digest, f64)> {
    let (root, binding, threads) = (exactly(root, "root")?, exactly(binding, "binding")?, checked_threads(threads)?);
    let shape = shape_of(&parsed(program)?, openings, batch, hidden)?;
    let outputs = public_integers(outputs, "outputs")?;
    let (open, hashes) = match hidden {
        false => (public_integers(inputs, "inputs")?, Vec::new()),
        true => (Cow::default(), elements(inputs)?),
    };
    let verdict = py.detach(|| {
        let inputs = if hidden { Inputs::Hashed(&hashes) } else { Inputs::Open(&open) };
        let public = Public::new(&shape, inputs, &outputs)?;
        let statement = statement(&shape, root, &public, binding, threads);
        Ok(verify(&statement, &public, proof, threads))
    });
    let digest = verdict.map_err(PyValueError::new_err::<String>)?.map_err(rejected)?;
    Ok((digest, soundness::bits(&shape)))
}

/// A proof that the committed weights are in their range, by one opening.
#[pyfunction]
fn prove_weights_range<'py>(
    py: Python<'py>,
    commitment: &PyCommitment,
    seed: PyBuffer<u8>,
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let (seed, threads) = (checks::seed(py, &seed)?, checked_threads(threads)?);
    let proof = py.detach(|| range::prove(&commitment.commitment, &seed, threads));
    Ok(PyBytes::new(py, &proof.map_err(PyValueError::new_err)?))
}

/// The statement digest and -log2 of the soundness error, or `ProofRejected`.
#[pyfunction]
fn verify_weights_range(
    py: Python<'_>,
    program: &[u8],
    openings: usize,
    root: &[u8],
    proof: &[u8],
) -> PyResult<(Digest, f64)> {
    let (program, root) = (parsed(program)?, exactly(root, "root")?);
    let weights = WeightsShape::new(&program, openings).map_err(PyValueError::new_err)?;
    let digest = py.detach(|| range::verify(&program, &weights, &root, proof)).map_err(rejected)?;
    Ok((digest, range::bits(&range::RangeShape::new(&program, &weights))))
}

/// A proof that two commitments hold the same weights, by one opening of each.
#[pyfunction]
fn prove_weights_link<'py>(
    py: Python<'py>,
    old: &PyCommitment,
    new: &PyCommitment,
    seed: PyBuffer<u8>,
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let (seed, threads) = (checks::seed(py, &seed)?, checked_threads(threads)?);
    let proof = py.detach(|| link::prove(&old.commitment, &new.commitment, &seed, threads));
    Ok(PyBytes::new(py, &proof.map_err(PyValueError::new_err)?))
}

/// The statement digest and -log2 of the soundness error, or `ProofRejected`. Both commitments allow the same openings.
#[pyfunction]
fn verify_weights_link(
    py: Python<'_>,
    program: &[u8],
    openings_old: usize,
    root_old: &[u8],
    openings_new: usize,
    root_new: &[u8],
    proof: &[u8],
) -> PyResult<(Digest, f64)> {
    let (program, roots) = (parsed(program)?, [exactly(root_old, "old root")?, exactly(root_new, "new root")?]);
    if openings_old != openings_new {
        return Err(PyValueError::new_err(link::unlike(openings_old, openings_new)));
    }
    let weights = WeightsShape::new(&program, openings_old).map_err(PyValueError::new_err)?;
    let digest = py.detach(|| link::verify(&program, &weights, &roots, proof)).map_err(rejected)?;
    Ok((digest, link::bits(&weights)))
}

fn rejected(reason: Rejected) -> PyErr {
    ProofRejected::new_err(reason.to_string())
}

fn statement<'a>(shape: &'a Shape, root: Digest, public: &Public, binding: Digest, threads: usize) -> Statement<'a> {
    let [inputs, outputs] = public.digests(threads);
    Statement { shape, root, inputs, outputs, binding }
}

fn parsed(program: &[u8]) -> PyResult<Program> {
    Program::parse(program).map_err(PyValueError::new_err)
}

fn shape_of(program: &Program, openings: usize, batch: usize, hidden: bool) -> PyResult<Shape> {
    Shape::new(program, batch, hidden, openings).map_err(PyValueError::new_err)
}

/// The field hashes of hidden inputs, sample after sample.
fn hashes(shape: &Shape, inputs: &[i32], randomness: &[i32]) -> Result<Vec<u64>, String> {
    let Value { low, high, .. } = shape.program.input;
    let features = shape.program.input.features();
    let refused = |_| format!("an input or its randomness is not {low} to {high}");
    let hash = FieldHash::new(features, low as i32, high as i32).map_err(refused)?;
    let mut hashes = Vec::with_capacity(shape.batch * hash.rows());
    for (input, blind) in inputs.chunks_exact(features).zip(randomness.chunks_exact(hash.blinds())) {
        hashes.extend(hash.hash_entries(input, blind).map_err(refused)?);
    }
    Ok(hashes)
}

/// A copy that is wiped.
fn secret(py: Python<'_>, buffer: &PyBuffer<u8>) -> PyResult<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; buffer.len_bytes()]);
    buffer.copy_to_slice(py, &mut bytes)?;
    Ok(bytes)
}

fn secret_integers(py: Python<'_>, buffer: &PyBuffer<u8>, what: &str) -> PyResult<Zeroizing<Vec<i32>>> {
    integers(&secret(py, buffer)?, what)
}

/// Little-endian words of 64 bits.
fn elements(bytes: &[u8]) -> PyResult<Vec<u64>> {
    if !bytes.len().is_multiple_of(8) {
        return Err(PyValueError::new_err(format!("{} bytes of hashes are no elements of 8 bytes", bytes.len())));
    }
    Ok(bytes.chunks_exact(8).map(read_word).collect())
}

/// Little-endian integers of 32 bits.
fn integers(bytes: &[u8], what: &str) -> PyResult<Zeroizing<Vec<i32>>> {
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(PyValueError::new_err(format!("{} bytes of {what} are no integers of 4 bytes", bytes.len())));
    }
    Ok(Zeroizing::new(words.iter().map(|word| i32::from_le_bytes(*word)).collect()))
}

/// [`integers`] where they lie, if they lie as integers do: copying millions of them takes as long as to check their proof.
fn public_integers<'a>(bytes: &'a [u8], what: &str) -> PyResult<Cow<'a, [i32]>> {
    if cfg!(target_endian = "little") {
        // SAFETY: any four bytes are an integer.
        let (before, aligned, behind) = unsafe { bytes.align_to::<i32>() };
        if before.is_empty() && behind.is_empty() {
            return Ok(Cow::Borrowed(aligned));
        }
    }
    Ok(Cow::Owned(std::mem::take(&mut *integers(bytes, what)?)))
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyCommitment>()?;
    module.add_function(wrap_pyfunction!(inference_shape, module)?)?;
    module.add_function(wrap_pyfunction!(inference_soundness_terms, module)?)?;
    module.add_function(wrap_pyfunction!(prove_inference, module)?)?;
    module.add_function(wrap_pyfunction!(verify_inference, module)?)?;
    module.add_function(wrap_pyfunction!(prove_weights_range, module)?)?;
    module.add_function(wrap_pyfunction!(verify_weights_range, module)?)?;
    module.add_function(wrap_pyfunction!(prove_weights_link, module)?)?;
    module.add_function(wrap_pyfunction!(verify_weights_link, module)?)
}

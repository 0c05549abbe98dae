//! Verification of proofs of updates.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use super::statement::{PyContext, PyStatement};
use crate::proof::transcript::{Digest, content_on};
use crate::proof::verifier::verify;
use crate::python::checks::checked_threads;

pyo3::create_exception!(quatrefoil._core, ProofRejected, PyException, "args: the reason.");

/// The statement digest, or `ProofRejected`.
#[pyfunction]
#[pyo3(signature = (statement, context, ciphertext, proof, *, offset, threads))]
pub fn verify_update(
    py: Python<'_>,
    statement: &PyStatement,
    context: &PyContext,
    ciphertext: &[u8],
    proof: &[u8],
    offset: usize,
    threads: usize,
) -> PyResult<Digest> {
    let threads = checked_threads(threads)?;
    let ciphertext = statement.ciphertext(context, ciphertext, offset)?;
    let verdict =
        py.detach(|| verify(&statement.about(content_on(ciphertext.blocks, threads)), &ciphertext, proof, threads));
    verdict.map_err(|reason| ProofRejected::new_err(reason.to_string()))
}

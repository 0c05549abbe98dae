//! The shape of proofs, and how sound they are.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::layout::BLOCK_BYTES;
use crate::proof::proof_bytes::{fixed_bytes, largest_bytes};
use crate::proof::shape::Shape;
use crate::proof::soundness;
use crate::proof::transcript::Digest;
use crate::python::checks::PyLayout;
use crate::sharing::python::{self as sharing, Numbers};

pyo3::create_exception!(
    quatrefoil._core,
    ProofUnavailable,
    PyException,
    "args: why there are no proofs of this shape."
);

/// The shape of the proofs for a number of values under a parameter set.
#[pyclass(frozen, name = "ProofShape", module = "quatrefoil._core")]
pub struct PyShape {
    pub shape: Shape,
    pub parameters: Digest,
}

#[pymethods]
impl PyShape {
    #[new]
    fn new(layout: &PyLayout, values: usize) -> PyResult<Self> {
        let shape = Shape::new(layout.layout, values).map_err(ProofUnavailable::new_err)?;
        Ok(Self { shape, parameters: layout.digest })
    }

    /// The same with the key in shares.
    fn shared(&self, threshold: Numbers) -> PyResult<Self> {
        let shape = self.shape.shared(sharing::checked(threshold)?).map_err(ProofUnavailable::new_err)?;
        Ok(Self { shape, parameters: self.parameters })
    }

    /// Names and numbers, in the order of docs/proofs.md.
    fn numbers(&self) -> Vec<(&'static str, usize)> {
        let shape = &self.shape;
        vec![
            ("values", shape.values),
            ("blocks", shape.blocks),
            ("limb_bits", shape.limb_bits as usize),
            ("rows", shape.rows()),
            ("groups", shape.groups),
            ("base_columns", shape.base_columns()),
            ("fractions", shape.fractions.len()),
            ("inverse_columns", shape.inverse_columns()),
            ("code_message", shape.code.message()),
            ("code_length", shape.code.length()),
            ("queries", shape.code.queries),
            ("row_code_message", shape.row_code.message()),
            ("row_code_length", shape.row_code.length()),
            ("row_queries", shape.row_code.queries),
            ("ciphertext_bytes", shape.blocks * BLOCK_BYTES),
            ("least_proof_bytes", fixed_bytes(shape)),
            ("largest_proof_bytes", largest_bytes(shape)),
        ]
    }

    /// What is drawn, what can go wrong, and log2 of the error, for a statement with so many further claims.
    #[pyo3(signature = (further=0))]
    fn soundness_terms(&self, further: usize) -> Vec<(&'static str, &'static str, f64)> {
        soundness::terms(&self.shape, further)
            .into_iter()
            .map(|term| (term.drawn, term.failure, term.log2_error))
            .collect()
    }

    #[pyo3(signature = (further=0))]
    fn soundness_bits(&self, further: usize) -> f64 {
        soundness::bits(&self.shape, further)
    }
}

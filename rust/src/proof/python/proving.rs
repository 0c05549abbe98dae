//! Proofs of updates.

use numpy::PyReadonlyArray1;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::statement::{PyContext, PyStatement};
use crate::encryption::Encryption;
use crate::proof::column::drop_all;
use crate::proof::prover::{Attempt, Ciphertext, prove};
use crate::proof::transcript::content_on;
use crate::proof::witness::{Unprovable, Witness};
use crate::python::checks::{PyLayout, checked_threads, seed};
use crate::python::encrypting::{ValueRefused, checked_encryption};
use crate::rounding::Value;
use crate::shared::Shared;
use crate::sharing::Polynomials;

pyo3::create_exception!(quatrefoil._core, UpdateUnprovable, PyException, "args: what is not as stated.");

/// A proof that the ciphertext is what `encrypt` makes of these values and seeds, within the statement's bounds; with
/// a `sharing_seed`, that the key is shared as `deal_key` does with it.
#[pyfunction]
#[pyo3(signature = (statement, context, ciphertext, values, *, offset, layout, clip, factor, key_seed, noise_seed,
                    sharing_seed, proof_seed, threads))]
#[allow(clippy::too_many_arguments)]
pub fn prove_update<'py>(
    py: Python<'py>,
    statement: &PyStatement,
    context: &PyContext,
    ciphertext: &[u8],
    values: &Bound<'py, PyAny>,
    offset: usize,
    layout: &PyLayout,
    clip: f64,
    factor: f64,
    key_seed: PyBuffer<u8>,
    noise_seed: PyBuffer<u8>,
    sharing_seed: Option<PyBuffer<u8>>,
    proof_seed: PyBuffer<u8>,
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let (key_seed, noise_seed) = (seed(py, &key_seed)?, seed(py, &noise_seed)?);
    let (proof_seed, threads) = (seed(py, &proof_seed)?, checked_threads(threads)?);
    if layout.digest != statement.parameters {
        return Err(PyValueError::new_err("the parameters are not those of the statement"));
    }
    if statement.shape.sharing.is_some() != sharing_seed.is_some() {
        return Err(PyValueError::new_err("shares are proven where the statement has them, and nowhere else"));
    }
    let sharing_seed = sharing_seed.map(|sharing_seed| seed(py, &sharing_seed)).transpose()?;
    let encryption = checked_encryption(layout, &statement.context, clip, factor, 0, &key_seed, &noise_seed)?;
    let ciphertext = statement.ciphertext(context, ciphertext, offset)?;
    let sharing_seed = sharing_seed.as_deref();
    let prover = UpdateProver { statement, encryption, ciphertext, sharing_seed, proof_seed: &proof_seed, threads };
    if let Ok(values) = values.extract::<PyReadonlyArray1<'py, f32>>() {
        prover.run(py, &values)
    } else if let Ok(values) = values.extract::<PyReadonlyArray1<'py, f64>>() {
        prover.run(py, &values)
    } else {
        Err(PyTypeError::new_err("values are a one-dimensional array of float32 or float64"))
    }
}

struct UpdateProver<'a> {
    statement: &'a PyStatement,
    encryption: Encryption<'a>,
    ciphertext: Ciphertext<'a>,
    sharing_seed: Option<&'a [u8; 32]>,
    proof_seed: &'a [u8; 32],
    threads: usize,
}

impl UpdateProver<'_> {
    fn run<'py, V: numpy::Element + Value>(
        &self,
        py: Python<'py>,
        array: &PyReadonlyArray1<'py, V>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (shape, threads) = (&self.statement.shape, self.threads);
        let values = array.as_slice()?;
        if values.len() != shape.values {
            return Err(PyValueError::new_err(format!("{} values are not {}", values.len(), shape.values)));
        }
        // SAFETY: contiguous, aligned and held by `array`; all bits are a float.
        let values = unsafe { Shared::new(values.as_ptr(), values.len()) };
        let attempt = py.detach(|| {
            let Encryption { key_seed, parameters, .. } = self.encryption;
            let dealt = shape.sharing.zip(self.sharing_seed);
            let dealt = dealt.map(|(threshold, seed)| Polynomials::new(threshold, key_seed, seed, parameters));
            let statement = self.statement;
            if dealt.as_ref().is_some_and(|dealt| dealt.commitments() != statement.commitments) {
                return Err(Unprovable::Shares);
            }
            let (bound, further) = (statement.bound, &statement.further);
            let witness = Witness::new(shape, &self.encryption, values, bound, further, dealt.as_ref(), threads)?;
            let statement = self.statement.about(content_on(self.ciphertext.blocks, threads));
            let attempt = prove(&statement, &self.ciphertext, &witness, self.proof_seed, threads);
            drop_all(witness.columns, threads);
            Ok(attempt)
        });
        match attempt {
            Ok(Attempt { proof, holds: true }) => Ok(PyBytes::new(py, &proof)),
            Ok(_) => Err(UpdateUnprovable::new_err("the ciphertext is not what these values and seeds give")),
            Err(Unprovable::Value(index)) => Err(ValueRefused::new_err(index)),
            Err(Unprovable::Shares) => {
                Err(UpdateUnprovable::new_err("the commitments are not those of the shares that were dealt"))
            }
            Err(Unprovable::Norm) => Err(UpdateUnprovable::new_err("the sum of squares is over the bound")),
            Err(Unprovable::Further(claim)) => {
                Err(UpdateUnprovable::new_err(match self.statement.further.norms.get(claim) {
                    Some(norm) => format!("the squares of values {} to {} are over their bound", norm.first, norm.end),
                    None => "it points away from the agreed direction".to_owned(),
                }))
            }
        }
    }
}

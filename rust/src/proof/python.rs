//! The door to Python: checks lengths, lets go of the interpreter while it computes, turns refusals into exceptions.

use numpy::PyReadonlyArray1;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::blinding;
use super::column::drop_all;
use super::ext::{E, ELEMENT_BYTES};
use super::further::{self, Direction, Further, LARGEST_CLAIMS, PartNorm};
use super::inference;
use super::masks::Masks;
use super::multilinear::eq_table;
use super::proof_bytes::{fixed_bytes, largest_bytes};
use super::prover::{Attempt, Ciphertext, prove};
use super::shape::Shape;
use super::share_check::Check;
use super::soundness;
use super::statement::{First, LARGEST_BOUND, Statement};
use super::transcript::{Digest, content, content_on};
use super::verifier::verify;
use super::witness::{Unprovable, Witness};
use crate::encryption::Encryption;
use crate::field::P;
use crate::layout::{BLOCK_BYTES, read_word};
use crate::ring::N;
use crate::rounding::Value;
use crate::shared::Shared;
use crate::sharing::Polynomials;
use crate::sharing::python::{self as sharing, Numbers};
use crate::{
    PyLayout, ValueRefused, blocks_of, checked_encryption, checked_threads, exactly, key, seed, sum, word_refused,
};

pyo3::create_exception!(
    quatrefoil._core,
    ProofUnavailable,
    PyException,
    "args: why there are no proofs of this shape."
);
pyo3::create_exception!(quatrefoil._core, UpdateUnprovable, PyException, "args: what is not as stated.");
pyo3::create_exception!(quatrefoil._core, ProofRejected, PyException, "args: the reason.");

/// The shape of the proofs for a number of values under a parameter set.
#[pyclass(frozen, name = "ProofShape", module = "quatrefoil._core")]
struct PyShape {
    shape: Shape,
    parameters: Digest,
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

/// The a_j of a context: what a prover and a verifier expand once a round.
#[pyclass(frozen, name = "ProofContext", module = "quatrefoil._core")]
struct PyContext {
    masks: Masks,
    context: Digest,
    parameters: Digest,
}

#[pymethods]
impl PyContext {
    #[new]
    fn new(py: Python<'_>, shape: &PyShape, context: &[u8], threads: usize) -> PyResult<Self> {
        let (context, threads) = (exactly(context, "context")?, checked_threads(threads)?);
        let masks = py.detach(|| Masks::new(&context, &shape.parameters, shape.shape.blocks, threads));
        Ok(Self { masks, context, parameters: shape.parameters })
    }
}

/// Everything public but the ciphertext.
#[pyclass(frozen, name = "ProofStatement", module = "quatrefoil._core")]
#[derive(Clone)]
struct PyStatement {
    shape: Shape,
    bound: u64,
    further: Further,
    parameters: Digest,
    context: Digest,
    binding: Digest,
    commitments: Vec<Digest>,
}

#[pymethods]
impl PyStatement {
    #[new]
    #[pyo3(signature = (shape, *, bound, context, binding, norms=Vec::new(), direction=None, direction_digest=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        shape: &PyShape,
        bound: u64,
        context: &[u8],
        binding: &[u8],
        norms: Vec<(usize, usize, u64)>,
        direction: Option<PyReadonlyArray1<'_, i16>>,
        direction_digest: Option<&[u8]>,
    ) -> PyResult<Self> {
        for bound in norms.iter().map(|norm| norm.2).chain([bound]) {
            if bound > LARGEST_BOUND {
                return Err(PyValueError::new_err(format!("a bound of {bound} is over {LARGEST_BOUND}")));
            }
        }
        let direction = match (direction, direction_digest) {
            (None, None) => None,
            (None, Some(digest)) => Some(Direction::named(exactly(digest, "direction digest")?)),
            (Some(_), Some(_)) => return Err(PyValueError::new_err("a direction and its digest are one too many")),
            (Some(direction), None) => {
                let entries = direction.as_slice()?;
                if entries.len() != shape.shape.values {
                    return Err(PyValueError::new_err(format!(
                        "a direction of {} entries is not {}",
                        entries.len(),
                        shape.shape.values
                    )));
                }
                Some(Direction::new(&shape.shape, entries))
            }
        };
        let norms = norms.into_iter().map(|(first, end, bound)| PartNorm { first, end, bound }).collect();
        let further = Further::new(&shape.shape, norms, direction).map_err(PyValueError::new_err)?;
        Ok(Self {
            further,
            shape: shape.shape.clone(),
            bound,
            parameters: shape.parameters,
            context: exactly(context, "context")?,
            binding: exactly(binding, "binding")?,
            commitments: Vec::new(),
        })
    }

    /// The same with each member's commitment to its share.
    fn shared(&self, commitments: Vec<Vec<u8>>) -> PyResult<Self> {
        if self.shape.sharing.is_none_or(|sharing| sharing.members != commitments.len()) {
            return Err(PyValueError::new_err(format!("{} commitments are not one a member", commitments.len())));
        }
        let commitments = commitments.iter().map(|one| exactly(one, "commitment")).collect::<PyResult<_>>()?;
        Ok(Self { commitments, ..self.clone() })
    }

    /// The statement digest for a ciphertext of which this is the content digest.
    fn digest(&self, ciphertext: &[u8]) -> PyResult<Digest> {
        Ok(self.about(exactly(ciphertext, "content digest")?).transcript().state())
    }

    /// v, as its bytes, for the key of a seed: what a proof about this ciphertext with this root 1 must hold.
    fn key_binding(
        &self,
        py: Python<'_>,
        key_seed: PyBuffer<u8>,
        ciphertext: &[u8],
        root: &[u8],
    ) -> PyResult<[u8; 16]> {
        let key_seed = seed(py, &key_seed)?;
        if self.shape.sharing.is_some() {
            return Err(PyValueError::new_err("a key in shares is not one party's to check"));
        }
        let statement = self.about(exactly(ciphertext, "content digest")?);
        let root = exactly(root, "root")?;
        let v = py.detach(|| {
            let First { zeta, .. } = First::draw(&mut statement.transcript(), &root);
            let (secret, weights) = (key::secret(&key_seed, &self.parameters), eq_table(&zeta));
            let pad = blinding::pad(&key_seed, &self.parameters);
            (0..N).fold(pad, |sum, index| sum + weights.at(index).scale(secret[index]))
        });
        Ok(E::to_bytes(v))
    }

    /// Why a member's share is not what a proof about this ciphertext, with this root 1 and these values, is about.
    fn share_refused(
        &self,
        py: Python<'_>,
        share: PyBuffer<u8>,
        member: usize,
        ciphertext: &[u8],
        root: &[u8],
        values: &[u8],
    ) -> PyResult<Option<&'static str>> {
        let statement = self.about(exactly(ciphertext, "content digest")?);
        let root = exactly(root, "root")?;
        let Some(threshold) = self.shape.sharing.filter(|sharing| (1..=sharing.members).contains(&member)) else {
            return Err(PyValueError::new_err(format!("there is no member {member}")));
        };
        let words = values.chunks_exact(8).map(read_word).collect::<Vec<_>>();
        if values.len() != ELEMENT_BYTES * threshold.recovery() || words.iter().any(|&word| word >= P) {
            return Ok(Some("V is none"));
        }
        if share.len_bytes() != threshold.share_bytes() {
            return Ok(Some("it has another length"));
        }
        if self.commitments.is_empty() {
            return Err(PyValueError::new_err("the statement has no commitments"));
        }
        let share = sharing::checked_share(py, threshold, &share)?;
        Ok(py.detach(|| {
            let First { zeta, .. } = First::draw(&mut statement.transcript(), &root);
            let values: Vec<E> = words.chunks_exact(2).map(|pair| E::new(pair[0], pair[1])).collect();
            Check { threshold, commitment: &self.commitments[member - 1], zeta: &zeta, values: &values }
                .refused(member, &share)
        }))
    }
}

impl PyStatement {
    fn about(&self, ciphertext: Digest) -> Statement<'_> {
        Statement {
            shape: &self.shape,
            bound: self.bound,
            further: &self.further,
            parameters: self.parameters,
            context: self.context,
            binding: self.binding,
            ciphertext,
            commitments: &self.commitments,
        }
    }

    /// The blocks at `offset`, after a look at their number and words, with the masks that belong to the statement.
    fn ciphertext<'a>(&self, context: &'a PyContext, bytes: &'a [u8], offset: usize) -> PyResult<Ciphertext<'a>> {
        let blocks = blocks_of(bytes, offset)?;
        if blocks.len() != self.shape.blocks * BLOCK_BYTES {
            return Err(PyValueError::new_err(format!("{} bytes are not {} blocks", blocks.len(), self.shape.blocks)));
        }
        sum::check(blocks).map_err(word_refused)?;
        if self.shape.sharing.is_some() && self.commitments.is_empty() {
            return Err(PyValueError::new_err("the statement has no commitments to shares"));
        }
        if !self.further.is_known() {
            return Err(PyValueError::new_err("of the direction only the digest is known"));
        }
        let fits = context.context == self.context && context.parameters == self.parameters;
        if !fits || context.masks.blocks() < self.shape.blocks {
            return Err(PyValueError::new_err("the expanded context is not that of the statement"));
        }
        Ok(Ciphertext { masks: context.masks.words(), blocks })
    }
}

/// H_CONTENT of the blocks that start at `offset`.
#[pyfunction]
fn content_digest(py: Python<'_>, ciphertext: &[u8], offset: usize) -> PyResult<Digest> {
    let blocks = blocks_of(ciphertext, offset)?;
    Ok(py.detach(|| content(blocks)))
}

/// H_CONTENT of a direction's entries.
#[pyfunction]
fn direction_digest(direction: PyReadonlyArray1<'_, i16>) -> PyResult<Digest> {
    Ok(further::direction_digest(direction.as_slice()?))
}

/// A proof that the ciphertext is what `encrypt` makes of these values and seeds, within the statement's bounds; with
/// a `sharing_seed`, that the key is shared as `deal_key` does with it.
#[pyfunction]
#[pyo3(signature = (statement, context, ciphertext, values, *, offset, layout, clip, factor, key_seed, noise_seed,
                    sharing_seed, proof_seed, threads))]
#[allow(clippy::too_many_arguments)]
fn prove_update<'py>(
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

/// The statement digest, or `ProofRejected`.
#[pyfunction]
#[pyo3(signature = (statement, context, ciphertext, proof, *, offset, threads))]
fn verify_update(
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

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("ProofUnavailable", py.get_type::<ProofUnavailable>())?;
    module.add("UpdateUnprovable", py.get_type::<UpdateUnprovable>())?;
    module.add("ProofRejected", py.get_type::<ProofRejected>())?;
    module.add("LARGEST_PROOF_BOUND", LARGEST_BOUND)?;
    module.add("MOST_FURTHER_CLAIMS", LARGEST_CLAIMS)?;
    module.add_class::<PyShape>()?;
    module.add_class::<PyContext>()?;
    module.add_class::<PyStatement>()?;
    module.add_function(wrap_pyfunction!(content_digest, module)?)?;
    module.add_function(wrap_pyfunction!(direction_digest, module)?)?;
    module.add_function(wrap_pyfunction!(prove_update, module)?)?;
    module.add_function(wrap_pyfunction!(verify_update, module)?)?;
    inference::python::add_to(module)
}

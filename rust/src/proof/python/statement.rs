//! Statements, and what they say of a key or of a share.

use numpy::PyReadonlyArray1;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::shape::PyShape;
use crate::field::P;
use crate::layout::{BLOCK_BYTES, read_word};
use crate::proof::blinding;
use crate::proof::ext::{E, ELEMENT_BYTES};
use crate::proof::further::{self, Direction, Further, PartNorm};
use crate::proof::masks::Masks;
use crate::proof::multilinear::eq_table;
use crate::proof::prover::Ciphertext;
use crate::proof::shape::Shape;
use crate::proof::share_check::Check;
use crate::proof::statement::{First, LARGEST_BOUND, Statement};
use crate::proof::transcript::{Digest, content};
use crate::python::checks::{blocks_of, checked_threads, exactly, seed, word_refused};
use crate::ring::N;
use crate::sharing::python as sharing;
use crate::{key, sum};

/// The a_j of a context: what a prover and a verifier expand once a round.
#[pyclass(frozen, name = "ProofContext", module = "quatrefoil._core")]
pub struct PyContext {
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
pub struct PyStatement {
    pub shape: Shape,
    pub bound: u64,
    pub further: Further,
    pub parameters: Digest,
    pub context: Digest,
    binding: Digest,
    pub commitments: Vec<Digest>,
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
    pub fn about(&self, ciphertext: Digest) -> Statement<'_> {
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
    pub fn ciphertext<'a>(&self, context: &'a PyContext, bytes: &'a [u8], offset: usize) -> PyResult<Ciphertext<'a>> {
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
pub fn content_digest(py: Python<'_>, ciphertext: &[u8], offset: usize) -> PyResult<Digest> {
    let blocks = blocks_of(ciphertext, offset)?;
    Ok(py.detach(|| content(blocks)))
}

/// H_CONTENT of a direction's entries.
#[pyfunction]
pub fn direction_digest(direction: PyReadonlyArray1<'_, i16>) -> PyResult<Digest> {
    Ok(further::direction_digest(direction.as_slice()?))
}

//! The door to Python: checks lengths, lets go of the interpreter while it computes, turns refusals into exceptions.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use zeroize::Zeroizing;

use super::adding::add;
use super::dealing::Polynomials;
use super::recovery::{Answer, recover};
use super::threshold::Threshold;
use crate::field::P;
use crate::layout::read_word;
use crate::proof::share_commitment;
use crate::python::checks::{PyLayout, seed};

pyo3::create_exception!(quatrefoil._core, ShareRefused, PyException, "args: the index of a share with such a word.");

/// Members, privacy, packing.
pub type Numbers = (usize, usize, usize);

pub fn checked((members, privacy, packing): Numbers) -> PyResult<Threshold> {
    Threshold::new(members, privacy, packing).map_err(PyValueError::new_err)
}

pub fn checked_share(py: Python<'_>, threshold: Threshold, share: &PyBuffer<u8>) -> PyResult<Zeroizing<Vec<u8>>> {
    if share.len_bytes() != threshold.share_bytes() {
        return Err(PyValueError::new_err(format!(
            "a share of {} bytes is not {}",
            share.len_bytes(),
            threshold.share_bytes()
        )));
    }
    let mut copy = Zeroizing::new(vec![0; threshold.share_bytes()]);
    share.copy_to_slice(py, &mut copy)?;
    Ok(copy)
}

#[pyfunction]
fn share_words(threshold: Numbers) -> PyResult<usize> {
    Ok(checked(threshold)?.words())
}

#[pyfunction]
fn share_bytes(threshold: Numbers) -> PyResult<usize> {
    Ok(checked(threshold)?.share_bytes())
}

/// Each member's share of the key of a seed, and its commitment.
#[pyfunction]
#[allow(clippy::type_complexity)]
fn deal_key<'py>(
    py: Python<'py>,
    layout: &PyLayout,
    threshold: Numbers,
    key_seed: PyBuffer<u8>,
    sharing_seed: PyBuffer<u8>,
) -> PyResult<(Vec<Bound<'py, PyByteArray>>, Vec<Bound<'py, PyBytes>>)> {
    let threshold = checked(threshold)?;
    let (key_seed, sharing_seed) = (seed(py, &key_seed)?, seed(py, &sharing_seed)?);
    let shares: Vec<_> = py.detach(|| {
        let polynomials = Polynomials::new(threshold, &key_seed, &sharing_seed, &layout.digest);
        (1..=threshold.members).map(|member| polynomials.share(member)).collect()
    });
    let commitments = shares.iter().map(|share| PyBytes::new(py, &share_commitment(share))).collect();
    Ok((shares.iter().map(|share| PyByteArray::new(py, share)).collect(), commitments))
}

/// `header` followed by the sum of the shares' elements.
#[pyfunction]
fn add_shares<'py>(
    py: Python<'py>,
    header: &[u8],
    threshold: Numbers,
    shares: Vec<PyBuffer<u8>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let threshold = checked(threshold)?;
    let shares: Vec<_> = shares.iter().map(|share| checked_share(py, threshold, share)).collect::<PyResult<_>>()?;
    let sum = py.detach(|| add(threshold, &shares)).map_err(ShareRefused::new_err)?;
    Ok(PyBytes::new(py, &with_header(header, &sum)))
}

#[pyfunction]
fn words_below_modulus(words: &[u8]) -> bool {
    words.len().is_multiple_of(8) && words.chunks_exact(8).all(|word| read_word(word) < P)
}

/// The next trial in which a set of answers gives a secret: its number, `header` followed by the secret, and whose answers
/// are not those of the set.
#[pyfunction]
#[pyo3(signature = (header, threshold, answers, *, largest, first, end))]
#[allow(clippy::type_complexity)]
fn recover_key<'py>(
    py: Python<'py>,
    header: &[u8],
    threshold: Numbers,
    answers: Vec<(u32, Vec<u8>)>,
    largest: u64,
    first: usize,
    end: usize,
) -> PyResult<Option<(usize, Bound<'py, PyBytes>, Vec<u32>)>> {
    let threshold = checked(threshold)?;
    let ascending = answers.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let members = answers.iter().all(|&(member, _)| (1..=threshold.members).contains(&(member as usize)));
    let words = answers.iter().all(|(_, words)| words.len() == 8 * threshold.words() && words_below_modulus(words));
    if !(ascending && members && words) {
        return Err(PyValueError::new_err("answers are those of members, in ascending order, of words below p"));
    }
    let answers: Vec<Answer> = answers
        .into_iter()
        .map(|(member, words)| Answer { member, words: words.chunks_exact(8).map(read_word).collect() })
        .collect();
    let found = py.detach(|| recover(threshold, &answers, largest, first, end));
    Ok(found.map(|found| (found.trial, PyBytes::new(py, &with_header(header, &found.secret)), found.wrong)))
}

fn with_header(header: &[u8], words: &[u64]) -> Vec<u8> {
    header.iter().copied().chain(words.iter().flat_map(|word| word.to_le_bytes())).collect()
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("ShareRefused", module.py().get_type::<ShareRefused>())?;
    module.add_function(wrap_pyfunction!(share_words, module)?)?;
    module.add_function(wrap_pyfunction!(share_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(deal_key, module)?)?;
    module.add_function(wrap_pyfunction!(add_shares, module)?)?;
    module.add_function(wrap_pyfunction!(words_below_modulus, module)?)?;
    module.add_function(wrap_pyfunction!(recover_key, module)?)
}

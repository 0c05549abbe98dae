//! The kernel of Quatrefoil, additive encryption and proofs about it: `docs/additive-encryption.md` and `docs/proofs.md`
//! define every byte it makes.
//!
//! This file is the door to Python and holds nothing else: it checks every length, lets go of the interpreter while it
//! computes, and turns refusals into exceptions. Values come in as NumPy arrays. Another thread may write to one during a
//! call: some of the old and some of the new values are then encrypted, each of them checked.

mod aligned;
#[cfg(test)]
mod allocations;
#[cfg(target_arch = "x86_64")]
mod avx;
mod buffer;
mod decryption;
mod encryption;
mod field;
mod field_hash;
mod key;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod lanes;
mod layout;
mod masks;
mod message;
#[cfg(target_arch = "aarch64")]
mod neon;
mod ntt;
mod parallel;
mod probes;
mod processor;
mod proof;
mod ring;
mod rounding;
mod sampling;
mod shared;
mod sharing;
mod steps;
mod stream;
mod sum;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod taint;
mod timing;
#[cfg(target_arch = "x86_64")]
mod vaes;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod wide;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("lengths are counted in 64 bits: build for a 64-bit target");

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use decryption::{Decryption, Refused};
use encryption::Encryption;
use key::Secrets;
use layout::{BLOCK_BYTES, Layout};
use ring::{N, Polynomial};
use rounding::Value;
use shared::Shared;
use sum::NotReduced;

const LARGEST_THREADS: usize = 256;

pyo3::create_exception!(quatrefoil._core, ValueRefused, PyException, "args: index of the value.");
pyo3::create_exception!(quatrefoil._core, WordRefused, PyException, "args: position, value.");
pyo3::create_exception!(quatrefoil._core, SumRefused, PyException, "args: what does not fit.");

/// The numbers of a parameter set that the kernel needs, and its digest.
#[pyclass(frozen, name = "Layout", module = "quatrefoil._core")]
struct PyLayout {
    layout: Layout,
    digest: [u8; 32],
}

#[pymethods]
impl PyLayout {
    #[new]
    fn new(value_bits: u32, slots: usize, slot_width: u32, delta: u32, digest: &[u8]) -> PyResult<Self> {
        let layout = Layout::new(value_bits, slots, slot_width, delta).map_err(PyValueError::new_err)?;
        Ok(Self { layout, digest: exactly(digest, "digest")? })
    }

    /// Bytes of the blocks that hold this many values.
    fn block_bytes(&self, values: usize) -> PyResult<usize> {
        let bytes = self.layout.blocks(values).checked_mul(BLOCK_BYTES);
        bytes.ok_or_else(|| PyValueError::new_err(format!("{values} values do not fit in memory")))
    }
}

/// `header` followed by the blocks that encrypt `values`, an array of float32 or float64.
#[pyfunction]
#[pyo3(signature = (layout, header, values, *, clip, factor, context, key_seed, noise_seed, threads, first_block=0))]
#[allow(clippy::too_many_arguments)]
fn encrypt<'py>(
    py: Python<'py>,
    layout: &PyLayout,
    header: &[u8],
    values: &Bound<'py, PyAny>,
    clip: f64,
    factor: f64,
    context: &[u8],
    key_seed: PyBuffer<u8>,
    noise_seed: PyBuffer<u8>,
    threads: usize,
    first_block: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let context = exactly(context, "context")?;
    let (key_seed, noise_seed) = (seed(py, &key_seed)?, seed(py, &noise_seed)?);
    let encryption = checked_encryption(layout, &context, clip, factor, first_block, &key_seed, &noise_seed)?;
    if let Ok(values) = values.extract::<PyReadonlyArray1<'py, f32>>() {
        encrypt_values(py, &encryption, header, &values, threads)
    } else if let Ok(values) = values.extract::<PyReadonlyArray1<'py, f64>>() {
        encrypt_values(py, &encryption, header, &values, threads)
    } else {
        Err(PyTypeError::new_err("values are a one-dimensional array of float32 or float64"))
    }
}

fn checked_encryption<'a>(
    layout: &'a PyLayout,
    context: &'a [u8; 32],
    clip: f64,
    factor: f64,
    first_block: u64,
    key_seed: &'a [u8; 32],
    noise_seed: &'a [u8; 32],
) -> PyResult<Encryption<'a>> {
    let largest = layout.layout.largest() as f64;
    // A factor of zero is a weight so small that no value leaves zero.
    if !(clip.is_finite() && clip > 0.0 && factor >= 0.0 && factor * clip <= largest * (1.0 + 1e-12)) {
        return Err(PyValueError::new_err(format!(
            "factor {factor} and clip {clip} do not fit values up to {largest}"
        )));
    }
    Ok(Encryption {
        layout: layout.layout,
        parameters: &layout.digest,
        context,
        clip,
        factor,
        first: checked_block(first_block)?,
        key_seed,
        noise_seed,
    })
}

fn encrypt_values<'py, V: numpy::Element + Value>(
    py: Python<'py>,
    encryption: &Encryption<'_>,
    header: &[u8],
    array: &PyReadonlyArray1<'py, V>,
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let threads = checked_threads(threads)?;
    let values = array.as_slice()?;
    // SAFETY: contiguous, aligned and held by `array`; all bits are a float.
    let values = unsafe { Shared::new(values.as_ptr(), values.len()) };
    let length = encryption.layout.blocks(values.len()).checked_mul(BLOCK_BYTES);
    let length = length.and_then(|bytes| bytes.checked_add(header.len()));
    let length =
        length.ok_or_else(|| PyValueError::new_err(format!("{} values do not fit in memory", values.len())))?;
    buffer::filled(py, length, |bytes| {
        let (head, blocks) = bytes.split_at_mut(header.len());
        head.copy_from_slice(header);
        py.detach(|| encryption.run(values, blocks, threads)).map_err(ValueRefused::new_err)
    })
}

/// A sum that grows as ciphertexts arrive, and holds none of them. Until the first has arrived it takes no memory.
#[pyclass(module = "quatrefoil._core")]
struct Accumulator {
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
fn combine_keys<'py>(
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

/// The `length` values that the blocks at `offset` of `total` hold under the sum of secrets at `key_offset` of `key`.
#[pyfunction]
#[pyo3(signature = (layout, total, key, *, offset, key_offset, length, count, unit, context, threads, first_block=0))]
#[allow(clippy::too_many_arguments)]
fn decrypt<'py>(
    py: Python<'py>,
    layout: &PyLayout,
    total: &[u8],
    key: &[u8],
    offset: usize,
    key_offset: usize,
    length: usize,
    count: u32,
    unit: f64,
    context: &[u8],
    threads: usize,
    first_block: u64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let threads = checked_threads(threads)?;
    let context = exactly(context, "context")?;
    let blocks = blocks_of(total, offset)?;
    let key = blocks_of(key, key_offset)?;
    if blocks.len() != layout.block_bytes(length)? || key.len() != BLOCK_BYTES {
        return Err(PyValueError::new_err(format!("{length} values are not in {} bytes of blocks", blocks.len())));
    }
    sum::check(key).map_err(|refused| {
        SumRefused::new_err(format!("coefficient {} of the key is {}, not below p", refused.word, refused.value))
    })?;
    let mut secret = Polynomial::zero();
    for (coefficient, word) in secret.iter_mut().zip(key.chunks_exact(8)) {
        *coefficient = layout::read_word(word);
    }
    let first = checked_block(first_block)? as usize;
    let decryption =
        Decryption { layout: layout.layout, parameters: &layout.digest, context: &context, count, first, unit };
    if let Some((index, _)) = decryption.oversized(&secret) {
        return Err(SumRefused::new_err(format!("coefficient {index} of the key is no sum of {count} secrets")));
    }
    // NumPy's own function, which raises MemoryError where the crate's would panic. It leaves out the zeros: every value
    // is written, or the array is dropped.
    let values = py.import("numpy")?.call_method1("empty", (length,))?.cast_into::<PyArray1<f64>>()?;
    let mut writable = values.readwrite();
    let out = writable.as_slice_mut()?;
    py.detach(|| decryption.run(blocks, secret, out, threads)).map_err(sum_refused)?;
    drop(writable);
    Ok(values)
}

fn exactly(bytes: &[u8], what: &str) -> PyResult<[u8; 32]> {
    bytes.try_into().map_err(|_| PyValueError::new_err(format!("{what} has {} bytes, not 32", bytes.len())))
}

fn seed(py: Python<'_>, buffer: &PyBuffer<u8>) -> PyResult<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    if buffer.len_bytes() != seed.len() {
        return Err(PyValueError::new_err(format!("a seed has {} bytes, not 32", buffer.len_bytes())));
    }
    buffer.copy_to_slice(py, seed.as_mut_slice())?;
    Ok(seed)
}

fn blocks_of(bytes: &[u8], offset: usize) -> PyResult<&[u8]> {
    let blocks = bytes.get(offset..).unwrap_or_default();
    if blocks.is_empty() || blocks.len() % BLOCK_BYTES != 0 {
        return Err(PyValueError::new_err(format!("{} bytes are not whole blocks of {BLOCK_BYTES}", blocks.len())));
    }
    Ok(blocks)
}

fn checked_threads(threads: usize) -> PyResult<usize> {
    if !(1..=LARGEST_THREADS).contains(&threads) {
        return Err(PyValueError::new_err(format!("{threads} threads are not 1 to {LARGEST_THREADS}")));
    }
    Ok(threads)
}

/// Positions are counted in coefficients, and those in 64 bits.
fn checked_block(block: u64) -> PyResult<u64> {
    if block > 1 << 40 {
        return Err(PyValueError::new_err(format!("block {block} is beyond {}", 1u64 << 40)));
    }
    Ok(block)
}

fn word_refused(refused: NotReduced) -> PyErr {
    WordRefused::new_err((refused.word, refused.value))
}

fn sum_refused(refused: Refused) -> PyErr {
    match refused {
        Refused::Word { word, value } => WordRefused::new_err((word, value)),
        Refused::Residual { coefficient, residual, bound } => SumRefused::new_err(format!(
            "coefficient {coefficient} leaves a residual of {residual}, beyond the noise bound of {bound}"
        )),
        Refused::Slot { coefficient, value, bound } => SumRefused::new_err(format!(
            "a slot of coefficient {coefficient} holds {value}, beyond its bound of {bound}"
        )),
        Refused::Padding { coefficient, value } => {
            SumRefused::new_err(format!("coefficient {coefficient} holds {value} behind the last value"))
        }
    }
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("ValueRefused", py.get_type::<ValueRefused>())?;
    module.add("WordRefused", py.get_type::<WordRefused>())?;
    module.add("SumRefused", py.get_type::<SumRefused>())?;
    module.add("RING_DEGREE", N)?;
    module.add("ETA", sampling::ETA)?;
    module.add("MODULUS", field::P)?;
    module.add("BUILT_WITH", processor::built_with())?;
    module.add_class::<PyLayout>()?;
    module.add_class::<Accumulator>()?;
    module.add_function(wrap_pyfunction!(encrypt, module)?)?;
    module.add_function(wrap_pyfunction!(combine_keys, module)?)?;
    module.add_function(wrap_pyfunction!(decrypt, module)?)?;
    module.add_function(wrap_pyfunction!(probes::sampled_mask, module)?)?;
    module.add_function(wrap_pyfunction!(probes::sampled_noise, module)?)?;
    module.add_function(wrap_pyfunction!(probes::masks_expanded, module)?)?;
    module.add_function(wrap_pyfunction!(probes::limit_masks, module)?)?;
    module.add_function(wrap_pyfunction!(steps::run_step, module)?)?;
    module.add_function(wrap_pyfunction!(probes::processor_levels, module)?)?;
    module.add_function(wrap_pyfunction!(probes::limit_processor, module)?)?;
    module.add_function(wrap_pyfunction!(probes::proof_levels, module)?)?;
    module.add_function(wrap_pyfunction!(probes::limit_proofs, module)?)?;
    module.add_function(wrap_pyfunction!(timing::timed_steps, module)?)?;
    module.add_function(wrap_pyfunction!(timing::time_step, module)?)?;
    field_hash::python::add_to(module)?;
    sharing::python::add_to(module)?;
    proof::python::add_to(module)
}

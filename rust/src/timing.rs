//! How long each step on secrets takes, for inputs of two classes: what `quatrefoil bench constant-time` tests.
//!
//! The method is that of Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (DATE 2017). Inputs of both
//! classes are made in the same way at the same addresses, before the clock is read: random words are always drawn, and a
//! mask puts the fixed word over them for class 0.

use std::hint::black_box;

use numpy::PyArray1;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::encryption::Encryption;
use crate::field::P;
use crate::key::{self, Secrets};
use crate::layout::{BLOCK_BYTES, Layout};
use crate::ntt;
use crate::processor::at_its_best;
use crate::python::checks::seed;
use crate::ring::{N, Polynomial};
use crate::rounding::Value;
use crate::sampling::{ETA, TILE, count_bits};
use crate::shared::Shared;
use crate::stream::{Purpose, Stream};

/// Random words a measurement; no step takes more.
const WORDS: usize = 2 * N;
const CLIP: f64 = 1.0;

/// A step: its name, what it makes of a random word as one input, and the step itself on all of them.
type Step = (&'static str, fn(u64) -> u64, fn(&mut Inputs));

const STEPS: [Step; 9] = [
    ("noise bits", |word| word, noise_bits),
    ("key transform", reduced, key_transform),
    ("key times a", reduced, key_times_a),
    ("key sum", small, key_sum),
    ("key expansion", |word| word, key_expansion),
    ("encryption, values", value, encryption_of_values),
    ("encryption, float32", two_values, encryption_of_float32),
    ("encryption, seeds", |word| word, encryption_under_seeds),
    ("leaky control", |word| word, leaky_control),
];

/// What steps work on: `words` are the secrets of a measurement, the rest is as it was.
struct Inputs {
    words: Box<[u64; WORDS]>,
    polynomial: Polynomial,
    product: Polynomial,
    small: Box<[i64; N]>,
    update: Box<[f64; WORDS]>,
    block: Vec<u8>,
}

/// The steps that can be timed.
#[pyfunction]
pub fn timed_steps() -> Vec<&'static str> {
    STEPS.map(|(name, ..)| name).to_vec()
}

/// Ticks that `step` takes in each measurement. `classes`: one byte a measurement, 0 for inputs of the `fixed` word and 1 for
/// random ones. Ticks are those of the time-stamp counter on x86-64, else nanoseconds.
#[pyfunction]
pub fn time_step<'py>(
    py: Python<'py>,
    step: &str,
    fixed: u64,
    classes: &[u8],
    random_seed: PyBuffer<u8>,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let found = STEPS.into_iter().find(|(name, ..)| *name == step);
    let step = found.ok_or_else(|| PyValueError::new_err(format!("no step {step:?}")))?;
    if !takes(step.0, fixed) {
        return Err(PyValueError::new_err(format!("{} does not take the word {fixed:#x}", step.0)));
    }
    if let Some(class) = classes.iter().find(|&&class| class > 1) {
        return Err(PyValueError::new_err(format!("class {class} is not 0 or 1")));
    }
    let random_seed = seed(py, &random_seed)?;
    let classes = classes.to_vec();
    let ticks = py.detach(|| measure(step, fixed, &classes, &random_seed));
    Ok(PyArray1::from_vec(py, ticks))
}

/// Whether a word may be a step's secret: values are within the clip bound, and elements below p.
fn takes(step: &str, fixed: u64) -> bool {
    let within = |value: f64| value.abs() <= CLIP;
    match step {
        "encryption, values" => within(f64::from_bits(fixed)),
        "encryption, float32" => {
            [fixed as u32, (fixed >> 32) as u32].iter().all(|&half| within(f32::from_bits(half).into()))
        }
        "key transform" | "key times a" => fixed < P,
        "key sum" => (fixed as i64).unsigned_abs() <= u64::from(ETA),
        _ => true,
    }
}

fn measure((_, prepare, run): Step, fixed: u64, classes: &[u8], random_seed: &[u8; 32]) -> Vec<u64> {
    let mut random = Stream::new(random_seed, Purpose::Rounding, &[b"timing"]).reader();
    let mut inputs = Inputs {
        words: Box::new([0; WORDS]),
        polynomial: Polynomial::zero(),
        product: Polynomial::zero(),
        small: Box::new([0; N]),
        update: Box::new([0.0; WORDS]),
        block: vec![0; BLOCK_BYTES],
    };
    let mut bytes = Zeroizing::new(vec![0; 8 * WORDS]);
    let mut ticks = Vec::with_capacity(classes.len());
    for (part, &class) in classes.iter().enumerate() {
        random.seek(part as u64, 0);
        random.fill(&mut bytes);
        let keep = u64::from(class).wrapping_neg();
        for (word, bytes) in inputs.words.iter_mut().zip(bytes.as_chunks().0) {
            *word = (prepare(u64::from_le_bytes(*bytes)) & keep) | (fixed & !keep);
        }
        inputs.polynomial.fill(black_box(7));
        let start = now();
        run(&mut inputs);
        ticks.push(now().wrapping_sub(start));
    }
    ticks
}

/// A clock that nothing is reordered around.
#[cfg(target_arch = "x86_64")]
fn now() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _mm_mfence, _rdtsc};
    // SAFETY: every x86-64 processor has these.
    unsafe {
        _mm_mfence();
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn now() -> u64 {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

fn reduced(word: u64) -> u64 {
    word % P
}

fn small(word: u64) -> u64 {
    ((word % u64::from(2 * ETA + 1)) as i64 - i64::from(ETA)) as u64
}

/// A float within the clip bound.
fn value(word: u64) -> u64 {
    ((word as i64 as f64 / i64::MAX as f64) * CLIP).to_bits()
}

/// Two of float32.
fn two_values(word: u64) -> u64 {
    let half = |bits: u64| u64::from(((bits as u32 as i32 as f32 / i32::MAX as f32) * CLIP as f32).to_bits());
    half(word >> 32) << 32 | half(word)
}

fn noise_bits(inputs: &mut Inputs) {
    let words = inputs.words.as_flattened_bytes();
    let (long, short) = words[..12 * N].split_at(8 * N);
    let tiles = long.chunks_exact(8 * TILE).zip(short.chunks_exact(4 * TILE));
    for (out, (long, short)) in inputs.small.as_chunks_mut().0.iter_mut().zip(tiles) {
        at_its_best(count_bits, (out, long.as_chunks().0, short.as_chunks().0));
    }
}

fn key_transform(inputs: &mut Inputs) {
    ntt::forward(inputs.words.first_chunk_mut().expect("more than N words"));
}

fn key_times_a(inputs: &mut Inputs) {
    let key = inputs.words.first_chunk().expect("more than N words");
    ntt::multiply_and_invert(&inputs.polynomial, key, &mut inputs.product);
}

fn key_sum(inputs: &mut Inputs) {
    let small: &[u64; N] = inputs.words.first_chunk().expect("more than N words");
    // SAFETY: the same size and alignment; any bits are a number.
    let small = unsafe { &*(small as *const [u64; N]).cast::<[i64; N]>() };
    for (sum, small) in inputs.polynomial.as_chunks_mut().0.iter_mut().zip(small.as_chunks().0) {
        at_its_best(key::add_small, (sum, small));
    }
}

fn key_expansion(inputs: &mut Inputs) {
    let seed = inputs.words.as_flattened_bytes()[..32].try_into().expect("32 bytes");
    Secrets::new(&[1; 32]).add(seed, &mut inputs.polynomial);
}

fn encryption_of_values(inputs: &mut Inputs) {
    // SAFETY: the same size and alignment; any bits are a float.
    let values = unsafe { Shared::new(inputs.words.as_ptr().cast::<f64>(), WORDS) };
    let block = &mut inputs.block;
    encrypt(values, block, &[2; 32], &[3; 32]);
}

fn encryption_of_float32(inputs: &mut Inputs) {
    // SAFETY: half of the words hold as many floats of half their size; any bits are a float.
    let values = unsafe { Shared::new(inputs.words.as_ptr().cast::<f32>(), WORDS) };
    let block = &mut inputs.block;
    encrypt(values, block, &[2; 32], &[3; 32]);
}

fn encryption_under_seeds(inputs: &mut Inputs) {
    let bytes = inputs.words.as_flattened_bytes();
    let (key_seed, noise_seed) = bytes[..64].split_at(32);
    // SAFETY: the update is held, and nothing writes to it.
    let values = unsafe { Shared::new(inputs.update.as_ptr(), WORDS) };
    let block = &mut inputs.block;
    encrypt(values, block, key_seed.try_into().expect("32 bytes"), noise_seed.try_into().expect("32 bytes"));
}

fn encrypt<V: Value>(values: Shared<'_, V>, block: &mut [u8], key_seed: &[u8; 32], noise_seed: &[u8; 32]) {
    let layout = Layout::new(16, 2, 24, 15).expect("the numbers of a named set");
    let encryption = Encryption {
        layout,
        parameters: &[1; 32],
        context: &[4; 32],
        clip: CLIP,
        factor: layout.largest() as f64,
        first: 0,
        key_seed,
        noise_seed,
    };
    encryption.run(values, block, 1).expect("values are within the clip bound");
}

/// What the bench has to find: a branch on each secret, in eight words of them.
fn leaky_control(inputs: &mut Inputs) {
    let mut sum = 0u64;
    for &word in &inputs.words[..8] {
        if black_box(word) & 1 == 1 {
            sum = black_box(sum.wrapping_mul(3) ^ word);
        }
    }
    black_box(sum);
}

/// The bytes of words, as this processor holds them.
trait AsBytes {
    fn as_flattened_bytes(&self) -> &[u8];
}

impl AsBytes for [u64; WORDS] {
    fn as_flattened_bytes(&self) -> &[u8] {
        // SAFETY: bytes have no alignment, and words no padding.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), 8 * WORDS) }
    }
}

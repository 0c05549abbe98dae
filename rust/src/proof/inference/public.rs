//! What both sides know of a batch, and its sums over the samples with random weights.

use super::shape::Shape;
use crate::field;
use crate::proof::column::Column;
use crate::proof::combination::combine_onto;
use crate::proof::ext::E;
use crate::proof::multilinear::eq_table;
use crate::proof::transcript::{Digest, content_on};

/// Inputs, sample after sample, or the field hashes of hidden ones.
#[derive(Clone, Copy)]
pub enum Inputs<'a> {
    Open(&'a [i32]),
    Hashed(&'a [u64]),
}

/// Inputs or their hashes, and outputs: as many as the shape says, inputs in their range.
#[derive(Clone, Copy)]
pub struct Public<'a> {
    pub inputs: Inputs<'a>,
    pub outputs: &'a [i32],
}

impl<'a> Public<'a> {
    /// Unless something does not fit the shape.
    pub fn new(shape: &Shape, inputs: Inputs<'a>, outputs: &'a [i32]) -> Result<Self, String> {
        let (batch, input, output) = (shape.batch, &shape.program.input, shape.program.output());
        let counted = |what: &str, found: usize, each: usize| match found == batch * each {
            true => Ok(()),
            false => Err(format!("{found} {what} are not {batch} times {each}")),
        };
        match (inputs, shape.hashing) {
            (Inputs::Open(entries), None) => {
                counted("entries of inputs", entries.len(), input.features())?;
                let outside = |&entry: &i32| !(input.low..=input.high).contains(&i64::from(entry));
                if let Some(index) = entries.iter().position(outside) {
                    let (sample, feature) = (index / input.features(), index % input.features());
                    let (entry, low, high) = (entries[index], input.low, input.high);
                    return Err(format!("entry {feature} of input {sample} is {entry}, not {low} to {high}"));
                }
            }
            (Inputs::Hashed(elements), Some(hashing)) => {
                counted("elements of hashes", elements.len(), hashing.rows)?;
                if let Some(index) = elements.iter().position(|&element| element >= field::P) {
                    return Err(format!("element {index} of the hashes is not below the modulus"));
                }
            }
            (Inputs::Open(_), Some(_)) => return Err("inputs are hidden, and stand there".into()),
            (Inputs::Hashed(_), None) => return Err("inputs are not hidden, and hashes stand there".into()),
        }
        counted("entries of outputs", outputs.len(), output.features())?;
        Ok(Self { inputs, outputs })
    }

    /// H_CONTENT of inputs or hashes, and of outputs.
    pub fn digests(&self, threads: usize) -> [Digest; 2] {
        let inputs = match self.inputs {
            Inputs::Open(entries) => content_of(entries, |entry| entry.to_le_bytes(), threads),
            Inputs::Hashed(elements) => content_of(elements, |element| element.to_le_bytes(), threads),
        };
        [inputs, content_of(self.outputs, |entry| entry.to_le_bytes(), threads)]
    }
}

fn content_of<T: Copy, const BYTES: usize>(entries: &[T], bytes: fn(T) -> [u8; BYTES], threads: usize) -> Digest {
    content_on(entries.iter().map(|&entry| bytes(entry)).collect::<Vec<_>>().as_flattened(), threads)
}

/// Omega, and the sums over the samples with it.
pub struct Batch {
    /// eq(r_b, b) for b < B, and 0 to B'.
    pub omega: Column,
    /// S
    pub sum: E,
    /// sum_b Omega_b of the inputs, feature by feature; empty where they are hidden.
    pub inputs: Column,
    /// The same of the hashes of hidden inputs; empty where they are not.
    pub hashes: Column,
    /// The same of the outputs.
    pub outputs: Column,
}

impl Batch {
    pub fn new(shape: &Shape, public: &Public, r_b: &[E], threads: usize) -> Self {
        let mut omega = eq_table(r_b);
        (shape.batch..omega.len()).for_each(|sample| omega.set(sample, E::ZERO));
        let weights: Vec<E> = omega.iter().take(shape.batch).collect();
        let integers =
            |entries: &[i32]| weighted(entries, |entry| field::add_signed(0, i64::from(entry)), &weights, threads);
        let (inputs, hashes) = match public.inputs {
            Inputs::Open(entries) => (integers(entries), Column::default()),
            Inputs::Hashed(elements) => (Column::default(), weighted(elements, |element| element, &weights, threads)),
        };
        Self { sum: weights.iter().copied().sum(), inputs, hashes, outputs: integers(public.outputs), omega }
    }
}

/// sum_b weights_b of the entries of sample b, for entries that are integers.
fn weighted<T: Copy + Sync>(entries: &[T], element: impl Fn(T) -> u64 + Sync, weights: &[E], threads: usize) -> Column {
    /// Samples whose entries are made elements of F_p together, so that they stay in a cache.
    const SAMPLES: usize = 32;
    let features = entries.len() / weights.len();
    let mut sum = Column::extension(features);
    for (entries, weights) in entries.chunks(SAMPLES * features).zip(weights.chunks(SAMPLES)) {
        let words: Vec<u64> = entries.iter().map(|&entry| element(entry)).collect();
        let rows: Vec<&[u64]> = words.chunks_exact(features).collect();
        sum = combine_onto(|index| sum.at(index), &rows, weights, threads);
    }
    sum
}

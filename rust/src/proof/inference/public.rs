//! What both sides know of a batch, and its sums over the samples with random weights.

use super::shape::Shape;
use crate::proof::column::Column;
use crate::proof::ext::{E, parts_of};
use crate::proof::multilinear::eq_table;
use crate::proof::transcript::{Digest, content_on};
use crate::proof::wide::{Width, combine};
use crate::{field, parallel};

/// Inputs, sample after sample, or the field hashes of hidden ones.
#[derive(Clone, Copy)]
pub enum Inputs<'a> {
    Open(&'a [i32]),
    Hashed(&'a [u64]),
}

/// Inputs or their hashes, and outputs: as many as the shape says, inputs and places in their range.
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
                // Ranges are within 17 bits. All at once first: that is done several entries at a time.
                let (low, high) = (input.low as i32, input.high as i32);
                let inside = |&entry: &i32| (entry >= low) & (entry <= high);
                let all = |entries: &[i32]| entries.iter().fold(true, |all, entry| all & inside(entry));
                if !entries.chunks(1 << 12).all(all) {
                    let index = entries.iter().position(|entry| !inside(entry)).expect("some entry is outside");
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
        check_places(shape, outputs)?;
        Ok(Self { inputs, outputs })
    }

    /// H_CONTENT of inputs or hashes, and of outputs.
    pub fn digests(&self, threads: usize) -> [Digest; 2] {
        let inputs = match self.inputs {
            Inputs::Open(entries) => content_of(entries, threads),
            Inputs::Hashed(elements) => content_of(elements, threads),
        };
        [inputs, content_of(self.outputs, threads)]
    }
}

/// Unless an ArgMax gives something else: a place for each sample.
pub fn check_places(shape: &Shape, outputs: &[i32]) -> Result<(), String> {
    let Some(compares) = shape.program.compares() else { return Ok(()) };
    if outputs.len() != shape.batch {
        return Err(format!("{} places are not {}", outputs.len(), shape.batch));
    }
    let outside = |&answer: &i32| usize::try_from(answer).map_or(true, |answer| answer >= compares.features);
    match outputs.iter().position(outside) {
        Some(sample) => {
            Err(format!("output {sample} is {}, not a place from 0 to {}", outputs[sample], compares.features - 1))
        }
        None => Ok(()),
    }
}

/// Integers as their bytes, little endian.
trait Bytes: Copy {
    fn to_bytes(self) -> impl AsRef<[u8]>;
}

impl Bytes for i32 {
    fn to_bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

impl Bytes for u64 {
    fn to_bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

fn content_of<T: Bytes>(entries: &[T], threads: usize) -> Digest {
    if cfg!(target_endian = "little") {
        // SAFETY: integers have no padding, any byte may be read, and they lie as they are hashed.
        let bytes = unsafe { std::slice::from_raw_parts(entries.as_ptr().cast(), size_of_val(entries)) };
        return content_on(bytes, threads);
    }
    let mut bytes = Vec::with_capacity(size_of_val(entries));
    entries.iter().for_each(|&entry| bytes.extend_from_slice(entry.to_bytes().as_ref()));
    content_on(&bytes, threads)
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
    /// The outputs themselves, where they are places of an ArgMax.
    pub answers: Vec<usize>,
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
        let answers = match shape.program.compares() {
            Some(_) => public.outputs.iter().map(|&answer| answer as usize).collect(),
            None => Vec::new(),
        };
        let (sum, outputs) = (weights.iter().copied().sum(), integers(public.outputs));
        Self { sum, inputs, hashes, outputs, answers, omega }
    }
}

/// sum_b weights_b of the entries of sample b, for entries that stand for elements of F_p.
fn weighted<T: Copy + Sync>(entries: &[T], element: impl Fn(T) -> u64 + Sync, weights: &[E], threads: usize) -> Column {
    /// Entries that are made words together, so that those stay in a cache.
    const SAMPLES: usize = 64;
    const FEATURES: usize = 256;
    /// Nanoseconds that an entry takes.
    const ENTRY: usize = 2;
    let (features, weights) = (entries.len() / weights.len(), parts_of(weights));
    let mut sums = Column::extension(features);
    let share = parallel::share(features, parallel::worth(threads, entries.len(), ENTRY)).next_multiple_of(8);
    let parts = sums.re.chunks_mut(share).zip(sums.im.chunks_mut(share)).enumerate();
    let done: Result<(), ()> = parallel::run(parts, |(part, (re, im))| {
        let mut words = vec![0; SAMPLES * FEATURES];
        for (block, (re, im)) in re.chunks_mut(FEATURES).zip(im.chunks_mut(FEATURES)).enumerate() {
            let first = part * share + block * FEATURES;
            for (entries, weights) in entries.chunks(SAMPLES * features).zip(weights.chunks(SAMPLES)) {
                for (sample, words) in entries.chunks_exact(features).zip(words.chunks_exact_mut(re.len())) {
                    for (word, &entry) in words.iter_mut().zip(&sample[first..]) {
                        *word = element(entry);
                    }
                }
                let rows: Vec<&[u64]> = words.chunks_exact(re.len()).take(weights.len()).collect();
                combine::add(Width::best(), &rows, weights, [&mut *re, &mut *im]);
            }
        }
        Ok(())
    });
    done.expect("no part fails");
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_samples_are_sums_of_products() {
        let weights: Vec<E> = (0..150).map(|b| E::new(field::P - 1 - b * b, 77 * b + 1)).collect();
        for features in [1, 7, 8, 300, 513] {
            let entries: Vec<i32> = (0..150 * features).map(|i| (i * 7919 % 4001) as i32 - 2000).collect();
            let element = |entry: i32| field::add_signed(0, i64::from(entry));
            let expected = |feature: usize| -> E {
                weights.iter().enumerate().map(|(b, w)| w.scale(element(entries[b * features + feature]))).sum()
            };
            for threads in [1, 2, 3] {
                let sums = weighted(&entries, element, &weights, threads);
                assert_eq!(sums.len(), features);
                assert!([0, features / 2, features - 1].iter().all(|&feature| sums.at(feature) == expected(feature)));
            }
        }
    }

    #[test]
    fn what_is_hashed_are_the_bytes_of_entries() {
        let entries = [1, -2, i32::MIN];
        assert_eq!(content_of(&entries, 1), content_on(&[1, 0, 0, 0, 254, 255, 255, 255, 0, 0, 0, 128], 1));
        assert_eq!(content_of(&[258u64], 1), content_on(&[2, 1, 0, 0, 0, 0, 0, 0], 1));
    }
}

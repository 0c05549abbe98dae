use super::*;
use crate::field::P;
use crate::processor::{self, Level};

fn bytes(count: usize, seed: u64) -> Vec<u8> {
    (0..count as u64).map(|index| (field::pow(seed + index + 2, 77) >> 24) as u8).collect()
}

fn values(hash: &FieldHash, seed: u64) -> Vec<i32> {
    let width = (hash.high - hash.low + 1) as u64;
    (0..hash.size as u64).map(|index| hash.low + (field::pow(seed + index + 3, 99) % width) as i32).collect()
}

fn element(value: i64) -> u64 {
    i128::from(value).rem_euclid(i128::from(P)) as u64
}

/// Row by row, from words that are read one at a time.
fn slowly(hash: &FieldHash, inputs: &[i32], rho: &[i32]) -> Vec<u64> {
    let column = |label: &str, index: usize| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("quatrefoil/field-hash/v1 {label}").as_bytes()).update(&(index as u32).to_le_bytes());
        let mut bytes = vec![0; 8 * hash.rows()];
        hasher.finalize_xof().fill(&mut bytes);
        bytes.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word)).collect::<Vec<u64>>()
    };
    let mut sums = vec![0; hash.rows()];
    let entries = inputs.iter().enumerate().map(|(index, &one)| (column("input", index), one));
    for (words, entry) in entries.chain(rho.iter().enumerate().map(|(index, &one)| (column("blind", index), one))) {
        for (sum, word) in sums.iter_mut().zip(words) {
            assert!(word < P, "one in 2^32 is not");
            *sum = field::add(*sum, field::mul(word, element(entry.into())));
        }
    }
    sums
}

#[test]
fn it_is_the_matrix_times_the_entries_in_every_copy() {
    for (size, low, high) in [(1, 0, 255), (784, -128, 127), (300, -32768, 32767), (5000, 0, 19), (2049, -7, 60000 - 7)]
    {
        let hash = FieldHash::new(size, low, high).unwrap();
        let (inputs, rho) = (values(&hash, 5), bytes(hash.blind_bytes(), 6));
        let expected = slowly(&hash, &inputs, &hash.blind(&rho));
        for level in Level::ALL.into_iter().filter(|level| level.is_here()) {
            processor::limit(level);
            assert_eq!(hash.hash(&inputs, &rho).unwrap(), expected, "{size} in {low}..{high}, {level:?}");
        }
        processor::limit(Level::Avx512);
    }
}

#[test]
fn the_ends_of_the_range_do_not_overflow() {
    let hash = FieldHash::new(2000, -32768, 32767).unwrap();
    for end in [-32768, 32767] {
        let rho = vec![if end < 0 { 0 } else { 255 }; hash.blind_bytes()];
        assert!(hash.blind(&rho).iter().all(|&one| one == end));
        assert_eq!(hash.hash(&[end; 2000], &rho).unwrap(), slowly(&hash, &[end; 2000], &hash.blind(&rho)));
    }
}

#[test]
fn a_matrix_that_is_not_kept_is_the_same() {
    let mut hash = FieldHash::new(900, -128, 127).unwrap();
    let (inputs, rho) = (values(&hash, 1), bytes(hash.blind_bytes(), 2));
    let (kept, weights) = (hash.hash(&inputs, &rho).unwrap(), vec![E::new(3, 5); hash.rows()]);
    let combined = hash.combination(&weights);
    hash.matrix.forget();
    assert_eq!(hash.hash(&inputs, &rho).unwrap(), kept);
    assert!(hash.combination(&weights) == combined);
}

#[test]
fn a_combination_of_rows_gives_that_of_the_words() {
    let hash = FieldHash::new(30, -128, 127).unwrap();
    let (inputs, rho) = (values(&hash, 3), bytes(hash.blind_bytes(), 4));
    let blind = hash.blind(&rho);
    let weights: Vec<E> =
        (0..hash.rows() as u64).map(|row| E::new(field::pow(row + 5, 9), field::pow(row + 8, 11))).collect();
    let entries = inputs.iter().copied().chain(blind.iter().copied());
    let left = hash.combination(&weights).into_iter().zip(entries);
    let left = left.fold(E::ZERO, |sum, (weight, entry)| sum + weight.scale(element(entry.into())));
    let words = hash.hash(&inputs, &rho).unwrap();
    let right = words.iter().zip(&weights).fold(E::ZERO, |sum, (&word, weight)| sum + weight.scale(word));
    assert!(left == right);
}

#[test]
fn what_is_out_of_range_is_refused_and_sizes_that_have_no_estimate() {
    let hash = FieldHash::new(3, -5, 10).unwrap();
    let rho = bytes(hash.blind_bytes(), 1);
    for inputs in [[0, 0, 11], [-6, 0, 0], [0, i32::MIN, 0], [i32::MAX, 0, 0]] {
        assert_eq!(hash.hash(&inputs, &rho), Err(Unhashable::Entry));
    }
    assert!(hash.hash(&[-5, 0, 10], &rho).is_ok());
    assert_eq!(FieldHash::new(0, 0, 255).err(), Some(Unhashable::Size));
    assert_eq!(FieldHash::new(LARGEST_SIZE + 1, 0, 255).err(), Some(Unhashable::Size));
    for (low, high) in [(0, 14), (5, 4), (0, 1 << 16), (-32769, 0), (i32::MIN, i32::MAX), (1, 1 << 16)] {
        assert_eq!(FieldHash::new(1, low, high).err(), Some(Unhashable::Range), "{low}..{high}");
    }
}

#[test]
fn rows_and_blinds_follow_from_size_and_range() {
    let shape = |size, low, high| FieldHash::new(size, low, high).map(|h| (h.rows(), h.blinds(), h.blind_bytes())).ok();
    assert_eq!(shape(SMALL_SIZE, 0, 255), Some((152, 1248, 1248)));
    assert_eq!(shape(SMALL_SIZE + 1, -128, 127), Some((256, 2080, 2080)));
    assert_eq!(shape(1, 0, 256), Some((384, 3104, 3104)));
    assert_eq!(shape(1, -32768, 32767), Some((384, 1552, 3104)));
    assert_eq!(shape(SMALL_SIZE + 1, 0, 65535), Some((528, 2128, 4256)));
    assert_eq!(shape(1, 0, 15), Some((152, 2496, 2496)));
}

//! Adding ciphertexts: one addition modulo p a word, whatever they hold. Ciphertexts are public.

use std::cmp::Ordering;

use crate::field::P;
use crate::processor::at_its_best;

/// What is added before the next look at whether a word was refused.
const TILE_BYTES: usize = 16384;

/// A word that is not below p, and its position.
#[derive(Debug, PartialEq)]
pub struct NotReduced {
    pub word: usize,
    pub value: u64,
}

/// Add a ciphertext to a sum of the same length, which is left as it was when a word is refused.
pub fn accumulate(total: &mut [u8], words: &[u8]) -> Result<(), NotReduced> {
    for (index, (sum, tile)) in total.chunks_mut(TILE_BYTES).zip(words.chunks(TILE_BYTES)).enumerate() {
        if at_its_best(add_each, (sum.as_chunks_mut().0, tile.as_chunks().0)) {
            let (start, end) = (index * TILE_BYTES, index * TILE_BYTES + tile.len());
            take_back(total[..end].as_chunks_mut().0, words[..end].as_chunks().0);
            let refused = check(tile).expect_err("the addition found a word that is not below p");
            return Err(NotReduced { word: start / 8 + refused.word, ..refused });
        }
    }
    Ok(())
}

/// Begin a sum: a copy of its first ciphertext, or the first word that is refused.
pub fn begin(total: &mut [u8], words: &[u8]) -> Result<(), NotReduced> {
    for (index, (sum, tile)) in total.chunks_mut(TILE_BYTES).zip(words.chunks(TILE_BYTES)).enumerate() {
        let first = index * TILE_BYTES / 8;
        check(tile).map_err(|refused| NotReduced { word: first + refused.word, ..refused })?;
        sum.copy_from_slice(tile);
    }
    Ok(())
}

/// The first word that is not below p, if there is one.
pub fn check(bytes: &[u8]) -> Result<(), NotReduced> {
    let words = bytes.as_chunks::<8>().0;
    if at_its_best(any_not_reduced, words) {
        let mut values = words.iter().map(|&word| u64::from_le_bytes(word)).enumerate();
        if let Some((word, value)) = values.find(|&(_, value)| value >= P) {
            return Err(NotReduced { word, value });
        }
    }
    Ok(())
}

#[inline(always)]
fn any_not_reduced(words: &[[u8; 8]]) -> bool {
    words.iter().fold(false, |any, &word| any | (u64::from_le_bytes(word) >= P))
}

/// Add each word to its sum; true when one of them is not below p.
#[inline(always)]
fn add_each((total, words): (&mut [[u8; 8]], &[[u8; 8]])) -> bool {
    let mut refused = false;
    for (total, &word) in total.iter_mut().zip(words) {
        let word = u64::from_le_bytes(word);
        refused |= word >= P;
        *total = add(u64::from_le_bytes(*total), word).to_le_bytes();
    }
    refused
}

/// Undo [`add_each`], also for words that are not below p: what `add` made of those is known.
fn take_back(total: &mut [[u8; 8]], words: &[[u8; 8]]) {
    for (total, &word) in total.iter_mut().zip(words) {
        let (sum, word) = (u64::from_le_bytes(*total), u64::from_le_bytes(word));
        let before = match word.cmp(&P) {
            Ordering::Less => subtract(sum, word),
            Ordering::Equal => sum,
            Ordering::Greater => sum.wrapping_sub(word),
        };
        *total = before.to_le_bytes();
    }
}

/// Like `field::add`, in a form that the compiler can make wide. For a `b` that is not below p it gives a + b modulo
/// 2^64, or `a` where `b` is p: [`take_back`] counts on that.
#[inline(always)]
fn add(a: u64, b: u64) -> u64 {
    subtract(a, P.wrapping_sub(b))
}

#[inline(always)]
fn subtract(a: u64, b: u64) -> u64 {
    a.wrapping_sub(b).wrapping_add(if a < b { P } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn adds_modulo_p() {
        let mut total = bytes(&[1, P - 1, P - 1, 0, 0, 5]);
        accumulate(&mut total, &bytes(&[2, 1, P - 1, 0, P - 1, P - 6])).unwrap();
        assert_eq!(total, bytes(&[3, 0, P - 2, 0, P - 1, P - 1]));
    }

    #[test]
    fn agrees_with_the_field_over_several_blocks() {
        let words = |k: u64| (0..3 * 4096).map(|i| field::mul(i + 1, P - k)).collect::<Vec<_>>();
        let mut total = bytes(&words(3));
        accumulate(&mut total, &bytes(&words(1 << 40))).unwrap();
        let expected: Vec<u64> = words(3).into_iter().zip(words(1 << 40)).map(|(a, b)| field::add(a, b)).collect();
        assert_eq!(total, bytes(&expected));
    }

    #[test]
    fn names_the_word_that_is_not_reduced_and_leaves_the_total() {
        for (position, value) in [(0, P), (4095, u64::MAX), (4096, P + 1), (9000, P), (12287, u64::MAX - 1)] {
            let mut words: Vec<u64> = (0..3 * 4096).map(|i| P - 1 - i).collect();
            let mut total = bytes(&words);
            let before = total.clone();
            words[position] = value;
            let refused = accumulate(&mut total, &bytes(&words)).unwrap_err();
            assert_eq!(refused, NotReduced { word: position, value });
            assert_eq!(total, before);
        }
    }
}

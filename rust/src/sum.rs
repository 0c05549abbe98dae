//! Adding ciphertexts: one addition modulo p a word, whatever they hold.

use crate::field::{self, P};
use crate::layout::BLOCK_BYTES;
use crate::parallel;

/// A word that is not below p: in which input, at which position.
#[derive(Debug, PartialEq)]
pub struct NotReduced {
    pub input: usize,
    pub word: usize,
    pub value: u64,
}

/// Inputs added before the running sum is reduced: few enough for the memory to prefetch all of them.
const GROUP: usize = 8;

/// The sum of the inputs, all as long as `out`, block by block so that the running sum stays in the cache.
pub fn sum(inputs: &[&[u8]], out: &mut [u8], threads: usize) -> Result<(), NotReduced> {
    let share = parallel::share(out.len() / BLOCK_BYTES, threads) * BLOCK_BYTES;
    parallel::run(out.chunks_mut(share).enumerate(), |(part, out)| {
        for (index, out) in out.chunks_mut(BLOCK_BYTES).enumerate() {
            let start = part * share + index * BLOCK_BYTES;
            for (group, inputs) in inputs.chunks(GROUP).enumerate() {
                let mut words = [&[][..]; GROUP];
                for (words, input) in words.iter_mut().zip(inputs) {
                    *words = &input[start..start + out.len()];
                }
                add_group(out, &words[..inputs.len()]).map_err(|(input, word, value)| NotReduced {
                    input: group * GROUP + input,
                    word: start / 8 + word,
                    value,
                })?;
            }
        }
        Ok(())
    })
}

/// Add one ciphertext to a sum, which is left as it was when a word is refused.
pub fn accumulate(total: &mut [u8], words: &[u8]) -> Result<(), NotReduced> {
    check(words).map_err(|(word, value)| NotReduced { input: 0, word, value })?;
    add_all(total, [words]);
    Ok(())
}

/// The position and value of the first word that is not below p.
pub fn check(bytes: &[u8]) -> Result<(), (usize, u64)> {
    let mut refused = false;
    for word in bytes.chunks_exact(8) {
        refused |= read(word) >= P;
    }
    if refused {
        let words = bytes.chunks_exact(8).map(read).enumerate();
        return Err(words.into_iter().find(|&(_, value)| value >= P).unwrap_or_default());
    }
    Ok(())
}

/// Add up to [`GROUP`] inputs to a reduced running sum.
fn add_group(total: &mut [u8], inputs: &[&[u8]]) -> Result<(), (usize, usize, u64)> {
    let refused = match inputs {
        &[a, b, c, d, e, f, g, h] => add_all(total, [a, b, c, d, e, f, g, h]),
        _ => inputs.iter().fold(false, |refused, input| refused | add_all(total, [input])),
    };
    if refused {
        for (input, words) in inputs.iter().enumerate() {
            check(words).map_err(|(word, value)| (input, word, value))?;
        }
    }
    Ok(())
}

/// Add inputs word by word; whether any word was not below p.
fn add_all<const COUNT: usize>(total: &mut [u8], inputs: [&[u8]; COUNT]) -> bool {
    let mut refused = false;
    let inputs = inputs.map(|input| input.as_chunks::<8>().0);
    for (index, total) in total.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let mut sum = u128::from(u64::from_le_bytes(*total));
        for input in inputs {
            let word = u64::from_le_bytes(input[index]);
            sum += u128::from(word);
            refused |= word >= P;
        }
        *total = field::reduce(sum).to_le_bytes();
    }
    refused
}

#[inline(always)]
pub fn read(word: &[u8]) -> u64 {
    u64::from_le_bytes(word.try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn adds_modulo_p() {
        let inputs = [bytes(&[1, P - 1, P - 1, 0]), bytes(&[2, 1, P - 1, 0])];
        let mut out = vec![0; 32];
        sum(&[&inputs[0], &inputs[1]], &mut out, 1).unwrap();
        assert_eq!(out, bytes(&[3, 0, P - 2, 0]));
    }

    #[test]
    fn threads_do_not_change_the_sum() {
        let inputs: Vec<Vec<u8>> =
            (1..4u64).map(|k| bytes(&(0..5 * 4096).map(|i| field::mul(i + 1, P - k)).collect::<Vec<_>>())).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let (mut one, mut three) = (vec![0; 5 * BLOCK_BYTES], vec![0; 5 * BLOCK_BYTES]);
        sum(&inputs, &mut one, 1).unwrap();
        sum(&inputs, &mut three, 3).unwrap();
        assert_eq!(one, three);
    }

    #[test]
    fn names_the_word_that_is_not_reduced_and_leaves_the_total() {
        let (good, bad) = (bytes(&[1, 2, 3]), bytes(&[4, P, u64::MAX]));
        let mut out = vec![0; 24];
        let refused = sum(&[&good, &bad], &mut out, 1).unwrap_err();
        assert_eq!(refused, NotReduced { input: 1, word: 1, value: P });
        let mut total = good.clone();
        assert!(accumulate(&mut total, &bad).is_err());
        assert_eq!(total, good);
    }
}

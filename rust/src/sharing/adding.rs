//! A member's side: the sum of its shares.

use zeroize::Zeroizing;

use super::threshold::{SALT_BYTES, Threshold};
use crate::field::{self, P};
use crate::layout::read_word;
use crate::proof::published;

/// The sum of the elements of shares, or the index of the first that holds a word not below p. Shares are of their length.
pub fn add(threshold: Threshold, shares: &[Zeroizing<Vec<u8>>]) -> Result<Vec<u64>, usize> {
    let mut sum = vec![0; threshold.words()];
    for (index, share) in shares.iter().enumerate() {
        let words = share[SALT_BYTES..][..8 * sum.len()].chunks_exact(8).map(read_word);
        // Whether a share is refused is told to its dealer.
        if published(words.clone().fold(false, |refused, word| refused | (word >= P))) {
            return Err(index);
        }
        sum.iter_mut().zip(words).for_each(|(sum, word)| *sum = field::add(*sum, word));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::Polynomials;

    #[test]
    fn a_word_not_below_p_is_refused_by_the_index_of_its_share() {
        let threshold = Threshold::new(8, 3, 2).unwrap();
        let dealt = Polynomials::new(threshold, &[1; 32], &[2; 32], &[3; 32]);
        let mut shares = vec![dealt.share(1), dealt.share(2)];
        shares[1][SALT_BYTES + 8..][..8].copy_from_slice(&P.to_le_bytes());
        assert_eq!(add(threshold, &shares), Err(1));
    }
}

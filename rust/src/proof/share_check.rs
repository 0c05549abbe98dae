//! A member's check of its share: that it fits its commitment, and V (docs/committee.md, "Claims").

use super::ext::E;
use super::multilinear::eq_table;
use super::published::published;
use super::transcript::{Digest, share_commitment};
use crate::field::P;
use crate::layout::read_word;
use crate::sharing::{SALT_BYTES, Threshold, interpolation};

pub struct Check<'a> {
    pub threshold: Threshold,
    /// h_k
    pub commitment: &'a Digest,
    pub zeta: &'a [E],
    /// V at the base points.
    pub values: &'a [E],
}

impl Check<'_> {
    /// What is wrong with the share of a member, 1 to n, if something is. A share is of its length.
    pub fn refused(&self, member: usize, share: &[u8]) -> Option<&'static str> {
        if share_commitment(share) != *self.commitment {
            return Some("it is not what was committed to");
        }
        let (elements, mask) = share[SALT_BYTES..].split_at(8 * self.threshold.words());
        let words = || elements.chunks_exact(8).chain(mask.chunks_exact(8)).map(read_word);
        // Whether a share is refused is told to its dealer.
        if published(words().fold(false, |refused, word| refused | (word >= P))) {
            return Some("a word of it is not below p");
        }
        let across = eq_table(&self.zeta[self.zeta.len() - self.threshold.words().ilog2() as usize..]);
        let mask = E::new(read_word(&mask[..8]), read_word(&mask[8..]));
        let found = words().zip(across.iter()).fold(mask, |sum, (word, across)| sum + across.scale(word));
        let weights = interpolation(&self.threshold.base_points(), member as u64);
        let expected: E = self.values.iter().zip(weights).map(|(value, weight)| value.scale(weight)).sum();
        // V is public, and what it says of a share that does not fit is told.
        let unlike = published(u64::from(found.re != expected.re) | u64::from(found.im != expected.im));
        (unlike != 0).then_some("it is not on the polynomials that V is of")
    }
}

//! A silo's side: the polynomials of one key, and each member's share of them. Nothing secret decides a branch or an
//! address.

use zeroize::Zeroizing;

use super::threshold::{SALT_BYTES, Threshold, interpolation};
use crate::field;
use crate::key;
use crate::proof::{E, hide, share_commitment, uniform};
use crate::ring::N;
use crate::stream::{Purpose, Stream};

/// The values of a key's polynomials p_j and of the mask at the base points, which say all about them.
pub struct Polynomials {
    pub threshold: Threshold,
    /// For each base point, p_0 there, p_1 there, .. The first l blocks are the key.
    pub values: Zeroizing<Vec<u64>>,
    /// The mask, at each base point.
    pub mask: Zeroizing<Vec<E>>,
    salts: Stream,
}

/// What one member gets: salt, p_0, p_1, .. and the mask at its point, as bytes.
pub type Share = Zeroizing<Vec<u8>>;

impl Polynomials {
    pub fn new(threshold: Threshold, key_seed: &[u8; 32], sharing_seed: &[u8; 32], parameters: &[u8; 32]) -> Self {
        let numbers: Vec<u8> = threshold.numbers().iter().flat_map(|number| number.to_le_bytes()).collect();
        let stream = |purpose| Stream::new(sharing_seed, purpose, &[parameters, &numbers]);
        let (words, mut reader) = (threshold.words(), stream(Purpose::Sharing).reader());
        // Of a size that is never outgrown: nothing is left behind.
        let mut values = Zeroizing::new(Vec::with_capacity(threshold.recovery() * words));
        values.extend_from_slice(&*key::secret(key_seed, parameters));
        for member in 1..=threshold.privacy {
            values.extend_from_slice(&uniform(&mut reader, member as u64, words));
        }
        let mask = uniform(&mut reader, 0, 2 * threshold.recovery());
        let mask = Zeroizing::new(mask.chunks_exact(2).map(|pair| E::new(pair[0], pair[1])).collect::<Vec<_>>());
        // The key is not searched for: words as small as its coefficients are everywhere.
        hide(values[N..].iter().copied().chain(mask.iter().flat_map(|mask| mask.parts())));
        Self { threshold, values, mask, salts: stream(Purpose::ShareSalt) }
    }

    /// The share of a member, 1 to n.
    pub fn share(&self, member: usize) -> Share {
        let words = self.threshold.words();
        let weights = interpolation(&self.threshold.base_points(), member as u64);
        let mut share = Zeroizing::new(vec![0; self.threshold.share_bytes()]);
        let (salt, rest) = share.split_at_mut(SALT_BYTES);
        let mut salts = self.salts.reader();
        salts.seek(member as u64, 0);
        salts.fill(salt);
        let (elements, mask) = rest.split_at_mut(8 * words);
        for (index, out) in elements.chunks_exact_mut(8).enumerate() {
            let at_base = self.values[index..].iter().step_by(words);
            let sum = weights.iter().zip(at_base).fold(0, |sum, (&w, &value)| field::add(sum, field::mul(w, value)));
            out.copy_from_slice(&sum.to_le_bytes());
        }
        let sum: E = weights.iter().zip(self.mask.iter()).map(|(&weight, mask)| mask.scale(weight)).sum();
        mask.copy_from_slice(&sum.to_bytes());
        share
    }

    /// h_k of every member.
    pub fn commitments(&self) -> Vec<[u8; 32]> {
        (1..=self.threshold.members).map(|member| share_commitment(&self.share(member))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::read_word;

    fn words_of(share: &Share, threshold: Threshold) -> Vec<u64> {
        share[SALT_BYTES..][..8 * threshold.words()].chunks_exact(8).map(read_word).collect()
    }

    #[test]
    fn any_quorum_gives_the_key_back() {
        for (members, privacy, packing) in [(8, 3, 2), (8, 1, 4), (5, 2, 1), (3, 1, 1)] {
            let threshold = Threshold::new(members, privacy, packing).unwrap();
            let polynomials = Polynomials::new(threshold, &[1; 32], &[2; 32], &[3; 32]);
            let shares: Vec<_> = (1..=members).map(|k| words_of(&polynomials.share(k), threshold)).collect();
            let secret = key::secret(&[1; 32], &[3; 32]);
            for first in 0..=members - threshold.recovery() {
                let points: Vec<u64> = (first..first + threshold.recovery()).map(|index| index as u64 + 1).collect();
                for (block, &at) in threshold.base_points()[..packing].iter().enumerate() {
                    let weights = interpolation(&points, at);
                    for index in (0..threshold.words()).step_by(97) {
                        let terms = weights.iter().zip(&points);
                        let sum = terms.fold(0, |sum, (&weight, &point)| {
                            field::add(sum, field::mul(weight, shares[point as usize - 1][index]))
                        });
                        assert_eq!(sum, secret[block * threshold.words() + index]);
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_members_shares_are_uniform_words_and_no_two_are_alike() {
        let threshold = Threshold::new(8, 4, 1).unwrap();
        let polynomials = Polynomials::new(threshold, &[1; 32], &[2; 32], &[3; 32]);
        let again = Polynomials::new(threshold, &[1; 32], &[2; 32], &[3; 32]);
        let other = Polynomials::new(threshold, &[1; 32], &[9; 32], &[3; 32]);
        for member in 1..=4 {
            let share = polynomials.share(member);
            assert_eq!(words_of(&share, threshold), polynomials.values[member * N..][..N]);
            assert_eq!(share, again.share(member));
            assert_ne!(share, other.share(member));
            assert_ne!(share[..SALT_BYTES], polynomials.share(member + 1)[..SALT_BYTES]);
        }
        assert_ne!(polynomials.commitments()[0], polynomials.commitments()[1]);
    }
}

//! The prover's randomness: uniform elements and salts from one seed, for one statement.
//!
//! Every use has a part of a stream of its own, so that the bytes of a proof do not depend on threads. The statement
//! digest is in the derivation: a seed that comes twice blinds two statements differently.

use zeroize::Zeroizing;

use super::ext::E;
use super::published::published;
use super::transcript::Digest;
use crate::field::P;
use crate::layout::read_word;
use crate::stream::{Purpose, Reader, Stream};

const SALT_BYTES: usize = 32;

/// Leaves whose salts share a part of the stream.
const SALTS_A_PART: usize = 64;

/// Which part of the blinding stream an element is from. Parts of the rows of a tree follow each other.
#[derive(Clone, Copy)]
pub enum Use {
    MaskRow,
    Mu,
    Nu,
    /// mu of the opened row of a commitment to weights.
    MuW,
    /// The elements appended to a row of tree 1 or 2.
    Row {
        tree: u64,
        row: usize,
    },
}

impl Use {
    fn part(self) -> u64 {
        match self {
            Self::MaskRow => 0,
            Self::Mu => 1,
            Self::Nu => 2,
            Self::MuW => 3,
            Self::Row { tree, row } => (tree << 32) + row as u64,
        }
    }
}

pub struct Blinding {
    elements: Stream,
    salts: Stream,
}

impl Blinding {
    pub fn new(seed: &[u8; 32], statement: &Digest) -> Self {
        let stream = |purpose| Stream::new(seed, purpose, &[statement]);
        Self { elements: stream(Purpose::Blinding), salts: stream(Purpose::Salt) }
    }

    /// Uniform elements of F_p: the words of the part that are below p, in order.
    pub fn words(&self, part: Use, count: usize) -> Zeroizing<Vec<u64>> {
        uniform(&mut self.elements.reader(), part.part(), count)
    }

    pub fn elements(&self, part: Use, count: usize) -> Zeroizing<Vec<E>> {
        let words = self.words(part, 2 * count);
        Zeroizing::new(words.chunks_exact(2).map(|pair| E::new(pair[0], pair[1])).collect())
    }

    pub fn salts(&self, tree: u64) -> Salts {
        Salts { reader: self.salts.reader(), tree }
    }
}

/// The pad pi of a key seed: it blinds what a proof says of the key.
pub fn pad(key_seed: &[u8; 32], parameters: &Digest) -> E {
    let mut reader = Stream::new(key_seed, Purpose::Pad, &[parameters]).reader();
    let words = uniform(&mut reader, 0, 2);
    E::new(words[0], words[1])
}

/// Uniform elements of F_p: the words of a part of a stream that are below p, in order. What is refused is independent of
/// what is kept, so the branch tells nothing of it.
pub fn uniform(reader: &mut Reader, part: u64, count: usize) -> Zeroizing<Vec<u64>> {
    reader.seek(part, 0);
    let mut words = Zeroizing::new(Vec::with_capacity(count));
    let mut bytes = Zeroizing::new([0; 1024]);
    while words.len() < count {
        // As much of the stream is read whatever the buffer is: its words come in order.
        let missing = (8 * (count - words.len())).next_multiple_of(16).min(bytes.len());
        reader.fill(&mut bytes[..missing]);
        let fresh = bytes[..missing].chunks_exact(8).map(read_word).filter(|&word| published(word < P));
        let room = count - words.len();
        words.extend(fresh.take(room));
    }
    words
}

/// The salts of a tree's leaves, counted as its code words lie in memory.
pub struct Salts {
    reader: Reader,
    tree: u64,
}

impl Salts {
    /// The salts of leaves from a multiple of 64 on.
    pub fn fill(&mut self, first: usize, salts: &mut [[u8; SALT_BYTES]]) {
        assert!(first.is_multiple_of(SALTS_A_PART));
        for (index, salts) in salts.chunks_mut(SALTS_A_PART).enumerate() {
            self.reader.seek((self.tree << 32) + (first / SALTS_A_PART + index) as u64, 0);
            self.reader.fill(salts.as_flattened_mut());
        }
    }

    pub fn one(&mut self, leaf: usize) -> [u8; SALT_BYTES] {
        let mut salts = Zeroizing::new([[0; SALT_BYTES]; SALTS_A_PART]);
        let within = leaf % SALTS_A_PART;
        self.fill(leaf - within, &mut salts[..=within]);
        salts[within]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_statements_and_seeds_give_different_elements() {
        let one = Blinding::new(&[1; 32], &[2; 32]);
        let uses = [Use::MaskRow, Use::Mu, Use::Nu, Use::Row { tree: 1, row: 0 }, Use::Row { tree: 2, row: 0 }];
        let mut seen: Vec<Vec<u64>> = uses.iter().map(|&part| one.words(part, 5).to_vec()).collect();
        seen.push(one.words(Use::Row { tree: 1, row: 1 }, 5).to_vec());
        seen.push(Blinding::new(&[1; 32], &[3; 32]).words(Use::Mu, 5).to_vec());
        seen.push(Blinding::new(&[4; 32], &[2; 32]).words(Use::Mu, 5).to_vec());
        for (index, words) in seen.iter().enumerate() {
            assert!(words.iter().all(|&word| word < P));
            assert!(seen[index + 1..].iter().all(|other| other != words));
        }
    }

    #[test]
    fn shorter_reads_are_beginnings_of_longer_ones() {
        let blinding = Blinding::new(&[1; 32], &[2; 32]);
        let long = blinding.words(Use::Mu, 1001);
        assert_eq!(*blinding.words(Use::Mu, 7), long[..7]);
        assert_eq!(blinding.elements(Use::Mu, 3)[2], E::new(long[4], long[5]));
    }

    #[test]
    fn a_salt_is_the_same_alone_and_among_others() {
        let blinding = Blinding::new(&[1; 32], &[2; 32]);
        let mut salts = vec![[0; 32]; 200];
        blinding.salts(1).fill(64, &mut salts);
        for leaf in [64, 65, 127, 128, 263] {
            assert_eq!(blinding.salts(1).one(leaf), salts[leaf - 64]);
        }
        assert_ne!(blinding.salts(2).one(64), salts[0]);
    }

    #[test]
    fn the_pad_depends_on_seed_and_parameters() {
        let one = pad(&[1; 32], &[2; 32]);
        assert!(one != pad(&[2; 32], &[2; 32]) && one != pad(&[1; 32], &[1; 32]));
    }
}

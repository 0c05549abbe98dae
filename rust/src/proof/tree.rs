//! Hash trees over code words: commit to them, open some positions, check what was opened.
//!
//! Leaves and nodes are in bit-reversed order, as code words are: the children of node i of a level of n are the nodes
//! i and i + n of the level below.

use zeroize::Zeroizing;

use super::blinding::Salts;
use super::ext::E;
use super::proof_bytes::{Bytes, SALT_WORDS};
use super::published::published;
use super::rejected::Rejected;
use super::transcript::{Digest, KEYS};
use super::wide::Width;
use super::wide::blake::{leaves, messages, parents};
use super::wide::code::bit_reversed;
use super::words::{Words, stride};
use crate::buffer::prefer_large_pages;
use crate::parallel;

/// Leaves whose salts are made together.
const TILE: usize = 256;

/// Nanoseconds that a node, and a word of a leaf, take to hash.
const NODE: usize = 8;
const WORD: usize = 1;

/// Code words and their tree. `salts` gives a new reader of the tree's salts, where it has them.
pub struct Tree {
    log_length: usize,
    /// Word after word, a stride apart.
    words: Words,
    /// Level l, of 2^l nodes, from index 2^l on.
    nodes: Vec<Digest>,
}

impl Tree {
    pub fn commit(words: Words, log_length: usize, salts: Option<&(dyn Fn() -> Salts + Sync)>, threads: usize) -> Self {
        let (width, length) = (Width::best(), 1 << log_length);
        let mut nodes = vec![[0; 32]; 2 * length];
        prefer_large_pages(&mut nodes);
        let rows: Vec<&[u64]> = words.chunks_exact(stride(log_length)).collect();
        let worth = parallel::worth(threads, length * (rows.len() + 8), WORD);
        let share = parallel::share(length / TILE, worth) * TILE;
        let parts = nodes[length..].chunks_mut(share).enumerate();
        let done: Result<(), ()> = parallel::run(parts, |(part, digests)| {
            let mut salts = salts.map(|salts| salts());
            let mut tile = Zeroizing::new([[0; 32]; TILE]);
            for (number, digests) in digests.chunks_mut(TILE).enumerate() {
                let first = part * share + number * TILE;
                let salts = salts.as_mut().map(|salts| {
                    salts.fill(first, &mut tile[..digests.len()]);
                    &tile[..digests.len()]
                });
                leaves(width, &KEYS.leaf, salts, &rows, first, digests);
            }
            Ok(())
        });
        done.expect("no part fails");
        for level in (0..log_length).rev() {
            let (above, below) = nodes.split_at_mut(2 << level);
            let nodes = &mut above[1 << level..];
            let (left, right) = below[..2 << level].split_at(1 << level);
            let share = parallel::share(1 << level, parallel::worth(threads, 1 << level, NODE));
            let parts = nodes.chunks_mut(share).zip(left.chunks(share).zip(right.chunks(share)));
            let done: Result<(), ()> = parallel::run(parts, |(nodes, (left, right))| {
                parents(width, &KEYS.node, left, right, nodes);
                Ok(())
            });
            done.expect("no part fails");
        }
        Self { log_length, words, nodes }
    }

    /// Drop it, its code words wiped by several threads.
    pub fn drop_on(self, threads: usize) {
        self.words.drop_on(threads);
    }

    pub fn root(&self) -> Digest {
        published(self.nodes[1])
    }

    /// Append what opens these positions, distinct and ascending, to a proof.
    pub fn open(&self, positions: &[usize], mut salts: Option<Salts>, proof: &mut Vec<u8>) {
        for &position in positions {
            let leaf = bit_reversed(position, self.log_length as u32);
            if let Some(salts) = &mut salts {
                proof.extend(salts.one(leaf));
            }
            let word = |word: &[u64]| word[leaf].to_le_bytes();
            proof.extend(self.words.chunks_exact(stride(self.log_length)).flat_map(word));
        }
        let mut known = positions.to_vec();
        for level in (1..=self.log_length).rev() {
            known = for_each_family(&known, |family| {
                if let Family::Single(node) = family {
                    proof.extend(self.nodes[(1 << level) + bit_reversed(node ^ 1, level as u32)]);
                }
            });
        }
    }
}

/// Nodes of one level with the same parent, by their positions among those that are known.
enum Family {
    Both,
    Single(usize),
}

/// Go through the known nodes of a level, ascending; their parents, ascending.
fn for_each_family(known: &[usize], mut visit: impl FnMut(Family)) -> Vec<usize> {
    let mut parents = Vec::with_capacity(known.len());
    let mut rest = known.iter().copied().peekable();
    while let Some(node) = rest.next() {
        visit(if rest.next_if_eq(&(node ^ 1)).is_some() { Family::Both } else { Family::Single(node) });
        parents.push(node >> 1);
    }
    parents
}

/// What a tree's openings hold.
pub struct Opened {
    /// Words of a leaf, and how many of them are its salt.
    leaf: usize,
    salt: usize,
    words: Vec<u64>,
}

impl Opened {
    /// Words of a leaf beside its salt.
    pub fn width(&self) -> usize {
        self.leaf - self.salt
    }

    /// The elements of E whose parts are the words `at` and the next, at all positions.
    pub fn elements(&self, at: usize) -> Vec<E> {
        let leaves = self.words.chunks_exact(self.leaf);
        leaves.map(|leaf| E::new(leaf[self.salt + at], leaf[self.salt + at + 1])).collect()
    }

    /// The words at the position with this number.
    pub fn at(&self, number: usize) -> &[u64] {
        &self.words[number * self.leaf + self.salt..(number + 1) * self.leaf]
    }
}

/// Which tree is opened, and where.
pub struct Opening<'a> {
    pub tree: &'static str,
    pub root: Digest,
    pub log_length: usize,
    pub width: usize,
    pub salted: bool,
    pub positions: &'a [usize],
}

impl Opening<'_> {
    /// Read the opening, and refuse it unless it leads to the root.
    pub fn check(&self, bytes: &mut Bytes) -> Result<Opened, Rejected> {
        let width = Width::best();
        let salt = if self.salted { SALT_WORDS } else { 0 };
        let leaf = salt + self.width;
        let mut words = Vec::new();
        for _ in self.positions {
            words.extend(bytes.salt(salt)?);
            words.extend(bytes.words(self.width)?);
        }
        let mut nodes = vec![[0; 32]; self.positions.len()];
        messages(width, &KEYS.leaf, &words.chunks_exact(leaf).collect::<Vec<_>>(), &mut nodes);
        let mut known = self.positions.to_vec();
        for _ in 0..self.log_length {
            let mut below = nodes.into_iter();
            let mut next = || below.next().expect("a hash for every known node");
            let mut families = Vec::with_capacity(known.len());
            known = for_each_family(&known, |family| families.push(family));
            let (mut left, mut right) = (Vec::with_capacity(known.len()), Vec::with_capacity(known.len()));
            for family in families {
                let own = next();
                let (first, second) = match family {
                    Family::Both => (own, next()),
                    Family::Single(node) if node & 1 == 0 => (own, bytes.digest()?),
                    Family::Single(_) => (bytes.digest()?, own),
                };
                left.push(first);
                right.push(second);
            }
            nodes = vec![[0; 32]; known.len()];
            parents(width, &KEYS.node, &left, &right, &mut nodes);
        }
        if nodes != [self.root] {
            return Err(Rejected::Root { tree: self.tree });
        }
        Ok(Opened { leaf, salt, words })
    }
}

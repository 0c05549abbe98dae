//! Hash trees over code words: commit to them, open some positions, check what was opened.
//!
//! Leaves and nodes are in bit-reversed order, as code words are: the children of node i of a level of n are the nodes
//! i and i + n of the level below.

use zeroize::Zeroizing;

use super::blinding::Salts;
use super::code::reversed;
use super::proof_bytes::{Bytes, SALT_BYTES};
use super::rejected::Rejected;
use super::transcript::{Digest, KEYS};
use crate::parallel;

/// Leaves that are put together before they are hashed.
const TILE: usize = 64;

/// Fewer nodes than this are not worth a thread.
const NODES_A_PART: usize = 1 << 12;

/// Code words and their tree. `salts` gives a new reader of the tree's salts, where it has them.
pub struct Tree {
    log_length: usize,
    /// Word after word.
    words: Zeroizing<Vec<u64>>,
    /// Level l, of 2^l nodes, from index 2^l on.
    nodes: Vec<Digest>,
}

impl Tree {
    pub fn commit(
        words: Zeroizing<Vec<u64>>,
        log_length: usize,
        salts: Option<&(dyn Fn() -> Salts + Sync)>,
        threads: usize,
    ) -> Self {
        let length = 1 << log_length;
        let mut nodes = vec![[0; 32]; 2 * length];
        let share = parallel::share(length / TILE, threads) * TILE;
        let parts = nodes[length..].chunks_mut(share).enumerate();
        let done: Result<(), ()> = parallel::run(parts, |(part, leaves)| {
            let mut salts = salts.map(|salts| salts());
            let mut bytes = LeafBytes::new(words.len() / length);
            for (tile, leaves) in leaves.chunks_mut(TILE).enumerate() {
                let first = part * share + tile * TILE;
                bytes.gather(&words, length, first, leaves.len(), salts.as_mut());
                bytes.hash(leaves);
            }
            Ok(())
        });
        done.expect("no part fails");
        for level in (0..log_length).rev() {
            let (above, below) = nodes.split_at_mut(2 << level);
            let parents = &mut above[1 << level..];
            let children = &below[..2 << level];
            let share = parallel::share(1 << level, threads).max(NODES_A_PART);
            let (left, right) = children.split_at(1 << level);
            let parts = parents.chunks_mut(share).zip(left.chunks(share).zip(right.chunks(share)));
            let done: Result<(), ()> = parallel::run(parts, |(parents, (left, right))| {
                hash_nodes(parents, left, right);
                Ok(())
            });
            done.expect("no part fails");
        }
        Self { log_length, words, nodes }
    }

    pub fn root(&self) -> Digest {
        self.nodes[1]
    }

    /// Append what opens these positions, distinct and ascending, to a proof.
    pub fn open(&self, positions: &[usize], mut salts: Option<Salts>, proof: &mut Vec<u8>) {
        for &position in positions {
            let leaf = reversed(position, self.log_length);
            if let Some(salts) = &mut salts {
                proof.extend(salts.one(leaf));
            }
            let word = |word: &[u64]| word[leaf].to_le_bytes();
            proof.extend(self.words.chunks_exact(1 << self.log_length).flat_map(word));
        }
        let mut known = positions.to_vec();
        for level in (1..=self.log_length).rev() {
            known = for_each_family(&known, |family| {
                if let Family::Single(node) = family {
                    proof.extend(self.nodes[(1 << level) + reversed(node ^ 1, level)]);
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
    width: usize,
    words: Vec<u64>,
}

impl Opened {
    /// The words at the position with this number.
    pub fn at(&self, number: usize) -> &[u64] {
        &self.words[number * self.width..(number + 1) * self.width]
    }
}

/// Which tree is opened, and where.
pub struct Opening<'a> {
    pub tree: usize,
    pub root: Digest,
    pub log_length: usize,
    pub width: usize,
    pub salted: bool,
    pub positions: &'a [usize],
}

impl Opening<'_> {
    /// Read the opening, and refuse it unless it leads to the root.
    pub fn check(&self, bytes: &mut Bytes) -> Result<Opened, Rejected> {
        let salt_bytes = if self.salted { SALT_BYTES } else { 0 };
        let (mut words, mut nodes) = (Vec::new(), Vec::new());
        for _ in self.positions {
            let start = bytes.at();
            bytes.take(salt_bytes)?;
            words.extend(bytes.words(self.width)?);
            nodes.push(hash_leaf(bytes.since(start)));
        }
        let mut known = self.positions.to_vec();
        for _ in 0..self.log_length {
            let mut below = nodes.into_iter();
            let mut next = || below.next().expect("a hash for every known node");
            let mut families = Vec::with_capacity(known.len());
            known = for_each_family(&known, |family| families.push(family));
            nodes = families
                .into_iter()
                .map(|family| {
                    let own = next();
                    Ok(match family {
                        Family::Both => hash_node(&own, &next()),
                        Family::Single(node) if node & 1 == 0 => hash_node(&own, &bytes.digest()?),
                        Family::Single(_) => hash_node(&bytes.digest()?, &own),
                    })
                })
                .collect::<Result<_, _>>()?;
        }
        if nodes != [self.root] {
            return Err(Rejected::Root { tree: self.tree });
        }
        Ok(Opened { width: self.width, words })
    }
}

/// The bytes of some leaves: salt, then words.
struct LeafBytes {
    width: usize,
    length: usize,
    bytes: Zeroizing<Vec<u8>>,
}

impl LeafBytes {
    fn new(width: usize) -> Self {
        Self { width, length: 0, bytes: Zeroizing::new(vec![0; TILE * (SALT_BYTES + 8 * width)]) }
    }

    /// The leaves from `first` on, `count` of them.
    fn gather(&mut self, words: &[u64], length: usize, first: usize, count: usize, salts: Option<&mut Salts>) {
        let mut start = 0;
        self.length = 8 * self.width + if salts.is_some() { SALT_BYTES } else { 0 };
        if let Some(salts) = salts {
            let mut tile = Zeroizing::new([[0; SALT_BYTES]; TILE]);
            salts.fill(first, &mut tile[..count]);
            for (leaf, salt) in self.bytes.chunks_exact_mut(self.length).zip(&tile[..count]) {
                leaf[..SALT_BYTES].copy_from_slice(salt);
            }
            start = SALT_BYTES;
        }
        for (row, word) in words.chunks_exact(length).enumerate() {
            let leaves = self.bytes.chunks_exact_mut(self.length);
            for (leaf, entry) in leaves.zip(&word[first..first + count]) {
                leaf[start + 8 * row..start + 8 * row + 8].copy_from_slice(&entry.to_le_bytes());
            }
        }
    }

    fn hash(&self, leaves: &mut [Digest]) {
        for (digest, bytes) in leaves.iter_mut().zip(self.bytes.chunks_exact(self.length)) {
            *digest = hash_leaf(bytes);
        }
    }
}

/// H_LEAF
fn hash_leaf(bytes: &[u8]) -> Digest {
    *blake3::keyed_hash(&KEYS.leaf, bytes).as_bytes()
}

/// H_NODE
fn hash_node(left: &Digest, right: &Digest) -> Digest {
    *blake3::keyed_hash(&KEYS.node, [*left, *right].as_flattened()).as_bytes()
}

fn hash_nodes(parents: &mut [Digest], left: &[Digest], right: &[Digest]) {
    for (parent, (left, right)) in parents.iter_mut().zip(left.iter().zip(right)) {
        *parent = hash_node(left, right);
    }
}

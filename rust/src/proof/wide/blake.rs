//! Keyed BLAKE3 of many short inputs at once, one input a lane: the leaves and the nodes of a tree.
//!
//! The crate `blake3` is as wide only within one long input (its chunks of 1,024 bytes), which is what a content hash
//! needs; of short inputs it takes one after the other. What is here is its keyed mode for inputs of one chunk: section 2
//! of the BLAKE3 paper, flags CHUNK_START, CHUNK_END, ROOT and KEYED_HASH.

use zeroize::Zeroizing;

use super::Width;
use super::compression::{CHUNK_END, CHUNK_START, KEYED_HASH, ROOT, compress};
use super::words::{Hashing, Words, at};

pub type Digest = [u8; 32];

/// Words of 64 bits in one chunk: no leaf is longer.
pub const LARGEST_LEAF: usize = 128;

/// Words of 64 bits in a block, and in a salt.
const BLOCK: usize = 8;
const SALT: usize = 4;

/// The hash of word `first + j` of every row, in the order of rows, for every digest j of `out`; behind salt j, where there
/// are salts. Rows whose distance in memory is a large power of two compete for the same lines of the caches.
pub fn leaves(width: Width, key: &Digest, salts: Option<&[Digest]>, rows: &[&[u64]], first: usize, out: &mut [Digest]) {
    let salt_rows = if salts.is_some() { SALT } else { 0 };
    assert!(salts.is_none_or(|salts| salts.len() == out.len()));
    assert!(salt_rows + rows.len() <= LARGEST_LEAF && rows.iter().all(|row| row.len() >= first + out.len()));
    let mut pointers = vec![std::ptr::null(); salt_rows];
    pointers.extend(rows.iter().map(|row| row[first..].as_ptr()));
    at(width, Leaves { key: key_words(key), salts, rows: &mut pointers, out });
}

/// The hash of every message, all of them equally long, as its words lie.
pub fn messages(width: Width, key: &Digest, messages: &[&[u64]], out: &mut [Digest]) {
    let length = messages.first().map_or(0, |message| message.len());
    assert!(messages.len() == out.len() && messages.iter().all(|message| message.len() == length));
    let mut columns = vec![0; length * out.len()];
    for (index, message) in messages.iter().enumerate() {
        for (row, &word) in columns.chunks_exact_mut(out.len()).zip(*message) {
            row[index] = word;
        }
    }
    let rows: Vec<&[u64]> = columns.chunks_exact(out.len().max(1)).collect();
    leaves(width, key, None, &rows, 0, out);
}

/// The hashes of pairs of digests, one of each run.
pub fn parents(width: Width, key: &Digest, left: &[Digest], right: &[Digest], out: &mut [Digest]) {
    assert!(left.len() == out.len() && right.len() == out.len());
    at(width, Parents { key: key_words(key), left, right, out });
}

fn key_words(key: &Digest) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

struct Leaves<'a> {
    key: [u32; 8],
    salts: Option<&'a [Digest]>,
    /// Where there are salts, the first of these are set to what holds their words.
    rows: &'a mut [*const u64],
    out: &'a mut [Digest],
}

/// COUNT words of some rows, row after row.
type Tile<const ROWS: usize> = [[u64; 16]; ROWS];

impl Hashing for Leaves<'_> {
    #[inline(always)]
    unsafe fn run<W: Words>(self) {
        let whole = self.out.len() / W::COUNT * W::COUNT;
        let mut salt: Zeroizing<Tile<SALT>> = Zeroizing::new([[0; 16]; SALT]);
        // SAFETY: the rows have as many words as there are digests.
        unsafe {
            for start in (0..whole).step_by(W::COUNT) {
                if let Some(salts) = self.salts {
                    set_salts(&mut salt, &salts[start..start + W::COUNT]);
                    for (pointer, words) in self.rows.iter_mut().zip(salt.iter()) {
                        *pointer = words.as_ptr().wrapping_sub(start);
                    }
                }
                let state = leaf::<W>(&self.key, self.rows, start);
                W::store_digests(state, self.out[start..].as_mut_ptr().cast());
            }
            let rest = &mut self.out[whole..];
            if rest.is_empty() {
                return;
            }
            // The last ones, filled up with zeros.
            let mut tile: Zeroizing<Tile<LARGEST_LEAF>> = Zeroizing::new([[0; 16]; LARGEST_LEAF]);
            let mut salt_rows = 0;
            if let Some(salts) = self.salts {
                set_salts(&mut salt, &salts[whole..]);
                tile[..SALT].copy_from_slice(&*salt);
                salt_rows = SALT;
            }
            for (words, row) in tile.iter_mut().zip(&*self.rows).skip(salt_rows) {
                std::ptr::copy_nonoverlapping(row.add(whole), words.as_mut_ptr(), rest.len());
            }
            for (pointer, words) in self.rows.iter_mut().zip(tile.iter()) {
                *pointer = words.as_ptr();
            }
            let mut digests = [[0; 32]; 16];
            W::store_digests(leaf::<W>(&self.key, self.rows, 0), digests.as_mut_ptr().cast());
            rest.copy_from_slice(&digests[..rest.len()]);
        }
    }
}

#[inline(always)]
fn set_salts(tile: &mut Tile<SALT>, salts: &[Digest]) {
    for (lane, salt) in salts.iter().enumerate() {
        for (words, bytes) in tile.iter_mut().zip(salt.as_chunks::<8>().0) {
            words[lane] = u64::from_le_bytes(*bytes);
        }
    }
}

/// The states of COUNT leaves.
#[inline(always)]
unsafe fn leaf<W: Words>(key: &[u32; 8], rows: &[*const u64], start: usize) -> [W; 8] {
    unsafe {
        let mut state = [W::splat(0); 8];
        for (word, &key) in state.iter_mut().zip(key) {
            *word = W::splat(key);
        }
        let last = rows.len().saturating_sub(1) / BLOCK;
        for block in 0..=last {
            let rows = &rows[block * BLOCK..rows.len().min((block + 1) * BLOCK)];
            let mut message = [W::splat(0); 16];
            for (pair, row) in message.as_chunks_mut::<2>().0.iter_mut().zip(rows) {
                *pair = W::halves(row.wrapping_add(start));
                prefetch(row.wrapping_add(start + W::COUNT));
            }
            let flags = KEYED_HASH
                | if block == 0 { CHUNK_START } else { 0 }
                | if block == last { CHUNK_END | ROOT } else { 0 };
            compress(&mut state, message, 8 * rows.len() as u32, flags);
        }
        state
    }
}

/// What the next leaves need comes while these are hashed.
#[inline(always)]
unsafe fn prefetch(words: *const u64) {
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(words.cast());
        _mm_prefetch::<_MM_HINT_T0>(words.wrapping_add(8).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = words;
}

struct Parents<'a> {
    key: [u32; 8],
    left: &'a [Digest],
    right: &'a [Digest],
    out: &'a mut [Digest],
}

impl Hashing for Parents<'_> {
    #[inline(always)]
    unsafe fn run<W: Words>(self) {
        let whole = self.out.len() / W::COUNT * W::COUNT;
        // SAFETY: both runs are as long as `out`.
        unsafe {
            for start in (0..whole).step_by(W::COUNT) {
                let (left, right) = (self.left[start..].as_ptr(), self.right[start..].as_ptr());
                let state = parent::<W>(&self.key, left.cast(), right.cast());
                W::store_digests(state, self.out[start..].as_mut_ptr().cast());
            }
            let rest = &mut self.out[whole..];
            if rest.is_empty() {
                return;
            }
            let (mut left, mut right, mut digests) = ([[0; 32]; 16], [[0; 32]; 16], [[0; 32]; 16]);
            left[..rest.len()].copy_from_slice(&self.left[whole..]);
            right[..rest.len()].copy_from_slice(&self.right[whole..]);
            let state = parent::<W>(&self.key, left.as_ptr().cast(), right.as_ptr().cast());
            W::store_digests(state, digests.as_mut_ptr().cast());
            rest.copy_from_slice(&digests[..rest.len()]);
        }
    }
}

#[inline(always)]
unsafe fn parent<W: Words>(key: &[u32; 8], left: *const u8, right: *const u8) -> [W; 8] {
    unsafe {
        let mut state = [W::splat(0); 8];
        for (word, &key) in state.iter_mut().zip(key) {
            *word = W::splat(key);
        }
        compress(&mut state, W::blocks(left, right), 64, KEYED_HASH | CHUNK_START | CHUNK_END | ROOT);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::words;
    use super::*;

    const KEY: Digest = *b"a key for tests, thirty-two long";

    fn plainly(bytes: impl IntoIterator<Item = u8>) -> Digest {
        *blake3::keyed_hash(&KEY, &bytes.into_iter().collect::<Vec<_>>()).as_bytes()
    }

    #[test]
    fn leaves_are_those_of_the_crate_for_any_number_of_rows_and_columns() {
        for (count, columns) in [(0, 3), (1, 1), (7, 16), (8, 17), (9, 40), (24, 15), (62, 33), (127, 9), (128, 20)] {
            let memory = words(3, count * (columns + 5));
            let rows: Vec<&[u64]> = (0..count).map(|row| &memory[row * (columns + 5)..][..columns + 5]).collect();
            for width in Width::all() {
                let mut out = vec![[0; 32]; columns];
                leaves(width, &KEY, None, &rows, 5, &mut out);
                for (column, digest) in out.iter().enumerate() {
                    let expected = plainly(rows.iter().flat_map(|row| row[5 + column].to_le_bytes()));
                    assert_eq!(*digest, expected, "{} {count} {column}", width.name());
                }
                let leaf_major: Vec<Vec<u64>> =
                    (0..columns).map(|column| rows.iter().map(|row| row[5 + column]).collect()).collect();
                let mut again = vec![[0; 32]; columns];
                messages(width, &KEY, &leaf_major.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut again);
                assert_eq!(again, out, "{}", width.name());
            }
        }
    }

    #[test]
    fn salts_come_before_the_words() {
        for (count, columns) in [(0, 5), (4, 16), (13, 37), (124, 18)] {
            let memory = words(9, count * columns);
            let rows: Vec<&[u64]> = memory.chunks_exact(columns).collect();
            let salts: Vec<Digest> = (0..columns).map(|column| plainly((column as u64).to_le_bytes())).collect();
            for width in Width::all() {
                let mut out = vec![[0; 32]; columns];
                leaves(width, &KEY, Some(&salts), &rows, 0, &mut out);
                for (column, digest) in out.iter().enumerate() {
                    let words = rows.iter().flat_map(|row| row[column].to_le_bytes());
                    assert_eq!(*digest, plainly(salts[column].into_iter().chain(words)), "{} {count}", width.name());
                }
            }
        }
    }

    #[test]
    fn parents_are_those_of_the_crate() {
        for count in [0, 1, 3, 4, 8, 15, 16, 33] {
            let bytes: Vec<u8> = words(4, 8 * count).into_iter().flat_map(u64::to_le_bytes).collect();
            let (left, right) = bytes.as_chunks::<32>().0.split_at(count);
            for width in Width::all() {
                let mut out = vec![[0; 32]; count];
                parents(width, &KEY, left, right, &mut out);
                for (digest, (left, right)) in out.iter().zip(left.iter().zip(right)) {
                    let expected = plainly(left.iter().chain(right).copied());
                    assert_eq!(*digest, expected, "{} {count}", width.name());
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "LARGEST_LEAF")]
    fn a_leaf_of_more_than_one_chunk_is_refused() {
        leaves(Width::best(), &KEY, Some(&[[0; 32]]), &[&[0u64; 1][..]; 125], 0, &mut [[0; 32]]);
    }

    #[test]
    #[should_panic(expected = "first + out.len()")]
    fn rows_that_end_too_soon_are_refused() {
        leaves(Width::best(), &KEY, None, &[&[0u64; 8]], 1, &mut [[0; 32]; 8]);
    }
}

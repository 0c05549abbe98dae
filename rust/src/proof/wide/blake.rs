//! Keyed BLAKE3 of many short inputs at once, one input a lane: the leaves and the nodes of a tree.
//!
//! The crate `blake3` is as wide only within one long input (its chunks of 1,024 bytes), which is what a content hash
//! needs; of short inputs it takes one after the other. What is here is its keyed mode for inputs of one chunk: section 2
//! of the BLAKE3 paper, flags CHUNK_START, CHUNK_END, ROOT and KEYED_HASH.

use super::Width;
use super::width::Kind;
use super::words::{Four, Words};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256i, __m512i};

pub type Digest = [u8; 32];

/// Words of 64 bits in one chunk: no leaf is longer.
pub const LARGEST_LEAF: usize = 128;

/// Words of 64 bits in a block.
const BLOCK: usize = 8;

const INITIAL: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];
const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const ROUNDS: usize = 7;

/// Which word of the message is where in each round.
const SCHEDULE: [[usize; 16]; ROUNDS] = {
    let mut schedule = [[0; 16]; ROUNDS];
    let mut word = 0;
    while word < 16 {
        schedule[0][word] = word;
        word += 1;
    }
    let mut round = 1;
    while round < ROUNDS {
        let mut word = 0;
        while word < 16 {
            schedule[round][word] = schedule[round - 1][PERMUTATION[word]];
            word += 1;
        }
        round += 1;
    }
    schedule
};

const CHUNK_START: u32 = 1;
const CHUNK_END: u32 = 2;
const ROOT: u32 = 8;
const KEYED_HASH: u32 = 16;

/// The hash of word `first + j` of every row, in the order of rows, for every digest j of `out`. Salts are rows too: four
/// of them, the first. Rows whose distance in memory is a large power of two compete for the same lines of the caches.
pub fn leaves(width: Width, key: &Digest, rows: &[&[u64]], first: usize, out: &mut [Digest]) {
    assert!(rows.len() <= LARGEST_LEAF && rows.iter().all(|row| row.len() >= first + out.len()));
    let rows: Vec<*const u64> = rows.iter().map(|row| row[first..].as_ptr()).collect();
    at(width, Leaves { key: key_words(key), rows: &rows, out });
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
    leaves(width, key, &rows, 0, out);
}

/// The hashes of pairs of digests.
pub fn parents(width: Width, key: &Digest, children: &[Digest], out: &mut [Digest]) {
    assert!(children.len() == 2 * out.len());
    at(width, Parents { key: key_words(key), children, out });
}

fn key_words(key: &Digest) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// As [`super::Work`], for words of 32 bits.
trait Hashing {
    unsafe fn run<W: Words>(self);
}

fn at<H: Hashing>(width: Width, hashing: H) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2")]
    unsafe fn avx512<H: Hashing>(hashing: H) {
        unsafe { hashing.run::<__m512i>() }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn avx2<H: Hashing>(hashing: H) {
        unsafe { hashing.run::<__m256i>() }
    }
    // SAFETY: a `Width` is one that this processor has.
    unsafe {
        match width.kind() {
            Kind::Portable => hashing.run::<Four>(),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => avx2(hashing),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Ifma => avx512(hashing),
        }
    }
}

struct Leaves<'a> {
    key: [u32; 8],
    rows: &'a [*const u64],
    out: &'a mut [Digest],
}

impl Hashing for Leaves<'_> {
    #[inline(always)]
    unsafe fn run<W: Words>(self) {
        let whole = self.out.len() / W::COUNT * W::COUNT;
        // SAFETY: the rows have as many words as there are digests.
        unsafe {
            for start in (0..whole).step_by(W::COUNT) {
                let state = leaf::<W>(&self.key, self.rows, start);
                W::store_digests(state, self.out[start..].as_mut_ptr().cast());
            }
            let rest = &mut self.out[whole..];
            if rest.is_empty() {
                return;
            }
            // The last ones, filled up with zeros.
            let mut tails = [[0u64; 16]; LARGEST_LEAF];
            let mut rows = [std::ptr::null(); LARGEST_LEAF];
            for ((tail, pointer), row) in tails.iter_mut().zip(&mut rows).zip(self.rows) {
                std::ptr::copy_nonoverlapping(row.add(whole), tail.as_mut_ptr(), rest.len());
                *pointer = tail.as_ptr();
            }
            let mut digests = [[0; 32]; 16];
            let state = leaf::<W>(&self.key, &rows[..self.rows.len()], 0);
            W::store_digests(state, digests.as_mut_ptr().cast());
            rest.copy_from_slice(&digests[..rest.len()]);
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
                *pair = W::halves(row.add(start));
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
    children: &'a [Digest],
    out: &'a mut [Digest],
}

impl Hashing for Parents<'_> {
    #[inline(always)]
    unsafe fn run<W: Words>(self) {
        let whole = self.out.len() / W::COUNT * W::COUNT;
        // SAFETY: there are two children for each parent.
        unsafe {
            for start in (0..whole).step_by(W::COUNT) {
                let children = self.children[2 * start..].as_ptr().cast();
                W::store_digests(parent::<W>(&self.key, children), self.out[start..].as_mut_ptr().cast());
            }
            let rest = &mut self.out[whole..];
            if rest.is_empty() {
                return;
            }
            let mut children = [[0; 32]; 32];
            children[..2 * rest.len()].copy_from_slice(&self.children[2 * whole..]);
            let mut digests = [[0; 32]; 16];
            let state = parent::<W>(&self.key, children.as_ptr().cast());
            W::store_digests(state, digests.as_mut_ptr().cast());
            rest.copy_from_slice(&digests[..rest.len()]);
        }
    }
}

#[inline(always)]
unsafe fn parent<W: Words>(key: &[u32; 8], children: *const u8) -> [W; 8] {
    unsafe {
        let mut state = [W::splat(0); 8];
        for (word, &key) in state.iter_mut().zip(key) {
            *word = W::splat(key);
        }
        compress(&mut state, W::blocks(children), 64, KEYED_HASH | CHUNK_START | CHUNK_END | ROOT);
        state
    }
}

/// The compression function with counter 0, to the first half of its output.
#[inline(always)]
unsafe fn compress<W: Words>(state: &mut [W; 8], message: [W; 16], length: u32, flags: u32) {
    unsafe {
        let [s0, s1, s2, s3, s4, s5, s6, s7] = *state;
        let [i0, i1, i2, i3] = INITIAL;
        let mut v = [
            [s0, s1, s2, s3],
            [s4, s5, s6, s7],
            [W::splat(i0), W::splat(i1), W::splat(i2), W::splat(i3)],
            [W::splat(0), W::splat(0), W::splat(length), W::splat(flags)],
        ];
        // Written out, so that no word of the message moves.
        round::<W, 0>(&mut v, &message);
        round::<W, 1>(&mut v, &message);
        round::<W, 2>(&mut v, &message);
        round::<W, 3>(&mut v, &message);
        round::<W, 4>(&mut v, &message);
        round::<W, 5>(&mut v, &message);
        round::<W, 6>(&mut v, &message);
        for column in 0..4 {
            state[column] = v[0][column].xor(v[2][column]);
            state[4 + column] = v[1][column].xor(v[3][column]);
        }
    }
}

#[inline(always)]
unsafe fn round<W: Words, const ROUND: usize>(v: &mut [[W; 4]; 4], message: &[W; 16]) {
    unsafe {
        let m = SCHEDULE[ROUND];
        mix(v, [0, 0, 0, 0], message[m[0]], message[m[1]]);
        mix(v, [1, 1, 1, 1], message[m[2]], message[m[3]]);
        mix(v, [2, 2, 2, 2], message[m[4]], message[m[5]]);
        mix(v, [3, 3, 3, 3], message[m[6]], message[m[7]]);
        mix(v, [0, 1, 2, 3], message[m[8]], message[m[9]]);
        mix(v, [1, 2, 3, 0], message[m[10]], message[m[11]]);
        mix(v, [2, 3, 0, 1], message[m[12]], message[m[13]]);
        mix(v, [3, 0, 1, 2], message[m[14]], message[m[15]]);
    }
}

#[inline(always)]
unsafe fn mix<W: Words>(v: &mut [[W; 4]; 4], at: [usize; 4], x: W, y: W) {
    unsafe {
        let (mut a, mut b, mut c, mut d) = (v[0][at[0]], v[1][at[1]], v[2][at[2]], v[3][at[3]]);
        a = a.add(b).add(x);
        d = d.xor(a).rotated_right::<16>();
        c = c.add(d);
        b = b.xor(c).rotated_right::<12>();
        a = a.add(b).add(y);
        d = d.xor(a).rotated_right::<8>();
        c = c.add(d);
        b = b.xor(c).rotated_right::<7>();
        (v[0][at[0]], v[1][at[1]], v[2][at[2]], v[3][at[3]]) = (a, b, c, d);
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
                leaves(width, &KEY, &rows, 5, &mut out);
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
    fn parents_are_those_of_the_crate() {
        for count in [0, 1, 3, 4, 8, 15, 16, 33] {
            let bytes: Vec<u8> = words(4, 8 * count).into_iter().flat_map(u64::to_le_bytes).collect();
            let children = bytes.as_chunks::<32>().0;
            for width in Width::all() {
                let mut out = vec![[0; 32]; count];
                parents(width, &KEY, children, &mut out);
                for (digest, pair) in out.iter().zip(children.chunks_exact(2)) {
                    assert_eq!(*digest, plainly(pair.iter().flatten().copied()), "{} {count}", width.name());
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "LARGEST_LEAF")]
    fn a_leaf_of_more_than_one_chunk_is_refused() {
        leaves(Width::best(), &KEY, &[&[0u64; 1][..]; 129], 0, &mut [[0; 32]]);
    }

    #[test]
    #[should_panic(expected = "first + out.len()")]
    fn rows_that_end_too_soon_are_refused() {
        leaves(Width::best(), &KEY, &[&[0u64; 8]], 1, &mut [[0; 32]; 8]);
    }
}

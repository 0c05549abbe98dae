//! What both sides have seen so far, and the challenges that follow from it (docs/proofs.md, "Transcript").

use std::sync::LazyLock;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::ext::E;
use super::published::published;
use crate::field::P;
use crate::parallel;

pub type Digest = [u8; 32];

/// The keys that separate the uses of the hash.
pub struct Keys {
    pub leaf: Digest,
    pub node: Digest,
    content: Digest,
    transcript: Digest,
    share: Digest,
}

pub static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = |name: &str| *blake3::hash(format!("quatrefoil/proof/v1 {name}").as_bytes()).as_bytes();
    Keys {
        leaf: key("leaf"),
        node: key("node"),
        content: key("content"),
        transcript: key("transcript"),
        share: key("share"),
    }
});

/// H_CONTENT
pub fn content(data: &[u8]) -> Digest {
    *blake3::keyed_hash(&KEYS.content, data).as_bytes()
}

/// h_k: H_SHARE of a member's salt and share.
pub fn share_commitment(share: &[u8]) -> Digest {
    published(*blake3::keyed_hash(&KEYS.share, share).as_bytes())
}

/// The same by several threads: BLAKE3 is a tree.
pub fn content_on(data: &[u8], threads: usize) -> Digest {
    /// Less is not worth a thread.
    const LEAST: usize = 1 << 18;
    let part = parallel::share(data.len(), threads).max(LEAST).next_power_of_two();
    if threads == 1 || data.len() <= part {
        return content(data);
    }
    let mut values: Vec<ChainingValue> = vec![[0; 32]; data.len().div_ceil(part)];
    let parts = data.chunks(part).zip(&mut values).enumerate();
    let done: Result<(), ()> = parallel::run(parts, |(number, (data, value))| {
        let mut hasher = blake3::Hasher::new_keyed(&KEYS.content);
        *value = hasher.set_input_offset((number * part) as u64).update(data).finalize_non_root();
        Ok(())
    });
    done.expect("no part fails");
    let (left, right) = values.split_at(values.len().next_power_of_two() / 2);
    let mode = Mode::KeyedHash(&KEYS.content);
    *merge_subtrees_root(&merged(left), &merged(right), mode).as_bytes()
}

/// The value of the subtree over some parts, all but the last of them full.
fn merged(values: &[ChainingValue]) -> ChainingValue {
    if let [one] = values {
        return *one;
    }
    let (left, right) = values.split_at(values.len().next_power_of_two() / 2);
    merge_subtrees_non_root(&merged(left), &merged(right), Mode::KeyedHash(&KEYS.content))
}

const LABEL_BYTES: usize = 16;

#[derive(Clone)]
pub struct Transcript {
    state: Digest,
}

impl Transcript {
    /// The state that a statement of an argument of this name gives: its digest.
    pub fn new(argument: &str, statement: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&KEYS.transcript);
        hasher.update(argument.as_bytes()).update(statement);
        Self { state: *hasher.finalize().as_bytes() }
    }

    pub fn state(&self) -> Digest {
        self.state
    }

    pub fn absorb(&mut self, label: &str, data: &[u8]) {
        let mut padded = [0; LABEL_BYTES];
        padded[..label.len()].copy_from_slice(label.as_bytes());
        let mut hasher = blake3::Hasher::new_keyed(&KEYS.transcript);
        hasher.update(&self.state).update(&padded).update(&content(data));
        self.state = *hasher.finalize().as_bytes();
    }

    pub fn draw(&mut self, label: &str) -> Draw {
        self.absorb(label, &[]);
        let mut hasher = blake3::Hasher::new_keyed(&KEYS.transcript);
        Draw(hasher.update(&self.state).finalize_xof())
    }
}

/// Reads challenges from one extended output.
pub struct Draw(blake3::OutputReader);

impl Draw {
    fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn base(&mut self) -> u64 {
        loop {
            let word = self.word();
            if word < P {
                return word;
            }
        }
    }

    pub fn element(&mut self) -> E {
        let re = self.base();
        E::new(re, self.base())
    }

    pub fn elements(&mut self, count: usize) -> Vec<E> {
        (0..count).map(|_| self.element()).collect()
    }

    /// `count` positions below 2^`log_length`: the distinct ones, ascending.
    pub fn positions(&mut self, count: usize, log_length: usize) -> Vec<usize> {
        let mut positions: Vec<_> = (0..count).map(|_| (self.word() & ((1 << log_length) - 1)) as usize).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_follow_from_everything_before_them() {
        let challenge = |statement: &[u8], absorbed: &[(&str, &[u8])], drawn: &str| {
            let mut transcript = Transcript::new("test", statement);
            absorbed.iter().for_each(|(label, data)| transcript.absorb(label, data));
            transcript.draw(drawn).element()
        };
        let variants = [
            challenge(b"one", &[("root1", b"ab")], "zeta"),
            challenge(b"two", &[("root1", b"ab")], "zeta"),
            challenge(b"one", &[("root2", b"ab")], "zeta"),
            challenge(b"one", &[("root1", b"abc")], "zeta"),
            challenge(b"one", &[("root1", b"ab")], "point"),
            challenge(b"one", &[("root1", b"a"), ("root1", b"b")], "zeta"),
            challenge(b"one", &[], "zeta"),
        ];
        for (index, one) in variants.iter().enumerate() {
            assert!(variants[index + 1..].iter().all(|other| one != other));
        }
        assert_eq!(variants[0], challenge(b"one", &[("root1", b"ab")], "zeta"));
    }

    #[test]
    fn threads_do_not_change_the_content_hash() {
        let data: Vec<u8> = (0..(5 << 18) + 77u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for length in [0, 1, 1 << 18, (1 << 18) + 1, 1 << 19, (3 << 18) - 1, 1 << 20, data.len()] {
            for threads in [1, 2, 3, 5, 16] {
                assert_eq!(content_on(&data[..length], threads), content(&data[..length]), "{length} {threads}");
            }
        }
    }

    #[test]
    fn positions_are_distinct_ascending_and_in_range() {
        let mut transcript = Transcript::new("test", b"");
        let positions = transcript.draw("positions").positions(200, 8);
        assert!(positions.len() < 200 && positions.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(positions.iter().all(|&position| position < 256));
    }
}

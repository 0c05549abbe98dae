//! What both sides have seen so far, and the challenges that follow from it (docs/proofs.md, "Transcript").

use std::sync::LazyLock;

use super::ext::E;
use crate::field::P;

pub type Digest = [u8; 32];

/// The keys that separate the uses of the hash.
pub struct Keys {
    pub leaf: Digest,
    pub node: Digest,
    content: Digest,
    transcript: Digest,
}

pub static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = |name: &str| *blake3::hash(format!("quatrefoil/proof/v1 {name}").as_bytes()).as_bytes();
    Keys { leaf: key("leaf"), node: key("node"), content: key("content"), transcript: key("transcript") }
});

/// H_CONTENT
pub fn content(data: &[u8]) -> Digest {
    *blake3::keyed_hash(&KEYS.content, data).as_bytes()
}

const LABEL_BYTES: usize = 16;

#[derive(Clone)]
pub struct Transcript {
    state: Digest,
}

impl Transcript {
    /// The state that a statement gives: its digest.
    pub fn new(statement: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&KEYS.transcript);
        hasher.update(b"quatrefoil/proof/bounded-update/v1").update(statement);
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
            let mut transcript = Transcript::new(statement);
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
    fn positions_are_distinct_ascending_and_in_range() {
        let mut transcript = Transcript::new(b"");
        let positions = transcript.draw("positions").positions(200, 8);
        assert!(positions.len() < 200 && positions.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(positions.iter().all(|&position| position < 256));
    }
}

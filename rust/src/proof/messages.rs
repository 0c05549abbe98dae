//! The messages of a proof: what a prover sends and a verifier reads, absorbed by the transcript of either.

use super::blinding::Salts;
use super::ext::{E, bytes_of};
use super::proof_bytes::{Bytes, VERSION};
use super::published::publish;
use super::rejected::Rejected;
use super::transcript::Transcript;
use super::tree::{self, Opened, Tree};

/// The prover's side: what is sent so far.
pub struct Outgoing {
    pub transcript: Transcript,
    pub proof: Vec<u8>,
}

impl Outgoing {
    /// Magic, version, reserved, statement digest.
    pub fn new(magic: &[u8; 8], transcript: Transcript) -> Self {
        let proof = [&magic[..], &VERSION.to_le_bytes(), &[0; 2], &transcript.state()].concat();
        Self { transcript, proof }
    }

    /// Append what is sent to the proof, and absorb it as one.
    pub fn send(&mut self, label: &str, parts: &[&[u8]]) {
        let start = self.proof.len();
        parts.iter().for_each(|part| self.proof.extend_from_slice(part));
        publish(&self.proof[start..]);
        self.transcript.absorb(label, &self.proof[start..]);
    }

    pub fn send_elements(&mut self, label: &str, elements: &[E]) {
        self.send(label, &[&bytes_of(elements)]);
    }

    /// Open trees, each at its positions, absorbed as one.
    pub fn open<'a>(&mut self, label: &str, trees: impl IntoIterator<Item = (&'a Tree, &'a [usize], Salts)>) {
        let start = self.proof.len();
        for (tree, positions, salts) in trees {
            tree.open(positions, Some(salts), &mut self.proof);
        }
        publish(&self.proof[start..]);
        self.transcript.absorb(label, &self.proof[start..]);
    }
}

/// The verifier's side: what is read so far.
pub struct Incoming<'a> {
    pub transcript: Transcript,
    pub bytes: Bytes<'a>,
}

impl Incoming<'_> {
    /// The next elements, absorbed as one.
    pub fn receive(&mut self, label: &str, count: usize) -> Result<Vec<E>, Rejected> {
        self.read(label, |bytes| bytes.elements(count))
    }

    /// Openings of trees, absorbed as one.
    pub fn opened<const COUNT: usize>(
        &mut self,
        label: &str,
        trees: [tree::Opening; COUNT],
    ) -> Result<[Opened; COUNT], Rejected> {
        self.read(label, |bytes| {
            let mut opened = Vec::with_capacity(COUNT);
            for tree in trees {
                opened.push(tree.check(bytes)?);
            }
            Ok(opened.try_into().unwrap_or_else(|_| unreachable!("as many as there are trees")))
        })
    }

    /// Whatever is read next, absorbed as one.
    pub fn read<Output>(
        &mut self,
        label: &str,
        read: impl FnOnce(&mut Bytes) -> Result<Output, Rejected>,
    ) -> Result<Output, Rejected> {
        let start = self.bytes.at();
        let output = read(&mut self.bytes)?;
        self.transcript.absorb(label, self.bytes.since(start));
        Ok(output)
    }
}

//! Whole proofs: honest ones are accepted, and what is false is not.

mod forgeries;
mod further;
mod masks;
mod mutations;
mod shape;
mod shares;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod taint;
mod wiping;

use crate::encryption::Encryption;
use crate::layout::{BLOCK_BYTES, Layout};
use crate::proof::further::Further;
use crate::proof::masks::Masks;
use crate::proof::prover::{Attempt, Ciphertext, prove};
use crate::proof::shape::Shape;
use crate::proof::statement::Statement;
use crate::proof::transcript::{Digest, content};
use crate::proof::verifier::verify;
use crate::proof::wide::Width;
use crate::proof::witness::{Unprovable, Witness};
use crate::ring::N;
use crate::shared::Shared;
use crate::sharing::{Polynomials, Threshold};

pub struct Instance {
    pub shape: Shape,
    pub masks: Masks,
    pub blocks: Vec<u8>,
    pub witness: Witness,
    pub bound: u64,
    pub further: Further,
    pub commitments: Vec<Digest>,
}

impl Instance {
    pub fn new(layout: Layout, count: usize) -> Self {
        Self::with(layout, count, |_| Further::default())
    }

    /// With the key in shares, and further claims.
    pub fn shared(layout: Layout, count: usize, dealt: &Polynomials, further: impl FnOnce(&Shape) -> Further) -> Self {
        let plain = Self::with(layout, count, further);
        let shape = plain.shape.shared(dealt.threshold).unwrap();
        let values = values(count);
        // SAFETY: the vector lives longer.
        let shared = unsafe { Shared::new(values.as_ptr(), values.len()) };
        let witness =
            Witness::new(&shape, &encryption(layout), shared, plain.bound, &plain.further, Some(dealt), 1).unwrap();
        Self { shape, witness, commitments: dealt.commitments(), ..plain }
    }

    /// With further claims.
    pub fn with(layout: Layout, count: usize, further: impl FnOnce(&Shape) -> Further) -> Self {
        let values = values(count);
        let encryption = encryption(layout);
        let shape = Shape::new(layout, count).unwrap();
        // SAFETY: the vector lives longer.
        let shared = unsafe { Shared::new(values.as_ptr(), values.len()) };
        let mut blocks = vec![0; shape.blocks * BLOCK_BYTES];
        encryption.run(shared, &mut blocks, 1).unwrap();
        let masks = Masks::new(&[6; 32], &[5; 32], shape.blocks, 2);
        let bound = 1 << 61;
        let further = further(&shape);
        let witness = Witness::new(&shape, &encryption, shared, bound, &further, None, 1).unwrap();
        Self { shape, masks, blocks, witness, bound, further, commitments: Vec::new() }
    }

    /// A witness of the same values under other further claims.
    pub fn witness_for(&self, further: &Further) -> Result<Witness, Unprovable> {
        let values = values(self.shape.values);
        // SAFETY: the vector lives longer.
        let shared = unsafe { Shared::new(values.as_ptr(), values.len()) };
        Witness::new(&self.shape, &encryption(self.shape.layout), shared, self.bound, further, None, 1)
    }

    pub fn statement(&self) -> Statement<'_> {
        Statement {
            shape: &self.shape,
            bound: self.bound,
            further: &self.further,
            parameters: [5; 32],
            context: [6; 32],
            binding: [7; 32],
            ciphertext: content(&self.blocks),
            commitments: &self.commitments,
        }
    }

    pub fn ciphertext(&self) -> Ciphertext<'_> {
        Ciphertext { masks: self.masks.words(), blocks: &self.blocks }
    }

    pub fn prove_with(&self, seed: &[u8; 32]) -> Attempt {
        prove(&self.statement(), &self.ciphertext(), &self.witness, seed, 1)
    }

    pub fn prove(&self, threads: usize) -> Attempt {
        prove(&self.statement(), &self.ciphertext(), &self.witness, &[9; 32], threads)
    }
}

/// The key of every `Instance` in shares.
pub fn dealt(members: usize, privacy: usize, packing: usize) -> Polynomials {
    Polynomials::new(Threshold::new(members, privacy, packing).unwrap(), &[1; 32], &[3; 32], &[5; 32])
}

fn values(count: usize) -> Vec<f64> {
    (0..count).map(|i| ((i % 201) as f64 - 100.0) / 128.0).collect()
}

fn encryption(layout: Layout) -> Encryption<'static> {
    Encryption {
        layout,
        parameters: &[5; 32],
        context: &[6; 32],
        clip: 1.0,
        factor: layout.largest() as f64 * 0.25,
        first: 0,
        key_seed: &[1; 32],
        noise_seed: &[2; 32],
    }
}

pub fn wide() -> Layout {
    Layout::new(16, 2, 24, 15).unwrap()
}

pub fn narrow() -> Layout {
    Layout::new(12, 3, 17, 12).unwrap()
}

#[test]
fn honest_proofs_are_accepted() {
    for (layout, count) in [(wide(), 5), (wide(), 3 * 2 * N - 7), (narrow(), 100), (wide(), 9 * 2 * N)] {
        let instance = Instance::new(layout, count);
        let Attempt { proof, holds } = instance.prove(1);
        assert!(holds);
        assert_eq!(proof, instance.prove(2).proof, "threads change nothing");
        verify(&instance.statement(), &instance.ciphertext(), &proof, 1).unwrap();
    }
}

/// What the first prover of this version made, in arithmetic of one word at a time.
const DIGESTS: [&str; 5] = [
    "95f73f1a45af53e9d4afdff6b073cc8022ca87401c05b78812d2f56af1abdb0a",
    "ce849a64f4a2b76494ca33dde26a6ea6af6ae1ca2fdb45d287d3083c613b1e37",
    "67f7de3400c4d053a22fb971a8692619d68c73c653bcc76870d364dc2a749b10",
    "3556341d7b85647c323113ac3c0d89915f25080ccb3c6e83f61c87ca82444c98",
    "b32ebef4acb34ce67f5b30c9b56fb279efd0ad43edf804545ba7dc4aae63a6b3",
];

#[test]
fn the_bytes_of_a_proof_are_the_same_at_every_level_and_number_of_threads() {
    let counts = [(wide(), 5), (wide(), 3 * 2 * N - 7), (narrow(), 100), (wide(), 9 * 2 * N), (narrow(), 9 * 3 * N)];
    for ((layout, count), digest) in counts.into_iter().zip(DIGESTS) {
        let instance = Instance::new(layout, count);
        for width in Width::all() {
            // Tests beside this one get the same results at any level.
            width.limit();
            for threads in [1, 3] {
                let proof = instance.prove(threads).proof;
                verify(&instance.statement(), &instance.ciphertext(), &proof, 1).unwrap();
                assert_eq!(blake3::hash(&proof).to_string(), digest, "{} {threads}", width.name());
            }
        }
        assert_eq!(Width::all().last(), Some(&Width::best()), "no limit is left");
    }
}

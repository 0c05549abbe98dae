//! What is shown is blinded: with other randomness everything shown is different, and nothing else is.

use super::{Instance, wide};
use crate::proof::proof_bytes::HEAD_BYTES;

#[test]
fn every_element_that_is_shown_depends_on_the_seed() {
    let instance = Instance::new(wide(), 5);
    let (one, two) = (instance.prove(1).proof, instance.prove_with(&[8; 32]).proof);
    let shape = &instance.shape;
    let elements = |proof: &[u8]| {
        let start = HEAD_BYTES + 32;
        let count = shape.round_masks() + shape.committed() + 1 + shape.mask_row() + 2 * shape.code.queries;
        proof[start..start + 16 * count].chunks_exact(8).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let same = elements(&one).iter().zip(elements(&two)).filter(|(one, two)| **one == *two).count();
    assert_eq!(same, 0);
    // v is blinded by the pad, which belongs to the key and not to the proof.
    assert_ne!(one[44..76], two[44..76]);
}

#[test]
fn one_seed_blinds_two_statements_differently() {
    let instance = Instance::new(wide(), 5);
    let mut other = Instance::new(wide(), 5);
    other.bound -= 1;
    // The witness is the same: only the blinding makes root 1 another.
    assert_ne!(instance.prove(1).proof[44..76], other.prove(1).proof[44..76]);
}

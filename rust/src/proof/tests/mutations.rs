//! Proofs that were changed on their way: every region, and every length.

use super::{Instance, wide};
use crate::proof::proof_bytes::{fixed_bytes, largest_bytes};
use crate::proof::rejected::Rejected;
use crate::proof::verifier::verify;

fn verdict(instance: &Instance, proof: &[u8]) -> Result<[u8; 32], Rejected> {
    verify(&instance.statement(), &instance.ciphertext(), proof, 1)
}

#[test]
fn a_changed_byte_is_rejected_wherever_it_is() {
    let instance = Instance::new(wide(), 5);
    let proof = instance.prove(1).proof;
    // The parts in front byte by byte, the others in steps that meet every region.
    let positions = (0..100).chain((100..proof.len()).step_by(997)).chain([proof.len() - 1]);
    for position in positions {
        let mut changed = proof.clone();
        changed[position] ^= 1 << (position % 8);
        assert!(verdict(&instance, &changed).is_err(), "byte {position}");
    }
}

#[test]
fn a_changed_length_is_rejected_with_its_numbers() {
    let instance = Instance::new(wide(), 5);
    let proof = instance.prove(1).proof;
    let least = fixed_bytes(&instance.shape);
    for length in [0, 1, 43, 44, least - 1] {
        assert_eq!(verdict(&instance, &proof[..length]), Err(Rejected::Short { bytes: length, least }));
    }
    for length in [least, least + 1000, proof.len() - 32, proof.len() - 1] {
        assert!(verdict(&instance, &proof[..length]).is_err());
    }
    assert!(matches!(verdict(&instance, &proof[..proof.len() - 1]), Err(Rejected::Short { .. })));
    let longer = [proof.as_slice(), &[0]].concat();
    assert_eq!(verdict(&instance, &longer), Err(Rejected::Trailing { bytes: 1 }));
    let most = largest_bytes(&instance.shape);
    let largest = [proof.as_slice(), &vec![0; most + 1 - proof.len()]].concat();
    assert_eq!(verdict(&instance, &largest), Err(Rejected::Long { bytes: most + 1, most }));
    assert!(proof.len() <= most);
}

#[test]
fn the_head_is_read_strictly() {
    let instance = Instance::new(wide(), 5);
    let proof = instance.prove(1).proof;
    let with = |position: usize, byte: u8| {
        let mut changed = proof.clone();
        changed[position] = byte;
        verdict(&instance, &changed)
    };
    assert_eq!(with(0, b'q'), Err(Rejected::Magic));
    assert_eq!(with(8, 2), Err(Rejected::Version(2)));
    assert_eq!(with(11, 1), Err(Rejected::Reserved(256)));
    assert_eq!(with(12, !proof[12]), Err(Rejected::Statement));
    // v as an element that is not reduced
    let mut changed = proof.clone();
    changed[76..84].fill(0xFF);
    assert_eq!(verdict(&instance, &changed), Err(Rejected::NotReduced { offset: 76 }));
}

#[test]
fn parts_of_two_proofs_do_not_make_one() {
    let instance = Instance::new(wide(), 5);
    let (one, two) = (instance.prove(1).proof, instance.prove_with(&[8; 32]).proof);
    assert_ne!(one, two);
    for cut in [44, 76, 92, 124, 1000, 3000, fixed_bytes(&instance.shape) / 2, one.len() / 2] {
        let mixed = [&one[..cut], &two[cut..]].concat();
        // Up to the statement digest they are the same.
        assert_eq!(verdict(&instance, &mixed).is_ok(), cut == 44, "cut at {cut}");
    }
}

//! Keys in shares: every member's share passes where the dealer was honest, and a share that does not fit is caught by
//! one check that nothing else stands in for.

use super::forgeries::{caught_by, without};
use super::further::claims;
use super::{Instance, dealt, narrow, wide};
use crate::field;
use crate::proof::ext::{E, ELEMENT_BYTES};
use crate::proof::further::Further;
use crate::proof::lies::{self, Constraint, Lies, NONE};
use crate::proof::prover::Attempt;
use crate::proof::rejected::Rejected;
use crate::proof::share_check::Check;
use crate::proof::statement::{First, Statement};
use crate::proof::verifier::verify;
use crate::proof::wide::Width;
use crate::ring::N;
use crate::sharing::Polynomials;

const OFF_THE_POLYNOMIALS: Option<&str> = Some("it is not on the polynomials that V is of");

/// What a member says of its share beside a proof.
pub fn refused(instance: &Instance, proof: &[u8], member: usize, share: &[u8]) -> Option<&'static str> {
    let threshold = instance.shape.sharing.unwrap();
    let root: [u8; 32] = proof[44..76].try_into().unwrap();
    let values: Vec<E> = proof[76..][..ELEMENT_BYTES * threshold.recovery()]
        .chunks_exact(ELEMENT_BYTES)
        .map(|bytes| {
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            E::new(word(0), word(8))
        })
        .collect();
    let First { zeta, .. } = First::draw(&mut instance.statement().transcript(), &root);
    Check { threshold, commitment: &instance.commitments[member - 1], zeta: &zeta, values: &values }
        .refused(member, share)
}

fn set(instance: &mut Instance, index: usize, entry: u64) {
    let rows = instance.shape.rows();
    let column = instance.shape.auxiliary_column(index / rows);
    instance.witness.columns[column].re[index % rows] = entry;
}

fn thresholds() -> [Polynomials; 4] {
    [dealt(8, 3, 2), dealt(8, 1, 4), dealt(5, 3, 1), dealt(16, 5, 8)]
}

#[test]
fn honest_shares_pass_beside_honest_proofs() {
    let sizes = [(wide(), 5), (narrow(), 3 * N + 7), (wide(), 3 * 2 * N - 7), (wide(), 9 * 2 * N)];
    for ((layout, count), dealt) in sizes.into_iter().zip(thresholds()) {
        for further in [|_: &_| Further::default(), claims] {
            let instance = Instance::shared(layout, count, &dealt, further);
            let Attempt { proof, holds } = instance.prove(1);
            assert!(holds);
            verify(&instance.statement(), &instance.ciphertext(), &proof, 1).unwrap();
            for member in 1..=dealt.threshold.members {
                assert_eq!(refused(&instance, &proof, member, &dealt.share(member)), None);
            }
        }
    }
}

#[test]
fn the_bytes_are_the_same_at_every_level_and_number_of_threads() {
    let instance = Instance::shared(wide(), 300, &dealt(8, 3, 2), claims);
    let expected = instance.prove(1).proof;
    for width in Width::all() {
        width.limit();
        for threads in [1, 3] {
            assert_eq!(instance.prove(threads).proof, expected, "{} {threads}", width.name());
        }
    }
}

/// A share that fits its commitment but not the others: the proof holds, and only V shows it.
#[test]
fn a_share_off_the_polynomials_is_refused_by_its_member_alone() {
    for dealt in thresholds() {
        let mut instance = Instance::shared(wide(), 5, &dealt, |_| Further::default());
        for member in [1, dealt.threshold.members] {
            for place in [32, 40 + 7, dealt.threshold.share_bytes() - 16, dealt.threshold.share_bytes() - 8] {
                let mut share = dealt.share(member);
                share[place] ^= 1;
                instance.commitments = dealt.commitments();
                instance.commitments[member - 1] = crate::proof::share_commitment(&share);
                let proof = instance.prove(1).proof;
                verify(&instance.statement(), &instance.ciphertext(), &proof, 1).unwrap();
                assert_eq!(refused(&instance, &proof, member, &share), OFF_THE_POLYNOMIALS);
                let other = member % dealt.threshold.members + 1;
                assert_eq!(refused(&instance, &proof, other, &dealt.share(other)), None);
            }
        }
    }
}

/// Shares of another key, dealt consistently. With the V of these the proof is rejected, and with the V of the ciphertext's
/// key the members see it. Without the claims about V nobody would.
#[test]
fn shares_of_another_key_need_a_false_v() {
    let threshold = dealt(8, 3, 2).threshold;
    let other = Polynomials::new(threshold, &[77; 32], &[3; 32], &[5; 32]);
    let mut instance = Instance::shared(wide(), 5, &dealt(8, 3, 2), |_| Further::default());
    instance.commitments = other.commitments();
    let proof = instance.prove(1).proof;
    verify(&instance.statement(), &instance.ciphertext(), &proof, 1).unwrap();
    for member in threshold.privacy + 1..=8 {
        assert_eq!(refused(&instance, &proof, member, &other.share(member)), OFF_THE_POLYNOMIALS);
    }

    let ours = dealt(8, 3, 2);
    // Keys that differ in the first half alone, so that only the first claim stands in the way of the false V.
    let mut half = Polynomials::new(threshold, &[1; 32], &[3; 32], &[5; 32]);
    half.values[..threshold.words()].copy_from_slice(&other.values[..threshold.words()]);
    instance.commitments = half.commitments();
    let proof = instance.prove(1).proof;
    let root: [u8; 32] = proof[44..76].try_into().unwrap();
    let First { zeta, .. } = First::draw(&mut instance.statement().transcript(), &root);
    let across = crate::proof::eq_table(&zeta[zeta.len() - threshold.words().ilog2() as usize..]);
    let differences = half.values[..threshold.words()].iter().zip(&ours.values[..]);
    let off: E =
        differences.zip(across.iter()).map(|((&other, &ours), across)| across.scale(field::sub(other, ours))).sum();
    let lie = Lies { share: Some((0, off)), ..NONE };
    assert_eq!(instance.verdict(lie), Err(Rejected::Row));
    let lie = Lies { left_out: Some(Constraint::Share(0)), ..lie };
    lies::with(lie, || {
        let proof = instance.prove(1).proof;
        verify(&instance.statement(), &instance.ciphertext(), &proof, 1).unwrap();
        for member in 1..=8 {
            assert_eq!(refused(&instance, &proof, member, &half.share(member)), None, "without V it passes");
        }
    });
}

#[test]
fn v_that_is_none_of_the_committed_polynomials() {
    for dealt in thresholds() {
        let instance = Instance::shared(wide(), 5, &dealt, |_| Further::default());
        for point in 0..dealt.threshold.recovery() {
            caught_by(&instance, Constraint::Share(point), Lies { share: Some((point, E::ONE)), ..NONE });
        }
    }
}

/// What hides the key may be anything, so that there is no lie about it: V follows, and shares dealt before do not fit.
#[test]
fn other_polynomials_than_were_dealt_are_seen_by_members() {
    let dealt = dealt(8, 3, 2);
    let mut instance = Instance::shared(wide(), 5, &dealt, |_| Further::default());
    let row = instance.shape.share_row(dealt.threshold.packing);
    set(&mut instance, row + 9, 5);
    let Attempt { proof, holds } = instance.prove(1);
    assert!(holds);
    verify(&instance.statement(), &instance.ciphertext(), &proof, 1).unwrap();
    for member in [1, 4, 8] {
        assert_eq!(refused(&instance, &proof, member, &dealt.share(member)), OFF_THE_POLYNOMIALS);
    }
}

#[test]
fn the_key_in_the_shares_is_the_one_of_the_ciphertext() {
    let dealt = dealt(8, 3, 2);
    let mut instance = Instance::shared(wide(), 5, &dealt, |_| Further::default());
    let row = instance.shape.share_row(0);
    let entry = instance.witness.auxiliary(&instance.shape, row + 3);
    set(&mut instance, row + 3, field::add(entry, 1));
    caught_by(&instance, Constraint::Relation, NONE);
}

#[test]
fn shares_and_proofs_of_other_statements() {
    let dealt = dealt(8, 3, 2);
    let instance = Instance::shared(wide(), 5, &dealt, |_| Further::default());
    let proof = instance.prove(1).proof;
    let mut others = instance.commitments.clone();
    others.swap(0, 1);
    let statement = Statement { commitments: &others, ..instance.statement() };
    assert_eq!(verify(&statement, &instance.ciphertext(), &proof, 1), Err(Rejected::Statement));
    let mut moved = proof.clone();
    moved[12..44].copy_from_slice(&statement.transcript().state());
    assert!(verify(&statement, &instance.ciphertext(), &moved, 1).is_err());
    let plain = Instance::new(wide(), 5);
    assert!(verify(&plain.statement(), &plain.ciphertext(), &proof, 1).is_err());
    assert!(verify(&instance.statement(), &instance.ciphertext(), &plain.prove(1).proof, 1).is_err());
    // Another member's share, and one that was changed on its way.
    assert_eq!(refused(&instance, &proof, 2, &dealt.share(1)), Some("it is not what was committed to"));
    let mut share = dealt.share(1);
    share[0] ^= 1;
    assert_eq!(refused(&instance, &proof, 1, &share), Some("it is not what was committed to"));
    let mut large = dealt.share(1);
    large[32..40].fill(0xFF);
    let mut instance = instance;
    instance.commitments[0] = crate::proof::share_commitment(&large);
    assert_eq!(refused(&instance, &proof, 1, &large), Some("a word of it is not below p"));
}

#[test]
fn leaving_v_out_is_noticed_by_who_does_not() {
    let instance = Instance::shared(wide(), 5, &dealt(8, 3, 2), |_| Further::default());
    let proof = lies::with(without(Constraint::Share(4)), || instance.prove(1).proof);
    assert_eq!(verify(&instance.statement(), &instance.ciphertext(), &proof, 1), Err(Rejected::Row));
}

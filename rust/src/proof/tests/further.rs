//! Norms of parts and a public direction: true claims are accepted at every shape and level, each false one is caught by
//! its own constraint and no other.

use super::{Instance, narrow, wide};
use crate::field::{self, P};
use crate::layout::Layout;
use crate::proof::further::{Direction, Further, LARGEST_CLAIMS, PartNorm, slack_row};
use crate::proof::lies::Constraint;
use crate::proof::lies::NONE;
use crate::proof::rejected::Rejected;
use crate::proof::shape::{SLACK_BITS, Shape};
use crate::proof::statement::Statement;
use crate::proof::verifier::verify;
use crate::proof::wide::Width;
use crate::proof::witness::Unprovable;
use crate::ring::N;

/// Three parts and a direction in which the values of `Instance` point.
pub fn claims(shape: &Shape) -> Further {
    let values = shape.values;
    let norm = |first, end| PartNorm { first, end, bound: 1 << 60 };
    let norms = vec![norm(0, values), norm(1, values - 1), norm(values / 2, values)];
    let entries: Vec<i16> = (0..values).map(|i| (i % 201) as i16 - 100).collect();
    Further::new(shape, norms, Some(Direction::new(shape, &entries))).unwrap()
}

fn sizes() -> [(Layout, usize); 4] {
    [(wide(), 300), (narrow(), 3 * N + 7), (wide(), 3 * 2 * N - 7), (wide(), 8 * 2 * N + 1)]
}

/// The slack of a claim, moved to `slack` together with the bound of a norm.
fn tighten(instance: &mut Instance, claim: usize, slack: u64) {
    let before = slack_of(instance, claim);
    if let Some(norm) = instance.further.norms.get_mut(claim) {
        norm.bound -= before - slack;
    }
    for bit in 0..SLACK_BITS {
        set(instance, slack_row(&instance.shape, claim) + bit, slack >> bit & 1);
    }
}

fn slack_of(instance: &Instance, claim: usize) -> u64 {
    let row = slack_row(&instance.shape, claim);
    (0..SLACK_BITS).map(|bit| instance.witness.auxiliary(&instance.shape, row + bit) << bit).sum()
}

fn set(instance: &mut Instance, index: usize, entry: u64) {
    let rows = instance.shape.rows();
    let column = instance.shape.auxiliary_column(index / rows);
    instance.witness.columns[column].re[index % rows] = entry;
}

#[test]
fn true_claims_are_accepted_and_change_the_proof() {
    for (layout, count) in sizes() {
        let instance = Instance::with(layout, count, claims);
        let proof = instance.prove(1);
        assert!(proof.holds);
        verify(&instance.statement(), &instance.ciphertext(), &proof.proof, 1).unwrap();
        let plain = Instance::new(layout, count);
        let verdict = verify(&plain.statement(), &plain.ciphertext(), &proof.proof, 1);
        assert_eq!(verdict.unwrap_err(), Rejected::Statement);
        let mut moved = proof.proof.clone();
        moved[12..44].copy_from_slice(&plain.statement().transcript().state());
        assert!(verify(&plain.statement(), &plain.ciphertext(), &moved, 1).is_err());
    }
}

#[test]
fn the_bytes_are_the_same_at_every_level_and_number_of_threads() {
    for (layout, count) in [(wide(), 300), (narrow(), 3 * N + 7)] {
        let instance = Instance::with(layout, count, claims);
        let expected = instance.prove(1).proof;
        for width in Width::all() {
            width.limit();
            for threads in [1, 3] {
                assert_eq!(instance.prove(threads).proof, expected, "{} {threads}", width.name());
            }
        }
    }
}

#[test]
fn as_many_claims_as_there_may_be() {
    let instance = Instance::with(wide(), 300, |shape| {
        let norm = |at| PartNorm { first: at, end: at + 1, bound: 1 << 31 };
        Further::new(shape, (0..LARGEST_CLAIMS).map(norm).collect(), None).unwrap()
    });
    verify(&instance.statement(), &instance.ciphertext(), &instance.prove(1).proof, 1).unwrap();
}

#[test]
fn the_norm_of_a_part_over_its_bound_by_one() {
    for (layout, count) in sizes() {
        for claim in 0..3 {
            let mut instance = Instance::with(layout, count, claims);
            tighten(&mut instance, claim, 0);
            assert_eq!(instance.verdict(NONE), Ok(()));
            instance.further.norms[claim].bound -= 1;
            instance.caught_by(Constraint::Further(claim));
        }
    }
}

#[test]
fn a_part_that_is_one_value_longer() {
    // Values at the ends of blocks and slots: what the rows of a part are is in the constraint alone.
    for (layout, count, first, end) in [
        (wide(), 3 * 2 * N - 7, N, 2 * N),
        (wide(), 3 * 2 * N - 7, 2 * N, 3 * N),
        (narrow(), 3 * N + 7, 0, 3 * N),
        (wide(), 8 * 2 * N + 1, 4 * N - 1, 8 * 2 * N),
    ] {
        for (first, end) in [(first, end), (first, end + 1), (first + 1, end)] {
            let mut instance = Instance::with(layout, count, |shape| {
                Further::new(shape, vec![PartNorm { first, end, bound: 1 << 60 }], None).unwrap()
            });
            tighten(&mut instance, 0, 0);
            assert_eq!(instance.verdict(NONE), Ok(()));
        }
        // The bound of the part without its last value.
        let mut instance = Instance::with(layout, count, |shape| {
            Further::new(shape, vec![PartNorm { first, end, bound: 1 << 60 }], None).unwrap()
        });
        tighten(&mut instance, 0, 0);
        instance.further.norms[0].end += 1;
        instance.caught_by(Constraint::Further(0));
    }
}

#[test]
fn a_value_that_points_away_by_one() {
    for (layout, count) in sizes() {
        // One value that is -1 / 128 of the clip range before it is weighed and rounded, and entries of which the
        // magnitudes add up to what it may be.
        let mut entries = vec![0; count];
        let mut instance = Instance::new(layout, count);
        let value = instance.value_at(99);
        assert!(value < -2);
        entries[99] = 1;
        let direction = |entries: &[i16]| Some(Direction::new(&instance.shape, entries));
        let further = |entries: &[i16]| Further::new(&instance.shape, vec![], direction(entries)).unwrap();
        assert_eq!(instance.witness_for(&further(&entries)).err(), Some(Unprovable::Further(0)));
        // Others beside values of 0 raise the tolerance alone.
        let zeros: Vec<usize> = (0..count).filter(|&index| instance.value_at(index) == 0).collect();
        entries[zeros[0]] = (-value - 1) as i16;
        assert_eq!(further(&entries).direction.unwrap().tolerance, -value as u64);
        let within = further(&entries);
        assert!(instance.witness_for(&within).is_ok());
        let honest = Instance::with(layout, count, |_| within.clone());
        assert_eq!(slack_of(&honest, 0), 0);
        assert_eq!(honest.verdict(NONE), Ok(()));
        // By one less: no bits make up for it.
        entries[zeros[0]] -= 1;
        let beyond = further(&entries);
        assert_eq!(instance.witness_for(&beyond).err(), Some(Unprovable::Further(0)));
        instance.further = beyond;
        instance.caught_by(Constraint::Further(0));
    }
}

#[test]
fn a_negative_slack_from_bits_that_are_none() {
    for claim in [0, 3] {
        let mut instance = Instance::with(wide(), 300, claims);
        tighten(&mut instance, claim, 0);
        if claim == 0 {
            instance.further.norms[0].bound -= 1;
            let row = slack_row(&instance.shape, 0) + 3;
            set(&mut instance, row, field::mul(P - 1, field::invert(8)));
            instance.caught_by(Constraint::FurtherBit(0, 3));
        } else {
            // All of the slack in one bit, which is then no bit.
            let slack = slack_of(&Instance::with(wide(), 300, claims), 3);
            let row = slack_row(&instance.shape, 3);
            set(&mut instance, row, slack);
            instance.caught_by(Constraint::FurtherBit(3, 0));
        }
    }
}

#[test]
fn what_is_not_true_has_no_witness() {
    let instance = Instance::new(wide(), 300);
    let witness = |further: Further| instance.witness_for(&further).err();
    let (shape, norm) = (&instance.shape, |bound| PartNorm { first: 3, end: 200, bound });
    let squares: i64 = (3..200).map(|index| instance.value_at(index).pow(2)).sum();
    let further = |norms, direction| Further::new(shape, norms, direction).unwrap();
    assert_eq!(witness(further(vec![norm(squares as u64)], None)), None);
    assert_eq!(witness(further(vec![norm(squares as u64 - 1)], None)), Some(Unprovable::Further(0)));
    let away: Vec<i16> = (0..300).map(|i| 100 - (i % 201) as i16).collect();
    let direction = Some(Direction::new(shape, &away));
    assert_eq!(witness(further(vec![norm(1 << 60)], direction)), Some(Unprovable::Further(1)));
    assert_eq!(witness(further(vec![], Some(Direction::new(shape, &[0; 300])))), None);
}

#[test]
fn other_claims_than_the_proof_is_for() {
    let instance = Instance::with(wide(), 300, claims);
    let proof = instance.prove(1).proof;
    let mut others = vec![Further::default(), Further { direction: None, ..instance.further.clone() }];
    let mut longer = instance.further.clone();
    longer.norms[1].end += 1;
    others.push(longer);
    let mut looser = instance.further.clone();
    looser.norms[2].bound += 1;
    others.push(looser);
    let turned: Vec<i16> = (0..300).map(|i| (i % 201) as i16 - 99).collect();
    others.push(Further { direction: Some(Direction::new(&instance.shape, &turned)), ..instance.further.clone() });
    for further in &others {
        let statement = Statement { further, ..instance.statement() };
        assert_eq!(verify(&statement, &instance.ciphertext(), &proof, 1), Err(Rejected::Statement));
        let mut moved = proof.clone();
        moved[12..44].copy_from_slice(&statement.transcript().state());
        assert!(verify(&statement, &instance.ciphertext(), &moved, 1).is_err());
    }
}

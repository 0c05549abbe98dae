//! One lie for each constraint: rejected, and accepted where both sides leave that constraint out, so that no other one
//! would have caught it.

use super::{Instance, narrow, wide};
use crate::field::{self, P};
use crate::layout::{BLOCK_BYTES, Layout, read_word};
use crate::proof::ext::E;
use crate::proof::lies::{self, Constraint, Lies, NONE, Opened};
use crate::proof::rejected::Rejected;
use crate::proof::shape::SLACK_BITS;
use crate::proof::statement::Statement;
use crate::proof::transcript::content;
use crate::proof::verifier::verify;
use crate::ring::N;

impl Instance {
    pub fn verdict(&self, lies: Lies) -> Result<(), Rejected> {
        lies::with(lies, || {
            let proof = self.prove(1).proof;
            verify(&self.statement(), &self.ciphertext(), &proof, 1).map(drop)
        })
    }

    /// What is false is rejected, and accepted when the constraint is left out.
    pub fn caught_by(&self, constraint: Constraint) {
        caught_by(self, constraint, NONE);
    }

    /// The value with this index.
    pub fn value_at(&self, index: usize) -> i64 {
        let (block, rest) = (index / self.shape.layout.block_values(), index % self.shape.layout.block_values());
        self.value(block, rest / N, rest % N)
    }

    fn auxiliary_mut(&mut self, index: usize) -> &mut u64 {
        let rows = self.shape.rows();
        let column = self.shape.auxiliary_column(index / rows);
        &mut self.witness.columns[column].re[index % rows]
    }

    fn uses_mut(&mut self, table: usize, entry: usize) -> &mut u64 {
        self.auxiliary_mut(table + entry)
    }

    fn add_to_ciphertext(&mut self, block: usize, coefficient: usize, what: u64) {
        let start = block * BLOCK_BYTES + 8 * coefficient;
        let word = &mut self.blocks[start..start + 8];
        let sum = field::add(read_word(word), what);
        word.copy_from_slice(&sum.to_le_bytes());
    }

    fn value(&self, block: usize, slot: usize, coefficient: usize) -> i64 {
        let (group, row) = self.shape.place(block);
        let raised: u64 = (0..self.shape.limbs)
            .map(|limb| {
                let column = self.shape.limb_column(group, slot, limb);
                self.witness.columns[column].re[row + coefficient] << (self.shape.limb_bits as usize * limb)
            })
            .sum();
        raised as i64 - self.shape.offset() as i64
    }

    /// Put another value into the ciphertext and the columns, with everything else about it as it must be: only its
    /// highest limb may leave its table.
    fn replace_value(&mut self, block: usize, slot: usize, coefficient: usize, value: i64) {
        let before = self.value(block, slot, coefficient);
        let (group, row) = self.shape.place(block);
        let mut raised = field::add_signed(self.shape.offset(), value);
        for limb in 0..self.shape.limbs {
            let last = limb + 1 == self.shape.limbs;
            let part = if last { raised } else { raised & ((1 << self.shape.limb_bits) - 1) };
            raised = raised.wrapping_sub(part) >> self.shape.limb_bits;
            let column = self.shape.limb_column(group, slot, limb);
            let old = std::mem::replace(&mut self.witness.columns[column].re[row + coefficient], part);
            *self.uses_mut(0, old as usize) -= 1;
            if part < 1 << self.shape.limb_bits {
                *self.uses_mut(0, part as usize) += 1;
            }
        }
        let layout = self.shape.layout;
        let place = 1 << (layout.delta + layout.slot_width * slot as u32);
        self.add_to_ciphertext(block, coefficient, field::mul(field::add_signed(0, value - before), place));
        let slack = self.slack() as i64 - (value * value - before * before);
        self.set_slack(slack as u64);
    }

    fn slack(&self) -> u64 {
        let bit = |bit: usize| self.witness.auxiliary(&self.shape, self.shape.pad_row + 2 + bit) << bit;
        (0..SLACK_BITS).map(bit).sum()
    }

    fn set_slack(&mut self, slack: u64) {
        for bit in 0..SLACK_BITS {
            let index = self.shape.pad_row + 2 + bit;
            *self.auxiliary_mut(index) = slack >> bit & 1;
        }
    }

    /// Make the bound this much larger than the sum of squares, and the slack fit it.
    fn tighten(&mut self, slack: u64) {
        self.bound -= self.slack() - slack;
        self.set_slack(slack);
    }
}

pub fn without(constraint: Constraint) -> Lies {
    Lies { left_out: Some(constraint), ..NONE }
}

/// The lie is rejected, and accepted when the constraint is left out.
pub fn caught_by(instance: &Instance, constraint: Constraint, lies: Lies) {
    assert_eq!(instance.verdict(lies), Err(Rejected::Row));
    assert_eq!(instance.verdict(Lies { left_out: Some(constraint), ..lies }), Ok(()));
}

fn sizes() -> [(Layout, usize); 3] {
    [(wide(), 5), (narrow(), 3 * N + 7), (wide(), 8 * 2 * N + 1)]
}

#[test]
fn what_is_changed_and_still_true_is_accepted() {
    for (layout, count) in sizes() {
        let mut instance = Instance::new(layout, count);
        let half = 1 << (layout.value_bits - 1);
        instance.replace_value(0, 0, 3, -half);
        instance.replace_value(0, 0, 4, half - 1);
        instance.tighten(0);
        assert_eq!(instance.verdict(NONE), Ok(()));
    }
}

#[test]
fn a_value_out_of_range_by_one() {
    for (layout, count) in sizes() {
        let half = 1 << (layout.value_bits - 1);
        for value in [half, -half - 1] {
            let mut instance = Instance::new(layout, count);
            instance.replace_value(0, 0, 2, value);
            caught_by(&instance, Constraint::Total, NONE);
            // Inverse columns that add up to zero are none.
            caught_by(&instance, Constraint::Inverses(0), Lies { balanced: true, ..NONE });
        }
    }
}

#[test]
fn an_error_too_large_by_one() {
    for (layout, count) in sizes() {
        for error in [43, -43] {
            let mut instance = Instance::new(layout, count);
            let old = field::centred(instance.witness.columns[0].re[9]);
            instance.witness.columns[0].re[9] = field::add_signed(0, error);
            *instance.uses_mut(instance.shape.errors_row, (old + 42) as usize) -= 1;
            instance.add_to_ciphertext(0, 9, field::add_signed(0, error - old));
            caught_by(&instance, Constraint::Total, NONE);
        }
    }
}

#[test]
fn uses_of_what_is_no_entry() {
    // The row behind the last entry of the table of errors would be an error of 43.
    let mut instance = Instance::new(wide(), 5);
    let old = field::centred(instance.witness.columns[0].re[9]);
    instance.witness.columns[0].re[9] = 43;
    *instance.uses_mut(instance.shape.errors_row, (old + 42) as usize) -= 1;
    *instance.uses_mut(instance.shape.errors_row, 85) += 1;
    instance.add_to_ciphertext(0, 9, field::add_signed(0, 43 - old));
    assert_eq!(instance.verdict(NONE), Err(Rejected::Row));
}

#[test]
fn a_norm_over_the_bound_by_one() {
    for (layout, count) in sizes() {
        let mut instance = Instance::new(layout, count);
        instance.tighten(0);
        assert_eq!(instance.verdict(NONE), Ok(()));
        instance.bound -= 1;
        caught_by(&instance, Constraint::Norm, NONE);
    }
}

#[test]
fn a_negative_slack_from_bits_that_are_none() {
    for (bit, entry) in [(0, P - 1), (3, field::mul(P - 1, field::invert(8)))] {
        let mut instance = Instance::new(wide(), 5);
        instance.tighten(0);
        instance.bound -= 1;
        *instance.auxiliary_mut(instance.shape.pad_row + 2 + bit) = entry;
        caught_by(&instance, Constraint::Bit(bit), NONE);
    }
}

#[test]
fn another_ciphertext_than_that_of_the_columns() {
    for (layout, count) in sizes() {
        let mut instance = Instance::new(layout, count);
        let last = instance.shape.blocks - 1;
        instance.add_to_ciphertext(last, N - 1, 1);
        caught_by(&instance, Constraint::Relation, NONE);
    }
}

#[test]
fn another_key_than_that_of_the_ciphertext() {
    let mut instance = Instance::new(wide(), 5);
    let index = instance.shape.secret_row + 17;
    let entry = instance.auxiliary_mut(index);
    *entry = field::add(*entry, 1);
    caught_by(&instance, Constraint::Relation, NONE);
}

#[test]
fn a_value_behind_the_last_one() {
    for (layout, count) in [(wide(), 5), (narrow(), 3 * N + 7), (wide(), 8 * 2 * N + 1), (wide(), 2 * 2 * N + N)] {
        let mut instance = Instance::new(layout, count);
        let last = instance.shape.blocks - 1;
        for slot in 0..layout.slots {
            let cut = instance.shape.cut(slot);
            if cut < N {
                let mut instance = Instance::new(layout, count);
                instance.replace_value(last, slot, cut, 1);
                caught_by(&instance, Constraint::Cut(slot), NONE);
            }
        }
        // In an empty block, nothing but zeros fits the relation.
        let (group, row) = instance.shape.place(last);
        if row + N < instance.shape.rows() {
            instance.witness.columns[instance.shape.error_column(group)].re[row + N] = 1;
            *instance.uses_mut(instance.shape.errors_row, 42) -= 1;
            *instance.uses_mut(instance.shape.errors_row, 43) += 1;
            caught_by(&instance, Constraint::Relation, NONE);
        }
    }
}

#[test]
fn a_value_for_the_keeper_of_another_key() {
    caught_by(&Instance::new(wide(), 5), Constraint::Binding, Lies { binding: E::ONE, ..NONE });
}

/// Each by the one check that sees it: without that one, the proof would be accepted.
#[test]
fn an_opening_that_is_not_what_was_committed_to() {
    for (layout, count) in sizes() {
        let instance = Instance::new(layout, count);
        let verdict = |opened| instance.verdict(Lies { opened: Some(opened), ..NONE });
        assert!(matches!(verdict(Opened::MaskRow), Err(Rejected::MaskRow { .. })));
        assert_eq!(verdict(Opened::Appended), Err(Rejected::Row));
        assert!(matches!(verdict(Opened::Run), Err(Rejected::Run { .. })));
    }
}

#[test]
fn a_challenge_without_an_inverse_is_no_obstacle() {
    let instance = Instance::new(wide(), 5);
    for coordinate in [0, 3, 11] {
        assert_eq!(instance.verdict(Lies { zero: Some(coordinate), ..NONE }), Ok(()));
    }
}

#[test]
fn leaving_a_constraint_out_is_noticed_by_who_does_not() {
    let instance = Instance::new(wide(), 5);
    let proof = lies::with(without(Constraint::Norm), || instance.prove(1).proof);
    assert_eq!(verify(&instance.statement(), &instance.ciphertext(), &proof, 1), Err(Rejected::Row));
}

#[test]
fn another_statement_than_the_proof_is_for() {
    let instance = Instance::new(wide(), 3 * 2 * N);
    let proof = instance.prove(1).proof;
    let honest = instance.statement();
    let mut changed = instance.blocks.clone();
    changed[0] ^= 1;
    let swapped = [&instance.blocks[BLOCK_BYTES..], &instance.blocks[..BLOCK_BYTES]].concat();
    for statement in [
        Statement { bound: instance.bound + 1, ..honest.clone() },
        Statement { context: [0; 32], ..honest.clone() },
        Statement { binding: [0; 32], ..honest.clone() },
        Statement { parameters: [0; 32], ..honest.clone() },
        Statement { ciphertext: content(&changed), ..honest.clone() },
        Statement { ciphertext: content(&swapped), ..honest.clone() },
    ] {
        assert_eq!(verify(&statement, &instance.ciphertext(), &proof, 1), Err(Rejected::Statement));
        // Nor with the digest of that statement written over its own.
        let mut moved = proof.clone();
        moved[12..44].copy_from_slice(&statement.transcript().state());
        assert!(verify(&statement, &instance.ciphertext(), &moved, 1).is_err());
    }
    // The a_j of another round, under the same statement.
    let mut masks = instance.masks.words().to_vec();
    masks.rotate_left(1);
    let ciphertext = crate::proof::prover::Ciphertext { masks: &masks, blocks: &instance.blocks };
    assert_eq!(verify(&honest, &ciphertext, &proof, 1), Err(Rejected::Row));
}

//! What a forger would send, for tests: a prover that lies, and goes on as if it had not.

use std::cell::RefCell;

use super::cells::Cell;
use super::looked_up::{entry_of, signed};
use crate::proof::column::Column;
use crate::proof::ext::E;

/// One lie of a prover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    /// The first rounded sum is this much more, its remainder so much less that the sum is right.
    Rounding(i64),
    /// The first clipped value is this much more, whatever that does to what follows.
    Activation(i64),
    /// The sum of this feature is another one for this sample, and what is clipped from it the same where there is another
    /// such sum: all that stands in a row is in its table.
    Remainder {
        feature: usize,
        sample: usize,
    },
    /// The inverse columns are made to add up to zero, whatever they are.
    Balanced,
    /// Of the first entry of the first table one use more is stated.
    Uses,
    /// Of an ArgMax the largest is as much as no distance needs to be below 0 for, whatever the answer.
    Largest,
    /// It is this much more than that.
    Above(i64),
    /// Distances are those of a comparison in which ties do not count.
    Untied,
    /// v_A of the first layer is this much more.
    Sum(i64),
    /// v_B of the first layer is one more.
    Bias,
    /// X'(s) or m'(s) of the last layer is one more.
    Ends(usize),
    /// The value of the first column, or of the first column of weights, is one more.
    Value,
    WeightsValue,
}

thread_local! {
    static LIES: RefCell<Vec<Lie>> = const { RefCell::new(Vec::new()) };
}

/// Do something on this thread while the prover lies so.
pub fn with<Output>(lies: &[Lie], work: impl FnOnce() -> Output) -> Output {
    LIES.set(lies.to_vec());
    let output = work();
    LIES.set(Vec::new());
    output
}

fn told<Output>(find: impl Fn(Lie) -> Option<Output>) -> Option<Output> {
    LIES.with_borrow(|lies| lies.iter().copied().find_map(find))
}

/// What is added to an element that is sent.
pub fn of(lie: Lie) -> E {
    told(|told| (told == lie).then_some(E::ONE)).unwrap_or(E::ZERO)
}

pub fn sum() -> E {
    told(|lie| if let Lie::Sum(more) = lie { Some(element(more)) } else { None }).unwrap_or(E::ZERO)
}

fn element(value: i64) -> E {
    E::base(entry_of(value))
}

/// The first entries of Q, R and Y.
pub fn witness(shift: u32, q: &mut u64, r: Option<&mut u64>, y: &mut u64) {
    let add = |entry: &mut u64, more: i64| *entry = crate::field::add_signed(*entry, more);
    if let Some(more) = told(|lie| if let Lie::Rounding(more) = lie { Some(more) } else { None }) {
        add(q, more);
        if let Some(r) = r {
            add(r, -(more << shift));
        }
    }
    if let Some(more) = told(|lie| if let Lie::Activation(more) = lie { Some(more) } else { None }) {
        add(y, more);
    }
}

/// The feature and the sample of which the sum is another one.
pub fn remainder() -> Option<(usize, usize)> {
    told(|lie| if let Lie::Remainder { feature, sample } = lie { Some((feature, sample)) } else { None })
}

/// Another sum of a cell: entries of Q, R and Y.
pub fn other_sum(cell: &Cell, q: &mut u64, r: Option<&mut u64>, y: &mut u64) {
    if let Some(r) = r {
        *r ^= 1;
        return;
    }
    if cell.digits {
        *q ^= 1;
        return;
    }
    let old = signed(*q);
    let more = if old <= -(1 << cell.q_bits) || old > cell.high { 1 } else { -1 };
    let new = if old + more < 1 << cell.q_bits { old + more } else { old - 1 };
    *q = entry_of(new);
    *y = entry_of(new.clamp(cell.low, cell.high));
}

/// What an ArgMax takes for the largest, of numbers that it must not be less than.
pub fn largest(top: &mut i64, least: impl Iterator<Item = i64>) {
    let more = told(|lie| match lie {
        Lie::Largest => Some(0),
        Lie::Above(more) => Some(more),
        _ => None,
    });
    if let Some(more) = more {
        *top = least.max().expect("there are places") + more;
    }
}

/// Whether a place must have less than the answer, as a liar takes it.
pub fn strict(strict: bool) -> bool {
    strict && told(|lie| (lie == Lie::Untied).then_some(())).is_none()
}

pub fn uses(uses: &mut [u64]) {
    if told(|lie| (lie == Lie::Uses).then_some(())).is_some() {
        uses[0] += 1;
    }
}

pub fn balance(inverses: &mut [Column]) {
    if told(|lie| (lie == Lie::Balanced).then_some(())).is_some() {
        let total: E = inverses.iter().flat_map(|column| column.iter()).sum();
        let first = inverses[0].at(0);
        inverses[0].set(0, first - total);
    }
}

//! For tests: constraints left out on both sides, a prover that does not tell the truth, and one that leaks.

use std::cell::RefCell;
use std::hint::black_box;

use super::column::Column;
use super::ext::E;
use super::multilinear::eq_table;
use super::shape::Shape;
use super::weights::Weights;

/// A constraint that tests can leave out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constraint {
    /// That inverse column q holds the sums of its fractions.
    Inverses(usize),
    Relation,
    /// That the inverse columns add up to zero.
    Total,
    Norm,
    Binding,
    /// That V is what it is said to be at a base point.
    Share(usize),
    /// That a bit of the slack is one.
    Bit(usize),
    /// That a slot is empty behind the last value.
    Cut(usize),
    /// A further claim, and that a bit of its slack is one.
    Further(usize),
    FurtherBit(usize, usize),
}

/// What the opening sends that is not what was committed to. Nothing that is checked before says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Opened {
    /// An element behind the mask row, where the claim does not see it.
    MaskRow,
    /// An element of the end of u, or of that of another row.
    Appended,
    SecondAppended,
    /// The combined run, with the same value at the point of the second sum-check.
    Run,
}

#[derive(Clone, Copy)]
pub struct Lies {
    pub left_out: Option<Constraint>,
    /// What is added to v.
    pub binding: E,
    /// What is added to V at a base point.
    pub share: Option<(usize, E)>,
    /// Whether the inverse columns are made to add up to zero, whatever they are.
    pub balanced: bool,
    /// A coordinate of tau that is drawn as zero.
    pub zero: Option<usize>,
    pub opened: Option<Opened>,
    /// Whether the prover branches on a value of every round before it is masked, and has another as an index.
    pub leaky: bool,
}

pub const NONE: Lies =
    Lies { left_out: None, binding: E::ZERO, share: None, balanced: false, zero: None, opened: None, leaky: false };

thread_local! {
    static LIES: RefCell<Lies> = const { RefCell::new(NONE) };
}

/// Do something on this thread while both sides lie so.
pub fn with<Output>(lies: Lies, work: impl FnOnce() -> Output) -> Output {
    LIES.set(lies);
    let output = work();
    LIES.set(NONE);
    output
}

pub fn leave_out(shape: &Shape, weights: &mut Weights) {
    if let Some(constraint) = LIES.with_borrow(|lies| lies.left_out) {
        *weights.of(shape, constraint) = E::ZERO;
    }
}

pub fn draw(tau: &mut [E]) {
    if let Some(coordinate) = LIES.with_borrow(|lies| lies.zero) {
        tau[coordinate] = E::ZERO;
    }
}

/// v, or V at the base points.
pub fn key_values(v: &mut [E]) {
    LIES.with_borrow(|lies| {
        v[0] += lies.binding;
        if let Some((point, what)) = lies.share {
            v[point] += what;
        }
    });
}

/// u_m and the end of u.
pub fn opened(masks: usize, mut mask_row: Vec<E>, mut appended: Vec<E>) -> (Vec<E>, Vec<E>) {
    match LIES.with_borrow(|lies| lies.opened) {
        Some(Opened::MaskRow) => mask_row[masks] += E::ONE,
        Some(Opened::Appended) => appended[0] += E::ONE,
        Some(Opened::SecondAppended | Opened::Run) | None => (),
    }
    (mask_row, appended)
}

/// The end of another row.
pub fn second_appended(appended: &mut [E]) {
    if LIES.with_borrow(|lies| lies.opened) == Some(Opened::SecondAppended) {
        appended[0] += E::ONE;
    }
}

/// u_2, of which <eq(r_lo), u_2> is claimed.
pub fn combined(mut run: Vec<E>, low: &[E]) -> Vec<E> {
    if LIES.with_borrow(|lies| lies.opened) == Some(Opened::Run) {
        let weights = eq_table(low);
        run[0] += weights.at(1);
        run[1] = run[1] - weights.at(0);
    }
    run
}

pub fn balance(inverses: &mut [Column]) {
    if LIES.with_borrow(|lies| lies.balanced) {
        let total: E = inverses.iter().flat_map(|column| column.iter()).sum();
        let first = inverses[0].at(0);
        inverses[0].set(0, first - total);
    }
}

/// A branch and an address that memcheck must report.
pub fn leak(values: &[E]) {
    const TABLE: [u8; 64] = [7; 64];
    if LIES.with_borrow(|lies| lies.leaky) {
        if black_box(values[2].re) & 1 == 1 {
            black_box(TABLE[0]);
        }
        black_box(black_box(&TABLE)[(black_box(values[3].re) & 63) as usize]);
    }
}

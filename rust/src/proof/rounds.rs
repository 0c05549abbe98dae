//! The sums over all rows of one round of the sum-check: where the prover's time goes.

use std::sync::Mutex;

use zeroize::Zeroizing;

use super::column::Column;
use super::ext::E;
use super::inverses::lookups;
use super::published::hide;
use super::shape::Shape;
use super::weights::Weights;
use super::wide::column::{Column as Lines, squares};
use super::wide::ext;
use super::wide::round::{Chunk, Round, RoundSums, round};
use super::wide::{Width, ext::Element};
use crate::parallel;

/// Nanoseconds that a pair of rows takes in each column.
const PAIR: usize = 13;

/// The columns of a round. Rows `j` and `j + half` differ in the variable of the round.
pub struct Rows<'a> {
    pub shape: &'a Shape,
    /// Base columns, then inverse columns.
    pub columns: &'a [&'a Column],
    /// Entries and selectors.
    pub tables: &'a [(&'a Column, &'a Column)],
    /// Rel, times its weight.
    pub relation: &'a Column,
    pub eq: &'a Column,
}

/// The sums under eq at 0, 1, .., f_max + 1, but for that at 1, which is left zero; and those of the totals at 0, 1, 2.
pub fn sum_rows(rows: &Rows, weights: &Weights, threads: usize) -> (Zeroizing<Vec<E>>, Zeroizing<Vec<E>>) {
    let (shape, half) = (rows.shape, rows.eq.len());
    let (base, inverses) = rows.columns.split_at(shape.base_columns());
    let chunk_lookups: Vec<_> = shape.chunks().map(|chunk| lookups(shape, weights, chunk, base, rows.tables)).collect();
    let chunks: Vec<Chunk> = chunk_lookups
        .iter()
        .zip(inverses)
        .map(|(lookups, inverse)| Chunk { lookups, inverse: inverse.lines() })
        .collect();
    let degree = shape.largest_chunk() + 1;
    let (eq, relation) = (rows.eq.parts(), rows.relation.lines());
    let sums = Round { half, eq, chunks: &chunks, relation, degree };
    let values = rounded(shape, base);
    let values: Vec<&[(Lines, u64)]> = values.iter().map(Vec::as_slice).collect();

    let share = parallel::share(half, parallel::worth(threads, half * base.len(), PAIR));
    let total: Mutex<Option<(RoundSums, Zeroizing<[Element; 3]>)>> = Mutex::new(None);
    let done: Result<(), ()> = parallel::run((0..half.div_ceil(share)).map(|part| part * share), |first| {
        let pairs = first..(first + share).min(half);
        let under_eq = round(Width::best(), &sums, pairs.clone());
        let norm = Zeroizing::new(squares(Width::best(), &values, shape.offset(), half, pairs));
        let sums = under_eq.chunks.iter().flatten().chain(&under_eq.relation).chain(&under_eq.inverses);
        hide(sums.chain(norm.iter()).copied().flatten());
        let mut total = total.lock().expect("no holder panics");
        match &mut *total {
            None => *total = Some((under_eq, norm)),
            Some((sums, norms)) => {
                sums.add(&under_eq);
                norms.iter_mut().zip(norm.iter()).for_each(|(sum, &some)| *sum = ext::add(*sum, some));
            }
        }
        Ok(())
    });
    done.expect("no part fails");
    let (sums, norm) = total.into_inner().expect("no holder panics").expect("there are rows");
    (under_eq(&sums, weights, degree), totals(&sums, norm.map(E::from), shape, weights))
}

/// The limbs of every slot of every group, with what they weigh.
fn rounded<'a>(shape: &Shape, base: &[&'a Column]) -> Vec<Vec<(Lines<'a>, u64)>> {
    let limb = |group, slot, limb: usize| {
        (base[shape.limb_column(group, slot, limb)].lines(), 1 << (shape.limb_bits as usize * limb))
    };
    let slots = (0..shape.groups).flat_map(|group| (0..shape.layout.slots).map(move |slot| (group, slot)));
    slots.map(|(group, slot)| (0..shape.limbs).map(|index| limb(group, slot, index)).collect()).collect()
}

/// sum_q gamma^q sum eq Z_q + sum eq Rel, where a line goes through the latter.
fn under_eq(sums: &RoundSums, weights: &Weights, degree: usize) -> Zeroizing<Vec<E>> {
    let [low, high] = sums.relation.map(E::from);
    let mut values: Zeroizing<Vec<E>> =
        Zeroizing::new((0..=degree as u64).map(|x| low + (high - low).scale(x)).collect());
    values[1] = E::ZERO;
    for (chunk, &gamma) in sums.chunks.iter().zip(&weights.gamma) {
        let others = values.iter_mut().enumerate().filter(|&(x, _)| x != 1);
        others.zip(chunk).for_each(|((_, value), &sum)| *value += gamma * E::from(sum));
    }
    values
}

/// The sum of the inverse columns is a line, that of the squares quadratic.
fn totals(sums: &RoundSums, norm: [E; 3], shape: &Shape, weights: &Weights) -> Zeroizing<Vec<E>> {
    let [low, high] = sums.inverses.map(E::from);
    let [at_zero, at_one, square] = norm;
    let norms = [at_zero, at_one, at_one + at_one - at_zero + square + square];
    let inverses = [low, high, high + high - low];
    let total = |(inverse, norm): (E, E)| weights.total(shape) * inverse + weights.norm(shape) * norm;
    Zeroizing::new(inverses.into_iter().zip(norms).map(total).collect())
}

//! The inverse columns: on every row, the sum of the fractions of a chunk.
//!
//! No denominator is ever zero, whatever the witness: alpha's part of X is neither 1 nor 2, and every denominator's is
//! alpha's less one of those. So nothing here depends on what is hidden.

use super::column::Column;
use super::constraint::{Weights, sum_of_fractions};
use super::ext::{E, Element};
use super::shape::Shape;
use crate::parallel;

/// Rows that share an inversion.
const BATCH: usize = 512;

/// The columns h_q. `tables`: the public columns beside the tables' uses, as entries and as selectors.
pub fn inverse_columns(
    shape: &Shape,
    weights: &Weights<E>,
    columns: &[Column],
    tables: &[(Column, Column)],
    threads: usize,
) -> Vec<Column> {
    let mut inverses: Vec<Column> = shape.chunks().map(|_| Column::extension(shape.rows())).collect();
    let weights = weights.splat();
    let share = parallel::share(shape.rows() / BATCH, threads) * BATCH;
    let mut parts: Vec<Vec<Slices>> = (0..shape.rows().div_ceil(share)).map(|_| Vec::new()).collect();
    for column in &mut inverses {
        let slices = column.re.chunks_mut(share).zip(column.im.chunks_mut(share));
        parts.iter_mut().zip(slices).for_each(|(part, (re, im))| part.push(Slices { re, im }));
    }
    let done: Result<(), ()> = parallel::run(parts.into_iter().enumerate(), |(part, mut out)| {
        let mut denominators: Vec<Column> = out.iter().map(|_| Column::extension(BATCH)).collect();
        for start in (0..out[0].re.len()).step_by(BATCH) {
            let first = part * share + start;
            sums::<E>(shape, &weights, columns, tables, first, start, &mut out, &mut denominators);
            for (out, denominators) in out.iter_mut().zip(&denominators) {
                divide(&mut out.re[start..start + BATCH], &mut out.im[start..start + BATCH], denominators);
            }
        }
        Ok(())
    });
    done.expect("no part fails");
    inverses
}

/// Rows of an inverse column.
struct Slices<'a> {
    re: &'a mut [u64],
    im: &'a mut [u64],
}

/// Numerators and denominators of a batch of rows, of all chunks.
#[allow(clippy::too_many_arguments)]
fn sums<F: Element>(
    shape: &Shape,
    weights: &Weights<F>,
    columns: &[Column],
    tables: &[(Column, Column)],
    first: usize,
    start: usize,
    numerators: &mut [Slices],
    denominators: &mut [Column],
) {
    let mut values = vec![F::splat(E::ZERO); columns.len()];
    let mut entries = vec![F::splat(E::ZERO); tables.len()];
    let mut selected = entries.clone();
    for offset in (0..BATCH).step_by(F::LANES) {
        let load = |column: &Column| F::load(&column.re, &column.im, first + offset);
        values.iter_mut().zip(columns).for_each(|(value, column)| *value = load(column));
        entries.iter_mut().zip(tables).for_each(|(entry, (column, _))| *entry = load(column));
        selected.iter_mut().zip(tables).for_each(|(selected, (_, column))| *selected = load(column));
        for ((fractions, out), below) in shape.chunks().zip(&mut *numerators).zip(&mut *denominators) {
            let (n, d) = sum_of_fractions(shape, fractions, weights, &values, &entries, &selected);
            n.store(out.re, out.im, start + offset);
            d.store(&mut below.re, &mut below.im, offset);
        }
    }
}

/// Divide by the denominators, none of which is zero: one inversion for all of them.
fn divide(re: &mut [u64], im: &mut [u64], denominators: &Column) {
    let mut product = E::ONE;
    // numerator times the product of the denominators before
    for (index, denominator) in denominators.iter().enumerate() {
        (E::load(re, im, index) * product).store(re, im, index);
        product = product * denominator;
    }
    let mut inverse = product.invert();
    for index in (0..denominators.len()).rev() {
        (E::load(re, im, index) * inverse).store(re, im, index);
        inverse = inverse * denominators.at(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_divided_entry_by_entry() {
        let element = |i: u64| E::new(i * i + 1, 3 * i + 2);
        let numerators: Vec<E> = (0..9).map(element).collect();
        let denominators = Column::of((20..29).map(element));
        let mut column = Column::of(numerators.iter().copied());
        let Column { re, im } = &mut column;
        divide(re, im, &denominators);
        for (index, numerator) in numerators.into_iter().enumerate() {
            assert_eq!(column.at(index) * denominators.at(index), numerator);
        }
    }
}

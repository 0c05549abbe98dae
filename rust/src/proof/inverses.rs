//! The inverse columns: on every row, the sum of the fractions of a chunk.
//!
//! No denominator is ever zero, whatever the witness: alpha's part of X is neither 1 nor 2, and every denominator's is
//! alpha's less one of those. So nothing here depends on what is hidden.

use super::column::Column;
use super::shape::{Fraction, Shape};
use super::weights::Weights;
use super::wide::round::Lookup;
use super::wide::{Width, fractions, inversion};
use crate::parallel;

/// Rows that share an inversion.
const BATCH: usize = 512;

/// The columns h_q. `tables`: the public columns beside the tables' uses, as entries and as selectors.
pub fn inverse_columns(
    shape: &Shape,
    weights: &Weights,
    columns: &[Column],
    tables: &[(Column, Column)],
    threads: usize,
) -> Vec<Column> {
    let tables: Vec<_> = tables.iter().map(|(entries, selected)| (entries, selected)).collect();
    let columns: Vec<&Column> = columns.iter().collect();
    let chunks: Vec<_> = shape.chunks().map(|chunk| lookups(shape, weights, chunk, &columns, &tables)).collect();
    columns_of(&chunks, shape.rows(), threads)
}

/// The sums of the fractions of each chunk, on `rows` rows.
pub fn columns_of(chunks: &[Vec<Lookup>], rows: usize, threads: usize) -> Vec<Column> {
    let width = Width::best();
    let mut inverses: Vec<Column> = chunks.iter().map(|_| Column::extension(rows)).collect();
    let share = parallel::share(rows / BATCH, threads) * BATCH;
    let mut parts: Vec<Vec<Slices>> = (0..rows.div_ceil(share)).map(|_| Vec::new()).collect();
    for column in &mut inverses {
        let slices = column.re.chunks_mut(share).zip(column.im.chunks_mut(share));
        parts.iter_mut().zip(slices).for_each(|(part, (re, im))| part.push(Slices { re, im }));
    }
    let done: Result<(), ()> = parallel::run(parts.into_iter().enumerate(), |(part, mut out)| {
        let mut denominators = Column::extension(BATCH);
        for start in (0..out.first().map_or(0, |out| out.re.len())).step_by(BATCH) {
            for (lookups, out) in chunks.iter().zip(&mut out) {
                let [re, im] = [&mut out.re, &mut out.im].map(|part| &mut part[start..start + BATCH]);
                fractions::sums(width, lookups, part * share + start, [re, im], denominators.parts_mut());
                let [re, im] = [&mut out.re, &mut out.im].map(|part| &mut part[start..start + BATCH]);
                inversion::divide(width, [re, im], denominators.parts());
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

/// The fractions of a chunk as they stand on the rows. `tables`: entries and selectors.
pub fn lookups<'a>(
    shape: &Shape,
    weights: &Weights,
    chunk: &[Fraction],
    columns: &[&'a Column],
    tables: &[(&'a Column, &'a Column)],
) -> Vec<Lookup<'a>> {
    let lookup = |&fraction: &Fraction| match fraction {
        Fraction::Error(column) => Lookup::Value { at: weights.error.parts(), column: columns[column].lines() },
        Fraction::Limb(column) => Lookup::Value { at: weights.limb.parts(), column: columns[column].lines() },
        Fraction::Table(index) => Lookup::Table {
            at: weights.alpha.parts(),
            table: tables[index].0.lines(),
            selector: tables[index].1.lines(),
            count: columns[shape.auxiliary_column(index)].lines(),
        },
    };
    chunk.iter().map(lookup).collect()
}

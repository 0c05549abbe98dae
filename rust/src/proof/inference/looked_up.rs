//! What is looked up, as columns: a virtual column for each fraction, the tables beside their uses, and the inverse columns.

use super::shape::{Fraction, Shape};
use crate::proof::column::Column;
use crate::proof::combination::combine_onto;
use crate::proof::ext::E;
use crate::proof::inverses;
use crate::proof::wide::round::Lookup;

/// A column that is looked up: alpha less its fraction's denominator.
pub enum Looked<'a> {
    /// q + beta y + beta^2 k, or the same without y.
    Virtual(Column),
    /// Where all features have one tag, that is in `LookedUp::at`.
    Plain(&'a Column),
}

impl Looked<'_> {
    pub fn column(&self) -> &Column {
        match self {
            Self::Virtual(column) => column,
            Self::Plain(column) => column,
        }
    }

    pub fn into_virtual(self) -> Option<Column> {
        match self {
            Self::Virtual(column) => Some(column),
            Self::Plain(_) => None,
        }
    }
}

/// The fractions on all rows.
pub struct LookedUp<'a> {
    pub alpha: E,
    /// beta'
    pub beta: E,
    /// alpha, less the tag of a plain column: for each that is looked up.
    pub at: Vec<E>,
    pub looked: Vec<Looked<'a>>,
    /// beta^2 k of the features of each, where that is in the column, else zero.
    pub tags: Vec<Column>,
    pub entries: Vec<Column>,
    pub selected: Vec<Column>,
    pub uses: Vec<&'a Column>,
}

impl<'a> LookedUp<'a> {
    pub fn new(shape: &Shape, columns: &'a [Column], alpha: E, beta: E, threads: usize) -> Self {
        let mut lookups = Self {
            alpha,
            beta,
            at: Vec::new(),
            looked: Vec::new(),
            tags: Vec::new(),
            entries: Vec::new(),
            selected: Vec::new(),
            uses: Vec::new(),
        };
        for &fraction in &shape.fractions {
            match fraction {
                Fraction::Lookup { value, beside, tag } => {
                    let tags = tags(shape, tag, beta * beta);
                    let constant = tags.iter().all(|tag| tag == tags.at(0));
                    if beside.is_none() && constant {
                        lookups.at.push(alpha - tags.at(0));
                        lookups.looked.push(Looked::Plain(&columns[value]));
                        lookups.tags.push(Column::extension(tags.len()));
                        continue;
                    }
                    let (mut rows, mut weights) = (vec![columns[value].re.as_slice()], vec![E::ONE]);
                    if let Some(beside) = beside {
                        rows.push(&columns[beside].re);
                        weights.push(beta);
                    }
                    let tag = |row: usize| tags.at(row >> shape.log_batch);
                    let column = combine_onto(tag, &rows, &weights, threads);
                    lookups.at.push(alpha);
                    lookups.looked.push(Looked::Virtual(column));
                    lookups.tags.push(tags);
                }
                Fraction::Table { column, index } => {
                    let (entries, selected) = table_columns(shape, index, beta);
                    lookups.entries.push(entries);
                    lookups.selected.push(selected);
                    lookups.uses.push(&columns[column]);
                }
            }
        }
        lookups
    }

    /// What is looked up, entries, selectors, uses: as [`chunks`] takes them.
    pub fn columns(&self) -> Vec<&Column> {
        let looked = self.looked.iter().map(Looked::column);
        looked.chain(&self.entries).chain(&self.selected).chain(self.uses.iter().copied()).collect()
    }

    /// The columns h_q.
    pub fn inverse_columns(&self, shape: &Shape, threads: usize) -> Vec<Column> {
        inverses::columns_of(&chunks(shape, self.alpha, &self.at, &self.columns()), shape.rows(), threads)
    }
}

/// The fractions of every chunk as they stand on the rows of these columns, be they folded or not.
pub fn chunks<'b>(shape: &Shape, alpha: E, at: &[E], columns: &[&'b Column]) -> Vec<Vec<Lookup<'b>>> {
    let (looked, tables) = (shape.lookups(), shape.table_columns.len());
    let mut number = 0..looked;
    let mut lookup = |fraction: &Fraction| match *fraction {
        Fraction::Lookup { .. } => {
            let number = number.next().expect("tables come last");
            Lookup::Value { at: at[number].parts(), column: columns[number].lines() }
        }
        Fraction::Table { index, .. } => Lookup::Table {
            at: alpha.parts(),
            table: columns[looked + index].lines(),
            selector: columns[looked + tables + index].lines(),
            count: columns[looked + 2 * tables + index].lines(),
        },
    };
    shape.chunks().map(|chunk| chunk.iter().map(&mut lookup).collect()).collect()
}

/// beta^2 k of the features of column `index` of a vector; those behind the last have its tag.
fn tags(shape: &Shape, (vector, index): (usize, usize), square: E) -> Column {
    let count = shape.features_a_column();
    let runs = &shape.tags[vector];
    let mut run = 0;
    Column::of((index * count..(index + 1) * count).map(|feature| {
        while runs.get(run + 1).is_some_and(|next| next.first <= feature) {
            run += 1;
        }
        square.scale(runs[run].table as u64)
    }))
}

/// tab and sel of a table column.
fn table_columns(shape: &Shape, index: usize, beta: E) -> (Column, Column) {
    let rows = shape.rows();
    let (mut entries, mut selected) = (Column::extension(rows), Column::base(rows));
    let (first, mut start) = (index * rows, 0);
    for (number, &table) in shape.tables.iter().enumerate() {
        let tag = (beta * beta).scale(number as u64);
        let pieces = table.pieces(beta);
        for (piece, begins) in pieces.iter().enumerate() {
            let end = pieces.get(piece + 1).map_or(table.len(), |next| next.first);
            let from = (start + begins.first).clamp(first, first + rows);
            let to = (start + end).clamp(first, first + rows);
            let mut entry = begins.start + tag + begins.step.scale((from - (start + begins.first).min(from)) as u64);
            for row in from - first..to - first {
                entries.set(row, entry);
                selected.re[row] = 1;
                entry += begins.step;
            }
        }
        start += table.len();
    }
    (entries, selected)
}

/// An entry of F_p as the integer of least magnitude that it stands for.
#[inline(always)]
pub fn signed(word: u64) -> i64 {
    // p = 2^64 - (2^32 - 1)
    let word = word as i64;
    word.wrapping_add((word >> 63) & 0xFFFF_FFFF)
}

/// An integer as an entry of F_p.
#[inline(always)]
pub fn entry_of(value: i64) -> u64 {
    (value as u64).wrapping_sub((value >> 63) as u64 & 0xFFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::P;

    #[test]
    fn integers_and_entries_are_each_other() {
        for value in [0, 1, -1, 1 << 40, -(1 << 40), i64::from(i32::MIN), 77] {
            assert_eq!(entry_of(value), crate::field::add_signed(0, value));
            assert_eq!(signed(entry_of(value)), value);
        }
        assert_eq!(signed(P - 1), -1);
    }
}

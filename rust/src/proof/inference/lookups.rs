//! The lookup argument at a point: what the public columns beside the committed ones are there, and the constraint that ties
//! fractions to inverse columns.

use super::shape::{Fraction, Shape};
use crate::proof::ext::E;
use crate::proof::multilinear::{ge, ge_index};

/// Where the fractions are.
#[derive(Clone, Copy)]
pub struct Lookups {
    pub alpha: E,
    /// What v1 weighs beside v0; its square, what the number of the table does.
    pub beta: E,
}

/// The public columns at a point.
pub struct PublicColumns {
    /// beta^2 k beside each looked-up column, in the order of fractions.
    pub tags: Vec<E>,
    /// tab and sel of each table column.
    pub tables: Vec<[E; 2]>,
}

impl Lookups {
    pub fn at(&self, shape: &Shape, z: &[E]) -> PublicColumns {
        let (features, _) = z.split_at(z.len() - shape.log_batch);
        let square = self.beta * self.beta;
        let tags = shape.fractions.iter().filter_map(|fraction| match fraction {
            Fraction::Lookup { tag, .. } => Some(square * tag_at(shape, *tag, features)),
            Fraction::Table { .. } => None,
        });
        PublicColumns { tags: tags.collect(), tables: self.tables_at(shape, z) }
    }

    fn tables_at(&self, shape: &Shape, z: &[E]) -> Vec<[E; 2]> {
        // Where in the table vector what lies on a line begins: constant and slope there.
        let mut lines = Vec::new();
        let mut start = 0;
        for (number, &table) in shape.tables.iter().enumerate() {
            let tag = self.beta * self.beta * E::base(number as u64);
            lines.extend(table.pieces(self.beta).into_iter().map(|piece| Line {
                first: start + piece.first,
                start: piece.start + tag,
                step: piece.step,
            }));
            start += table.len();
        }
        lines.push(Line { first: start, start: E::ZERO, step: E::ZERO });
        let rows = shape.rows();
        let column = |first: usize| {
            let before = lines.iter().rposition(|line| line.first <= first).unwrap_or(0);
            let inside = lines[before..].iter().take_while(|line| line.first < first + rows);
            let (mut tab, mut last) = (E::ZERO, (E::ZERO, E::ZERO));
            for line in inside {
                let from = line.first.saturating_sub(first);
                // As constant + slope times the row.
                let slope = line.step;
                let begun = slope.scale(first.saturating_sub(line.first) as u64);
                let constant = line.start + begun - slope.scale(from as u64);
                tab += (constant - last.0) * ge(z, from) + (slope - last.1) * ge_index(z, from);
                last = (constant, slope);
            }
            [tab, E::ONE - ge(z, start.saturating_sub(first).min(rows))]
        };
        (0..shape.table_columns.len()).map(|index| column(index * rows)).collect()
    }
}

struct Line {
    first: usize,
    start: E,
    step: E,
}

/// k of a column, by the number of its vector and its number there, at a point of the features.
fn tag_at(shape: &Shape, (vector, index): (usize, usize), features: &[E]) -> E {
    let room = shape.features_a_column();
    let (first, tags) = (index * room, &shape.tags[vector]);
    let before = tags.iter().rposition(|tag| tag.first <= first).unwrap_or(0);
    let mut at = E::base(tags[before].table as u64);
    for pair in tags[before..].windows(2).take_while(|pair| pair[1].first < first + room) {
        let step = E::base(pair[1].table as u64) - E::base(pair[0].table as u64);
        at += step * ge(features, pair[1].first - first);
    }
    at
}

/// sum_q gamma^q Z_q from the values of base columns and of inverse columns at a point. `powers` are those of gamma.
pub fn constraint(
    shape: &Shape,
    lookups: &Lookups,
    public: &PublicColumns,
    values: &[E],
    inverses: &[E],
    powers: &[E],
) -> E {
    let Lookups { alpha, beta } = *lookups;
    let mut tags = public.tags.iter();
    let mut fraction = |fraction: &Fraction| match *fraction {
        Fraction::Lookup { value, beside, .. } => {
            let beside = beside.map_or(E::ZERO, |beside| beta * values[beside]);
            (E::ONE, alpha - values[value] - beside - *tags.next().expect("a tag for every lookup"))
        }
        Fraction::Table { column, index } => {
            let [tab, sel] = public.tables[index];
            (-(sel * values[column]), alpha - tab)
        }
    };
    let mut sum = E::ZERO;
    for ((chunk, &inverse), &power) in shape.chunks().zip(inverses).zip(powers) {
        // The sum of the chunk's fractions as one.
        let (mut numerator, mut denominator) = (E::ZERO, E::ONE);
        for (above, below) in chunk.iter().map(&mut fraction) {
            numerator = numerator * below + above * denominator;
            denominator = denominator * below;
        }
        sum += power * (inverse * denominator - numerator);
    }
    sum
}

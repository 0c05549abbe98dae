//! The inner loop of a round of the sum-check: the fractions and the encryption relation under eq.
//!
//! For a pair of rows every column is a line in t, and Z_q a polynomial of degree f + 1. Fractions are added in pairs, and
//! pairs of pairs, each product at as many points as its own degree needs; values at further points come by additions. So
//! seven fractions take 62 products for eight points, where point by point they would take 104. The factor eq(tau, x) does
//! not depend on t: it is multiplied in where the degree is low.

use super::column::{Column, Place};
use super::ext::{self, Element, Ext};
use super::packed::Packed;
use super::polynomial::{Fraction, POINTS, Polynomial};
use super::{Width, Work};
use std::ops::Range;

/// Fractions in a chunk.
pub const LARGEST_CHUNK: usize = 7;

/// One fraction 1 / (at - column), or -selector count / (at - table).
#[derive(Clone, Copy)]
pub enum Lookup<'a> {
    /// `at` is alpha less the tag.
    Value {
        at: Element,
        column: Column<'a>,
    },
    Table {
        at: Element,
        table: Column<'a>,
        selector: Column<'a>,
        count: Column<'a>,
    },
}

/// Fractions and the column that is their sum.
#[derive(Clone, Copy)]
pub struct Chunk<'a> {
    pub lookups: &'a [Lookup<'a>],
    pub inverse: Column<'a>,
}

/// What a round sums over.
#[derive(Clone, Copy)]
pub struct Round<'a> {
    /// Rows are pairs j and half + j.
    pub half: usize,
    /// eq of the variables that are still open, `half` entries.
    pub eq: [&'a [u64]; 2],
    pub chunks: &'a [Chunk<'a>],
    /// Rel as a column of its own.
    pub relation: Column<'a>,
    /// f_max + 1.
    pub degree: usize,
}

/// Sums over some pairs; those of several ranges add up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoundSums {
    /// For each chunk, sum eq Z_q at t = 0, 2, 3, .., degree.
    pub chunks: Vec<Vec<Element>>,
    /// sum eq Rel at 0 and 1.
    pub relation: [Element; 2],
    /// sum h_q over all chunks, without eq, at 0 and 1.
    pub inverses: [Element; 2],
}

impl RoundSums {
    pub fn add(&mut self, other: &Self) {
        for (sum, other) in self.chunks.iter_mut().flatten().zip(other.chunks.iter().flatten()) {
            *sum = ext::add(*sum, *other);
        }
        for (sum, other) in [(&mut self.relation, &other.relation), (&mut self.inverses, &other.inverses)] {
            *sum = [ext::add(sum[0], other[0]), ext::add(sum[1], other[1])];
        }
    }
}

/// The sums over some of the pairs.
pub fn round(width: Width, round: &Round, pairs: Range<usize>) -> RoundSums {
    let lengths = |column: &Column| assert!(column.len() >= 2 * round.half);
    assert!(pairs.start <= pairs.end && pairs.end <= round.half);
    assert!(round.eq.iter().all(|part| part.len() >= round.half) && round.degree < POINTS);
    lengths(&round.relation);
    for chunk in round.chunks {
        assert!((1..=LARGEST_CHUNK).contains(&chunk.lookups.len()) && chunk.lookups.len() < round.degree);
        lengths(&chunk.inverse);
        for lookup in chunk.lookups {
            match lookup {
                Lookup::Value { column, .. } => lengths(column),
                Lookup::Table { table, selector, count, .. } => [table, selector, count].into_iter().for_each(lengths),
            }
        }
    }
    let wide = pairs.start + (pairs.end - pairs.start) / 8 * 8;
    let mut sums = width.run(Sums { round, pairs: pairs.start..wide });
    if wide < pairs.end {
        // SAFETY: every processor has words.
        sums.add(&unsafe { Sums { round, pairs: wide..pairs.end }.run::<u64>() });
    }
    sums
}

struct Sums<'a> {
    round: &'a Round<'a>,
    pairs: Range<usize>,
}

impl Work for Sums<'_> {
    type Output = RoundSums;

    #[inline(always)]
    unsafe fn run<V: Packed>(self) -> RoundSums {
        let Round { half, eq, chunks, relation, degree } = *self.round;
        // SAFETY: `round` has checked that all columns are as long as the pairs need.
        unsafe {
            let eq = eq.map(<[u64]>::as_ptr);
            let mut sums = vec![[Ext::<V>::zero(); POINTS]; chunks.len()];
            let mut relations = [Ext::<V>::zero(); 2];
            let mut inverses = [Ext::<V>::zero(); 2];
            let mut fractions = [Fraction::<V>::nothing(); LARGEST_CHUNK];
            let mut inverse = Polynomial::nothing();
            for index in self.pairs.step_by(V::COUNT) {
                let place = Place { index, half };
                let eq = Ext::load(eq, index);
                for (chunk, sums) in chunks.iter().zip(&mut sums) {
                    let [low, high] = chunk.inverse.pair(place);
                    inverses = [inverses[0].add(low), inverses[1].add(high)];
                    inverse.set_line(low.mul(eq), high.mul(eq));
                    for (fraction, lookup) in fractions.iter_mut().zip(chunk.lookups) {
                        set_lookup(fraction, lookup, place);
                    }
                    add_chunk(sums, &mut inverse, &mut fractions[..chunk.lookups.len()], eq, degree);
                }
                for (sum, value) in relations.iter_mut().zip(relation.pair(place)) {
                    *sum = value.mul_loose(eq).add(*sum).canonical();
                }
            }
            let mut results = Vec::with_capacity(chunks.len());
            for sums in &sums {
                let mut values = Vec::with_capacity(degree);
                for (point, sum) in sums[..=degree].iter().enumerate() {
                    if point != 1 {
                        values.push(sum.sum());
                    }
                }
                results.push(values);
            }
            RoundSums {
                chunks: results,
                relation: [relations[0].sum(), relations[1].sum()],
                inverses: [inverses[0].sum(), inverses[1].sum()],
            }
        }
    }
}

#[inline(always)]
unsafe fn set_lookup<V: Packed>(fraction: &mut Fraction<V>, lookup: &Lookup, place: Place) {
    unsafe {
        let (Lookup::Value { at, column } | Lookup::Table { at, table: column, .. }) = lookup;
        let at = Ext::splat(*at);
        let [low, high] = column.pair(place);
        fraction.denominator.set_line(at.sub(low), at.sub(high));
        fraction.of_one = true;
        if let Lookup::Table { selector, count, .. } = lookup {
            let zero = Ext::zero();
            let ([s0, s1], [c0, c1]) = (selector.pair(place), count.pair(place));
            // At 2 a line is twice its value at 1 less that at 0.
            let (s2, c2) = (s1.add(s1).sub(s0), c1.add(c1).sub(c0));
            fraction.numerator.values[0] = zero.sub(s0.mul(c0));
            fraction.numerator.values[1] = zero.sub(s1.mul(c1));
            fraction.numerator.values[2] = zero.sub(s2.mul(c2));
            fraction.numerator.known = 3;
            fraction.of_one = false;
        }
    }
}

/// Add eq (h prod d - sum_i n_i prod_(l != i) d_l), with `inverse` holding eq h.
#[inline(always)]
unsafe fn add_chunk<V: Packed>(
    sums: &mut [Ext<V>; POINTS],
    inverse: &mut Polynomial<V>,
    fractions: &mut [Fraction<V>],
    eq: Ext<V>,
    degree: usize,
) {
    unsafe {
        // Neighbours, until two are left: entry i holds the sum of some from i on.
        let mut distance = 1;
        while 2 * distance < fractions.len() {
            for first in (0..fractions.len() - distance).step_by(2 * distance) {
                let (left, right) = fractions.split_at_mut(first + distance);
                left[first].add(&mut right[0]);
            }
            distance *= 2;
        }
        let minus_eq = Ext::zero().sub(eq);
        let points = degree + 1;
        inverse.extend(points);
        let (left, right) = fractions.split_at_mut(distance.min(fractions.len()));
        for fraction in left[..1].iter_mut().chain(right.iter_mut().take(1)) {
            if fraction.of_one {
                fraction.numerator.set_constant(minus_eq);
            } else {
                fraction.numerator.scale(minus_eq);
            }
            fraction.numerator.extend(points);
            fraction.denominator.extend(points);
        }
        let (a, b) = (&left[0], right.first());
        for (point, sum) in sums[..points].iter_mut().enumerate() {
            if point == 1 {
                continue;
            }
            let (of_a, d_a, h) = (a.numerator.values[point], a.denominator.values[point], inverse.values[point]);
            let value = match b {
                // d_a (eq h d_b - eq n_b) - eq n_a d_b
                Some(b) => {
                    let d_b = b.denominator.values[point];
                    let inner = h.mul_loose(d_b).add(b.numerator.values[point]);
                    Ext::two_products([inner, d_a], [of_a, d_b])
                }
                None => h.mul_loose(d_a).add(of_a),
            };
            *sum = value.add(*sum).canonical();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{elements, words};
    use super::*;

    /// Parts of columns, alternately two and one.
    fn memory(count: usize, rows: usize) -> Vec<[Vec<u64>; 2]> {
        (0..count as u64).map(|seed| [words(seed + 100, rows), words(seed + 200, rows)]).collect()
    }

    fn column(parts: &[Vec<u64>; 2], extended: bool) -> Column<'_> {
        if extended { Column::Extended([&parts[0], &parts[1]]) } else { Column::Base(&parts[0]) }
    }

    /// A line at t.
    fn at(column: &Column, row: usize, half: usize, t: u64) -> Element {
        let value = |row: usize| match column {
            Column::Base(part) => [part[row], 0],
            Column::Extended([a, b]) => [a[row], b[row]],
        };
        ext::add(value(row), ext::mul_base(ext::sub(value(row + half), value(row)), t))
    }

    /// As the specification has it.
    fn plainly(round: &Round, pairs: Range<usize>, t: u64) -> (Vec<Element>, Element, Element) {
        let mut sums = (vec![[0; 2]; round.chunks.len()], [0; 2], [0; 2]);
        for row in pairs {
            let line = |column: &Column| at(column, row, round.half, t);
            let eq = [round.eq[0][row], round.eq[1][row]];
            for (sum, chunk) in sums.0.iter_mut().zip(round.chunks) {
                let fractions: Vec<[Element; 2]> = chunk
                    .lookups
                    .iter()
                    .map(|lookup| match lookup {
                        Lookup::Value { at, column } => [[1, 0], ext::sub(*at, line(column))],
                        Lookup::Table { at, table, selector, count } => {
                            let numerator = ext::sub([0, 0], ext::mul(line(selector), line(count)));
                            [numerator, ext::sub(*at, line(table))]
                        }
                    })
                    .collect();
                let mut z = fractions.iter().fold(line(&chunk.inverse), |product, [_, d]| ext::mul(product, *d));
                for (i, [n, _]) in fractions.iter().enumerate() {
                    let others = fractions.iter().enumerate().filter(|(l, _)| *l != i);
                    z = ext::sub(z, others.fold(*n, |product, (_, [_, d])| ext::mul(product, *d)));
                }
                *sum = ext::add(*sum, ext::mul(eq, z));
                sums.2 = ext::add(sums.2, line(&chunk.inverse));
            }
            sums.1 = ext::add(sums.1, ext::mul(eq, line(&round.relation)));
        }
        sums
    }

    #[test]
    fn every_width_sums_what_the_specification_says_for_any_shape() {
        for (values, tables, extended) in [
            (1, 0, false),
            (2, 0, true),
            (0, 1, true),
            (3, 1, false),
            (3, 2, true),
            (6, 1, false),
            (5, 2, true),
            (7, 0, true),
        ] {
            let half = 19;
            let parts = memory(values + 3 * tables + 3, 2 * half);
            let [eq, inverse, relation, rest @ ..] = &parts[..] else { unreachable!() };
            let constants = elements(3, values + tables);
            let (of_values, of_tables) = rest.split_at(values);
            let mut lookups: Vec<Lookup> = of_values
                .iter()
                .zip(&constants)
                .map(|(parts, &at)| Lookup::Value { at, column: column(parts, extended) })
                .collect();
            lookups.extend(of_tables.chunks_exact(3).zip(&constants[values..]).map(|(parts, &at)| Lookup::Table {
                at,
                table: column(&parts[0], true),
                selector: column(&parts[1], extended),
                count: column(&parts[2], extended),
            }));
            let chunks = [
                Chunk { lookups: &lookups, inverse: column(inverse, true) },
                Chunk { lookups: &lookups[..1], inverse: column(relation, true) },
            ];
            let degree = values + tables + 1;
            let eq = [&eq[0][..], &eq[1][..]];
            let data = Round { half, eq, chunks: &chunks, relation: column(relation, true), degree };
            for width in Width::all() {
                let mut sums = round(width, &data, 0..11);
                sums.add(&round(width, &data, 11..half));
                for t in (0..=degree as u64).filter(|&t| t != 1) {
                    let (expected, _, _) = plainly(&data, 0..half, t);
                    let index = (t as usize).saturating_sub(1);
                    let got: Vec<Element> = sums.chunks.iter().map(|values| values[index]).collect();
                    assert_eq!(got, expected, "{} {values} {tables} {t}", width.name());
                }
                for t in 0..2 {
                    let (_, relation, inverses) = plainly(&data, 0..half, t);
                    assert_eq!(sums.relation[t as usize], relation);
                    assert_eq!(sums.inverses[t as usize], inverses);
                }
            }
        }
    }
}

//! The inner loop of a round of the sum-check: the fractions and the encryption relation under eq.
//!
//! For a pair of rows every column is a line in t, and Z_q a polynomial of degree f + 1. Fractions are added in pairs, and
//! pairs of pairs, each product at as many points as its own degree needs; values at further points come by additions. So
//! seven fractions take 62 products for eight points, where point by point they would take 104. The factor eq(tau, x) does
//! not depend on t: it is multiplied in where the degree is low.

use zeroize::{Zeroize, optimization_barrier};

use super::column::{Column, Place};
use super::ext::{self, Element, Ext};
use super::packed::Packed;
use super::polynomial::{Fraction, POINTS, Polynomial};
use super::{Width, Work};
use crate::proof::published::hide;
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

impl Lookup<'_> {
    /// The rows of the shortest of its columns.
    pub fn rows(&self) -> usize {
        match self {
            Self::Value { column, .. } => column.len(),
            Self::Table { table, selector, count, .. } => table.len().min(selector.len()).min(count.len()),
        }
    }
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

/// Sums over some pairs; those of several ranges add up. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoundSums {
    /// For each chunk, sum eq Z_q at t = 0, 2, 3, .., degree.
    pub chunks: Vec<Vec<Element>>,
    /// sum eq Rel at 0 and 1.
    pub relation: [Element; 2],
    /// sum h_q over all chunks, without eq, at 0 and 1.
    pub inverses: [Element; 2],
}

impl Drop for RoundSums {
    fn drop(&mut self) {
        self.chunks.zeroize();
        self.relation.zeroize();
        self.inverses.zeroize();
    }
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
        assert!(chunk.lookups.iter().all(|lookup| lookup.rows() >= 2 * round.half));
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
            // SAFETY: a packed word is COUNT words.
            hide(std::slice::from_raw_parts(sums.as_ptr().cast::<u64>(), size_of_val(&*sums) / 8).iter().copied());
            sums.fill([Ext::zero(); POINTS]);
            optimization_barrier(sums.as_slice());
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
#[path = "round_tests.rs"]
mod tests;

//! Columns of a table, over F_p or over E, two rows of which make a line; and the sums of a round that are quadratic.

use super::accumulate::LARGEST_COUNT;
use super::ext::{self, Element, Ext};
use super::packed::Packed;
use super::{Width, Work};
use crate::field;
use std::ops::Range;

/// A multilinear polynomial by its values on the cube.
#[derive(Clone, Copy)]
pub enum Column<'a> {
    Base(&'a [u64]),
    Extended([&'a [u64]; 2]),
}

/// Rows `index` and `index + half`, and the COUNT - 1 after each.
#[derive(Clone, Copy)]
pub struct Place {
    pub index: usize,
    pub half: usize,
}

impl Column<'_> {
    /// The rows of the shorter part.
    pub fn len(&self) -> usize {
        match self {
            Self::Base(part) => part.len(),
            Self::Extended([of_one, of_x]) => of_one.len().min(of_x.len()),
        }
    }

    /// The values from a row on. The column has COUNT rows there.
    #[inline(always)]
    pub unsafe fn at<V: Packed>(&self, row: usize) -> Ext<V> {
        unsafe {
            match self {
                Self::Base(part) => Ext(V::load(part.as_ptr().add(row)), V::splat(0)),
                Self::Extended(parts) => Ext::load(parts.map(<[u64]>::as_ptr), row),
            }
        }
    }

    /// The values of a line at 0 and 1. The column has rows up to the last of the place.
    #[inline(always)]
    pub unsafe fn pair<V: Packed>(&self, place: Place) -> [Ext<V>; 2] {
        unsafe { [self.at(place.index), self.at(place.index + place.half)] }
    }
}

/// sum a(t) b(t) over some pairs: at 0, at 1, and the coefficient of t^2.
pub fn products(width: Width, a: Column, b: Column, half: usize, pairs: Range<usize>) -> [Element; 3] {
    sum_products(width, &[Term { a: &[(a, 1)], b: &[(b, 1)], offset: 0 }], half, pairs)
}

/// sum (sum_l weight_l column_l - offset)^2 over all groups and some pairs: at 0, at 1, and the coefficient of t^2.
pub fn squares(
    width: Width,
    groups: &[&[(Column, u64)]],
    offset: u64,
    half: usize,
    pairs: Range<usize>,
) -> [Element; 3] {
    let terms: Vec<Term> = groups.iter().map(|&group| Term { a: group, b: group, offset }).collect();
    sum_products(width, &terms, half, pairs)
}

#[derive(Clone, Copy)]
struct Term<'a> {
    a: &'a [(Column<'a>, u64)],
    b: &'a [(Column<'a>, u64)],
    offset: u64,
}

fn sum_products(width: Width, terms: &[Term], half: usize, pairs: Range<usize>) -> [Element; 3] {
    assert!(pairs.start <= pairs.end && pairs.end <= half);
    assert!(terms.iter().flat_map(|term| term.a.iter().chain(term.b)).all(|(column, _)| column.len() >= 2 * half));
    let mut sums = [[0; 2]; 3];
    for term in terms {
        // Registers times pairs of at most LARGEST_COUNT words in one sum.
        for start in pairs.clone().step_by(LARGEST_COUNT) {
            let end = (start + LARGEST_COUNT).min(pairs.end);
            let wide = start + (end - start) / 8 * 8;
            let some = width.run(Products { term, half, pairs: start..wide });
            // SAFETY: every processor has words.
            let others = unsafe { Products { term, half, pairs: wide..end }.run::<u64>() };
            for (sum, (some, other)) in sums.iter_mut().zip(some.into_iter().zip(others)) {
                *sum = ext::add(*sum, ext::add(some, other));
            }
        }
    }
    sums
}

struct Products<'a> {
    term: &'a Term<'a>,
    half: usize,
    pairs: Range<usize>,
}

impl Work for Products<'_> {
    type Output = [Element; 3];

    #[inline(always)]
    unsafe fn run<V: Packed>(self) -> [Element; 3] {
        // SAFETY: `sum_products` has checked that the columns are as long as the pairs need.
        unsafe {
            let mut sums = [[V::nothing(); 2]; 3];
            for index in self.pairs.step_by(V::COUNT) {
                let place = Place { index, half: self.half };
                let [a0, a1] = line::<V>(self.term.a, self.term.offset, place);
                let [b0, b1] = line::<V>(self.term.b, self.term.offset, place);
                let factors = [(a0, b0), (a1, b1), (a1.sub(a0), b1.sub(b0))];
                for (sum, (a, b)) in sums.iter_mut().zip(factors) {
                    let weight = V::weight(b);
                    V::accumulate(&mut sum[0], a.0, &weight);
                    V::accumulate(&mut sum[1], a.1, &weight);
                }
            }
            let mut results = [[0; 2]; 3];
            for (result, [of_one, of_x]) in results.iter_mut().zip(sums) {
                let [c, d] = V::total(of_x).sum();
                *result = ext::add(V::total(of_one).sum(), [field::mul(7, d), c]);
            }
            results
        }
    }
}

/// sum_l weight_l column_l - offset at 0 and 1.
#[inline(always)]
unsafe fn line<V: Packed>(columns: &[(Column, u64)], offset: u64, place: Place) -> [Ext<V>; 2] {
    unsafe {
        let mut sums = [Ext::<V>::zero(); 2];
        for (column, weight) in columns {
            for (sum, value) in sums.iter_mut().zip(column.pair(place)) {
                *sum = if *weight == 1 { value.add(*sum) } else { value.mul_base(V::splat(*weight)).add(*sum) };
            }
        }
        let offset = Ext::splat([offset, 0]);
        [sums[0].sub(offset), sums[1].sub(offset)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::words;
    use super::*;

    #[test]
    fn every_width_gives_the_same_quadratic_sums() {
        for (half, pairs) in [(1, 0..1), (8, 0..8), (64, 3..50), (2100, 0..2100)] {
            let columns: Vec<Vec<u64>> = (0..4).map(|seed| words(seed, 2 * half)).collect();
            let (a, b) = (Column::Extended([&columns[0], &columns[1]]), Column::Base(&columns[2]));
            let c = Column::Base(&columns[3]);
            let at = |column: &Column, row: usize| match column {
                Column::Base(part) => [part[row], 0],
                Column::Extended([x, y]) => [x[row], y[row]],
            };
            let square = |row: usize| {
                let value = ext::sub(ext::add(at(&b, row), ext::mul_base(at(&c, row), 256)), [9, 0]);
                (value, value)
            };
            let product = |row: usize| (at(&a, row), at(&b, row));
            let expected = |factors: &dyn Fn(usize) -> (Element, Element)| {
                pairs.clone().fold([[0; 2]; 3], |sums: [Element; 3], row| {
                    let ((a0, b0), (a1, b1)) = (factors(row), factors(row + half));
                    let slope = ext::mul(ext::sub(a1, a0), ext::sub(b1, b0));
                    [ext::add(sums[0], ext::mul(a0, b0)), ext::add(sums[1], ext::mul(a1, b1)), ext::add(sums[2], slope)]
                })
            };
            for width in Width::all() {
                assert_eq!(products(width, a, b, half, pairs.clone()), expected(&product), "{}", width.name());
                let groups: [&[(Column, u64)]; 1] = [&[(b, 1), (c, 256)]];
                assert_eq!(squares(width, &groups, 9, half, pairs.clone()), expected(&square), "{}", width.name());
            }
        }
    }

    #[test]
    #[should_panic(expected = "2 * half")]
    fn columns_that_are_too_short_are_refused() {
        products(Width::best(), Column::Base(&[0; 7]), Column::Base(&[0; 8]), 4, 0..4);
    }
}

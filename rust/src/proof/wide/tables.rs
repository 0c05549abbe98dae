//! Tables of eq, dot products, powers of opened points, and polynomials at many points.

use super::accumulate::LARGEST_COUNT;
use super::combine::add_combination;
use super::ext::{self, Element, Ext};
use super::packed::Packed;
use super::{Width, Work};
use crate::field;

/// eq(point, x) for every x, variable 0 the most significant bit of the index.
pub fn eq_table(width: Width, point: &[Element]) -> [Vec<u64>; 2] {
    let mut table = [vec![0; 1 << point.len()], vec![0; 1 << point.len()]];
    table[0][0] = 1;
    width.run(EqTable { point, table })
}

struct EqTable<'a> {
    point: &'a [Element],
    table: [Vec<u64>; 2],
}

impl Work for EqTable<'_> {
    type Output = [Vec<u64>; 2];

    #[inline(always)]
    unsafe fn run<V: Packed>(mut self) -> [Vec<u64>; 2] {
        let [of_one, of_x] = &mut self.table;
        let parts = [of_one.as_mut_ptr(), of_x.as_mut_ptr()];
        // The last variable first: each doubles what is there.
        for (bits, &z) in self.point.iter().rev().enumerate() {
            let half = 1 << bits;
            // SAFETY: 2 half is at most the length of a part.
            unsafe {
                let wide = half / V::COUNT * V::COUNT;
                double::<V>(parts, z, half, 0, wide);
                double::<u64>(parts, z, half, wide, half);
            }
        }
        self.table
    }
}

#[inline(always)]
unsafe fn double<V: Packed>(parts: [*mut u64; 2], z: Element, half: usize, first: usize, last: usize) {
    unsafe {
        let z = Ext::<V>::splat(z);
        for index in (first..last).step_by(V::COUNT) {
            let value = Ext::load(parts.map(|part| part.cast_const()), index);
            let upper = value.mul(z);
            upper.store(parts, index + half);
            value.sub(upper).store(parts, index);
        }
    }
}

/// sum_i a_i b_i over E.
pub fn dot(width: Width, a: [&[u64]; 2], b: [&[u64]; 2]) -> Element {
    assert!(a[1].len() == a[0].len() && b.iter().all(|part| part.len() == a[0].len()));
    width.run(Dot { a, b })
}

struct Dot<'a> {
    a: [&'a [u64]; 2],
    b: [&'a [u64]; 2],
}

impl Work for Dot<'_> {
    type Output = Element;

    #[inline(always)]
    unsafe fn run<V: Packed>(self) -> Element {
        let mut result = [0, 0];
        for first in (0..self.a[0].len()).step_by(LARGEST_COUNT) {
            let last = (first + LARGEST_COUNT).min(self.a[0].len());
            let wide = last - (last - first) % V::COUNT;
            let (a, b) = (self.a.map(<[u64]>::as_ptr), self.b.map(<[u64]>::as_ptr));
            // SAFETY: all parts are equally long.
            unsafe {
                result = ext::add(result, dot_part::<V>(a, b, first, wide));
                result = ext::add(result, dot_part::<u64>(a, b, wide, last));
            }
        }
        result
    }
}

#[inline(always)]
unsafe fn dot_part<V: Packed>(a: [*const u64; 2], b: [*const u64; 2], first: usize, last: usize) -> Element {
    unsafe {
        // The parts of `a`, each times all of `b`.
        let (mut of_one, mut of_x) = (V::nothing(), V::nothing());
        for index in (first..last).step_by(V::COUNT) {
            let a = Ext::<V>::load(a, index);
            let weight = V::weight(Ext::load(b, index));
            V::accumulate(&mut of_one, a.0, &weight);
            V::accumulate(&mut of_x, a.1, &weight);
        }
        let [c, d] = V::total(of_x).sum();
        ext::add(V::total(of_one).sum(), [field::mul(7, d), c])
    }
}

/// Add sum_i weights_i points_i^j to entry j of `out`, for as many j as there are.
pub fn add_powers(width: Width, points: &[u64], weights: &[Element], out: [&mut [u64]; 2]) {
    assert!(points.len() == weights.len() && out[0].len() == out[1].len());
    width.run(AddPowers { points, weights, out });
}

struct AddPowers<'a> {
    points: &'a [u64],
    weights: &'a [Element],
    out: [&'a mut [u64]; 2],
}

/// Entries that one matrix of powers serves.
const BLOCK: usize = 64;

impl Work for AddPowers<'_> {
    type Output = ();

    /// With j = 64 h + l: the powers of l are rows over F_p, the same for every h, and only the weights change.
    #[inline(always)]
    unsafe fn run<V: Packed>(self) {
        let [of_one, of_x] = self.out;
        for (points, weights) in self.points.chunks(LARGEST_COUNT).zip(self.weights.chunks(LARGEST_COUNT)) {
            let mut rows = vec![1u64; BLOCK * points.len()];
            for (row, &point) in rows.chunks_exact_mut(BLOCK).zip(points) {
                for index in 1..BLOCK {
                    row[index] = field::mul(row[index - 1], point);
                }
            }
            let steps: Vec<u64> =
                rows.chunks_exact(BLOCK).zip(points).map(|(row, &x)| field::mul(row[BLOCK - 1], x)).collect();
            let mut weights = weights.to_vec();
            let powers: Vec<&[u64]> = rows.chunks_exact(BLOCK).collect();
            for (a, b) in of_one.chunks_mut(BLOCK).zip(of_x.chunks_mut(BLOCK)) {
                // SAFETY: a row has BLOCK words, which is no less than the parts have.
                unsafe { add_combination::<V>(&powers, &weights, [a, b]) };
                for (weight, &step) in weights.iter_mut().zip(&steps) {
                    *weight = ext::mul_base(*weight, step);
                }
            }
        }
    }
}

/// The polynomial with these coefficients over E, the lowest first, at points of F_p.
pub fn evaluate(width: Width, coefficients: &[Element], points: &[u64]) -> Vec<Element> {
    let mut out = vec![[0; 2]; points.len()];
    width.run(Evaluate { coefficients, points, out: &mut out });
    out
}

struct Evaluate<'a> {
    coefficients: &'a [Element],
    points: &'a [u64],
    out: &'a mut [Element],
}

/// Registers of points at once: one alone waits for its own products.
const TOGETHER: usize = 4;

impl Work for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Packed>(self) {
        let lanes = V::COUNT * TOGETHER;
        for (points, out) in self.points.chunks(lanes).zip(self.out.chunks_mut(lanes)) {
            let (mut words, mut parts) = ([0; 8 * TOGETHER], [[0; 8 * TOGETHER]; 2]);
            words[..points.len()].copy_from_slice(points);
            // SAFETY: the arrays have TOGETHER registers of up to eight words.
            unsafe {
                let mut x = [V::splat(0); TOGETHER];
                for (register, x) in x.iter_mut().enumerate() {
                    *x = V::load(words[register * V::COUNT..].as_ptr());
                }
                let mut values = [Ext::<V>::zero(); TOGETHER];
                for &coefficient in self.coefficients.iter().rev() {
                    let coefficient = Ext::splat(coefficient);
                    for (value, &x) in values.iter_mut().zip(&x) {
                        *value = Ext(value.0.mul(x), value.1.mul(x)).add(coefficient);
                    }
                }
                let [a, b] = &mut parts;
                for (register, value) in values.into_iter().enumerate() {
                    value.canonical().store([a.as_mut_ptr(), b.as_mut_ptr()], register * V::COUNT);
                }
            }
            for (index, element) in out.iter_mut().enumerate() {
                *element = [parts[0][index], parts[1][index]];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{elements, words};
    use super::*;
    use crate::field::P;

    #[test]
    fn eq_tables_are_products_over_the_bits() {
        for variables in 0..8 {
            let point = elements(variables, variables as usize);
            for width in Width::all() {
                let [a, b] = eq_table(width, &point);
                for x in 0..1usize << variables {
                    let factor = |(i, &z): (usize, &Element)| {
                        if x >> (variables as usize - 1 - i) & 1 == 1 { z } else { ext::sub([1, 0], z) }
                    };
                    let expected = point.iter().enumerate().map(factor).fold([1, 0], ext::mul);
                    assert_eq!([a[x], b[x]], expected, "{} {variables} {x}", width.name());
                }
            }
        }
    }

    #[test]
    fn every_width_gives_the_same_dot_products() {
        for length in [0, 1, 9, 64, 1024, 2053] {
            let [a, b, c, d] = [1, 2, 3, 4].map(|seed| words(seed, length));
            let terms = (0..length).map(|i| ext::mul([a[i], b[i]], [c[i], d[i]]));
            let expected = terms.fold([0, 0], ext::add);
            for width in Width::all() {
                assert_eq!(dot(width, [&a, &b], [&c, &d]), expected, "{} {length}", width.name());
                let most = vec![P - 1; length];
                let count = length as u64;
                assert_eq!(dot(width, [&most, &most], [&most, &most]), [8 * count, 2 * count]);
            }
        }
    }

    #[test]
    fn powers_and_values_are_transposes_of_each_other() {
        for (count, length) in [(0, 10), (1, 1), (7, 65), (33, 200), (151, 300), (1030, 70)] {
            let (points, weights) = (words(5, count), elements(6, count));
            let coefficients = elements(7, length);
            let mut values = Vec::new();
            for width in Width::all() {
                let (mut a, mut b) = (vec![1; length], vec![2; length]);
                add_powers(width, &points, &weights, [&mut a, &mut b]);
                for j in (0..length).step_by(23) {
                    let terms = points.iter().zip(&weights).map(|(&x, &w)| ext::mul_base(w, field::pow(x, j as u64)));
                    assert_eq!([a[j], b[j]], terms.fold([1, 2], ext::add), "{} {count} {j}", width.name());
                }
                values = evaluate(width, &coefficients, &points);
                let by_powers = (0..length).fold([0, 0], |sum, j| {
                    let weight = ext::sub([a[j], b[j]], [1, 2]);
                    ext::add(sum, ext::mul(weight, coefficients[j]))
                });
                let by_values = values.iter().zip(&weights).fold([0, 0], |sum, (&v, &w)| ext::add(sum, ext::mul(v, w)));
                assert_eq!(by_powers, by_values, "{}", width.name());
            }
            assert_eq!(values.len(), count);
        }
    }
}

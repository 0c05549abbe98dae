//! Polynomials in one variable, COUNT at a time, by their values at 0, 1, 2, ..: what one pair of rows gives in a round of
//! the sum-check.

use super::ext::Ext;
use super::packed::Packed;

/// The largest degree is 8: an inverse column times seven denominators.
pub const POINTS: usize = 9;

/// Values at 0 .. known - 1, of a degree below `known` when first set.
#[derive(Clone, Copy)]
pub struct Polynomial<V> {
    pub values: [Ext<V>; POINTS],
    pub known: usize,
}

impl<V: Packed> Polynomial<V> {
    #[inline(always)]
    pub unsafe fn nothing() -> Self {
        unsafe { Self { values: [Ext::zero(); POINTS], known: 0 } }
    }

    #[inline(always)]
    pub fn set_constant(&mut self, value: Ext<V>) {
        self.values[0] = value;
        self.known = 1;
    }

    #[inline(always)]
    pub fn set_line(&mut self, at_zero: Ext<V>, at_one: Ext<V>) {
        (self.values[0], self.values[1]) = (at_zero, at_one);
        self.known = 2;
    }

    /// Know the values at 0 .. points - 1, by adding differences.
    #[inline(always)]
    pub unsafe fn extend(&mut self, points: usize) {
        if self.known >= points {
            return;
        }
        // One copy for each number of differences, so that they stay in registers.
        unsafe {
            match self.known {
                1 => self.extend_from::<1>(points),
                2 => self.extend_from::<2>(points),
                3 => self.extend_from::<3>(points),
                4 => self.extend_from::<4>(points),
                5 => self.extend_from::<5>(points),
                6 => self.extend_from::<6>(points),
                7 => self.extend_from::<7>(points),
                _ => self.extend_from::<8>(points),
            }
        }
    }

    #[inline(always)]
    unsafe fn extend_from<const COUNT: usize>(&mut self, points: usize) {
        unsafe {
            // Entry i: the difference of order i that ends at the last known value.
            let mut differences = [self.values[COUNT - 1]; COUNT];
            for (difference, &value) in differences.iter_mut().zip(self.values[..COUNT].iter().rev()) {
                *difference = value;
            }
            for order in 1..COUNT {
                for index in (order..COUNT).rev() {
                    differences[index] = differences[index - 1].sub(differences[index]);
                }
            }
            for value in &mut self.values[COUNT..points] {
                for order in (0..COUNT - 1).rev() {
                    differences[order] = differences[order].add(differences[order + 1]);
                }
                *value = differences[0];
            }
        }
        self.known = points;
    }

    /// Each known value times a constant.
    #[inline(always)]
    pub unsafe fn scale(&mut self, factor: Ext<V>) {
        for value in &mut self.values[..self.known] {
            *value = unsafe { value.mul(factor) };
        }
    }
}

/// A sum of fractions.
#[derive(Clone, Copy)]
pub struct Fraction<V> {
    pub numerator: Polynomial<V>,
    pub denominator: Polynomial<V>,
    /// Whether the numerator is 1, which is then not set.
    pub of_one: bool,
}

impl<V: Packed> Fraction<V> {
    #[inline(always)]
    pub unsafe fn nothing() -> Self {
        unsafe { Self { numerator: Polynomial::nothing(), denominator: Polynomial::nothing(), of_one: true } }
    }

    /// self + other. Products are taken at no more points than their degree needs.
    #[inline(always)]
    pub unsafe fn add(&mut self, other: &mut Self) {
        unsafe {
            // A degree is one less than what is known of a polynomial that has not been extended.
            let denominator_points = self.denominator.known + other.denominator.known - 1;
            let of_self =
                if self.of_one { other.denominator.known } else { self.numerator.known + other.denominator.known - 1 };
            let of_other =
                if other.of_one { self.denominator.known } else { other.numerator.known + self.denominator.known - 1 };
            let numerator_points = of_self.max(of_other);
            let points = denominator_points.max(numerator_points);
            self.denominator.extend(points);
            other.denominator.extend(points);
            if !self.of_one {
                self.numerator.extend(numerator_points);
            }
            if !other.of_one {
                other.numerator.extend(numerator_points);
            }
            let (left, right) = (&self.denominator.values, &other.denominator.values);
            for point in 0..numerator_points {
                let value = match (self.of_one, other.of_one) {
                    (true, true) => left[point].add(right[point]),
                    (false, true) => self.numerator.values[point].mul_loose(right[point]).add(left[point]).canonical(),
                    (true, false) => other.numerator.values[point].mul_loose(left[point]).add(right[point]).canonical(),
                    (false, false) => Ext::two_products(
                        [self.numerator.values[point], right[point]],
                        [other.numerator.values[point], left[point]],
                    )
                    .canonical(),
                };
                self.numerator.values[point] = value;
            }
            for point in 0..denominator_points {
                self.denominator.values[point] = self.denominator.values[point].mul(other.denominator.values[point]);
            }
            self.numerator.known = numerator_points;
            self.denominator.known = denominator_points;
            self.of_one = false;
        }
    }
}

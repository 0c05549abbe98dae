//! The extension E = F_p[X] / (X^2 - 7), of p^2 elements: challenges and everything they touch live here.

use std::ops::{Add, AddAssign, Mul, Neg, Sub};

use zeroize::DefaultIsZeroes;

use crate::field::{self, P};

/// X^2. No square modulo p, so that X^2 - 7 has no root.
const SQUARE_OF_X: u64 = 7;

/// Bytes of an element: its part of 1, then that of X, each a little-endian word.
pub const ELEMENT_BYTES: usize = 16;

/// re + im X, both canonical.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(test, derive(Debug))]
pub struct E {
    pub re: u64,
    pub im: u64,
}

impl DefaultIsZeroes for E {}

impl E {
    pub const ZERO: Self = Self::new(0, 0);
    pub const ONE: Self = Self::new(1, 0);
    pub const X: Self = Self::new(0, 1);

    pub const fn new(re: u64, im: u64) -> Self {
        Self { re, im }
    }

    pub const fn base(re: u64) -> Self {
        Self::new(re, 0)
    }

    #[inline(always)]
    pub fn scale(self, factor: u64) -> Self {
        Self::new(field::mul(self.re, factor), field::mul(self.im, factor))
    }

    #[inline(always)]
    pub fn times_x(self) -> Self {
        Self::new(times_seven(self.im), self.re)
    }

    /// The inverse, and 0 for 0.
    pub fn invert(self) -> Self {
        let norm = field::sub(field::mul(self.re, self.re), times_seven(field::mul(self.im, self.im)));
        let inverse = field::invert(norm);
        Self::new(self.re, field::sub(0, self.im)).scale(inverse)
    }

    pub fn to_bytes(self) -> [u8; ELEMENT_BYTES] {
        let mut bytes = [0; ELEMENT_BYTES];
        bytes[..8].copy_from_slice(&self.re.to_le_bytes());
        bytes[8..].copy_from_slice(&self.im.to_le_bytes());
        bytes
    }
}

#[inline(always)]
fn times_seven(a: u64) -> u64 {
    field::mul(a, SQUARE_OF_X)
}

/// 1 / 2 in F_p.
pub const HALF: u64 = P.div_ceil(2);

impl Add for E {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self::new(field::add(self.re, other.re), field::add(self.im, other.im))
    }
}

impl AddAssign for E {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for E {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self::new(field::sub(self.re, other.re), field::sub(self.im, other.im))
    }
}

impl Neg for E {
    type Output = Self;
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl Mul for E {
    type Output = Self;
    /// Karatsuba: three products.
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (low, high) = (field::mul(self.re, other.re), field::mul(self.im, other.im));
        let cross = field::mul(field::add(self.re, self.im), field::add(other.re, other.im));
        let im = field::sub(field::sub(cross, low), high);
        Self::new(field::add(low, times_seven(high)), im)
    }
}

impl std::iter::Sum for E {
    fn sum<I: Iterator<Item = Self>>(elements: I) -> Self {
        elements.fold(Self::ZERO, |sum, element| sum + element)
    }
}

/// The bytes of some elements, one after the other.
pub fn bytes_of(elements: &[E]) -> Vec<u8> {
    elements.iter().flat_map(|element| element.to_bytes()).collect()
}

/// 1, base, base^2, .., `count` of them.
pub fn powers(base: E, count: usize) -> Vec<E> {
    std::iter::successors(Some(E::ONE), |&power| Some(power * base)).take(count).collect()
}

/// Wide arithmetic over E: one element, or as many as a register holds, each beside the others.
pub trait Element: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    const LANES: usize;

    /// The same element in every lane.
    fn splat(element: E) -> Self;
    /// `LANES` entries from index `at` on. Where `im` is empty, the entries are in F_p.
    fn load(re: &[u64], im: &[u64], at: usize) -> Self;
    fn store(self, re: &mut [u64], im: &mut [u64], at: usize);
    /// The sum over the lanes.
    fn total(self) -> E;
}

impl Element for E {
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(element: E) -> Self {
        element
    }

    #[inline(always)]
    fn load(re: &[u64], im: &[u64], at: usize) -> Self {
        Self::new(re[at], if im.is_empty() { 0 } else { im[at] })
    }

    #[inline(always)]
    fn store(self, re: &mut [u64], im: &mut [u64], at: usize) {
        (re[at], im[at]) = (self.re, self.im);
    }

    #[inline(always)]
    fn total(self) -> E {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: E = E::new(0x1234_5678_9ABC_DEF0, P - 3);
    const B: E = E::new(P - 1, 0xFFFF_FFFF);

    #[test]
    fn x_squared_is_seven_and_seven_is_no_square() {
        assert_eq!(E::X * E::X, E::base(7));
        assert_eq!(field::pow(7, (P - 1) / 2), P - 1);
        assert_eq!(A.times_x(), A * E::X);
    }

    #[test]
    fn products_distribute_and_inverses_invert() {
        assert_eq!((A + B) * A, A * A + B * A);
        assert_eq!(A * B, B * A);
        assert_eq!(A * A.invert(), E::ONE);
        assert_eq!(E::X * E::X.invert(), E::ONE);
        assert_eq!(E::ZERO.invert(), E::ZERO);
        assert_eq!(field::mul(HALF, 2), 1);
        assert_eq!(A.scale(9), A * E::base(9));
    }
}

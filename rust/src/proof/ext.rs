//! The extension E = F_p[X] / (X^2 - 7), of p^2 elements: challenges and everything they touch live here.

use std::ops::{Add, AddAssign, Mul, Neg, Sub};

use zeroize::DefaultIsZeroes;

use super::wide::ext::{self, Element};
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

    /// As `wide` has it.
    #[inline(always)]
    pub fn parts(self) -> Element {
        [self.re, self.im]
    }

    #[inline(always)]
    pub fn scale(self, factor: u64) -> Self {
        Self::new(field::mul(self.re, factor), field::mul(self.im, factor))
    }

    #[inline(always)]
    pub fn times_x(self) -> Self {
        Self::new(field::mul(self.im, SQUARE_OF_X), self.re)
    }

    /// The inverse, and 0 for 0.
    pub fn invert(self) -> Self {
        ext::invert(self.parts()).into()
    }

    pub fn to_bytes(self) -> [u8; ELEMENT_BYTES] {
        let mut bytes = [0; ELEMENT_BYTES];
        bytes[..8].copy_from_slice(&self.re.to_le_bytes());
        bytes[8..].copy_from_slice(&self.im.to_le_bytes());
        bytes
    }
}

/// 1 / 2 in F_p.
pub const HALF: u64 = P.div_ceil(2);

impl From<Element> for E {
    #[inline(always)]
    fn from([re, im]: Element) -> Self {
        Self::new(re, im)
    }
}

impl Add for E {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        ext::add(self.parts(), other.parts()).into()
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
        ext::sub(self.parts(), other.parts()).into()
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
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        ext::mul(self.parts(), other.parts()).into()
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

/// As `wide` takes them.
pub fn parts_of(elements: &[E]) -> Vec<Element> {
    elements.iter().map(|element| element.parts()).collect()
}

/// 1, base, base^2, .., `count` of them.
pub fn powers(base: E, count: usize) -> Vec<E> {
    std::iter::successors(Some(E::ONE), |&power| Some(power * base)).take(count).collect()
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

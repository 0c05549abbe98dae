//! Several elements of E = F_p[X] / (X^2 - 7) in two registers.

use super::packed::Packed;
use crate::field;

/// a + b X as [a, b], both below p.
pub type Element = [u64; 2];

/// COUNT elements: their parts of 1 and their parts of X. Canonical, unless a function says *loose*.
#[derive(Clone, Copy)]
pub struct Ext<V>(pub V, pub V);

impl<V: Packed> Ext<V> {
    #[inline(always)]
    pub unsafe fn splat(element: Element) -> Self {
        unsafe { Self(V::splat(element[0]), V::splat(element[1])) }
    }
    #[inline(always)]
    pub unsafe fn zero() -> Self {
        unsafe { Self::splat([0, 0]) }
    }
    #[inline(always)]
    pub unsafe fn load(parts: [*const u64; 2], index: usize) -> Self {
        unsafe { Self(V::load(parts[0].add(index)), V::load(parts[1].add(index))) }
    }
    #[inline(always)]
    pub unsafe fn store(self, parts: [*mut u64; 2], index: usize) {
        unsafe {
            self.0.store(parts[0].add(index));
            self.1.store(parts[1].add(index));
        }
    }
    /// From loose.
    #[inline(always)]
    pub unsafe fn canonical(self) -> Self {
        unsafe { Self(self.0.canonical(), self.1.canonical()) }
    }
    /// `self` may be loose, and the sum is then.
    #[inline(always)]
    pub unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(self.0.add(other.0), self.1.add(other.1)) }
    }
    /// `self` may be loose, and the difference is then.
    #[inline(always)]
    pub unsafe fn sub(self, other: Self) -> Self {
        unsafe { Self(self.0.sub(other.0), self.1.sub(other.1)) }
    }
    #[inline(always)]
    pub unsafe fn mul(self, other: Self) -> Self {
        unsafe { self.mul_loose(other).canonical() }
    }
    /// Loose, of loose.
    #[inline(always)]
    pub unsafe fn mul_loose(self, other: Self) -> Self {
        unsafe {
            let [a, b] = V::ext_mul([self.0, self.1], [other.0, other.1]);
            Self(a, b)
        }
    }
    /// a b + c d. Loose, of loose.
    #[inline(always)]
    pub unsafe fn two_products([a, b]: [Self; 2], [c, d]: [Self; 2]) -> Self {
        unsafe {
            let [of_one, of_x] = V::ext_two_products([[a.0, a.1], [b.0, b.1]], [[c.0, c.1], [d.0, d.1]]);
            Self(of_one, of_x)
        }
    }
    #[inline(always)]
    pub unsafe fn mul_base(self, other: V) -> Self {
        unsafe { Self(self.0.mul(other), self.1.mul(other)).canonical() }
    }
    /// The sum of all lanes.
    #[inline(always)]
    pub unsafe fn sum(self) -> Element {
        let mut parts = [[0u64; 8]; 2];
        let [a, b] = &mut parts;
        unsafe { self.store([a.as_mut_ptr(), b.as_mut_ptr()], 0) };
        parts.map(|part| part[..V::COUNT].iter().fold(0, |sum, &word| field::add(sum, word)))
    }
}

#[inline]
pub fn add(a: Element, b: Element) -> Element {
    [field::add(a[0], b[0]), field::add(a[1], b[1])]
}

#[inline]
pub fn sub(a: Element, b: Element) -> Element {
    [field::sub(a[0], b[0]), field::sub(a[1], b[1])]
}

#[inline]
pub fn mul(a: Element, b: Element) -> Element {
    // SAFETY: every processor has words.
    unsafe { u64::ext_mul(a, b) }
}

#[inline]
pub fn mul_base(a: Element, b: u64) -> Element {
    [field::mul(a[0], b), field::mul(a[1], b)]
}

/// 1 / a, and 0 for 0: (a - b X) / (a^2 - 7 b^2).
pub fn invert(a: Element) -> Element {
    let norm = field::sub(field::mul(a[0], a[0]), field::mul(7, field::mul(a[1], a[1])));
    let inverse = field::invert(norm);
    [field::mul(a[0], inverse), field::mul(field::sub(0, a[1]), inverse)]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{EDGES, LOOSE, elements};
    use super::super::{Width, Work};
    use super::*;

    struct Products<'a>(&'a [Element], &'a [Element]);

    impl Work for Products<'_> {
        type Output = Vec<Element>;
        #[inline(always)]
        unsafe fn run<V: Packed>(self) -> Vec<Element> {
            let mut out = Vec::new();
            for (&a, &b) in self.0.iter().zip(self.1) {
                unsafe {
                    let product = Ext::<V>::splat(a).mul(Ext::splat(b));
                    let mut words = [[0; 8]; 2];
                    let [x, y] = &mut words;
                    product.store([x.as_mut_ptr(), y.as_mut_ptr()], 0);
                    assert!(words.iter().all(|part| part[..V::COUNT].iter().all(|&word| word == part[0])));
                    out.push([words[0][0], words[1][0]]);
                }
            }
            out
        }
    }

    #[test]
    fn every_width_multiplies_alike_at_the_edges() {
        for width in Width::all() {
            let words = if width.name() == "portable" { EDGES } else { LOOSE };
            let all: Vec<Element> = words.iter().flat_map(|&a| words.iter().map(move |&b| [a, b])).collect();
            let (a, b): (Vec<_>, Vec<_>) = all.iter().flat_map(|&a| all.iter().map(move |&b| (a, b))).unzip();
            let canonical = |element: Element| element.map(|word| word % field::P);
            for (got, (&a, &b)) in width.run(Products(&a, &b)).into_iter().zip(a.iter().zip(&b)) {
                assert_eq!(got, mul(canonical(a), canonical(b)), "{} {a:x?} {b:x?}", width.name());
            }
        }
    }

    #[test]
    fn it_is_a_field_in_which_the_square_of_x_is_seven() {
        assert_eq!(mul([0, 1], [0, 1]), [7, 0]);
        for a in elements(1, 50) {
            let [b, c]: [Element; 2] = elements(a[0], 2).try_into().unwrap();
            assert_eq!(mul(a, add(b, c)), add(mul(a, b), mul(a, c)));
            assert_eq!(mul(mul(a, b), c), mul(a, mul(b, c)));
            assert_eq!(mul_base(a, b[0]), mul(a, [b[0], 0]));
            assert_eq!(sub(add(a, b), b), a);
            if a != [0, 0] {
                assert_eq!(mul(a, invert(a)), [1, 0]);
            }
        }
        assert_eq!(invert([0, 0]), [0, 0]);
    }

    struct Sum<'a>(&'a [u64]);
    impl Work for Sum<'_> {
        type Output = (Element, usize);
        #[inline(always)]
        unsafe fn run<V: Packed>(self) -> (Element, usize) {
            unsafe { (Ext::<V>::load([self.0.as_ptr(); 2], 0).sum(), V::COUNT) }
        }
    }

    #[test]
    fn the_sum_of_lanes_is_canonical() {
        for width in Width::all() {
            let (sum, lanes) = width.run(Sum(&[field::P - 1; 8]));
            assert_eq!(sum, [field::P - lanes as u64; 2], "{}", width.name());
        }
    }
}

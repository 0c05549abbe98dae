//! Binding the first variable of multilinear polynomials: the upper half of a column onto the lower one.

use super::ext::{Element, Ext};
use super::packed::Packed;
use super::{Width, Work};

/// lower + (upper - lower) r, into `lower`. A vector of the four parts: lower and upper, of 1 and of X, equally long.
pub fn fold(width: Width, lower: [&mut [u64]; 2], upper: [&[u64]; 2], r: Element) {
    let length = lower[0].len();
    assert!(lower[1].len() == length && upper.iter().all(|part| part.len() == length));
    width.run(Fold { lower, upper, r });
}

/// The same for a column over F_p, whose folded form is in E.
pub fn fold_base(width: Width, lower: &[u64], upper: &[u64], r: Element, out: [&mut [u64]; 2]) {
    let length = lower.len();
    assert!(upper.len() == length && out.iter().all(|part| part.len() == length));
    width.run(FoldBase { lower, upper, r, out });
}

struct Fold<'a> {
    lower: [&'a mut [u64]; 2],
    upper: [&'a [u64]; 2],
    r: Element,
}

impl Work for Fold<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Packed>(self) {
        let [of_one, of_x] = self.lower;
        let wide = of_one.len() / V::COUNT * V::COUNT;
        let (lower, upper) = ([of_one.as_mut_ptr(), of_x.as_mut_ptr()], self.upper.map(<[u64]>::as_ptr));
        // SAFETY: all parts are equally long.
        unsafe {
            fold_part::<V>(lower, upper, self.r, 0, wide);
            fold_part::<u64>(lower, upper, self.r, wide, of_one.len());
        }
    }
}

#[inline(always)]
unsafe fn fold_part<V: Packed>(lower: [*mut u64; 2], upper: [*const u64; 2], r: Element, first: usize, last: usize) {
    unsafe {
        let r = Ext::<V>::splat(r);
        for index in (first..last).step_by(V::COUNT) {
            let low = Ext::load(lower.map(|part| part.cast_const()), index);
            let difference = Ext::load(upper, index).sub(low);
            difference.mul_loose(r).add(low).canonical().store(lower, index);
        }
    }
}

struct FoldBase<'a> {
    lower: &'a [u64],
    upper: &'a [u64],
    r: Element,
    out: [&'a mut [u64]; 2],
}

impl Work for FoldBase<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Packed>(self) {
        let [of_one, of_x] = self.out;
        let (out, columns) = ([of_one.as_mut_ptr(), of_x.as_mut_ptr()], [self.lower.as_ptr(), self.upper.as_ptr()]);
        let wide = self.lower.len() / V::COUNT * V::COUNT;
        // SAFETY: all are equally long.
        unsafe {
            fold_base_part::<V>(columns, self.r, out, 0, wide);
            fold_base_part::<u64>(columns, self.r, out, wide, self.lower.len());
        }
    }
}

#[inline(always)]
unsafe fn fold_base_part<V: Packed>(
    [lower, upper]: [*const u64; 2],
    r: Element,
    out: [*mut u64; 2],
    first: usize,
    last: usize,
) {
    unsafe {
        let (a, b) = (V::splat(r[0]), V::splat(r[1]));
        for index in (first..last).step_by(V::COUNT) {
            let low = V::load(lower.add(index));
            let difference = V::load(upper.add(index)).sub(low);
            Ext(difference.mul(a).add(low), difference.mul(b)).canonical().store(out, index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ext;
    use super::super::samples::{elements, words};
    use super::*;

    #[test]
    fn every_width_folds_alike_columns_of_any_length() {
        for length in [0, 1, 3, 8, 13, 64, 100] {
            let [a, b, c, d] = [1, 2, 3, 4].map(|seed| words(seed, length));
            for r in elements(9, 3).into_iter().chain([[0, 0], [1, 0], [0, 1]]) {
                for width in Width::all() {
                    let (mut e, mut f) = (a.clone(), b.clone());
                    fold(width, [&mut e, &mut f], [&c, &d], r);
                    let (mut g, mut h) = (vec![5; length], vec![5; length]);
                    fold_base(width, &a, &c, r, [&mut g, &mut h]);
                    for i in 0..length {
                        let (low, high) = ([a[i], b[i]], [c[i], d[i]]);
                        let expected = ext::add(low, ext::mul(ext::sub(high, low), r));
                        assert_eq!([e[i], f[i]], expected, "{}", width.name());
                        let (low, high) = ([a[i], 0], [c[i], 0]);
                        let expected = ext::add(low, ext::mul(ext::sub(high, low), r));
                        assert_eq!([g[i], h[i]], expected, "{}", width.name());
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "length")]
    fn halves_of_different_lengths_are_refused() {
        fold(Width::best(), [&mut [0, 0], &mut [0, 0]], [&[0, 0], &[0]], [1, 1]);
    }
}

//! Several elements of F_p in a register.
//!
//! A word is *loose* when it is any 64 bits, *canonical* when it is below p. Memory holds canonical words only.

use super::accumulate::Accumulate;
use super::code::{Code, Coset};
use super::code_portable;
use crate::field;
#[cfg(target_arch = "x86_64")]
use crate::field::P;
#[cfg(target_arch = "x86_64")]
use crate::lanes::Lanes;
#[cfg(target_arch = "x86_64")]
use crate::wide::SIDE as ROW;

/// A register of words modulo p. All functions need a processor with the register's instructions.
pub trait Packed: Accumulate + Copy {
    const COUNT: usize;

    unsafe fn load(words: *const u64) -> Self;
    unsafe fn store(self, words: *mut u64);
    unsafe fn splat(word: u64) -> Self;
    /// From loose.
    unsafe fn canonical(self) -> Self;
    /// `other` is canonical. The sum is canonical if both are, else loose.
    unsafe fn add(self, other: Self) -> Self;
    /// `other` is canonical. The difference is canonical if both are, else loose.
    unsafe fn sub(self, other: Self) -> Self;
    /// Loose, of loose.
    unsafe fn mul(self, other: Self) -> Self;
    /// The product of two elements of E: loose, of loose.
    unsafe fn ext_mul(a: [Self; 2], b: [Self; 2]) -> [Self; 2];
    /// a b + c d in E: loose, of loose.
    #[inline(always)]
    unsafe fn ext_two_products([a, b]: [[Self; 2]; 2], [c, d]: [[Self; 2]; 2]) -> [Self; 2] {
        unsafe {
            let ([x, y], [v, w]) = (Self::ext_mul(a, b), Self::ext_mul(c, d));
            [x.add(v.canonical()), y.add(w.canonical())]
        }
    }
    /// One coset of the code's transform, in place.
    unsafe fn transform(code: &Code, coset: &Coset, values: &mut [u64]);
}

impl Packed for u64 {
    const COUNT: usize = 1;

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        unsafe { words.read() }
    }
    #[inline(always)]
    unsafe fn store(self, words: *mut u64) {
        unsafe { words.write(self) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        word
    }
    // Every result below is canonical.
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        self
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        field::add(self, other)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        field::sub(self, other)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        field::mul(self, other)
    }
    #[inline(always)]
    unsafe fn ext_mul(a: [Self; 2], b: [Self; 2]) -> [Self; 2] {
        // Products of canonical words leave room for what is added: (p - 1)^2 + 7 p < 2^128.
        let product = |x: u64, y: u64| u128::from(x) * u128::from(y);
        [
            field::reduce(product(a[0], b[0]) + product(7, field::mul(a[1], b[1]))),
            field::reduce(product(a[0], b[1]) + u128::from(field::mul(a[1], b[0]))),
        ]
    }
    #[inline(always)]
    unsafe fn transform(code: &Code, coset: &Coset, values: &mut [u64]) {
        code_portable::transform(code, coset, values);
    }
}

#[cfg(target_arch = "x86_64")]
impl<V: Lanes> Packed for V {
    const COUNT: usize = <V as Lanes>::COUNT;

    #[inline(always)]
    unsafe fn load(words: *const u64) -> Self {
        unsafe { <V as Lanes>::load(words) }
    }
    #[inline(always)]
    unsafe fn store(self, words: *mut u64) {
        unsafe { <V as Lanes>::store(self, words) }
    }
    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        unsafe { <V as Lanes>::splat(word) }
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        unsafe { <V as Lanes>::canonical(self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // a - (p - b): what is taken where that borrows is 2^64 mod p, which is to add p.
        unsafe { self.sub_folded(<V as Lanes>::sub(<V as Lanes>::splat(P), other)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { self.sub_folded(other) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { <V as Lanes>::mul(self, other) }
    }
    #[inline(always)]
    unsafe fn ext_mul(a: [Self; 2], b: [Self; 2]) -> [Self; 2] {
        unsafe {
            let square = <V as Lanes>::mul(a[1], b[1]);
            let seven = <V as Lanes>::splat(7);
            // 7 (l + 2^32 h), by two products of 35 bits.
            let low = square.mul_low(seven);
            let high = square.right(32).mul_low(seven);
            let carried = <V as Lanes>::add(high, low.right(32));
            let sevenfold = V::reduced(low.below(carried.left(32)), carried.right(32));
            [
                Packed::add(<V as Lanes>::mul(a[0], b[0]), sevenfold.canonical()),
                Packed::add(<V as Lanes>::mul(a[0], b[1]), <V as Lanes>::mul(a[1], b[0]).canonical()),
            ]
        }
    }
    #[inline(always)]
    unsafe fn transform(code: &Code, coset: &Coset, values: &mut [u64]) {
        // Runs of less than COUNT rows take narrower lanes, which every processor with wider ones has.
        match values.len() / ROW {
            rows if rows >= <V as Lanes>::COUNT => unsafe { super::code_lanes::transform::<V>(code, coset, values) },
            4.. => unsafe { super::code_lanes::transform::<std::arch::x86_64::__m256i>(code, coset, values) },
            _ => code_portable::transform(code, coset, values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{EDGES, LOOSE};
    use super::super::{Width, Work};
    use super::*;

    struct All<'a>(&'a [u64], &'a [u64]);

    impl Work for All<'_> {
        type Output = Vec<[u64; 3]>;
        #[inline(always)]
        unsafe fn run<V: Packed>(self) -> Vec<[u64; 3]> {
            let mut out = Vec::new();
            for start in (0..self.0.len()).step_by(V::COUNT) {
                unsafe {
                    let (a, b) = (V::load(self.0[start..].as_ptr()), V::load(self.1[start..].as_ptr()));
                    let mut words = [[0; 8]; 3];
                    a.add(b.canonical()).canonical().store(words[0].as_mut_ptr());
                    a.sub(b.canonical()).canonical().store(words[1].as_mut_ptr());
                    a.mul(b).canonical().store(words[2].as_mut_ptr());
                    out.extend((0..V::COUNT).map(|lane| [words[0][lane], words[1][lane], words[2][lane]]));
                }
            }
            out
        }
    }

    #[test]
    fn every_width_adds_subtracts_and_multiplies_alike_at_the_edges() {
        for width in Width::all() {
            // The portable words are canonical always; those of the registers are any.
            let words = if width.name() == "portable" { EDGES } else { LOOSE };
            let (a, b): (Vec<u64>, Vec<u64>) = words.iter().flat_map(|&a| words.iter().map(move |&b| (a, b))).unzip();
            for (got, (a, b)) in width.run(All(&a, &b)).into_iter().zip(a.into_iter().zip(b)) {
                let (x, y, p) = (u128::from(a), u128::from(b), u128::from(P));
                let expected = [(x + y) % p, (x + 2 * p - y) % p, (x % p) * (y % p) % p].map(|word| word as u64);
                assert_eq!(got, expected, "{} {a:#x} {b:#x}", width.name());
            }
        }
    }
}

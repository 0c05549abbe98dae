//! Inverses of many elements by one inversion a lane (Montgomery).

use super::ext::{self, Ext};
use super::packed::Packed;
use super::{Width, Work};

/// Replace numerators n_i by n_i / d_i. No denominator is 0.
pub fn divide(width: Width, numerators: [&mut [u64]; 2], denominators: [&[u64]; 2]) {
    let length = numerators[0].len();
    assert!(numerators[1].len() == length && denominators.iter().all(|part| part.len() == length));
    width.run(Divide { numerators, denominators });
}

struct Divide<'a> {
    numerators: [&'a mut [u64]; 2],
    denominators: [&'a [u64]; 2],
}

impl Work for Divide<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Packed>(self) {
        let [of_one, of_x] = self.numerators;
        let length = of_one.len();
        let (numerators, denominators) =
            ([of_one.as_mut_ptr(), of_x.as_mut_ptr()], self.denominators.map(<[u64]>::as_ptr));
        let together = 2 * V::COUNT;
        let wide = length / together * together;
        // SAFETY: all parts are equally long.
        unsafe {
            part::<V, 2>(numerators, denominators, 0, wide);
            part::<u64, 1>(numerators, denominators, wide, length);
        }
    }
}

/// CHAINS independent chains, so that none waits for its own products.
#[inline(always)]
unsafe fn part<V: Packed, const CHAINS: usize>(
    numerators: [*mut u64; 2],
    denominators: [*const u64; 2],
    first: usize,
    last: usize,
) {
    unsafe {
        if first == last {
            return;
        }
        let step = CHAINS * V::COUNT;
        let mut running = [Ext::<V>::splat([1, 0]); CHAINS];
        for start in (first..last).step_by(step) {
            for (chain, running) in running.iter_mut().enumerate() {
                let index = start + chain * V::COUNT;
                let numerator = Ext::load(numerators.map(|part| part.cast_const()), index);
                numerator.mul(*running).store(numerators, index);
                *running = running.mul_loose(Ext::load(denominators, index));
            }
        }
        for running in &mut running {
            *running = inverted(*running);
        }
        for start in (first..last).step_by(step).rev() {
            for (chain, running) in running.iter_mut().enumerate() {
                let index = start + chain * V::COUNT;
                let numerator = Ext::load(numerators.map(|part| part.cast_const()), index);
                numerator.mul(*running).store(numerators, index);
                *running = running.mul_loose(Ext::load(denominators, index));
            }
        }
    }
}

#[inline(always)]
unsafe fn inverted<V: Packed>(value: Ext<V>) -> Ext<V> {
    unsafe {
        let mut parts = [[0u64; 8]; 2];
        let [a, b] = &mut parts;
        value.canonical().store([a.as_mut_ptr(), b.as_mut_ptr()], 0);
        for (a, b) in a.iter_mut().zip(b.iter_mut()).take(V::COUNT) {
            [*a, *b] = ext::invert([*a, *b]);
        }
        Ext::load([a.as_ptr(), b.as_ptr()], 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ext::Element;
    use super::super::samples::elements;
    use super::*;

    #[test]
    fn every_width_divides_alike() {
        for length in [0, 1, 5, 16, 31, 100] {
            let denominators: Vec<Element> = elements(1, length).into_iter().map(|[a, b]| [a, b | 1]).collect();
            let numerators = elements(2, length);
            for width in Width::all() {
                let (c, d): (Vec<u64>, Vec<u64>) = denominators.iter().map(|&[a, b]| (a, b)).unzip();
                let (mut a, mut b): (Vec<u64>, Vec<u64>) = numerators.iter().map(|&[a, b]| (a, b)).unzip();
                divide(width, [&mut a, &mut b], [&c, &d]);
                for i in 0..length {
                    assert_eq!(ext::mul([a[i], b[i]], denominators[i]), numerators[i], "{}", width.name());
                }
            }
        }
    }
}

//! The negacyclic number-theoretic transform of F_p[X]/(X^N + 1), N = 4096.
//!
//! Longa and Naehrig (CANS 2016): the twist by powers of a 2N-th root psi is merged into the butterflies. The forward
//! transform takes coefficients to evaluations, x^[i] = x(psi^(2 r(i) + 1)), where r reverses the 12 bits of i and
//! psi = 7^((p - 1) / 2N). The inverse leaves a factor N; callers fold 1/N into a polynomial they hold anyway.

use std::sync::LazyLock;

use crate::field;
use crate::processor::at_its_best;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::processor::{Level, level};
use crate::ring::N;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::wide;

const LOG_N: u32 = N.trailing_zeros();

/// Powers of psi and of its inverse, in bit-reversed order.
struct Twiddles {
    forward: Vec<u64>,
    inverse: Vec<u64>,
    degree_inverse: u64,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    twists: wide::Twists,
}

static TWIDDLES: LazyLock<Twiddles> = LazyLock::new(|| {
    let psi = field::root_of_unity(2 * N as u64);
    let inverse = field::invert(psi);
    Twiddles {
        forward: reversed_powers(psi),
        inverse: reversed_powers(inverse),
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        twists: wide::Twists::new(|exponent| field::pow(inverse, exponent as u64)),
        degree_inverse: field::invert(N as u64),
    }
});

fn reversed_powers(root: u64) -> Vec<u64> {
    let mut powers = vec![0; N];
    let mut power = 1;
    for exponent in 0..N {
        powers[bit_reversed(exponent)] = power;
        power = field::mul(power, root);
    }
    powers
}

fn bit_reversed(index: usize) -> usize {
    index.reverse_bits() >> (usize::BITS - LOG_N)
}

/// Coefficients to evaluations, in place.
pub fn forward(x: &mut [u64; N]) {
    let twiddles = &TWIDDLES.forward;
    let mut half = N;
    let mut groups = 1;
    while groups < N {
        half >>= 1;
        for (group, &twiddle) in x.chunks_exact_mut(2 * half).zip(&twiddles[groups..2 * groups]) {
            let (left, right) = group.split_at_mut(half);
            if half >= 8 {
                at_its_best(butterflies, (left, right, twiddle));
                continue;
            }
            for (a, b) in left.iter_mut().zip(right) {
                let scaled = field::mul(*b, twiddle);
                *b = field::sub(*a, scaled);
                *a = field::add(*a, scaled);
            }
        }
        groups <<= 1;
    }
}

/// a + t b and a - t b in operations that the compiler can make wide.
#[inline(always)]
fn butterflies((left, right, twiddle): (&mut [u64], &mut [u64], u64)) {
    for (a, b) in left.iter_mut().zip(right) {
        let scaled = field::mul_widely(*b, twiddle);
        (*a, *b) = (field::add_widely(*a, scaled), field::sub_widely(*a, scaled));
    }
}

/// Multiply the evaluations of two polynomials, and take them to N times the coefficients of the product.
pub fn multiply_and_invert(x: &[u64; N], factor: &[u64; N], out: &mut [u64; N]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
        fn avx512(x: &[u64; N], factor: &[u64; N], out: &mut [u64; N]) {
            // SAFETY: the instructions of the register are enabled.
            unsafe { wide::multiply_and_invert::<std::arch::x86_64::__m512i>(x, factor, out, &TWIDDLES.twists) }
        }
        #[target_feature(enable = "avx2")]
        fn avx2(x: &[u64; N], factor: &[u64; N], out: &mut [u64; N]) {
            // SAFETY: the instructions of the register are enabled.
            unsafe { wide::multiply_and_invert::<std::arch::x86_64::__m256i>(x, factor, out, &TWIDDLES.twists) }
        }
        match level() {
            // SAFETY: `level` gives only what is here.
            Level::Avx512 => return unsafe { avx512(x, factor, out) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(x, factor, out) },
            Level::Neon | Level::Portable => (),
        }
    }
    #[cfg(target_arch = "aarch64")]
    if level() == Level::Neon {
        // SAFETY: the instructions of the register are part of the architecture.
        return unsafe {
            wide::multiply_and_invert::<std::arch::aarch64::uint64x2_t>(x, factor, out, &TWIDDLES.twists)
        };
    }
    multiply_and_invert_portably(x, factor, out);
}

fn multiply_and_invert_portably(x: &[u64; N], factor: &[u64; N], out: &mut [u64; N]) {
    for ((out, &value), &factor) in out.iter_mut().zip(x).zip(factor) {
        *out = field::mul(value, factor);
    }
    inverse_unscaled(out);
}

/// Evaluations to N times the coefficients, in place.
fn inverse_unscaled(x: &mut [u64; N]) {
    let twiddles = &TWIDDLES.inverse;
    let mut half = 1;
    let mut groups = N / 2;
    while groups >= 1 {
        for (group, &twiddle) in x.chunks_exact_mut(2 * half).zip(&twiddles[groups..2 * groups]) {
            let (left, right) = group.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                let difference = field::sub(*a, *b);
                *a = field::add(*a, *b);
                *b = field::mul(difference, twiddle);
            }
        }
        half <<= 1;
        groups >>= 1;
    }
}

/// Divide by N: applied once to a key, it pays for the missing factor of every [`multiply_and_invert`].
pub fn divide_by_degree(x: &mut [u64; N]) {
    let factor = TWIDDLES.degree_inverse;
    for value in x {
        *value = field::mul(*value, factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::P;
    use crate::ring::Polynomial;

    fn sample(seed: u64) -> Polynomial {
        let mut polynomial = Polynomial::zero();
        let mut state = seed;
        for value in polynomial.iter_mut() {
            state = field::add(field::mul(state, 0x9E37_79B9_7F4A_7C15), 0x1234_5678_9ABC_DEF1);
            *value = state;
        }
        polynomial
    }

    #[test]
    fn inverse_undoes_forward() {
        let original = sample(1);
        let mut x = sample(1);
        forward(&mut x);
        assert_ne!(*x, *original);
        divide_by_degree(&mut x);
        inverse_unscaled(&mut x);
        assert_eq!(*x, *original);
    }

    #[test]
    fn every_implementation_gives_the_same_coefficients() {
        let mut edges = Polynomial::zero();
        for (index, value) in edges.iter_mut().enumerate() {
            *value = [0, 1, P - 1, P - 2, 0xFFFF_FFFF, 0x1_0000_0000, P - 0xFFFF_FFFF][index % 7];
        }
        for (x, factor) in [(sample(5), sample(6)), (sample(7), edges)] {
            let (mut best, mut portable) = (Polynomial::zero(), Polynomial::zero());
            multiply_and_invert_portably(&x, &factor, &mut portable);
            multiply_and_invert(&x, &factor, &mut best);
            assert_eq!(*best, *portable);
        }
    }

    #[test]
    fn evaluates_in_the_documented_order() {
        let x = sample(2);
        let mut transformed = sample(2);
        forward(&mut transformed);
        let psi = field::root_of_unity(2 * N as u64);
        for index in [0, 1, 2, 1000, N - 1] {
            let point = field::pow(psi, 2 * bit_reversed(index) as u64 + 1);
            let value = x.iter().rev().fold(0, |sum, &c| field::add(field::mul(sum, point), c));
            assert_eq!(transformed[index], value, "evaluation {index}");
        }
    }

    #[test]
    fn multiplies_modulo_x_to_the_n_plus_one() {
        let (a, b) = (sample(3), sample(4));
        let (mut x, mut y) = (sample(3), sample(4));
        forward(&mut x);
        forward(&mut y);
        for (u, &v) in x.iter_mut().zip(y.iter()) {
            *u = field::mul(*u, v);
        }
        divide_by_degree(&mut x);
        inverse_unscaled(&mut x);
        for k in [0, 1, 777, N - 1] {
            let mut expected = 0;
            for i in 0..N {
                let term = field::mul(a[i], b[(N + k - i) % N]);
                // i > k wraps around once, and X^N = -1
                expected = if i <= k { field::add(expected, term) } else { field::sub(expected, term) };
            }
            assert_eq!(x[k], expected, "coefficient {k}");
        }
        assert!(x.iter().all(|&c| c < P));
    }
}

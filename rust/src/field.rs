//! Arithmetic modulo p = 2^64 - 2^32 + 1 (the Goldilocks prime).
//!
//! Every element is a canonical `u64` below [`P`]. No operation branches on, or indexes by, a value: a borrow or carry
//! becomes a mask. (What the compiler makes of that has not been audited.)

/// The modulus. 2^32 divides p - 1, so that roots of unity exist for every ring degree used here.
pub const P: u64 = 0xFFFF_FFFF_0000_0001;

/// 2^64 mod p: what one carry out of 64 bits is worth.
const EPSILON: u64 = 0xFFFF_FFFF;

/// A generator of the multiplicative group.
const GENERATOR: u64 = 7;

/// All ones or all zeros. The empty assembly hides from the compiler that the mask has two values only: without it, it
/// makes a branch of the condition, which is slow on random values and tells them apart by time.
#[inline(always)]
fn mask(condition: bool) -> u64 {
    let mask = u64::from(condition).wrapping_neg();
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut mask = mask;
        // SAFETY: no instruction is emitted; the register keeps its value.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) mask, options(pure, nomem, nostack, preserves_flags)) };
        mask
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::hint::black_box(mask)
}

#[inline(always)]
pub fn add(a: u64, b: u64) -> u64 {
    let (difference, borrow) = a.overflowing_sub(P - b);
    difference.wrapping_add(P & mask(borrow))
}

#[inline(always)]
pub fn sub(a: u64, b: u64) -> u64 {
    let (difference, borrow) = a.overflowing_sub(b);
    difference.wrapping_add(P & mask(borrow))
}

#[inline(always)]
pub fn mul(a: u64, b: u64) -> u64 {
    reduce(u128::from(a) * u128::from(b))
}

/// `wide` modulo p, with 2^64 = 2^32 - 1 and 2^96 = -1 (mod p).
#[inline(always)]
pub fn reduce(wide: u128) -> u64 {
    let low = wide as u64;
    let high = (wide >> 64) as u64;
    let (mut folded, borrow) = low.overflowing_sub(high >> 32);
    folded = folded.wrapping_sub(EPSILON & mask(borrow));
    let middle = high & EPSILON;
    let (mut sum, carry) = folded.overflowing_add((middle << 32) - middle);
    sum = sum.wrapping_add(EPSILON & mask(carry));
    sum.wrapping_sub(P & mask(sum >= P))
}

/// The sum of an element and a signed integer with |b| <= (p - 1) / 2, in bit operations that the compiler can make wide.
#[inline(always)]
pub fn add_signed(a: u64, b: i64) -> u64 {
    // a - (p - b) for b >= 0 and a - (-b) for b < 0: subtract the magnitude's complement or the magnitude.
    let negative = (b >> 63) as u64;
    let subtrahend = (P & !negative).wrapping_sub(b as u64);
    let difference = a.wrapping_sub(subtrahend);
    let borrow = ((!a & subtrahend) | ((!a | subtrahend) & difference)) >> 63;
    difference.wrapping_add(P & borrow.wrapping_neg())
}

/// All ones where a - b borrows, in bit operations that the compiler can make wide.
#[inline(always)]
fn borrow(a: u64, b: u64, difference: u64) -> u64 {
    (((!a & b) | ((!a | b) & difference)) >> 63).wrapping_neg()
}

/// [`sub`] in a form that the compiler can make wide.
#[inline(always)]
pub fn sub_widely(a: u64, b: u64) -> u64 {
    let difference = a.wrapping_sub(b);
    difference.wrapping_add(P & borrow(a, b, difference))
}

/// [`add`] in a form that the compiler can make wide.
#[inline(always)]
pub fn add_widely(a: u64, b: u64) -> u64 {
    sub_widely(a, P - b)
}

/// [`mul`] in a form that the compiler can make wide: the product from four of 32 bits.
#[inline(always)]
pub fn mul_widely(a: u64, b: u64) -> u64 {
    let (a_low, a_high, b_low, b_high) = (a & EPSILON, a >> 32, b & EPSILON, b >> 32);
    let low_low = a_low * b_low;
    let cross = a_low * b_high + (low_low >> 32);
    let carry = a_high * b_low + (cross & EPSILON);
    let low = (low_low & EPSILON) | (carry << 32);
    let high = a_high * b_high + (cross >> 32) + (carry >> 32);

    let difference = low.wrapping_sub(high >> 32);
    let folded = difference.wrapping_sub(EPSILON & borrow(low, high >> 32, difference));
    let middle = high & EPSILON;
    let shifted = (middle << 32) - middle;
    let sum = folded.wrapping_add(shifted);
    // A sum that carries is less than what was added.
    let sum = sum.wrapping_add(EPSILON & borrow(sum, shifted, sum.wrapping_sub(shifted)));
    let reduced = sum.wrapping_sub(P);
    reduced.wrapping_add(P & borrow(sum, P, reduced))
}

/// `base` to a public `exponent`.
pub fn pow(mut base: u64, mut exponent: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul(result, base);
        }
        base = mul(base, base);
        exponent >>= 1;
    }
    result
}

pub fn invert(a: u64) -> u64 {
    pow(a, P - 2)
}

/// An element of exact order `order`, a power of two up to 2^32.
pub fn root_of_unity(order: u64) -> u64 {
    pow(GENERATOR, (P - 1) / order)
}

/// The representative in [-(p - 1) / 2, (p - 1) / 2].
#[inline(always)]
pub fn centred(a: u64) -> i64 {
    a.wrapping_sub(P & mask(a > P / 2)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u64; 12] = [
        0,
        1,
        2,
        EPSILON - 1,
        EPSILON,
        EPSILON + 1,
        P / 2,
        P / 2 + 1,
        P - EPSILON,
        P - 2,
        P - 1,
        0x1234_5678_9ABC_DEF0,
    ];

    fn wide(value: u128) -> u64 {
        (value % u128::from(P)) as u64
    }

    #[test]
    fn agrees_with_wide_integers_at_the_edges_and_along_an_orbit() {
        let mut pairs: Vec<(u64, u64)> = EDGES.iter().flat_map(|&a| EDGES.iter().map(move |&b| (a, b))).collect();
        let (mut a, mut b) = (3, 5);
        for _ in 0..10_000 {
            a = mul(a, 0xDEAD_BEEF_1234_5677);
            b = add(mul(b, b), 11);
            pairs.push((a, b));
        }
        for (a, b) in pairs {
            let (x, y) = (u128::from(a), u128::from(b));
            assert_eq!(add(a, b), wide(x + y), "{a} + {b}");
            assert_eq!(sub(a, b), wide(x + u128::from(P) - y), "{a} - {b}");
            assert_eq!(mul(a, b), wide(x * y), "{a} * {b}");
            assert_eq!([add_widely(a, b), sub_widely(a, b), mul_widely(a, b)], [add(a, b), sub(a, b), mul(a, b)]);
        }
    }

    #[test]
    fn seven_generates_the_whole_group() {
        // p - 1 = 2^32 * 3 * 5 * 17 * 257 * 65537
        for factor in [2, 3, 5, 17, 257, 65537] {
            assert_ne!(pow(GENERATOR, (P - 1) / factor), 1);
        }
        assert_eq!(pow(GENERATOR, P - 1), 1);
    }

    #[test]
    fn inverse_and_roots() {
        for &a in EDGES.iter().filter(|&&a| a != 0) {
            assert_eq!(mul(a, invert(a)), 1);
        }
        assert_eq!(pow(root_of_unity(8192), 4096), P - 1);
    }

    #[test]
    fn signed_values_survive_the_way_there_and_back() {
        let half = (P / 2) as i64;
        for value in [0, 1, -1, 42, -42, half, -half, half - 1, 1 - half] {
            let element = (i128::from(value).rem_euclid(i128::from(P))) as u64;
            assert_eq!(centred(element), value);
            for a in EDGES {
                assert_eq!(add_signed(a, value), add(a, element), "{a} + {value}");
            }
        }
    }
}

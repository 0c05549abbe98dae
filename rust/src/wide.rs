//! The inverse transform for processors with AVX-512, AVX2 or NEON: the same results as in `ntt`, several words at a time.
//!
//! The polynomial is a square of 64 rows of 64 words. The six stages that pair words within a row are, for each row, a
//! cyclic transform of 64 points and then a twist; those that pair rows are the same for each column (Bailey's four
//! steps, with the order of `ntt`). A transform of 64 points is two layers of eight points, and all its roots of unity
//! are powers of two, since 2^192 = 1: of twelve stages, multiplications are left in three places.
//!
//! Within eight points a word is held as two signed limbs, x = low + 2^32 high, on which the powers of two are shifts and
//! nothing has to be reduced. With inputs of 34 bits, no limb passes 2^60.

use crate::lanes::Lanes;
use crate::ring::N;

pub(crate) const SIDE: usize = 64;

/// The inverse of psi^128, of order 64, is 2 to this power.
const ROOT_EXPONENT: u32 = 153;

/// What comes between the rows and the columns, row by row, and what comes after the columns, one for each row.
pub struct Twists {
    between: Vec<u64>,
    after: Vec<u64>,
}

impl Twists {
    /// `power(k)`: psi^-k.
    pub fn new(power: impl Fn(usize) -> u64) -> Self {
        let reversed = |index: usize| index.reverse_bits() >> (usize::BITS - 6);
        let between = |row: usize, column: usize| power(column * (2 * reversed(row) + 1) % (2 * N));
        Self {
            between: (0..N).map(|index| between(index / SIDE, index % SIDE)).collect(),
            after: (0..SIDE).map(|row| power(SIDE * row)).collect(),
        }
    }
}

/// Multiply by `factor` point by point, then take evaluations to N times the coefficients.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
pub unsafe fn multiply_and_invert<V: Lanes>(x: &[u64; N], factor: &[u64; N], out: &mut [u64; N], twists: &Twists) {
    // SAFETY: every pointer below stays within the square, or within the twists: SIDE^2 and SIDE of them.
    unsafe {
        let mut square = [V::splat(0); SIDE];
        for start in (0..N).step_by(SIDE * V::COUNT) {
            let words = out.as_mut_ptr().add(start);
            transform_64(&mut square, &Rows { words: x.as_ptr().add(start), factors: factor.as_ptr().add(start) });
            for eight in 0..8 {
                let mut columns = [square[8 * eight]; 8];
                columns.copy_from_slice(&square[8 * eight..8 * eight + 8]);
                for (index, row) in V::rows(columns).into_iter().enumerate() {
                    row.store(words.add(offset::<V>(eight, index)));
                }
            }
        }
        for column in (0..SIDE).step_by(V::COUNT) {
            let words = out.as_mut_ptr().add(column);
            transform_64(&mut square, &Columns { words, twists: twists.between.as_ptr().add(column) });
            for (row, &value) in square.iter().enumerate() {
                let after = V::splat(twists.after[row]);
                value.mul(after).canonical().store(words.add(row * SIDE));
            }
        }
    }
}

/// COUNT rows hold eight columns in eight registers: where each lies.
#[inline(always)]
fn offset<V: Lanes>(eight: usize, index: usize) -> usize {
    let per_row = 8 / V::COUNT;
    index / per_row * SIDE + 8 * eight + index % per_row * V::COUNT
}

/// What is transformed, one point of COUNT transforms a register. (A trait and not closures: those would be compiled on
/// their own, for any processor.)
pub(crate) trait Points<V> {
    /// Eight consecutive points.
    unsafe fn load(&self, eight: usize) -> [Limbs<V>; 8];
}

/// COUNT rows, multiplied by those of a factor.
struct Rows {
    words: *const u64,
    factors: *const u64,
}

impl<V: Lanes> Points<V> for Rows {
    #[inline(always)]
    unsafe fn load(&self, eight: usize) -> [Limbs<V>; 8] {
        unsafe {
            let mut rows = [V::splat(0); 8];
            for (index, row) in rows.iter_mut().enumerate() {
                let offset = offset::<V>(eight, index);
                *row = V::load(self.words.add(offset)).mul(V::load(self.factors.add(offset)));
            }
            let columns = V::columns(rows);
            let mut points = [Limbs(columns[0], columns[0]); 8];
            for (point, column) in points.iter_mut().zip(columns) {
                *point = Limbs::of(column);
            }
            points
        }
    }
}

/// COUNT columns, multiplied by their twists.
struct Columns {
    words: *const u64,
    twists: *const u64,
}

impl<V: Lanes> Points<V> for Columns {
    #[inline(always)]
    unsafe fn load(&self, eight: usize) -> [Limbs<V>; 8] {
        unsafe {
            let zero = V::splat(0);
            let mut points = [Limbs(zero, zero); 8];
            for (index, point) in points.iter_mut().enumerate() {
                let offset = (8 * eight + index) * SIDE;
                *point = Limbs::product(V::load(self.words.add(offset)), V::load(self.twists.add(offset)));
            }
            points
        }
    }
}

/// The cyclic inverse transform of 64 points in bit-reversed order.
#[inline(always)]
pub(crate) unsafe fn transform_64<V: Lanes, P: Points<V>>(square: &mut [V; SIDE], points: &P) {
    unsafe {
        // Written out, so that each rotation compiles to its own shifts: the second number reverses the first.
        macro_rules! first_layer {
            ($($eight:literal => $k0:literal),*) => {$(
                let y = transform_8(points.load($eight));
                square[8 * $eight] = y[0];
                square[8 * $eight + 1] = rotated::<V>(y[1], $k0);
                square[8 * $eight + 2] = rotated::<V>(y[2], 2 * $k0);
                square[8 * $eight + 3] = rotated::<V>(y[3], 3 * $k0);
                square[8 * $eight + 4] = rotated::<V>(y[4], 4 * $k0);
                square[8 * $eight + 5] = rotated::<V>(y[5], 5 * $k0);
                square[8 * $eight + 6] = rotated::<V>(y[6], 6 * $k0);
                square[8 * $eight + 7] = rotated::<V>(y[7], 7 * $k0);
            )*};
        }
        first_layer!(0 => 0, 1 => 4, 2 => 2, 3 => 6, 4 => 1, 5 => 5, 6 => 3, 7 => 7);
        for c0 in 0..8 {
            let mut column = [Limbs(square[c0], square[c0]); 8];
            for (index, point) in column.iter_mut().enumerate() {
                *point = Limbs::of(square[8 * index + c0]);
            }
            let y = transform_8(column);
            square[c0] = y[0];
            square[8 + c0] = y[1];
            square[16 + c0] = y[2];
            square[24 + c0] = y[3];
            square[32 + c0] = y[4];
            square[40 + c0] = y[5];
            square[48 + c0] = y[6];
            square[56 + c0] = y[7];
        }
    }
}

/// x * 2^(153 power) modulo p, of any 64 bits, in any 64 bits.
#[inline(always)]
unsafe fn rotated<V: Lanes>(x: V, power: u32) -> V {
    unsafe {
        let exponent = ROOT_EXPONENT * power % 192;
        let bits = exponent % 96;
        let low = x.left(bits % 64);
        let high = x.right(64 - bits % 64);
        let epsilon = V::splat(0xFFFF_FFFF);
        let turned = match bits {
            0 => x,
            1..32 => low.add_folded(high.mul_low(epsilon)),
            32..64 => V::reduced(low, high),
            // 2^64 (l + 2^32 h) = (2^32 - 1) l - h, and 2^128 = -2^32
            _ => low.mul_low(epsilon).sub_folded(low.right(32)).sub_folded(high.left(32)),
        };
        if exponent < 96 { turned } else { V::splat(crate::field::P).sub(turned.canonical()) }
    }
}

/// A word as low + 2^32 high, both signed.
#[derive(Clone, Copy)]
pub(crate) struct Limbs<V>(V, V);

impl<V: Lanes> Limbs<V> {
    #[inline(always)]
    pub(crate) unsafe fn of(word: V) -> Self {
        unsafe { Self(word.and(V::splat(0xFFFF_FFFF)), word.right(32)) }
    }

    /// The product of two words, not yet reduced: in 2^64 (l, h) = (-l - h, l).
    #[inline(always)]
    pub(crate) unsafe fn product(a: V, b: V) -> Self {
        unsafe {
            let below = V::splat(0xFFFF_FFFF);
            let (low, cross, high) = V::wide_product(a, b);
            let top = high.right(32);
            let middle = high.and(below);
            Self(low.and(below).sub(middle).sub(top), cross.and(below).add(middle))
        }
    }

    #[inline(always)]
    pub(crate) unsafe fn plus(self, other: Self) -> Self {
        unsafe { Self(self.0.add(other.0), self.1.add(other.1)) }
    }

    #[inline(always)]
    pub(crate) unsafe fn minus(self, other: Self) -> Self {
        unsafe { Self(self.0.sub(other.0), self.1.sub(other.1)) }
    }

    /// self + w other and self - w other for w = -2^48: 2^32 (l, h) = (-h, l + h).
    #[inline(always)]
    pub(crate) unsafe fn quarter_turn(self, other: Self) -> (Self, Self) {
        unsafe {
            let (low, high) = (other.1.left(16), other.0.add(other.1).left(16));
            (Self(self.0.add(low), self.1.sub(high)), Self(self.0.sub(low), self.1.add(high)))
        }
    }

    /// The word, in any 64 bits: (h 2^32 + l) 2^32 = (l + h) 2^32 - h carries the limbs' upper halves over, and once
    /// more what that leaves. The last sum stays within 64 bits, since there the carry is -1, 0 or 1 and the limb it
    /// comes from is far from the other end.
    #[inline(always)]
    pub(crate) unsafe fn word(self) -> V {
        unsafe {
            let carried = self.1.signed_high();
            let low = self.0.sub(carried);
            let high = self.1.and(V::splat(0xFFFF_FFFF)).add(carried).add(low.signed_high());
            let over = high.signed_high();
            low.below(high.add(over).left(32)).sub(over)
        }
    }
}

/// The cyclic inverse transform of eight points in bit-reversed order, by the root 2^72.
#[inline(always)]
pub(crate) unsafe fn transform_8<V: Lanes>(points: [Limbs<V>; 8]) -> [V; 8] {
    unsafe {
        let [p0, p1, p2, p3, p4, p5, p6, p7] = points;
        let (a0, a1) = (p0.plus(p1), p0.minus(p1));
        let (a2, a3) = (p2.plus(p3), p2.minus(p3));
        let (a4, a5) = (p4.plus(p5), p4.minus(p5));
        let (a6, a7) = (p6.plus(p7), p6.minus(p7));
        let (b0, b2) = (a0.plus(a2), a0.minus(a2));
        let (b1, b3) = a1.quarter_turn(a3);
        let (b4, b6) = (a4.plus(a6), a4.minus(a6));
        // 2^72 a5 + 2^24 a7 and 2^24 a5 + 2^72 a7, with 2^64 (l, h) = (-l - h, l)
        let odd = Limbs(a7.0.left(24).sub(a5.0.add(a5.1).left(8)), a5.0.left(8).add(a7.1.left(24)));
        let opposite = Limbs(a5.0.left(24).sub(a7.0.add(a7.1).left(8)), a5.1.left(24).add(a7.0.left(8)));
        let (y0, y4) = (b0.plus(b4), b0.minus(b4));
        let (y1, y5) = (b1.plus(odd), b1.minus(odd));
        let (y2, y6) = b2.quarter_turn(b6);
        let (y3, y7) = (b3.plus(opposite), b3.minus(opposite));
        [y0.word(), y1.word(), y2.word(), y3.word(), y4.word(), y5.word(), y6.word(), y7.word()]
    }
}

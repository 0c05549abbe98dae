//! The passes of the code's transform, COUNT columns or rows at a time. Between passes words are loose.

use super::code::{Code, Coset, ROW_BITS, bit_reversed};
use crate::lanes::Lanes;
use crate::wide::{Limbs, Points, SIDE, transform_8, transform_64};

/// The transform of one coset, in place.
#[inline(always)]
pub(super) unsafe fn transform<V: Lanes>(code: &Code, coset: &Coset, values: &mut [u64]) {
    unsafe {
        for (number, pass) in code.passes.iter().enumerate() {
            let block = 1 << pass.block_bits;
            for start in (0..values.len()).step_by(block) {
                let words = values.as_mut_ptr().add(start);
                if pass.block_bits == ROW_BITS {
                    // All rows of what is there at once: COUNT of them fill the lanes.
                    if start % (SIDE * V::COUNT) == 0 {
                        rows::<V>(words);
                    }
                    continue;
                }
                let columns = block >> pass.radix_bits;
                if number == 0 {
                    let (inputs, twiddles) = (coset.inputs.as_ptr(), coset.twiddles.as_ptr());
                    columns_of::<V, true>(words, columns, pass.radix_bits, inputs, twiddles);
                } else {
                    columns_of::<V, false>(words, columns, pass.radix_bits, words, pass.twiddles.as_ptr());
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn columns_of<V: Lanes, const SCALED: bool>(
    words: *mut u64,
    columns: usize,
    radix_bits: u32,
    inputs: *const u64,
    twiddles: *const u64,
) {
    unsafe {
        let mut square = [V::splat(0); SIDE];
        for column in (0..columns).step_by(V::COUNT) {
            let source = Column::<SCALED> { words: words.add(column), columns, inputs };
            let radix = 1 << radix_bits;
            match radix_bits {
                ROW_BITS => transform_64(&mut square, &source),
                3 => {
                    // Bit-reversed
                    let points = [
                        source.point(0),
                        source.point(4),
                        source.point(2),
                        source.point(6),
                        source.point(1),
                        source.point(5),
                        source.point(3),
                        source.point(7),
                    ];
                    square[..8].copy_from_slice(&transform_8::<V>(points));
                }
                2 => {
                    let points = [source.point(0), source.point(1), source.point(2), source.point(3)];
                    square[..4].copy_from_slice(&transform_4::<V>(points));
                }
                _ => {
                    let [a, b]: [Limbs<V>; 2] = [source.point(0), source.point(1)];
                    (square[0], square[1]) = (a.plus(b).word(), a.minus(b).word());
                }
            }
            for row in 0..radix {
                let offset = row * columns + column;
                let value = square[slot(row, radix_bits)];
                value.mul(V::load(twiddles.add(offset))).store(words.add(offset));
            }
        }
    }
}

/// COUNT columns of a block, each point times its own factor where that is asked for.
struct Column<const SCALED: bool> {
    words: *const u64,
    columns: usize,
    inputs: *const u64,
}

impl<const SCALED: bool> Column<SCALED> {
    #[inline(always)]
    unsafe fn point<V: Lanes>(&self, index: usize) -> Limbs<V> {
        unsafe {
            let word = V::load(self.words.add(index * self.columns));
            if SCALED { Limbs::product(word, V::splat(*self.inputs.add(index))) } else { Limbs::of(word) }
        }
    }
}

impl<V: Lanes, const SCALED: bool> Points<V> for Column<SCALED> {
    #[inline(always)]
    unsafe fn load(&self, eight: usize) -> [Limbs<V>; 8] {
        unsafe {
            let mut points = [Limbs::of(V::splat(0)); 8];
            for (index, point) in points.iter_mut().enumerate() {
                *point = self.point(bit_reversed(8 * eight + index, ROW_BITS));
            }
            points
        }
    }
}

/// COUNT rows of 64 words, canonical in the end.
#[inline(always)]
unsafe fn rows<V: Lanes>(words: *mut u64) {
    unsafe {
        let mut square = [V::splat(0); SIDE];
        for (eight, columns) in square.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let mut rows = [V::splat(0); 8];
            for (index, row) in rows.iter_mut().enumerate() {
                *row = V::load(words.add(offset::<V>(eight, index)));
            }
            *columns = V::columns(rows);
        }
        let points = Square(square);
        transform_64(&mut square, &points);
        for eight in 0..8 {
            let mut columns = [square[0]; 8];
            for (index, column) in columns.iter_mut().enumerate() {
                *column = square[slot(8 * eight + index, ROW_BITS)];
            }
            for (index, row) in V::rows(columns).into_iter().enumerate() {
                row.canonical().store(words.add(offset::<V>(eight, index)));
            }
        }
    }
}

struct Square<V>([V; SIDE]);

impl<V: Lanes> Points<V> for Square<V> {
    #[inline(always)]
    unsafe fn load(&self, eight: usize) -> [Limbs<V>; 8] {
        unsafe {
            let mut points = [Limbs::of(self.0[0]); 8];
            for (index, point) in points.iter_mut().enumerate() {
                *point = Limbs::of(self.0[bit_reversed(8 * eight + index, ROW_BITS)]);
            }
            points
        }
    }
}

/// COUNT rows hold eight columns in eight registers: where each lies.
#[inline(always)]
fn offset<V: Lanes>(eight: usize, index: usize) -> usize {
    let per_row = 8 / V::COUNT;
    index / per_row * SIDE + 8 * eight + index % per_row * V::COUNT
}

/// Where `crate::wide` leaves the frequency that a row in bit-reversed order holds: it transforms by inverse roots.
#[inline(always)]
fn slot(row: usize, radix_bits: u32) -> usize {
    bit_reversed(row, radix_bits).wrapping_neg() & ((1 << radix_bits) - 1)
}

/// The cyclic inverse transform of four points, by the root -2^48.
#[inline(always)]
unsafe fn transform_4<V: Lanes>([p0, p1, p2, p3]: [Limbs<V>; 4]) -> [V; 4] {
    unsafe {
        let (even, odd) = (p0.plus(p2), p1.plus(p3));
        let (y1, y3) = p0.minus(p2).quarter_turn(p1.minus(p3));
        [even.plus(odd).word(), y1.word(), even.minus(odd).word(), y3.word()]
    }
}

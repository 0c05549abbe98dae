//! Linear combinations of rows over F_p with weights in E, and the same across a row.

use super::accumulate::LARGEST_COUNT;
use super::ext::{self, Element, Ext};
use super::packed::Packed;
use super::{Width, Work};

/// out_j = sum_i weights_i rows_(i,j). Rows are as long as each part of `out`, and canonical.
#[cfg(test)]
pub fn combine(width: Width, rows: &[&[u64]], weights: &[Element], out: [&mut [u64]; 2]) {
    let [of_one, of_x] = out;
    of_one.fill(0);
    of_x.fill(0);
    add(width, rows, weights, [of_one, of_x]);
}

/// Add sum_i weights_i rows_(i,j) to out_j. Rows are as long as each part of `out`; all are canonical.
pub fn add(width: Width, rows: &[&[u64]], weights: &[Element], out: [&mut [u64]; 2]) {
    let columns = out[0].len();
    assert!(out[1].len() == columns && rows.len() == weights.len() && rows.iter().all(|row| row.len() == columns));
    width.run(Combine { rows, weights, out });
}

struct Combine<'a> {
    rows: &'a [&'a [u64]],
    weights: &'a [Element],
    out: [&'a mut [u64]; 2],
}

impl Work for Combine<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Packed>(self) {
        let [of_one, of_x] = self.out;
        for (rows, weights) in self.rows.chunks(LARGEST_COUNT).zip(self.weights.chunks(LARGEST_COUNT)) {
            unsafe { add_combination::<V>(rows, weights, [of_one, of_x]) };
        }
    }
}

/// Add a combination of up to LARGEST_COUNT rows, each at least as long as the parts of `out`.
#[inline(always)]
pub(super) unsafe fn add_combination<V: Packed>(rows: &[&[u64]], weights: &[Element], out: [&mut [u64]; 2]) {
    let columns = out[0].len();
    let out = out.map(<[u64]>::as_mut_ptr);
    let wide = columns / V::COUNT * V::COUNT;
    let together = V::ABREAST * V::COUNT;
    let many = columns / together * together;
    unsafe {
        let limbs: Vec<V::Limbs> = weights.iter().map(|&weight| V::limbs(weight)).collect();
        for start in (0..many).step_by(together) {
            match V::ABREAST {
                4 => columns_from::<V, 4>(rows, &limbs, out, start),
                2 => columns_from::<V, 2>(rows, &limbs, out, start),
                _ => columns_from::<V, 1>(rows, &limbs, out, start),
            }
        }
        for start in (many..wide).step_by(V::COUNT) {
            columns_from::<V, 1>(rows, &limbs, out, start);
        }
        for start in wide..columns {
            columns_from::<u64, 1>(rows, weights, out, start);
        }
    }
}

/// Add what some rows give to some columns.
#[inline(always)]
unsafe fn columns_from<V: Packed, const REGISTERS: usize>(
    rows: &[&[u64]],
    limbs: &[V::Limbs],
    out: [*mut u64; 2],
    start: usize,
) {
    unsafe {
        let mut sums = [V::nothing(); REGISTERS];
        for (row, limbs) in rows.iter().zip(limbs) {
            let weight = V::splat_weight(limbs);
            for (register, sum) in sums.iter_mut().enumerate() {
                V::accumulate(sum, V::load(row.as_ptr().add(start + register * V::COUNT)), &weight);
            }
        }
        for (register, sum) in sums.into_iter().enumerate() {
            let index = start + register * V::COUNT;
            let before = Ext::<V>::load(out.map(|part| part.cast_const()), index);
            before.add(V::total(sum)).store(out, index);
        }
    }
}

/// sum_j words_j weights_j, where the weights are given in parts: the combination of one opened column.
pub fn dot_base(width: Width, words: &[u64], weights: [&[u64]; 2]) -> Element {
    assert!(weights.iter().all(|part| part.len() == words.len()));
    width.run(DotBase { words, weights })
}

struct DotBase<'a> {
    words: &'a [u64],
    weights: [&'a [u64]; 2],
}

impl Work for DotBase<'_> {
    type Output = Element;

    #[inline(always)]
    unsafe fn run<V: Packed>(self) -> Element {
        let mut result = [0, 0];
        for first in (0..self.words.len()).step_by(LARGEST_COUNT) {
            let last = (first + LARGEST_COUNT).min(self.words.len());
            let wide = last - (last - first) % V::COUNT;
            // SAFETY: there are as many weights as words.
            unsafe {
                result = ext::add(result, dot_part::<V>(self.words, self.weights, first, wide));
                result = ext::add(result, dot_part::<u64>(self.words, self.weights, wide, last));
            }
        }
        result
    }
}

#[inline(always)]
unsafe fn dot_part<V: Packed>(words: &[u64], weights: [&[u64]; 2], first: usize, last: usize) -> Element {
    unsafe {
        let mut sum = V::nothing();
        for index in (first..last).step_by(V::COUNT) {
            let weight = V::weight(Ext::load([weights[0].as_ptr(), weights[1].as_ptr()], index));
            V::accumulate(&mut sum, V::load(words.as_ptr().add(index)), &weight);
        }
        V::total(sum).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{elements, words};
    use super::*;
    use crate::field::P;

    fn plainly(rows: &[&[u64]], weights: &[Element], column: usize) -> Element {
        let terms = rows.iter().zip(weights).map(|(row, &weight)| ext::mul_base(weight, row[column]));
        terms.fold([0, 0], ext::add)
    }

    #[test]
    fn every_width_combines_any_number_of_rows_of_any_length() {
        for (count, columns) in [(0, 9), (1, 0), (3, 1), (58, 33), (5, 71), (1024, 37), (1025, 8), (2500, 12)] {
            let memory = words(7, count * columns);
            let rows: Vec<&[u64]> = (0..count).map(|row| &memory[row * columns..][..columns]).collect();
            let weights = elements(8, count);
            for width in Width::all() {
                let (mut a, mut b) = (vec![1; columns], vec![1; columns]);
                combine(width, &rows, &weights, [&mut a, &mut b]);
                for column in 0..columns {
                    let expected = plainly(&rows, &weights, column);
                    assert_eq!([a[column], b[column]], expected, "{} {count} {column}", width.name());
                }
            }
        }
    }

    #[test]
    fn the_largest_words_and_weights_do_not_overflow() {
        let row = [P - 1; 40];
        for width in Width::all() {
            let (mut a, mut b) = ([0; 40], [0; 40]);
            combine(width, &[&row[..]; 1024], &[[P - 1; 2]; 1024], [&mut a, &mut b]);
            assert_eq!((a, b), ([1024; 40], [1024; 40]), "{}", width.name());
            let ones = [P - 1; 3000];
            assert_eq!(dot_base(width, &ones, [&ones, &ones]), [3000, 3000], "{}", width.name());
        }
    }

    #[test]
    fn every_width_gives_the_same_dot_products() {
        for length in [0, 1, 7, 8, 58, 124, 1023, 1030, 4096] {
            let (word, a, b) = (words(1, length), words(2, length), words(3, length));
            let expected = (0..length).fold([0, 0], |sum, i| ext::add(sum, ext::mul_base([a[i], b[i]], word[i])));
            for width in Width::all() {
                assert_eq!(dot_base(width, &word, [&a, &b]), expected, "{} {length}", width.name());
            }
        }
    }

    #[test]
    #[should_panic(expected = "rows.len() == weights.len()")]
    fn rows_without_a_weight_are_refused() {
        combine(Width::best(), &[&[1, 2]], &[], [&mut [0, 0], &mut [0, 0]]);
    }
}

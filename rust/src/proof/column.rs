//! Vectors over F_p and E: their parts of 1 and of X in a run each, wiped when dropped.

use super::ext::E;
use super::wide::column::Column as Lines;
use super::wide::{Width, fold, tables};
use super::words::{wipe, zeros};
use crate::parallel;

/// A vector over E, or over F_p: then `im` is empty.
#[derive(Clone, Default)]
pub struct Column {
    pub re: Vec<u64>,
    pub im: Vec<u64>,
}

impl Drop for Column {
    fn drop(&mut self) {
        wipe(&mut self.re);
        wipe(&mut self.im);
    }
}

impl Column {
    /// Zeros of F_p.
    pub fn base(length: usize) -> Self {
        Self { re: zeros(length), im: Vec::new() }
    }

    /// Zeros of E.
    pub fn extension(length: usize) -> Self {
        Self { re: zeros(length), im: zeros(length) }
    }

    /// Of a size that is not outgrown where the number of elements is known: nothing is left behind.
    pub fn of(elements: impl IntoIterator<Item = E>) -> Self {
        let elements = elements.into_iter();
        let room = || Vec::with_capacity(elements.size_hint().0);
        let mut out = Self { re: room(), im: room() };
        elements.for_each(|element| {
            out.re.push(element.re);
            out.im.push(element.im);
        });
        out
    }

    pub fn len(&self) -> usize {
        self.re.len()
    }

    #[inline(always)]
    pub fn at(&self, index: usize) -> E {
        E::new(self.re[index], if self.im.is_empty() { 0 } else { self.im[index] })
    }

    /// At `x`, the line through its two entries, or its only one.
    pub fn line_at(&self, x: u64) -> E {
        if self.len() == 1 {
            return self.at(0);
        }
        let (low, high) = (self.at(0), self.at(1));
        low + (high - low).scale(x)
    }

    /// For a vector over E.
    #[inline(always)]
    pub fn set(&mut self, index: usize, element: E) {
        (self.re[index], self.im[index]) = (element.re, element.im);
    }

    pub fn iter(&self) -> impl Iterator<Item = E> + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    /// As `wide` takes a vector over E.
    pub fn parts(&self) -> [&[u64]; 2] {
        [&self.re, &self.im]
    }

    pub fn parts_mut(&mut self) -> [&mut [u64]; 2] {
        [&mut self.re, &mut self.im]
    }

    /// As `wide` takes either.
    pub fn lines(&self) -> Lines<'_> {
        if self.im.is_empty() { Lines::Base(&self.re) } else { Lines::Extended(self.parts()) }
    }

    /// The halves the other way round.
    pub fn swapped(&self) -> Self {
        let mut out = self.clone();
        out.re.rotate_left(self.re.len() / 2);
        out.im.rotate_left(self.im.len() / 2);
        out
    }

    /// Fix variable 0, the most significant bit of the index, to `z`.
    pub fn folded(&self, z: E) -> Self {
        let half = self.len() / 2;
        let (lower, upper) = self.re.split_at(half);
        if self.im.is_empty() {
            let mut out = Self::extension(half);
            fold::fold_base(Width::best(), lower, upper, z.parts(), out.parts_mut());
            return out;
        }
        let (lower_im, upper_im) = self.im.split_at(half);
        let mut out = Self { re: lower.to_vec(), im: lower_im.to_vec() };
        fold::fold(Width::best(), out.parts_mut(), [upper, upper_im], z.parts());
        out
    }

    /// [`Self::folded`] in place: a vector over E.
    pub fn fold(&mut self, z: E) {
        if self.im.is_empty() {
            *self = self.folded(z);
            return;
        }
        let half = self.len() / 2;
        let ((re, upper_re), (im, upper_im)) = (self.re.split_at_mut(half), self.im.split_at_mut(half));
        fold::fold(Width::best(), [re, im], [upper_re, upper_im], z.parts());
        self.cut_off(half);
    }

    /// What is cut off stays in memory: it is wiped with the rest, as the capacity is.
    fn cut_off(&mut self, length: usize) {
        self.re.truncate(length);
        self.im.truncate(length);
    }
}

impl From<[Vec<u64>; 2]> for Column {
    fn from([re, im]: [Vec<u64>; 2]) -> Self {
        Self { re, im }
    }
}

/// [`Column::folded`] of columns of one length, on several threads, each a share of the rows of all of them.
pub fn folded_all(columns: &[&Column], z: E, threads: usize) -> Vec<Column> {
    let half = columns.first().map_or(0, |column| column.len() / 2);
    let mut folded: Vec<Column> = columns.iter().map(|_| Column::extension(half)).collect();
    let share = rows_a_part(half, columns.len(), threads);
    let mut parts: Vec<Vec<_>> = (0..half.div_ceil(share)).map(|_| Vec::with_capacity(columns.len())).collect();
    for (column, out) in columns.iter().zip(&mut folded) {
        let out = out.re.chunks_mut(share).zip(out.im.chunks_mut(share));
        parts.iter_mut().zip(out).for_each(|(part, (re, im))| part.push((*column, [re, im])));
    }
    let done: Result<(), ()> = parallel::run(parts.into_iter().enumerate(), |(part, columns)| {
        for (column, out) in columns {
            let (low, high) = (part * share, half + part * share);
            let rows = out[0].len();
            let (lower, upper) = (&column.re[low..low + rows], &column.re[high..high + rows]);
            if column.im.is_empty() {
                fold::fold_base(Width::best(), lower, upper, z.parts(), out);
                continue;
            }
            let [re, im] = out;
            re.copy_from_slice(lower);
            im.copy_from_slice(&column.im[low..low + rows]);
            fold::fold(Width::best(), [re, im], [upper, &column.im[high..high + rows]], z.parts());
        }
        Ok(())
    });
    done.expect("no part fails");
    folded
}

/// [`Column::fold`] of columns over E of one length, on several threads.
pub fn fold_all(columns: &mut [&mut Column], z: E, threads: usize) {
    let half = columns.first().map_or(0, |column| column.len() / 2);
    let share = rows_a_part(half, columns.len(), threads);
    let mut parts: Vec<Vec<_>> = (0..half.div_ceil(share)).map(|_| Vec::with_capacity(columns.len())).collect();
    for column in columns.iter_mut() {
        let ((re, upper_re), (im, upper_im)) = (column.re.split_at_mut(half), column.im.split_at_mut(half));
        let lower = re.chunks_mut(share).zip(im.chunks_mut(share));
        let upper = upper_re.chunks(share).zip(upper_im.chunks(share));
        let both = lower.map(|(re, im)| [re, im]).zip(upper.map(|(re, im)| [re, im]));
        parts.iter_mut().zip(both).for_each(|(part, both)| part.push(both));
    }
    let done: Result<(), ()> = parallel::run(parts.into_iter(), |columns| {
        columns.into_iter().for_each(|(lower, upper)| fold::fold(Width::best(), lower, upper, z.parts()));
        Ok(())
    });
    done.expect("no part fails");
    columns.iter_mut().for_each(|column| column.cut_off(half));
}

/// A share that no two threads write to the same cache line for.
fn rows_a_part(rows: usize, columns: usize, threads: usize) -> usize {
    /// Nanoseconds that folding a pair takes.
    const PAIR: usize = 2;
    parallel::share(rows, parallel::worth(threads, rows * columns, PAIR)).next_multiple_of(8)
}

/// Drop columns, wiped by several threads: it takes as long as it took to write them.
pub fn drop_all(columns: Vec<Column>, threads: usize) {
    let mut columns = columns;
    let parts = columns.iter_mut().flat_map(|column| [std::mem::take(&mut column.re), std::mem::take(&mut column.im)]);
    let mut parts: Vec<Vec<u64>> = parts.filter(|part| part.capacity() > 0).collect();
    let words: usize = parts.iter().map(|part| part.capacity()).sum();
    let share = parallel::share(parts.len(), parallel::worth(threads, words, 1));
    let done: Result<(), ()> = parallel::run(parts.chunks_mut(share), |parts| {
        for part in parts {
            wipe(part);
            drop(std::mem::take(part));
        }
        Ok(())
    });
    done.expect("no part fails");
}

/// sum_i a_i b_i of vectors over E.
pub fn dot(a: &Column, b: &Column) -> E {
    tables::dot(Width::best(), a.parts(), b.parts()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_over_the_base_field_folds_as_one_over_the_extension() {
        let base = Column { re: (0..8).map(|i| i * i + 5).collect(), im: Vec::new() };
        let mut wide = Column::of(base.iter());
        let z = E::new(3, 1 << 60);
        let folded = base.folded(z);
        assert!(wide.folded(z).iter().eq(folded.iter()));
        wide.fold(z);
        assert!(wide.iter().eq(folded.iter()));
        assert_eq!(folded.at(1), E::base(6) + E::base(30 - 6) * z);
    }

    #[test]
    fn columns_fold_together_as_each_alone() {
        let z = E::new(1 << 40, 9);
        for length in [2, 16, 1 << 11, 1 << 13] {
            let base = Column { re: (0..length).map(|i| i * i + 5).collect(), im: Vec::new() };
            let wide = Column::of((0..length).map(|i| E::new(i + 3, i * i)));
            let expected = [base.folded(z), wide.folded(z)];
            for threads in [1, 2, 3] {
                let folded = folded_all(&[&base, &wide], z, threads);
                assert!(folded.iter().zip(&expected).all(|(one, other)| one.iter().eq(other.iter())));
                let (mut one, mut other) = (wide.clone(), Column::of(base.iter()));
                fold_all(&mut [&mut one, &mut other], z, threads);
                assert!(one.iter().eq(expected[1].iter()) && other.iter().eq(expected[0].iter()));
                drop_all(folded, threads);
            }
        }
    }
}

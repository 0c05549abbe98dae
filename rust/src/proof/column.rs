//! Vectors over F_p and E: their parts of 1 and of X in a run each, wiped when dropped.

use super::ext::E;
use super::wide::column::Column as Lines;
use super::wide::{Width, fold, tables};
use super::words::{wipe, zeros};

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

    pub fn of(elements: impl IntoIterator<Item = E>) -> Self {
        let (re, im) = elements.into_iter().map(|element| (element.re, element.im)).unzip();
        Self { re, im }
    }

    pub fn len(&self) -> usize {
        self.re.len()
    }

    #[inline(always)]
    pub fn at(&self, index: usize) -> E {
        E::new(self.re[index], if self.im.is_empty() { 0 } else { self.im[index] })
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
        // What is cut off stays in memory: it is wiped with the rest, as the capacity is.
        self.re.truncate(half);
        self.im.truncate(half);
    }
}

impl From<[Vec<u64>; 2]> for Column {
    fn from([re, im]: [Vec<u64>; 2]) -> Self {
        Self { re, im }
    }
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
}

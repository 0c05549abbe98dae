//! Vectors over F_p and E: their parts of 1 and of X in a run each, wiped when dropped.

use zeroize::Zeroize;

use super::ext::E;
use crate::field;

/// A vector over E, or over F_p: then `im` is empty.
#[derive(Clone, Default)]
pub struct Column {
    pub re: Vec<u64>,
    pub im: Vec<u64>,
}

impl Drop for Column {
    fn drop(&mut self) {
        self.re.zeroize();
        self.im.zeroize();
    }
}

impl Column {
    /// Zeros of F_p.
    pub fn base(length: usize) -> Self {
        Self { re: vec![0; length], im: Vec::new() }
    }

    /// Zeros of E.
    pub fn extension(length: usize) -> Self {
        Self { re: vec![0; length], im: vec![0; length] }
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

    /// Fix variable 0, the most significant bit of the index, to `z`.
    pub fn folded(&self, z: E) -> Self {
        let half = self.len() / 2;
        let mut out = Self::extension(half);
        if self.im.is_empty() {
            let (low, high) = self.re.split_at(half);
            for index in 0..half {
                let difference = field::sub(high[index], low[index]);
                out.re[index] = field::add(low[index], field::mul(difference, z.re));
                out.im[index] = field::mul(difference, z.im);
            }
        } else {
            for index in 0..half {
                let low = self.at(index);
                out.set(index, low + (self.at(index + half) - low) * z);
            }
        }
        out
    }

    /// [`Self::folded`] in place, for a vector over E.
    pub fn fold(&mut self, z: E) {
        let half = self.len() / 2;
        for index in 0..half {
            let low = self.at(index);
            self.set(index, low + (self.at(index + half) - low) * z);
        }
        // What is cut off stays in memory: it is wiped with the rest, as the capacity is.
        self.re.truncate(half);
        self.im.truncate(half);
    }
}

/// sum_i a_i b_i.
pub fn dot(a: &Column, b: &Column) -> E {
    assert_eq!(a.len(), b.len());
    (0..a.len()).map(|index| a.at(index) * b.at(index)).sum()
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

//! A run of weights in the sum-check: it is folded round by round, and gives the sums of what it weighs.
//!
//! It has 2^l rows from a multiple of 2^l on. Until only 2^l rows are left, fixing a variable scales all of it, so that it
//! never has to be laid out over a column.

use std::ops::Range;

use zeroize::Zeroizing;

use super::column::Column;
use super::ext::E;
use super::shape::Shape;
use super::weights::Weights;
use super::wide::column::products;
use super::wide::combine::dot_base;
use super::wide::{Width, tables};

/// What the weights of a run are multiplied with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A base column.
    Linear(usize),
    /// Its square.
    Square(usize),
    /// u_(g,t) - off, and its square.
    Rounded {
        group: usize,
        slot: usize,
    },
    RoundedSquare {
        group: usize,
        slot: usize,
    },
}

pub struct Run {
    pub target: Target,
    /// The first of its rows.
    pub first: usize,
    pub weights: Column,
    /// How many of its weights are zero before the others.
    pub zeros: usize,
}

impl Run {
    /// Fix variable 0 of columns of twice `half` rows.
    pub fn fold(&mut self, half: usize, z: E) {
        if self.weights.len() > half {
            self.weights.fold(z);
            self.zeros = self.zeros.saturating_sub(half);
            return;
        }
        let upper = self.first >= half;
        let factor = if upper { z } else { E::ONE - z };
        self.first %= half;
        for index in self.zeros..self.weights.len() {
            self.weights.set(index, self.weights.at(index) * factor);
        }
    }

    /// The sum of what it weighs, with variable 0 at 0, 1, 2, 3: cubic at most. `columns` have twice `half` rows, the base
    /// columns first.
    pub fn sums(&self, shape: &Shape, weights: &Weights, columns: &[&Column], half: usize) -> Zeroizing<[E; 4]> {
        let mut sums = Zeroizing::new([E::ZERO; 4]);
        match self.target {
            Target::Linear(column) => *sums = *self.products(columns[column], half),
            Target::Square(column) => self.add_squares(half, &mut sums, |row| columns[column].at(row)),
            Target::RoundedSquare { group, slot } => {
                let limbs = shape.limb_column(group, slot, 0)..=shape.limb_column(group, slot, shape.limbs - 1);
                self.add_squares(half, &mut sums, |row| {
                    let places = columns[limbs.clone()].iter().enumerate();
                    let limb = |(limb, column): (usize, &&Column)| {
                        column.at(row).scale(1 << (shape.limb_bits as usize * limb))
                    };
                    places.map(limb).sum::<E>() - weights.offset
                });
            }
            Target::Rounded { group, slot } => {
                let offset = self.weight_sums(half);
                sums.iter_mut().zip(offset).for_each(|(sum, offset)| *sum = E::ZERO - weights.offset * offset);
                for limb in 0..shape.limbs {
                    let place = 1 << (shape.limb_bits as usize * limb);
                    let products = self.products(columns[shape.limb_column(group, slot, limb)], half);
                    sums.iter_mut().zip(products.iter()).for_each(|(sum, product)| *sum += product.scale(place));
                }
            }
        }
        sums
    }

    /// Rows of the run that have a weight, and the first of them in a half of the columns.
    fn rows(&self, half: usize) -> (Range<usize>, usize) {
        (self.zeros..self.weights.len(), self.first % half + self.zeros)
    }

    /// The products with one column.
    fn products(&self, column: &Column, half: usize) -> Zeroizing<[E; 4]> {
        let (rows, first) = self.rows(half);
        if self.weights.len() > half {
            let sums = products(Width::best(), self.weights.lines(), column.lines(), half, 0..half);
            let [at_zero, at_one, square] = sums.map(E::from);
            let slope = at_one - at_zero - square;
            return Zeroizing::new([0, 1, 2, 3].map(|x| at_zero + slope.scale(x) + square.scale(x * x)));
        }
        let weights = [&self.weights.re[rows.clone()], &self.weights.im[rows.clone()]];
        let dot = |first: usize| -> E {
            let re = &column.re[first..first + rows.len()];
            if column.im.is_empty() {
                return dot_base(Width::best(), re, weights).into();
            }
            tables::dot(Width::best(), [re, &column.im[first..first + rows.len()]], weights).into()
        };
        let (low, high) = (dot(first), dot(first + half));
        Zeroizing::new([0, 1, 2, 3].map(|x| self.share(half, x) * (low + (high - low).scale(x))))
    }

    /// What the weights add up to.
    fn weight_sums(&self, half: usize) -> [E; 4] {
        let (rows, _) = self.rows(half);
        if self.weights.len() > half {
            let low: E = (0..half).map(|index| self.weights.at(index)).sum();
            let high: E = (half..2 * half).map(|index| self.weights.at(index)).sum();
            return [0, 1, 2, 3].map(|x| low + (high - low).scale(x));
        }
        let sum: E = rows.map(|index| self.weights.at(index)).sum();
        [0, 1, 2, 3].map(|x| self.share(half, x) * sum)
    }

    /// What a run in one half has of its weights where variable 0 is `x`.
    fn share(&self, half: usize, x: u64) -> E {
        if self.first >= half { E::base(x) } else { E::ONE - E::base(x) }
    }

    fn add_squares(&self, half: usize, sums: &mut [E; 4], at: impl Fn(usize) -> E) {
        let (rows, first) = self.rows(half);
        for (index, row) in rows.take(half).zip(first..) {
            let (mut weight, slope) = self.line(half, index);
            let (mut value, high) = (at(row), at(row + half));
            let rise = high - value;
            for sum in sums.iter_mut() {
                *sum += weight * value * value;
                weight += slope;
                value += rise;
            }
        }
    }

    /// The weight of row `index` of the run where variable 0 is 0, and by how much it differs where it is 1. The row is
    /// `self.first % half + index`.
    pub fn line(&self, half: usize, index: usize) -> (E, E) {
        let weight = self.weights.at(index);
        if self.weights.len() > half {
            (weight, self.weights.at(index + half) - weight)
        } else if self.first >= half {
            (E::ZERO, weight)
        } else {
            (weight, E::ZERO - weight)
        }
    }
}

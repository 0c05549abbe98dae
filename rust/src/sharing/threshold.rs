//! Who it takes, and the points that polynomials are known and shared at. All of it is public.

use crate::field::{self, P};
use crate::proof::ELEMENT_BYTES;
use crate::ring::N;

pub const LARGEST_COMMITTEE: usize = 64;
pub const SALT_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// n
    pub members: usize,
    /// t_p
    pub privacy: usize,
    /// l, a power of two.
    pub packing: usize,
}

impl Threshold {
    /// The threshold, or why it is none.
    pub fn new(members: usize, privacy: usize, packing: usize) -> Result<Self, String> {
        let whole = (1..=LARGEST_COMMITTEE).contains(&members) && privacy >= 1 && packing.is_power_of_two();
        let recovery = privacy.saturating_add(packing);
        if !whole || recovery > members || 2 * recovery <= members {
            return Err(format!("{members} members, privacy {privacy} and packing {packing} are no threshold"));
        }
        Ok(Self { members, privacy, packing })
    }

    /// t_rec: one more than the degree of the polynomials, at the most.
    pub fn recovery(&self) -> usize {
        self.privacy + self.packing
    }

    /// m = N / l: polynomials, and elements of a share.
    pub fn words(&self) -> usize {
        N / self.packing
    }

    /// Salt, elements, share of the mask.
    pub fn share_bytes(&self) -> usize {
        SALT_BYTES + 8 * self.words() + ELEMENT_BYTES
    }

    /// x_0, x_1, ..: l points that hold the key, 0, -1, .., then t_p members, 1, 2, ..
    pub fn base_points(&self) -> Vec<u64> {
        let key = (0..self.packing as u64).map(|point| field::sub(0, point));
        key.chain(1..=self.privacy as u64).collect()
    }

    pub fn numbers(&self) -> [u32; 3] {
        [self.members, self.privacy, self.packing].map(|number| number as u32)
    }
}

/// The weights by which values at distinct points give the value at another, for polynomials of a lower degree than there
/// are points.
pub fn interpolation(points: &[u64], at: u64) -> Vec<u64> {
    let weight = |one: usize| {
        let others = || points.iter().enumerate().filter(|&(other, _)| other != one).map(|(_, &point)| point);
        let above = others().fold(1, |product, point| field::mul(product, field::sub(at, point)));
        let below = others().fold(1, |product, point| field::mul(product, field::sub(points[one], point)));
        field::mul(above, field::invert(below))
    };
    debug_assert!(at < P);
    (0..points.len()).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_is_exact_up_to_the_degree() {
        let threshold = Threshold::new(8, 3, 2).unwrap();
        let points = threshold.base_points();
        assert_eq!(points, [0, P - 1, 1, 2, 3]);
        let at =
            |x: u64| (0..5u64).fold(0, |sum, power| field::add(sum, field::mul(7 * power + 3, field::pow(x, power))));
        for x in [0, 2, 5, 77, P - 3] {
            let weights = interpolation(&points, x);
            let sum = weights.iter().zip(&points).fold(0, |sum, (&w, &p)| field::add(sum, field::mul(w, at(p))));
            assert_eq!(sum, at(x));
        }
    }

    #[test]
    fn what_is_no_threshold_is_refused() {
        for (members, privacy, packing) in
            [(8, 0, 5), (8, 3, 0), (8, 2, 3), (8, 2, 2), (8, 7, 2), (65, 40, 4), (0, 1, 1), (8, usize::MAX, 4)]
        {
            assert!(Threshold::new(members, privacy, packing).is_err(), "{members} {privacy} {packing}");
        }
    }
}

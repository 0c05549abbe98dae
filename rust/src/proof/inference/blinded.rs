//! What blinds the rounds of a sum-check: g, which sums to zero over the cube, and a constant on every row.

use zeroize::Zeroize;

use crate::proof::ext::{E, HALF};

/// g and a constant, while a sum-check runs from variable 0 on. Wiped when dropped.
pub struct Blinded<'a> {
    /// Those of the variables from this round's on, lowest power first.
    coefficients: &'a [E],
    degrees: Vec<usize>,
    round: usize,
    /// The constant, and g of the variables before this round's.
    row: E,
}

impl Drop for Blinded<'_> {
    fn drop(&mut self) {
        self.row.zeroize();
    }
}

impl<'a> Blinded<'a> {
    /// `degrees` of g in every variable, as many coefficients each.
    pub fn new(coefficients: &'a [E], degrees: Vec<usize>, constant: E) -> Self {
        assert_eq!(coefficients.len(), degrees.iter().sum::<usize>());
        Self { coefficients, degrees, round: 0, row: constant }
    }

    /// d of this round.
    pub fn degree(&self) -> usize {
        self.degrees[self.round]
    }

    pub fn is_last(&self) -> bool {
        self.round + 1 == self.degrees.len()
    }

    /// What is sent of the values at 0, .., d: with g and the constant, without that at 1.
    pub fn sent(&self, values: &[E]) -> Vec<E> {
        assert_eq!(values.len(), self.degree() + 1);
        // g of the variables after this one cancels, and so each row counts the same.
        let count = 1 << (self.degrees.len() - 1 - self.round);
        let others = values.iter().enumerate().filter(|&(x, _)| x != 1);
        others.map(|(x, &value)| value + (self.row + self.at(E::base(x as u64))).scale(count)).collect()
    }

    /// Go on to the next round.
    pub fn bind(&mut self, z: E) {
        self.row += self.at(z);
        self.coefficients = &self.coefficients[self.degree()..];
        self.round += 1;
    }

    /// g_i(x) = sum_d a_(i,d) (x^d - 1/2)
    fn at(&self, x: E) -> E {
        let (mut sum, mut power) = (E::ZERO, E::ONE);
        for &coefficient in &self.coefficients[..self.degree()] {
            power = power * x;
            sum += coefficient * (power - E::base(HALF));
        }
        sum
    }
}

/// The degrees of g: `degree`, and `last` in the last of the variables.
pub fn degrees(variables: usize, degree: usize, last: usize) -> Vec<usize> {
    (1..variables).map(|_| degree).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::polynomial::interpolate;

    #[test]
    fn the_rounds_of_nothing_are_those_of_g_and_the_constant() {
        let degrees = degrees(3, 2, 4);
        let coefficients: Vec<E> = (0..8).map(|i| E::new(i * i + 3, 5 * i + 1)).collect();
        let constant = E::new(77, 3);
        let g = |point: [E; 3]| {
            let mut sum = constant;
            let mut rest = coefficients.iter();
            for (&x, &degree) in point.iter().zip(&degrees) {
                let mut power = E::ONE;
                for _ in 0..degree {
                    power = power * x;
                    sum += *rest.next().unwrap() * (power - E::base(HALF));
                }
            }
            sum
        };
        let mut mask = Blinded::new(&coefficients, degrees.clone(), constant);
        let (mut claim, mut point) = (constant.scale(8), Vec::new());
        for degree in &degrees {
            let mut values = mask.sent(&vec![E::ZERO; degree + 1]);
            values.insert(1, claim - values[0]);
            let z = E::new(9 + point.len() as u64, 1 << 33);
            claim = interpolate(&values, z);
            mask.bind(z);
            point.push(z);
        }
        assert_eq!(claim, g(point.try_into().unwrap()));
    }
}

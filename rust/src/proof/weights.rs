//! What weighs the claims about a row: powers of gamma, which of them weighs what, and the challenges of the lookups.

use super::ext::{E, powers};
use super::further::Further;
use super::shape::{SLACK_BITS, Shape};

/// The powers of gamma, and what else weighs a row.
pub struct Weights<'a> {
    pub further: &'a Further,
    /// alpha, alpha - X, alpha - 2 X
    pub alpha: E,
    pub limb: E,
    pub error: E,
    pub offset: E,
    /// 2^b
    pub radix: E,
    pub gamma: Vec<E>,
}

impl<'a> Weights<'a> {
    pub fn new(shape: &Shape, further: &'a Further, alpha: E, gamma: E) -> Self {
        #[allow(unused_mut)]
        let mut weights = Self {
            further,
            alpha,
            limb: alpha - E::X,
            error: alpha - E::new(0, 2),
            offset: E::base(shape.offset()),
            radix: E::base(1 << shape.limb_bits),
            gamma: powers(gamma, share_weight(shape, further, shape.sharing.map_or(0, |sharing| sharing.recovery()))),
        };
        #[cfg(test)]
        super::lies::leave_out(shape, &mut weights);
        weights
    }

    #[cfg(test)]
    pub fn of(&mut self, shape: &Shape, constraint: super::lies::Constraint) -> &mut E {
        use super::lies::Constraint;
        let first = shape.inverse_columns();
        &mut self.gamma[match constraint {
            Constraint::Inverses(index) => index,
            Constraint::Relation => first,
            Constraint::Total => first + 1,
            Constraint::Norm => first + 2,
            Constraint::Binding => first + 3,
            Constraint::Share(point) => share_weight(shape, self.further, point),
            Constraint::Bit(bit) => first + 4 + bit,
            Constraint::Cut(slot) => first + 4 + SLACK_BITS + slot,
            Constraint::Further(claim) => claim_weight(shape, claim),
            Constraint::FurtherBit(claim, bit) => claim_weight(shape, claim) + 1 + bit,
        }]
    }
}

/// Which power of gamma weighs what.
impl Weights<'_> {
    pub fn relation(&self, shape: &Shape) -> E {
        self.gamma[shape.inverse_columns()]
    }

    pub fn total(&self, shape: &Shape) -> E {
        self.gamma[shape.inverse_columns() + 1]
    }

    pub fn norm(&self, shape: &Shape) -> E {
        self.gamma[shape.inverse_columns() + 2]
    }

    /// Of v, which there is only where a keeper has the key.
    pub fn binding(&self, shape: &Shape) -> E {
        if shape.sharing.is_some() { E::ZERO } else { self.gamma[shape.inverse_columns() + 3] }
    }

    /// Of V at each base point, where a committee has it.
    pub fn shares(&self, shape: &Shape) -> &[E] {
        &self.gamma[share_weight(shape, self.further, 0)..]
    }

    pub fn bit(&self, shape: &Shape, bit: usize) -> E {
        self.gamma[shape.inverse_columns() + 4 + bit]
    }

    pub fn cut(&self, shape: &Shape, slot: usize) -> E {
        self.gamma[shape.inverse_columns() + 4 + SLACK_BITS + slot]
    }

    /// Of a further claim, and of a bit of its slack.
    pub fn claim(&self, shape: &Shape, claim: usize) -> E {
        self.gamma[claim_weight(shape, claim)]
    }

    pub fn claim_bit(&self, shape: &Shape, claim: usize, bit: usize) -> E {
        self.gamma[claim_weight(shape, claim) + 1 + bit]
    }
}

fn share_weight(shape: &Shape, further: &Further, point: usize) -> usize {
    shape.weights() + further.weights() + point
}

fn claim_weight(shape: &Shape, claim: usize) -> usize {
    shape.weights() + claim * (1 + SLACK_BITS)
}

//! The polynomial F of the sum-check at one point: the prover evaluates it row by row and in its last round, the verifier
//! once.

use super::column::Column;
use super::ext::E;
use super::multilinear::ge;
use super::run::Target;
use super::shape::{ERRORS, Fraction, Shape};
use super::weights::Weights;
use crate::field::{self, P};
use crate::sampling::ETA;

/// Numerator and denominator of the sum of some fractions. `values` are the base columns at the point, `tables` and
/// `selected` the public columns beside the tables' uses.
#[inline(always)]
pub fn sum_of_fractions(
    shape: &Shape,
    fractions: &[Fraction],
    weights: &Weights,
    values: &[E],
    tables: &[E],
    selected: &[E],
) -> (E, E) {
    let mut sum: Option<(E, E)> = None;
    for &fraction in fractions {
        let (numerator, denominator) = match fraction {
            Fraction::Error(column) => (None, weights.error - values[column]),
            Fraction::Limb(column) => (None, weights.limb - values[column]),
            Fraction::Table(index) => {
                (Some(selected[index] * values[shape.auxiliary_column(index)]), weights.alpha - tables[index])
            }
        };
        sum = Some(match (sum, numerator) {
            (None, None) => (E::ONE, denominator),
            (None, Some(uses)) => (E::ZERO - uses, denominator),
            (Some((n, d)), None) => (n * denominator + d, d * denominator),
            (Some((n, d)), Some(uses)) => (n * denominator - d * uses, d * denominator),
        });
    }
    sum.expect("a chunk is not empty")
}

/// sum_q gamma^q Z_q: zero on every row where the inverse columns are right. Behind the base columns, `values` has the
/// inverse columns.
#[inline(always)]
pub fn lookups(shape: &Shape, weights: &Weights, values: &[E], tables: &[E], selected: &[E]) -> E {
    let (base, inverses) = values.split_at(shape.base_columns());
    let mut sum = E::ZERO;
    for (index, (fractions, &inverse)) in shape.chunks().zip(inverses).enumerate() {
        let (numerator, denominator) = sum_of_fractions(shape, fractions, weights, base, tables, selected);
        sum += weights.gamma[index] * (inverse * denominator - numerator);
    }
    sum
}

/// u_(g,t) - off
#[inline(always)]
pub fn rounded(shape: &Shape, weights: &Weights, values: &[E], group: usize, slot: usize) -> E {
    let limb = |limb| values[shape.limb_column(group, slot, limb)];
    // One limb or two.
    let raised = if shape.limbs == 1 { limb(0) } else { limb(0) + weights.radix * limb(1) };
    raised - weights.offset
}

/// The terms over all rows that are not under eq: the sum of the inverse columns, and the squares.
#[inline(always)]
pub fn totals(shape: &Shape, weights: &Weights, values: &[E]) -> E {
    let (mut inverses, mut squares) = (E::ZERO, E::ZERO);
    for &inverse in &values[shape.base_columns()..] {
        inverses += inverse;
    }
    for group in 0..shape.groups {
        for slot in 0..shape.layout.slots {
            let value = rounded(shape, weights, values, group, slot);
            squares += value * value;
        }
    }
    weights.total(shape) * inverses + weights.norm(shape) * squares
}

/// What a run of weights is multiplied with.
#[inline(always)]
pub fn weighed(shape: &Shape, weights: &Weights, values: &[E], target: Target) -> E {
    match target {
        Target::Linear(column) => values[column],
        Target::Square(column) => values[column] * values[column],
        Target::Rounded { group, slot } => rounded(shape, weights, values, group, slot),
        Target::RoundedSquare { group, slot } => {
            let value = rounded(shape, weights, values, group, slot);
            value * value
        }
    }
}

/// Rel as a linear form: a factor for each base column, and a constant.
pub struct Relation {
    pub factors: Vec<E>,
    pub constant: E,
}

impl Relation {
    /// `groups`: eq(theta, g) for each group.
    pub fn new(shape: &Shape, groups: &Column) -> Self {
        let layout = &shape.layout;
        let mut relation = Self { factors: vec![E::ZERO; shape.auxiliary_column(0)], constant: E::ZERO };
        for group in 0..shape.groups {
            let weight = groups.at(group);
            relation.factors[shape.error_column(group)] = weight;
            for slot in 0..layout.slots {
                let scaled = weight.scale(1 << (layout.delta + layout.slot_width * slot as u32));
                for limb in 0..shape.limbs {
                    let place = 1 << (shape.limb_bits as usize * limb);
                    relation.factors[shape.limb_column(group, slot, limb)] = scaled.scale(place);
                }
                relation.constant = relation.constant - scaled.scale(shape.offset());
            }
        }
        relation
    }

    pub fn at(&self, values: &[E]) -> E {
        self.factors.iter().zip(values).fold(self.constant, |sum, (&factor, &value)| sum + factor * value)
    }
}

/// The public vectors at a point.
pub struct Public {
    /// eq(tau, x)
    pub eq: E,
    pub tables: Vec<E>,
    pub selected: Vec<E>,
    /// The runs of weights, in their order.
    pub runs: Vec<E>,
}

/// F at a point where the base columns and inverse columns have these values.
pub fn constraint(
    shape: &Shape,
    weights: &Weights,
    relation: &Relation,
    targets: &[Target],
    values: &[E],
    public: &Public,
) -> E {
    let zero = lookups(shape, weights, values, &public.tables, &public.selected);
    let runs = targets.iter().zip(&public.runs).map(|(&target, &run)| run * weighed(shape, weights, values, target));
    public.eq * (zero + weights.relation(shape) * relation.at(values)) + totals(shape, weights, values) + runs.sum()
}

/// The table entries beside the uses in auxiliary column `a`, and whether each is one.
pub fn table_columns(shape: &Shape, a: usize) -> (Column, Column) {
    let (mut entries, mut selected) = (Column::extension(shape.rows()), Column::base(shape.rows()));
    for row in 0..shape.rows() {
        let index = a * shape.rows() + row;
        let error = index >= shape.errors_row;
        let start = if error { shape.errors_row as u64 + u64::from(ETA) } else { 0 };
        entries.set(row, E::new(field::sub(index as u64, start), 1 + u64::from(error)));
        let within = if error { index - shape.errors_row < ERRORS } else { index < 1 << shape.limb_bits };
        selected.re[row] = u64::from(within);
    }
    (entries, selected)
}

/// [`table_columns`] at a point.
pub fn table_at(shape: &Shape, a: usize, z: &[E]) -> (E, E) {
    let from = |index: usize| ge(z, index.saturating_sub(a * shape.rows()).min(shape.rows()));
    let line = z.iter().fold(E::ZERO, |sum, &z| sum + sum + z) + E::base((a * shape.rows()) as u64);
    let errors = from(shape.errors_row);
    let entry = line + E::X + errors * E::new(P - shape.errors_row as u64 - u64::from(ETA), 1);
    let selected = E::ONE - from(1 << shape.limb_bits) + errors - from(shape.errors_row + ERRORS);
    (entry, selected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::ring::N;

    #[test]
    fn tables_agree_with_their_closed_form() {
        let layout = Layout::new(16, 2, 24, 15).unwrap();
        for blocks in [1, 3, 9] {
            let shape = Shape::new(layout, blocks * 2 * N).unwrap();
            let z: Vec<E> = (0..shape.log_rows as u64).map(|i| E::new(3 * i + 2, 5 * i + 1)).collect();
            for a in 0..shape.auxiliary {
                let (entries, selected) = table_columns(&shape, a);
                let at = |column: Column| z.iter().fold(column, |column, &z| column.folded(z)).at(0);
                assert_eq!((at(entries), at(selected)), table_at(&shape, a, &z));
            }
        }
    }
}

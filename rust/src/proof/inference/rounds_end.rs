//! Where the sum-check over the rows of the columns ends: the last round, in which the masks of the columns show, and the values
//! that are sent.

use zeroize::Zeroizing;

use super::rounds::{Claim, State, lookups_of};
use super::shape::{Fraction, Y};
use crate::proof::column::{Column, dot};
use crate::proof::combination::combine;
use crate::proof::ext::E;
use crate::proof::multilinear::eq_table;
use crate::proof::opened::{bump, split};
use crate::proof::published::hide;

impl State<'_> {
    /// The last round, in which the masks of the columns show.
    pub fn last_round(&self) -> Zeroizing<Vec<E>> {
        let Claim { shape, tau, gamma, rho, .. } = *self.claim;
        let tau = tau[shape.log_rows - 1];
        let columns = self.columns();
        let lookups = shape.lookups();
        let values = (0..=shape.degree(shape.log_rows - 1) as u64).map(|x| {
            let bump = E::base(x) * (E::ONE - E::base(x));
            let base = Zeroizing::new(self.base_values(&columns, |column| column.line_at(x)));
            let masked: Zeroizing<Vec<E>> =
                Zeroizing::new(base.iter().zip(rho).map(|(&value, &rho)| value + rho * bump).collect());
            let (mut under_eq, mut total) = (E::ZERO, E::ZERO);
            let mut fraction = 0;
            for (index, chunk) in shape.chunks().enumerate() {
                // Numerator and denominator of the sum so far.
                let mut sum = Zeroizing::new([E::ZERO, E::ONE]);
                for part in chunk {
                    let [numerator, denominator] = match *part {
                        Fraction::Lookup { value, beside, .. } => {
                            let beside = beside.map_or(E::ZERO, |beside| self.lookups.beta * masked[beside]);
                            let tag = self.lookups.tags[fraction].line_at(x);
                            [E::ONE, self.lookups.at[fraction] - masked[value] - beside - tag]
                        }
                        Fraction::Table { column, index } => {
                            let entry = columns[lookups + index].line_at(x);
                            let selected = columns[lookups + shape.table_columns.len() + index].line_at(x);
                            [-(selected * masked[column]), self.lookups.alpha - entry]
                        }
                    };
                    *sum = [sum[0] * denominator + numerator * sum[1], sum[1] * denominator];
                    fraction += 1;
                }
                let inverse = columns[columns.len() - shape.inverse_columns() + index].line_at(x);
                let part = shape.base_columns() + 2 * index;
                let inverse = inverse + (rho[part] + rho[part + 1].times_x()) * bump;
                under_eq += gamma[index] * (inverse * sum[1] - sum[0]);
                total += inverse;
            }
            let omega = self.omega.line_at(x);
            let terms = self.linear.iter().zip(masked.iter());
            let linear: E = terms.map(|(linear, &value)| linear.weights.line_at(x) * omega * value).sum();
            let linear = linear + self.place.as_ref().map_or(E::ZERO, |place| place.at(x, &masked));
            let eq = self.before * (E::ONE - tau + (tau + tau - E::ONE).scale(x));
            eq * under_eq + gamma[gamma.len() - 1] * total + linear
        });
        Zeroizing::new(values.collect())
    }

    /// The values of the base columns, without masks, where `at` gives those of a folded column.
    fn base_values(&self, columns: &[&Column], at: impl Fn(&Column) -> E) -> Vec<E> {
        let shape = self.claim.shape;
        let mut values = vec![E::ZERO; shape.base_columns()];
        let samples = self.samples.as_ref().expect("the last variable has come");
        for (index, y) in shape.columns[Y].clone().zip(&samples.y) {
            values[index] = at(y);
        }
        for (number, (value, beside)) in lookups_of(shape).enumerate() {
            let of_y = beside.map_or(E::ZERO, |beside| self.lookups.beta * values[beside]);
            values[value] = at(columns[number]) - of_y - at(&self.lookups.tags[number]);
        }
        let uses = shape.lookups() + 2 * shape.table_columns.len();
        for (number, index) in shape.table_columns.clone().enumerate() {
            values[index] = at(columns[uses + number]);
        }
        values
    }

    /// y_V of all committed columns.
    pub fn values(&self) -> Zeroizing<Vec<E>> {
        let Claim { shape, rho, inverses, .. } = *self.claim;
        // Of a size that is never outgrown: nothing is left behind unmasked.
        let mut values = Zeroizing::new(Vec::with_capacity(shape.committed()));
        let columns = self.columns();
        let base = Zeroizing::new(self.base_values(&columns, |column| column.at(0)));
        values.extend_from_slice(&base);
        let (high, low) = split(&self.point, shape.code);
        let (high, low): (Vec<E>, Column) = (eq_table(high).iter().collect(), eq_table(low));
        let combined = &columns[columns.len() - shape.inverse_columns()..];
        for (column, combined) in inverses.iter().zip(combined) {
            let rows: Vec<&[u64]> = column.re.chunks_exact(low.len()).collect();
            let re = dot(&combine(&rows, &high, self.threads), &low);
            values.extend([re, (combined.at(0) - re) * E::X.invert()]);
        }
        hide(values.iter().flat_map(|value| value.parts()));
        let bump = bump(&self.point);
        values.iter_mut().zip(rho).for_each(|(value, &rho)| *value += rho * bump);
        values
    }
}

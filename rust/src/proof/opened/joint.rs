//! The rows that one second sum-check is about, one behind the other as one vector: where they lie in it, and what it is
//! weighed with.

use super::{OpenedRow, row_weights, row_weights_at, value_weights};
use crate::proof::codes::Code;
use crate::proof::column::Column;
use crate::proof::ext::{E, powers};
use crate::proof::multilinear::eq_table;
use crate::proof::shape::log2_ceil;

/// The vector has a part for each row, of as many entries as the longest row has; what a part has behind its row is 0. The
/// first variables choose a part, and there are none where it is one row alone.
pub struct OpenedRows<'a> {
    pub rows: Vec<OpenedRow<'a>>,
    /// The code of the runs of the vector.
    pub row_code: Code,
}

/// Rounds of the second sum-check of rows with these codes.
pub fn rounds(codes: &[Code]) -> usize {
    log2_ceil(codes.len()) + log_part(codes.iter().copied())
}

/// Words of a leaf of the tree over the runs of the rows: two for each run that has an entry of a row.
pub fn leaf_words(codes: &[Code], row_code: Code) -> usize {
    codes.iter().map(|&code| 2 * runs(code, row_code)).sum()
}

fn log_part(codes: impl Iterator<Item = Code>) -> usize {
    codes.map(|code| code.log_message).max().expect("a row")
}

fn runs(code: Code, row_code: Code) -> usize {
    (code.message() >> row_code.log_message).max(1)
}

impl OpenedRows<'_> {
    fn codes(&self) -> impl Iterator<Item = Code> {
        self.rows.iter().map(|row| row.code)
    }

    fn log_part(&self) -> usize {
        log_part(self.codes())
    }

    pub(super) fn rounds(&self) -> usize {
        log2_ceil(self.rows.len()) + self.log_part()
    }

    /// Variables that choose a run.
    pub(super) fn run_variables(&self) -> usize {
        self.rounds() - self.row_code.log_message
    }

    /// The runs that have an entry of a row, counted among all runs of the vector.
    pub(super) fn runs(&self) -> impl Iterator<Item = usize> {
        let runs_of_part = 1 << (self.log_part() - self.row_code.log_message);
        let own = self.codes().map(|code| runs(code, self.row_code)).enumerate();
        own.flat_map(move |(part, runs)| (0..runs).map(move |run| part * runs_of_part + run))
    }

    /// eq(r_hi, run) for the parts of those runs, as the words of the tree are ordered.
    pub(super) fn weights_of_parts(&self, high: &[E]) -> Vec<E> {
        let weights = eq_table(high);
        self.runs().map(|run| weights.at(run)).flat_map(|weight| [weight, weight.times_x()]).collect()
    }

    /// What the claim of each row and its values at so many positions are multiplied with: powers of chi that no row has in
    /// common with another.
    pub(super) fn value_weights(&self, chi: E, counts: &[usize]) -> Vec<(E, Vec<E>)> {
        let mut factor = E::ONE;
        let rows = self.rows.iter().zip(counts).map(|(row, &count)| {
            let weights = value_weights(factor, chi, count);
            factor = factor * powers(chi, row.code.queries + 2)[row.code.queries + 1];
            weights
        });
        rows.collect()
    }

    /// The vector of the rows.
    pub fn lay_out<const ROWS: usize>(&self, rows: [Column; ROWS]) -> Column {
        assert_eq!(self.rows.len(), ROWS);
        if ROWS == 1 {
            return rows.into_iter().next().expect("one row");
        }
        let mut out = Column::extension(1 << self.rounds());
        for (part, row) in rows.iter().enumerate() {
            let start = part << self.log_part();
            out.re[start..start + row.len()].copy_from_slice(&row.re);
            out.im[start..start + row.len()].copy_from_slice(&row.im);
        }
        out
    }

    /// Omega of the vector, laid out: that of each row where the row is.
    pub(super) fn omega<const ROWS: usize>(
        &self,
        points: [&[u64]; ROWS],
        weights: &[(E, Vec<E>)],
        threads: usize,
    ) -> Column {
        let rows = self.rows.iter().zip(points).zip(weights);
        let rows = rows.map(|((row, points), weights)| row_weights(row.low, points, weights, threads));
        let rows: Vec<Column> = rows.collect();
        self.lay_out::<ROWS>(rows.try_into().unwrap_or_else(|_| unreachable!("as many rows as points")))
    }

    /// Omega of the vector at `r`, in closed form.
    pub(super) fn omega_at<const ROWS: usize>(&self, points: [&[u64]; ROWS], weights: &[(E, Vec<E>)], r: &[E]) -> E {
        let (part, r) = r.split_at(log2_ceil(ROWS));
        let parts = eq_table(part);
        let rows = self.rows.iter().zip(points).zip(weights).enumerate();
        let rows = rows.map(|(part, ((row, points), weights))| {
            // A row is the beginning of its part.
            let (beginning, r) = r.split_at(r.len() - row.code.log_message);
            let factor = beginning.iter().fold(parts.at(part), |factor, &r| factor * (E::ONE - r));
            factor * row_weights_at(row.low, points, weights, r)
        });
        rows.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::column::dot;

    fn element(i: u64) -> E {
        E::new(i * i + 3, 2 * i + 1)
    }

    fn code(log_message: usize) -> Code {
        Code { log_message, log_length: log_message + 2, queries: 3 }
    }

    /// Rows of 2^5 and 2^3 entries, with runs of 2^`run`.
    fn rows<'a>(low: &'a [E], run: usize) -> OpenedRows<'a> {
        let row = |code: Code| OpenedRow {
            code,
            appended: 3,
            weights: &[],
            low: low.get(..code.log_message).unwrap_or_default(),
            epsilon: E::ONE,
        };
        OpenedRows { rows: vec![row(code(5)), row(code(3))], row_code: code(run) }
    }

    #[test]
    fn the_weights_of_both_rows_agree_with_their_closed_form() {
        let (low, r): (Vec<E>, Vec<E>) = ((0..5).map(element).collect(), (9..15).map(element).collect());
        let rows = rows(&low, 2);
        assert_eq!((rows.rounds(), rounds(&[code(5), code(3)]), rounds(&[code(5)])), (6, 6, 5));
        let points: [&[u64]; 2] = [&[3, 1 << 40], &[17, 5, 29]];
        let weights = rows.value_weights(element(99), &[2, 3]);
        assert_eq!((weights[0].0, weights[1].0), (E::ONE, powers(element(99), 5)[4]));
        let laid_out = rows.omega(points, &weights, 1);
        assert_eq!(dot(&laid_out, &eq_table(&r)), rows.omega_at(points, &weights, &r));
    }

    #[test]
    fn no_two_values_share_a_power_of_chi() {
        let chi = element(99);
        let rows = rows(&[], 2);
        let powers = powers(chi, 9);
        let all: Vec<E> = rows
            .value_weights(chi, &[3, 3])
            .into_iter()
            .flat_map(|(factor, weights)| [vec![factor], weights].concat())
            .collect();
        assert_eq!(all, powers[..8]);
    }

    #[test]
    fn runs_are_those_that_have_an_entry_of_a_row() {
        for (run, expected) in [(2, vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (3, vec![0, 1, 2, 3, 4]), (4, vec![0, 1, 2])] {
            let rows = rows(&[], run);
            assert_eq!(rows.runs().collect::<Vec<_>>(), expected);
            assert_eq!(leaf_words(&[code(5), code(3)], code(run)), 2 * expected.len());
        }
    }

    #[test]
    fn rows_lie_where_their_runs_are() {
        let rows = rows(&[], 2);
        let long = Column::of((0..32).map(element));
        let short = Column::of((100..108).map(element));
        let vector = rows.lay_out([long, short]);
        assert_eq!(
            (vector.at(31), vector.at(32), vector.at(39), vector.at(40)),
            (element(31), element(100), element(107), E::ZERO)
        );
    }
}

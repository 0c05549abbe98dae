//! Sums of soundness errors.

use crate::field::P;
use crate::proof::codes::Code;
use crate::proof::opened::rounds;

/// The sum of the errors so far.
#[derive(Default)]
pub struct Errors {
    sum: f64,
}

impl Errors {
    /// count / p^2
    pub fn over_field(&mut self, count: usize) {
        self.sum += count as f64 / (P as f64 * P as f64);
    }

    /// That a wrong word of a code is not hit: times ((1 + K / n) / 2)^Q.
    pub fn positions(&mut self, times: f64, coefficients: usize, code: Code) {
        self.sum += times * ((1.0 + coefficients as f64 / code.length() as f64) / 2.0).powi(code.queries as i32);
    }

    /// What can go wrong from chi on: in the second sum-check of two opened rows, and in the opening of their runs.
    pub fn second(&mut self, codes: &[Code; 2], row_code: Code) {
        self.over_field(codes.iter().map(|code| code.queries).sum::<usize>() + 1);
        self.over_field(2 * rounds(codes));
        self.over_field((rounds(codes) - row_code.log_message) * row_code.length());
        self.positions(2.0, row_code.message(), row_code);
    }

    pub fn bits(&self) -> f64 {
        -self.sum.log2()
    }
}

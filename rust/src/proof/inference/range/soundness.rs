//! The soundness error of the proof of the range of weights: the terms of a proof of answers that occur.

use super::RangeShape;
use crate::proof::inference::errors::Errors;
use crate::proof::shape::log2_ceil;

/// -log2 of the sum of all terms.
pub fn bits(shape: &RangeShape) -> f64 {
    let (looked_up, weights) = (&shape.looked_up, &shape.looked_up.weights);
    let (code, weights_code) = (looked_up.code, weights.code);
    let mut errors = Errors::default();
    // Over p^2 - L (c + m_q), which is p^2 to the last bit of a float.
    errors.over_field(2 * (looked_up.lookups() * looked_up.rows() + looked_up.entries()));
    errors.over_field(looked_up.log_rows);
    errors.over_field(looked_up.inverse_columns());
    errors.over_field(shape.round_masks());
    let [variables, weights_variables] = shape.column_variables();
    errors.over_field(variables + 1 + weights_variables);
    errors.over_field((variables + log2_ceil(looked_up.runs())) * code.length());
    errors.over_field((log2_ceil(weights.columns) + log2_ceil(weights.runs())) * weights_code.length());
    errors.over_field(2 * code.length() + weights_code.length() + 2);
    errors.positions(3.0, looked_up.row_coefficients(), code);
    errors.positions(2.0, weights.row_coefficients(), weights_code);
    errors.second(&[code, weights_code], looked_up.row_code);
    errors.bits()
}

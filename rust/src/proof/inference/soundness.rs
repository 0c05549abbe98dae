//! The soundness error of a proof of answers, term by term (docs/inference-proofs.md, "Soundness").

use super::shape::Shape;
use crate::field::P;
use crate::proof::codes::Code;
use crate::proof::opened;
use crate::proof::shape::log2_ceil;
use crate::proof::soundness::Term;

/// Every term of the table, in its order.
pub fn terms(shape: &Shape) -> Vec<Term> {
    let field = 2.0 * (P as f64).log2();
    let over = |count: usize| (count as f64).log2() - field;
    let hit = |times: f64, coefficients: usize, code: Code| {
        times.log2() + code.queries as f64 * ((1.0 + coefficients as f64 / code.length() as f64) / 2.0).log2()
    };
    let (weights, layers) = (&shape.weights, shape.layers.len());
    let (code, weights_code, row) = (shape.code, weights.code, shape.row_code);
    let second = opened::rounds(&[code, weights_code]);
    let variables = |features: usize| log2_ceil(features);
    let agreements = shape.log_batch
        + shape.layers.iter().map(|layer| layer.output_variables()).sum::<usize>()
        + shape.mapped().map(|cell| variables(cell.features)).sum::<usize>()
        + shape.hashing.map_or(0, |hashing| variables(hashing.rows))
        + shape.compared_variables()
        + shape.output_variables();
    let layer_rounds = shape.layers.iter().map(|layer| 2 * layer.log_inputs + 2).sum();
    let rounds: usize = (0..shape.log_rows).map(|round| shape.degree(round)).sum();
    let values = shape.column_variables() + 1 + weights.column_variables() + 1 + layers;
    let runs = |columns: usize, runs: usize, code: Code| (log2_ceil(columns) + log2_ceil(runs)) * code.length();
    let poles = shape.rows() * (shape.base_columns() + shape.inverse_columns());
    let lookups = 2 * (shape.lookups() * shape.rows() + shape.entries());
    let term = |drawn, failure, log2_error| Term { drawn, failure, log2_error };
    vec![
        // (p^2 - L (c + m_q)) is p^2 to the last bit of a float: L (c + m_q) is below 2^30.
        term(
            "alpha, beta",
            "the fractions add up although a row is in no table",
            over(lookups) - (-(poles as f64) * (-field).exp2()).ln_1p() / std::f64::consts::LN_2,
        ),
        term("r_b, r_o, r_t, r_out, r_h", "wrong sums of a layer agree by chance", over(agreements)),
        term("s", "a round of a layer agrees by chance", over(layer_rounds)),
        term("tau", "a wrong row is not seen", over(shape.log_rows)),
        term("gamma", "wrong claims cancel", over(shape.inverse_columns() + shape.linear_claims())),
        term("gamma_W", "wrong claims of the weights cancel", over(2 * layers)),
        term("z", "a round over the rows agrees by chance", over(rounds)),
        term("w", "a round over the weights agrees by chance", over(weights.round_masks())),
        term("kappa", "wrong values cancel", over(values)),
        term("kappa, z", "far words combine to a near one", over(runs(shape.committed(), shape.runs(), code))),
        term("kappa, w", "the same of the weights", over(runs(weights.columns, weights.runs(), weights_code))),
        term(
            "epsilon",
            "the same of the masked lines, or a wrong claim",
            over(2 * code.length() + weights_code.length() + 2),
        ),
        term("positions", "a far word or a wrong combination is not hit", hit(3.0, shape.row_coefficients(), code)),
        term("places", "the same of the weights", hit(2.0, weights.row_coefficients(), weights_code)),
        term("chi", "wrong openings cancel", over(code.queries + weights_code.queries + 1)),
        term("r", "a round of the second sum-check agrees by chance", over(2 * second)),
        term("r, tree 3", "far runs combine to a near one", over((second - row.log_message) * row.length())),
        term("positions2", "a far run or a wrong combination is not hit", hit(2.0, row.message(), row)),
    ]
}

/// -log2 of the sum of all terms.
pub fn bits(shape: &Shape) -> f64 {
    -terms(shape).iter().map(|term| term.log2_error.exp2()).sum::<f64>().log2()
}

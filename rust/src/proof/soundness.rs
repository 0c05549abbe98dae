//! The soundness error of the interactive argument, term by term (docs/proofs.md, "Soundness").

use super::shape::{ERRORS, SLACK_BITS, Shape, log2_ceil};
use crate::field::P;

/// What is drawn, what can go wrong, and how likely: log2 of the error.
pub struct Term {
    pub drawn: &'static str,
    pub failure: &'static str,
    pub log2_error: f64,
}

/// Every term of the table, in its order, for a statement with so many further claims.
pub fn terms(shape: &Shape, further: usize) -> Vec<Term> {
    let field = 2.0 * (P as f64).log2();
    let out_of_field = |count: usize| (count as f64).log2() - field;
    let (code, row) = (shape.code, shape.row_code);
    let table = (1usize << shape.limb_bits) + ERRORS;
    let hit = |coefficients: usize, length: usize, queries: usize| {
        queries as f64 * ((1.0 + coefficients as f64 / length as f64) / 2.0).log2()
    };
    let shares = shape.sharing.map_or(0, |sharing| sharing.recovery());
    let term = |drawn, failure, log2_error| Term { drawn, failure, log2_error };
    let mut terms = vec![
        match shape.sharing {
            None => term("zeta", "v is right for another key", out_of_field(12)),
            Some(sharing) => term(
                "zeta",
                "V is right for a share that does not fit",
                out_of_field(sharing.members * sharing.words().ilog2() as usize),
            ),
        },
        term(
            "alpha",
            "the sum of fractions vanishes although an entry is in no table",
            out_of_field(shape.lookups() * shape.rows() + table),
        ),
        term("tau, theta", "a wrong row or block is not seen", out_of_field(shape.log_rows + shape.group_variables())),
        term("gamma", "wrong claims cancel", out_of_field(shape.weights() - 1 + further * (1 + SLACK_BITS) + shares)),
        term("z", "a round polynomial agrees by chance", out_of_field(shape.round_masks())),
        term("kappa", "wrong values cancel", out_of_field(shape.column_variables() + 1)),
        term(
            "z, kappa",
            "far words combine to a near one",
            out_of_field((shape.column_variables() + log2_ceil(shape.runs())) * code.length()),
        ),
        term("epsilon", "the same for the masked lines, or a wrong claim", out_of_field(2 * code.length() + 1)),
        term(
            "positions",
            "a far word or a wrong combination is not hit",
            3f64.log2() + hit(shape.row_coefficients(), code.length(), code.queries),
        ),
        term("chi", "wrong openings cancel", out_of_field(code.queries)),
        term("r", "a round of the second sum-check agrees by chance", out_of_field(2 * code.log_message)),
    ];
    let runs = code.log_message - row.log_message;
    terms.push(term("r, tree 3", "far runs combine to a near one", out_of_field(runs * row.length())));
    terms.push(term(
        "positions2",
        "a far run or a wrong combination is not hit",
        1.0 + hit(row.message(), row.length(), row.queries),
    ));
    terms
}

/// -log2 of the sum of all terms.
pub fn bits(shape: &Shape, further: usize) -> f64 {
    -terms(shape, further).iter().map(|term| term.log2_error.exp2()).sum::<f64>().log2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::proof::further::LARGEST_CLAIMS;
    use crate::ring::N;

    #[test]
    fn every_size_has_close_to_a_hundred_bits() {
        for (bits_a_value, slots, width, delta) in [(16, 2, 24, 15), (12, 3, 17, 12)] {
            let layout = Layout::new(bits_a_value, slots, width, delta).unwrap();
            for blocks in [1, 2, 3, 8, 9, 64, 128, 1000, 2048] {
                let shape = Shape::new(layout, blocks * N * slots).unwrap();
                assert!(bits(&shape, LARGEST_CLAIMS) <= bits(&shape, 0));
                let bits = bits(&shape, LARGEST_CLAIMS);
                assert!((99.0..103.0).contains(&bits), "{blocks} blocks: {bits}");
            }
        }
    }
}

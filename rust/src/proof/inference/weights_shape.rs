//! The shape of a commitment to weights: it follows from the program and the openings alone (docs/inference-proofs.md,
//! "Shape", Weights).

use super::program::{Kind, Program};
use crate::proof::codes::{self, Code};

pub const LARGEST_OPENINGS: usize = 64;

/// Words of tree W that a leaf may have.
const LARGEST_LEAF: usize = 120;

const LARGEST_LOG_MESSAGE: usize = 19;

/// log2 of the length of a code word over that of a run.
const LOG_EXPANSION: usize = 3;

/// A proof of the range of the weights has a code for columns from here on.
const LEAST_LOG_ROWS: usize = 12;

/// Where the weights of a Dense or Conv are in the weights vector, and its biases in the bias vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The step, from 0.
    pub step: usize,
    pub conv: bool,
    /// Rows of weights: as many as there are biases.
    pub outputs: usize,
    /// K: the products in a sum.
    pub products: usize,
    /// From one row to the next: K' of a Dense, K of a Conv.
    pub stride: usize,
    /// The first weight. Of a Dense a multiple of K'.
    pub start: usize,
    /// The first bias.
    pub bias: usize,
}

#[derive(Clone, Debug)]
pub struct WeightsShape {
    /// T
    pub openings: usize,
    /// The Dense and Conv steps, in the order of steps.
    pub places: Vec<Place>,
    /// n_1: columns of weights; those of biases follow.
    pub weight_columns: usize,
    /// n_W
    pub columns: usize,
    /// omega
    pub log_rows: usize,
    /// C_W, n_w, Q_W
    pub code: Code,
    /// Of the runs of both opened rows of a link.
    pub row_code: Code,
}

impl WeightsShape {
    /// The shape, or why there is none, with the numbers.
    pub fn new(program: &Program, openings: usize) -> Result<Self, String> {
        if !(1..=LARGEST_OPENINGS).contains(&openings) {
            return Err(format!("a commitment that may be opened {openings} times, not 1 to {LARGEST_OPENINGS}"));
        }
        let (places, weights, biases) = places(program)?;
        let least = (512 * openings).next_power_of_two().ilog2().max(11) as usize;
        for log_rows in least.max(LEAST_LOG_ROWS)..=LARGEST_LOG_MESSAGE + 2 {
            let log_message = least.max(log_rows - 2);
            let weight_columns = weights.div_ceil(1 << log_rows);
            let columns = weight_columns + biases.div_ceil(1 << log_rows);
            if columns << (log_rows - log_message) <= LARGEST_LEAF {
                let row_code = codes::of_opened_row(log_message);
                let code = Code {
                    log_message,
                    log_length: log_message + LOG_EXPANSION,
                    queries: queries(log_message, openings),
                };
                return Ok(Self { openings, places, weight_columns, columns, log_rows, code, row_code });
            }
        }
        Err(too_many(weights as u128, biases))
    }

    /// Weights and biases.
    pub fn entries(&self) -> usize {
        self.places.iter().map(|place| place.outputs * (place.products + 1)).sum()
    }

    /// WL
    pub fn rows(&self) -> usize {
        1 << self.log_rows
    }

    /// R_W: runs of a column, each a row of the code.
    pub fn runs(&self) -> usize {
        1 << (self.log_rows - self.code.log_message)
    }

    /// T Q_W: elements appended to every run.
    pub fn appended(&self) -> usize {
        self.openings * self.code.queries
    }

    /// K_W
    pub fn row_coefficients(&self) -> usize {
        self.code.message() + self.appended()
    }

    /// ceil(log2 n_W), at least 1
    pub fn column_variables(&self) -> usize {
        crate::proof::shape::log2_ceil(self.columns).max(1)
    }

    /// The degree of a round of the sum-check over WL rows.
    pub fn degree(&self, round: usize) -> usize {
        if round + 1 < self.log_rows { 2 } else { 3 }
    }

    pub fn round_masks(&self) -> usize {
        (0..self.log_rows).map(|round| self.degree(round)).sum()
    }

    /// The first entry of bias `index` of a layer among all columns, one after the other.
    pub fn bias_entry(&self, place: &Place, index: usize) -> usize {
        (self.weight_columns << self.log_rows) + place.bias + index
    }
}

/// Where everything is, in the order of steps, and how long both vectors are.
fn places(program: &Program) -> Result<(Vec<Place>, usize, usize), String> {
    let mut places = Vec::new();
    let mut bias = 0;
    for step in program.layers() {
        let (outputs, products) = (program.biases(step), program.products(step));
        let conv = matches!(program.steps[step].kind, Kind::Conv { .. });
        let stride = if conv { products } else { products.next_power_of_two() };
        places.push(Place { step, conv, outputs, products, stride, start: 0, bias });
        bias += outputs;
    }
    let weights = places.iter().map(|place| place.outputs as u128 * place.stride as u128).sum();
    if weights > (LARGEST_LEAF as u128) << LARGEST_LOG_MESSAGE {
        return Err(too_many(weights, bias));
    }
    // The Dense first, those with larger K' before the others, so that none begins within a stride.
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&place| {
        (places[place].conv, if places[place].conv { 0 } else { usize::MAX - places[place].stride })
    });
    let mut start = 0;
    for place in order {
        let place = &mut places[place];
        place.start = start;
        start += place.outputs * place.stride;
    }
    Ok((places, start, bias))
}

fn too_many(weights: u128, biases: usize) -> String {
    format!(
        "{weights} weights (rows of a Dense filled up to a power of two) and {biases} biases do not fit columns of up to \
         2^{} rows with leaves of {LARGEST_LEAF} words",
        LARGEST_LOG_MESSAGE + 2
    )
}

/// Q_W: the least Q with Q log2(2 n / (n + C + T Q)) >= 102.
fn queries(log_message: usize, openings: usize) -> usize {
    let (message, length) = ((1 << log_message) as f64, (1 << (log_message + LOG_EXPANSION)) as f64);
    let enough = |queries: &usize| {
        let degree = message + (openings * queries) as f64;
        *queries as f64 * (2.0 * length / (length + degree)).log2() >= 102.0
    };
    (1..).find(enough).expect("runs of at least 512 elements an opening leave room")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_positions_enough_for_every_number_of_openings() {
        for openings in 1..=LARGEST_OPENINGS {
            let least = (512 * openings).next_power_of_two().ilog2().max(11) as usize;
            for log_message in least..=LARGEST_LOG_MESSAGE {
                let queries = queries(log_message, openings);
                assert!((123..=160).contains(&queries), "{openings} {log_message} {queries}");
                assert!(openings * queries < 1 << log_message);
            }
        }
    }
}

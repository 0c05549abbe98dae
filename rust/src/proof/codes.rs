//! The Reed-Solomon codes of the proofs, and how many of their positions are opened.

use zeroize::Zeroizing;

use super::wide::Width;
use super::wide::code::Code as Transform;
use super::words::{Words, stride};
use crate::{field, parallel};

/// Runs of `message` entries, code words of `length`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Code {
    pub log_message: usize,
    pub log_length: usize,
    /// Positions that are drawn.
    pub queries: usize,
}

/// Nanoseconds that a word takes to encode.
const WORD: usize = 4;

impl Code {
    pub fn message(self) -> usize {
        1 << self.log_message
    }

    pub fn length(self) -> usize {
        1 << self.log_length
    }

    /// omega^position for some positions.
    pub fn points(self, positions: &[usize]) -> Vec<u64> {
        let root = field::root_of_unity(self.length() as u64);
        positions.iter().map(|&position| field::pow(root, position as u64)).collect()
    }

    /// The transform to its code words.
    pub fn transform(self) -> Transform {
        Transform::new(self.log_message as u32, self.log_length as u32)
    }

    /// The code words of some rows, as a tree takes them. Behind row i come the elements that `behind` gives.
    pub fn encode(
        self,
        transform: &Transform,
        rows: &[&[u64]],
        behind: impl Fn(usize) -> Zeroizing<Vec<u64>> + Sync,
        threads: usize,
    ) -> Words {
        let stride = stride(self.log_length);
        let mut words = Words::zeros(rows.len() * stride);
        let share = parallel::share(rows.len(), parallel::worth(threads, rows.len() * stride, WORD));
        let parts = words.chunks_mut(share * stride).zip(rows.chunks(share)).enumerate();
        let done: Result<(), ()> = parallel::run(parts, |(part, (words, rows))| {
            let behind: Vec<_> = (part * share..part * share + rows.len()).map(&behind).collect();
            let rows: Vec<_> = rows.iter().zip(&behind).map(|(&row, behind)| [row, behind.as_slice()]).collect();
            transform.encode(Width::best(), &rows, stride, words);
            Ok(())
        });
        done.expect("no part fails");
        words
    }
}

/// log2 C, log2 n, Q, log2 C2, log2 n2, Q2 for columns of 2^12, 2^13, .. rows.
const CODES: [[usize; 6]; 10] = [
    [11, 14, 125, 8, 12, 112],
    [12, 15, 124, 9, 13, 112],
    [13, 15, 152, 10, 14, 112],
    [14, 16, 152, 10, 14, 112],
    [14, 16, 152, 10, 14, 112],
    [15, 17, 151, 11, 15, 112],
    [16, 18, 151, 11, 15, 112],
    [17, 19, 151, 12, 16, 112],
    [18, 20, 151, 12, 16, 112],
    [19, 21, 151, 13, 17, 112],
];
const LEAST_LOG_ROWS: usize = 12;

/// The code of the columns and that of the opened row, for columns of 2^`log_rows` rows.
pub fn of_rows(log_rows: usize) -> [Code; 2] {
    let [log_message, log_length, queries, log_run, log_run_length, run_queries] = CODES[log_rows - LEAST_LOG_ROWS];
    [
        Code { log_message, log_length, queries },
        Code { log_message: log_run, log_length: log_run_length, queries: run_queries },
    ]
}

/// The code of a row of 2^`log_message` entries that is opened: that beside columns of such runs.
pub fn of_opened_row(log_message: usize) -> Code {
    let [.., log_run, log_run_length, run_queries] =
        CODES.iter().find(|code| code[0] == log_message).expect("a code of runs of this length");
    Code { log_message: *log_run, log_length: *log_run_length, queries: *run_queries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_positions_is_the_least_that_is_enough() {
        // ((length + degree) / (2 length))^queries <= 2^-102
        let enough = |length: usize, degree: usize, queries: usize| {
            queries as f64 * ((length + degree) as f64 / (2 * length) as f64).log2() <= -102.0
        };
        for [message, length, queries, run, run_length, run_queries] in CODES {
            let (message, length) = (1 << message, 1 << length);
            assert!(enough(length, message + queries, queries));
            assert!(!enough(length, message + queries - 1, queries - 1));
            let (run, run_length) = (1 << run, 1 << run_length);
            assert!(enough(run_length, run, run_queries));
            assert!(!enough(run_length, run, run_queries - 1));
        }
    }
}

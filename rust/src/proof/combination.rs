//! Sums of rows of F_p with weights of E: what a relation, an opened row and a key weigh the columns with.

use super::column::Column;
use super::ext::{E, parts_of};
use super::wide::{Width, combine as wide};
use crate::parallel;

/// Entries of a part are whole lines of a cache.
const ENTRIES_A_LINE: usize = 8;

/// Nanoseconds that an entry of a row takes.
const ENTRY: usize = 2;

/// sum_i weights_i rows_i, for rows of one length.
pub fn combine(rows: &[&[u64]], weights: &[E], threads: usize) -> Column {
    combine_onto(|_| E::ZERO, rows, weights, threads)
}

/// The same, added to a vector that is given by its entries.
pub fn combine_onto(start: impl Fn(usize) -> E + Sync, rows: &[&[u64]], weights: &[E], threads: usize) -> Column {
    let length = rows.first().map_or(0, |row| row.len());
    let (width, weights) = (Width::best(), parts_of(weights));
    let mut out = Column::extension(length);
    let threads = parallel::worth(threads, length * rows.len(), ENTRY);
    let share = parallel::share(length, threads).next_multiple_of(ENTRIES_A_LINE);
    let parts = out.re.chunks_mut(share).zip(out.im.chunks_mut(share)).enumerate();
    let done: Result<(), ()> = parallel::run(parts, |(part, (re, im))| {
        let first = part * share;
        let rows: Vec<&[u64]> = rows.iter().map(|row| &row[first..first + re.len()]).collect();
        for (index, (re, im)) in re.iter_mut().zip(im.iter_mut()).enumerate() {
            [*re, *im] = start(first + index).parts();
        }
        wide::add(width, &rows, &weights, [re, im]);
        Ok(())
    });
    done.expect("no part fails");
    out
}

/// sum_i weights_i words_i.
pub fn combine_words(words: &[u64], weights: &Column) -> E {
    wide::dot_base(Width::best(), words, weights.parts()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::P;

    #[test]
    fn lazy_sums_are_the_sums_of_products() {
        let rows: Vec<Vec<u64>> = (0..70).map(|r| (0..600).map(|i| P - 1 - r * 3 - i * i).collect()).collect();
        let weights: Vec<E> = (0..70).map(|r| E::new(P - 1 - r, P - 5 * r - 9)).collect();
        let slices: Vec<&[u64]> = rows.iter().map(Vec::as_slice).collect();
        for threads in [1, 3] {
            let combined = combine(&slices, &weights, threads);
            for index in [0, 255, 256, 599] {
                let expected = rows.iter().zip(&weights).map(|(row, weight)| weight.scale(row[index])).sum();
                assert_eq!(combined.at(index), expected);
                let onto = combine_onto(|index| E::new(index as u64, 7), &slices, &weights, threads);
                assert_eq!(onto.at(index), expected + E::new(index as u64, 7));
                let words: Vec<u64> = rows.iter().map(|row| row[index]).collect();
                assert_eq!(combine_words(&words, &Column::of(weights.iter().copied())), expected);
            }
        }
    }
}

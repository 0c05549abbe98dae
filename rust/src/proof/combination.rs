//! Sums of rows of F_p with weights of E: what a relation, an opened row and a key weigh the columns with.

use super::column::Column;
use super::ext::E;
use crate::field;
use crate::parallel;

/// Entries that are summed at a time, so that their sums stay in the nearest memory.
const TILE: usize = 256;

/// sum_i weights_i rows_i, for rows of one length.
pub fn combine(rows: &[&[u64]], weights: &[E], threads: usize) -> Column {
    assert_eq!(rows.len(), weights.len());
    let length = rows.first().map_or(0, |row| row.len());
    assert!(rows.iter().all(|row| row.len() == length));
    let mut out = Column::extension(length);
    let share = parallel::share(length.div_ceil(TILE), threads) * TILE;
    let parts = out.re.chunks_mut(share).zip(out.im.chunks_mut(share)).enumerate();
    let done: Result<(), ()> = parallel::run(parts, |(part, (re, im))| {
        for (tile, (re, im)) in re.chunks_mut(TILE).zip(im.chunks_mut(TILE)).enumerate() {
            combine_tile(rows, weights, part * share + tile * TILE, re, im);
        }
        Ok(())
    });
    done.expect("no part fails");
    out
}

fn combine_tile(rows: &[&[u64]], weights: &[E], first: usize, re: &mut [u64], im: &mut [u64]) {
    let mut sums = [(Wide::default(), Wide::default()); TILE];
    for (row, weight) in rows.iter().zip(weights) {
        for ((re, im), &entry) in sums.iter_mut().zip(&row[first..first + re.len()]) {
            re.add(entry, weight.re);
            im.add(entry, weight.im);
        }
    }
    for ((re, im), (sum_re, sum_im)) in re.iter_mut().zip(im).zip(&sums) {
        (*re, *im) = (sum_re.reduced(), sum_im.reduced());
    }
}

/// sum_i weights_i words_i.
pub fn combine_words(words: &[u64], weights: &[E]) -> E {
    let (mut re, mut im) = (Wide::default(), Wide::default());
    for (&word, weight) in words.iter().zip(weights) {
        re.add(word, weight.re);
        im.add(word, weight.im);
    }
    E::new(re.reduced(), im.reduced())
}

/// A sum of products that is reduced once, in the end: their low and high halves, up to 2^64 of them.
#[derive(Clone, Copy, Default)]
struct Wide {
    low: u128,
    high: u128,
}

impl Wide {
    #[inline(always)]
    fn add(&mut self, a: u64, b: u64) {
        let product = u128::from(a) * u128::from(b);
        self.low += product & u128::from(u64::MAX);
        self.high += product >> 64;
    }

    #[inline(always)]
    fn reduced(self) -> u64 {
        /// 2^64 mod p
        const CARRY: u64 = 0xFFFF_FFFF;
        field::add(field::reduce(self.low), field::mul(field::reduce(self.high), CARRY))
    }
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
                let words: Vec<u64> = rows.iter().map(|row| row[index]).collect();
                assert_eq!(combine_words(&words, &weights), expected);
            }
        }
    }
}

//! How often each entry of a table is used, by work that is the same whatever the entries are.
//!
//! A histogram would write to an address that is a secret value. Small tables are compared with every entry instead; for
//! large ones, entries are sorted by a network, and the end of each run is moved to the place of its value.

use std::sync::Mutex;

use zeroize::Zeroizing;

use super::sorting::sort;
use crate::field;
use crate::parallel;
use crate::processor::at_its_best;

/// Tables up to this size are compared with every entry, and larger ones where this many comparisons are enough: then that
/// takes less time than a batch that is sorted.
const SMALL: usize = 256;
const COMPARISONS: usize = 1 << 24;

/// Entries that are sorted at a time: positions and values have 16 bits each.
const BATCH: usize = 1 << 16;

/// How often each number below `table` stands in the columns, with `raised` added to all entries: then they are below it.
pub fn count(columns: &[&[u64]], raised: u64, table: usize, threads: usize) -> Zeroizing<Vec<u64>> {
    let total: usize = columns.iter().map(|column| column.len()).sum();
    let batches = total.div_ceil(BATCH);
    let share = parallel::share(batches, threads);
    let sorted = table > SMALL && table.saturating_mul(total) > COMPARISONS;
    let uses = Mutex::new(Zeroizing::new(vec![0; table]));
    let done: Result<(), ()> = parallel::run((0..batches).step_by(share), |first| {
        let mut own = Zeroizing::new(vec![0; table]);
        let mut batch = Zeroizing::new(vec![0; if sorted { BATCH } else { total.min(BATCH) }]);
        let mut buffers = sorted.then(Buffers::new);
        for number in first..batches.min(first + share) {
            let length = gather(columns, raised, number * BATCH, &mut batch);
            match &mut buffers {
                None => at_its_best(compare_all, (&mut batch[..length], own.as_mut_slice())),
                Some(buffers) => {
                    // What is filled in is a zero, and taken off again.
                    batch[length..].fill(0);
                    buffers.count(&mut batch, &mut own);
                    own[0] -= (BATCH - length) as u64;
                }
            }
        }
        let mut uses = uses.lock().expect("no holder panics");
        uses.iter_mut().zip(own.iter()).for_each(|(sum, own)| *sum += own);
        Ok(())
    });
    done.expect("no part fails");
    uses.into_inner().expect("no holder panics")
}

/// The entries of all columns, one after the other, from number `first` on; how many there were.
fn gather(columns: &[&[u64]], raised: u64, first: usize, batch: &mut [u16]) -> usize {
    let (mut skipped, mut length) = (first, 0);
    for column in columns {
        let rest = &column[skipped.min(column.len())..];
        skipped = skipped.saturating_sub(column.len());
        let taken = rest.len().min(batch.len() - length);
        at_its_best(narrow, (&rest[..taken], raised, &mut batch[length..length + taken]));
        length += taken;
    }
    length
}

#[inline(always)]
fn narrow((entries, raised, batch): (&[u64], u64, &mut [u16])) {
    for (narrow, &entry) in batch.iter_mut().zip(entries) {
        *narrow = field::add(entry, raised) as u16;
    }
}

#[inline(always)]
fn compare_all((entries, uses): (&mut [u16], &mut [u64])) {
    for (value, uses) in uses.iter_mut().enumerate() {
        *uses += equal_to(entries, value as u16);
    }
}

#[inline(always)]
fn zeros_in(entries: &[u16]) -> u64 {
    equal_to(entries, 0)
}

#[inline(always)]
fn equal_to(entries: &[u16], value: u16) -> u64 {
    // Sums of 16 bits in runs that cannot overflow them: as wide as the entries, so that the compiler can make it wide.
    let run = |run: &[u16]| u64::from(run.iter().fold(0u16, |sum, &entry| sum + u16::from(entry == value)));
    entries.chunks(1 << 15).map(run).sum()
}

/// A word for each place: how far it has to move in the upper half, and what it carries in the lower. Zero is empty.
struct Buffers {
    now: Zeroizing<Vec<u32>>,
    next: Zeroizing<Vec<u32>>,
    sorted: Zeroizing<Vec<u16>>,
}

impl Buffers {
    fn new() -> Self {
        let words = || Zeroizing::new(vec![0; BATCH]);
        Self { now: words(), next: words(), sorted: Zeroizing::new(vec![0; BATCH]) }
    }

    /// Add the uses in a batch to those of a large table.
    fn count(&mut self, batch: &mut [u16], uses: &mut [u64]) {
        let zeros = at_its_best(zeros_in, &*batch);
        sort(batch, &mut self.sorted);
        self.mark_ends();
        for bit in 0..BATCH.ilog2() {
            at_its_best(move_left, (&self.now, self.next.as_mut_slice(), bit));
            std::mem::swap(&mut self.now, &mut self.next);
        }
        // Now the ends are at the places 0, 1, .., in order.
        let runs = self.runs();
        at_its_best(aim_at_values, (self.now.as_mut_slice(), runs));
        for bit in (0..uses.len().ilog2()).rev() {
            at_its_best(move_right, (&self.now[..uses.len()], &mut self.next[..uses.len()], bit));
            std::mem::swap(&mut self.now, &mut self.next);
        }
        add_runs(&self.now, zeros, uses);
    }

    /// At the end of each run its value, and how many places before it are no end.
    fn mark_ends(&mut self) {
        let mut before = 0;
        for index in 0..BATCH {
            let value = self.sorted[index];
            // Not `||`, which would ask for the values only where it must.
            let end = (index + 1 == BATCH) | (value != self.sorted[(index + 1) % BATCH]);
            self.now[index] = (before << 16 | u32::from(value)) & u32::from(end).wrapping_neg();
            before += u32::from(!end);
        }
    }

    /// How many runs there are.
    fn runs(&self) -> u32 {
        let differ = |pair: &[u16]| u32::from(pair[0] != pair[1]);
        1 + self.sorted.windows(2).map(differ).sum::<u32>()
    }
}

/// Move what has this bit in its distance as far to the left. Lowest bit first, no two meet: between two ends are at
/// least as many places as their distances differ by.
#[inline(always)]
fn move_left((now, next, bit): (&[u32], &mut [u32], u32)) {
    let step = 1 << bit;
    let moves = |word: u32| (word >> (16 + bit) & 1).wrapping_neg();
    let (stay, come) = (&now[..now.len() - step], &now[step..]);
    for ((out, &stay), &come) in next.iter_mut().zip(stay).zip(come) {
        *out = (stay & !moves(stay)) | (come & moves(come));
    }
    let rest = now.len() - step;
    for (out, &stay) in next[rest..].iter_mut().zip(&now[rest..]) {
        *out = stay & !moves(stay);
    }
}

/// The way back, highest bit first.
#[inline(always)]
fn move_right((now, next, bit): (&[u32], &mut [u32], u32)) {
    let step = 1 << bit;
    let moves = |word: u32| (word >> (16 + bit) & 1).wrapping_neg();
    for (out, &stay) in next[..step].iter_mut().zip(&now[..step]) {
        *out = stay & !moves(stay);
    }
    for ((out, &stay), &come) in next[step..].iter_mut().zip(&now[step..]).zip(now) {
        *out = (stay & !moves(stay)) | (come & moves(come));
    }
}

/// From a value and the distance that the end of its run came, to the distance to the value's place and the end.
#[inline(always)]
fn aim_at_values((now, runs): (&mut [u32], u32)) {
    for (place, word) in now.iter_mut().enumerate() {
        let place = place as u32;
        let (came, value) = (*word >> 16, *word & 0xFFFF);
        let here = u32::from(place < runs).wrapping_neg();
        *word = (value.wrapping_sub(place) << 16 | (place + came) & 0xFFFF) & here;
    }
}

/// The lengths of the runs from their ends, which are at the places of their values.
fn add_runs(ends: &[u32], zeros: u64, uses: &mut [u64]) {
    uses[0] += zeros;
    let mut last = zeros;
    for (uses, &word) in uses.iter_mut().zip(ends).skip(1) {
        let present = u64::from(word != 0).wrapping_neg();
        let end = u64::from(word & 0xFFFF) + 1;
        *uses += end.wrapping_sub(last) & present;
        last = (end & present) | (last & !present);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(columns: &[Vec<u64>], table: usize) {
        let mut expected = vec![0; table];
        columns.iter().flatten().for_each(|&entry| expected[entry as usize] += 1);
        let slices: Vec<&[u64]> = columns.iter().map(Vec::as_slice).collect();
        for threads in [1, 3] {
            assert!(*count(&slices, 0, table, threads) == expected);
            // As errors come: from -eta on.
            let lowered: Vec<Vec<u64>> =
                columns.iter().map(|column| column.iter().map(|&entry| field::sub(entry, 42)).collect()).collect();
            let slices: Vec<&[u64]> = lowered.iter().map(Vec::as_slice).collect();
            assert!(*count(&slices, 42, table, threads) == expected);
        }
    }

    #[test]
    fn counts_are_those_of_a_histogram() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for table in [85, 256, 4096, 65536] {
            let spread: Vec<Vec<u64>> = (0..5).map(|_| (0..1 << 14).map(|_| random(table)).collect()).collect();
            check(&spread, table as usize);
            let few: Vec<Vec<u64>> = (0..9).map(|_| (0..1 << 13).map(|_| random(3) * 20 + 7).collect()).collect();
            check(&few, table as usize);
        }
    }

    #[test]
    fn extreme_distributions_are_counted_too() {
        for table in [85u64, 256, 4096, 65536] {
            let last = table - 1;
            for column in [
                vec![0; BATCH],
                vec![last; BATCH],
                (0..BATCH as u64).map(|i| i % table).collect(),
                (0..BATCH as u64).map(|i| if i == 9 { 0 } else { last }).collect(),
                (0..BATCH as u64).map(|i| if i == 9 { last } else { 0 }).collect(),
                (0..BATCH as u64).map(|i| 1 + (i % 2) * (last - 1)).collect(),
            ] {
                check(std::slice::from_ref(&column), table as usize);
                check(&[column[..1000].to_vec()], table as usize);
            }
        }
    }
}

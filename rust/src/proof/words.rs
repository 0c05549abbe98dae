//! Long runs of secret words: in large pages where the system has them, and wiped when dropped.

use std::ops::{Deref, DerefMut};

use zeroize::optimization_barrier;

use crate::buffer::prefer_large_pages;
use crate::parallel;

/// From one code word to the next in memory: words a power of two apart compete for the same lines of the caches.
pub fn stride(log_length: usize) -> usize {
    (1 << log_length) + 8
}

/// A run of words that is wiped when dropped.
pub struct Words(Vec<u64>);

impl Words {
    pub fn zeros(length: usize) -> Self {
        Self(zeros(length))
    }

    /// Drop them, wiped by several threads.
    pub fn drop_on(mut self, threads: usize) {
        let share = parallel::share(self.0.len(), parallel::worth(threads, self.0.len(), 1));
        let done: Result<(), ()> = parallel::run(self.0.chunks_mut(share), |part| {
            part.fill(0);
            optimization_barrier(part);
            Ok(())
        });
        done.expect("no part fails");
        drop(std::mem::take(&mut self.0));
    }
}

impl Deref for Words {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

pub fn zeros(length: usize) -> Vec<u64> {
    let mut words = vec![0; length];
    prefer_large_pages(&mut words);
    words
}

/// Zero all that the vector has room for. `Vec::zeroize` does so, too, word by word and what was in use twice: for code
/// words that is a twentieth of a proof.
pub fn wipe(words: &mut Vec<u64>) {
    let room = words.capacity();
    words.clear();
    words.resize(room, 0);
    optimization_barrier(words.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_wiped_too() {
        let mut words = vec![7; 100];
        words.truncate(3);
        wipe(&mut words);
        assert!(words.len() >= 100 && words.iter().all(|&word| word == 0));
    }
}

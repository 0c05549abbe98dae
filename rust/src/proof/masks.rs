//! The public polynomials a_j of a round, as evaluations: expanded once, used for every proof of the round.

use crate::parallel;
use crate::ring::{N, Polynomial};
use crate::sampling;
use crate::stream::{Purpose, Stream};

pub struct Masks {
    words: Vec<u64>,
}

impl Masks {
    pub fn new(context: &[u8; 32], parameters: &[u8; 32], blocks: usize, threads: usize) -> Self {
        let stream = Stream::new(context, Purpose::Mask, &[parameters]);
        let mut words = vec![0; blocks * N];
        let share = parallel::share(blocks, threads);
        let done: Result<(), ()> = parallel::run(words.chunks_mut(share * N).enumerate(), |(part, words)| {
            let (mut reader, mut mask) = (stream.reader(), Polynomial::zero());
            for (offset, words) in words.chunks_exact_mut(N).enumerate() {
                sampling::uniform(&mut reader, (part * share + offset) as u64, &mut mask);
                words.copy_from_slice(mask.as_slice());
            }
            Ok(())
        });
        done.expect("no part fails");
        Self { words }
    }

    pub fn blocks(&self) -> usize {
        self.words.len() / N
    }

    /// N words for each block.
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

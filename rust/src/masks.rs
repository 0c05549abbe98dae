//! The public polynomials a_j of a round, expanded once in a process and kept for whoever needs them next: another
//! silo's encryption in the same process, or the decryption of the sum.
//!
//! One round is kept, up to a limit of bytes; blocks beyond it are expanded whenever they are needed. A round with
//! another context, or other parameters, takes its place and its memory. Nothing here is secret.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::layout::BLOCK_BYTES;
use crate::ring::{N, Polynomial};
use crate::sampling;
use crate::shared;
use crate::stream::{Purpose, Reader, Stream};

/// Bytes of polynomials that are kept: those of 2,097,152 words.
pub const DEFAULT_LIMIT: usize = 1 << 24;

static LIMIT: AtomicUsize = AtomicUsize::new(DEFAULT_LIMIT);
static EXPANDED: AtomicU64 = AtomicU64::new(0);
static CURRENT: Mutex<Option<Arc<Round>>> = Mutex::new(None);

/// What makes the polynomials of one round.
pub struct Round {
    context: [u8; 32],
    parameters: [u8; 32],
    stream: Stream,
    /// The first blocks, each once somebody has needed it.
    kept: Box<[OnceLock<Polynomial>]>,
    /// Memory of the round before.
    spare: Mutex<Vec<Polynomial>>,
}

impl Round {
    /// The round of these two digests, with what is kept of it.
    pub fn of(context: &[u8; 32], parameters: &[u8; 32]) -> Arc<Self> {
        let mut current = current();
        if let Some(round) = current.as_ref().filter(|r| r.context == *context && r.parameters == *parameters) {
            return Arc::clone(round);
        }
        // Whoever still works on the round before keeps it until then.
        let before = current.take().and_then(Arc::into_inner).map(|round| round.kept).unwrap_or_default();
        let spare = before.into_iter().filter_map(OnceLock::into_inner).collect();
        let blocks = LIMIT.load(Ordering::Relaxed) / BLOCK_BYTES;
        let round = Arc::new(Self {
            context: *context,
            parameters: *parameters,
            stream: Stream::new(context, Purpose::Mask, &[parameters]),
            kept: (0..blocks).map(|_| OnceLock::new()).collect(),
            spare: Mutex::new(spare),
        });
        *current = Some(Arc::clone(&round));
        round
    }

    /// For one thread.
    pub fn masks(&self) -> Masks<'_> {
        Masks { round: self, reader: self.stream.reader(), own: Polynomial::zero() }
    }

    fn memory(&self) -> Polynomial {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_else(Polynomial::zero)
    }
}

/// Gives the polynomials of a round.
pub struct Masks<'a> {
    round: &'a Round,
    reader: Reader,
    /// The last one that is not kept.
    own: Polynomial,
}

impl Masks<'_> {
    /// a_j, as evaluations.
    pub fn block(&mut self, block: u64) -> &[u64; N] {
        let Some(kept) = self.round.kept.get(block as usize) else {
            expand(&mut self.reader, block, &mut self.own);
            return &self.own;
        };
        // They come from farther away than the keystream does: by the time of the next block it is near.
        if let Some(next) = self.round.kept.get(block as usize + 1).and_then(OnceLock::get) {
            shared::prefetch(next);
        }
        kept.get_or_init(|| {
            let mut mask = self.round.memory();
            expand(&mut self.reader, block, &mut mask);
            mask
        })
    }
}

fn expand(reader: &mut Reader, block: u64, out: &mut Polynomial) {
    EXPANDED.fetch_add(1, Ordering::Relaxed);
    sampling::uniform(reader, block, out);
}

fn current() -> MutexGuard<'static, Option<Arc<Round>>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many polynomials this process has expanded so far.
pub fn expanded() -> u64 {
    EXPANDED.load(Ordering::Relaxed)
}

/// Keep up to this many bytes from now on, and nothing of what is kept now.
pub fn limit(bytes: usize) {
    LIMIT.store(bytes, Ordering::Relaxed);
    forget();
}

/// Drop what is kept.
pub fn forget() {
    *current() = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_gives_its_own_polynomials_whatever_was_kept_before() {
        let expected = |context: u8, parameters: u8, block: u64| {
            let mut reader = Stream::new(&[context; 32], Purpose::Mask, &[&[parameters; 32]]).reader();
            let mut out = Polynomial::zero();
            sampling::uniform(&mut reader, block, &mut out);
            out
        };
        let last = (DEFAULT_LIMIT / BLOCK_BYTES) as u64;
        let held = Round::of(&[1; 32], &[1; 32]);
        for (context, parameters) in [(1, 1), (2, 1), (1, 2), (1, 1)] {
            let round = Round::of(&[context; 32], &[parameters; 32]);
            let mut masks = round.masks();
            for block in [0, 1, 0, last - 1, last, last, 0] {
                assert_eq!(*masks.block(block), *expected(context, parameters, block));
            }
        }
        assert_eq!(*held.masks().block(5), *expected(1, 1, 5));
    }
}

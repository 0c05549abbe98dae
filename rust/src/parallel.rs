//! Work in parts, on as many threads as the caller asks for.

#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Blocks each thread takes.
pub fn share(blocks: usize, threads: usize) -> usize {
    blocks.div_ceil(threads.max(1)).max(1)
}

/// Nanoseconds of work that are worth a thread: to start one and to wait for its end takes some forty thousand.
pub const WORTH: usize = 150_000;

/// In tests so little that few rows are shared out as well; a bench sets what is meant.
#[cfg(test)]
pub static WORTH_IN_TESTS: AtomicUsize = AtomicUsize::new(500);

/// How many of these threads are worth having for `units` of work of so many nanoseconds each.
pub fn worth(threads: usize, units: usize, nanoseconds: usize) -> usize {
    #[cfg(not(test))]
    let least = WORTH;
    #[cfg(test)]
    let least = WORTH_IN_TESTS.load(Ordering::Relaxed);
    threads.min(units.saturating_mul(nanoseconds) / least).max(1)
}

/// Run `work` on every part, on one thread each and the calling one among them. Where the system refuses a thread, the
/// others take its part. The error is that of the first part that has one, so that the result does not depend on timing.
pub fn run<Part: Send, Error: Send>(
    parts: impl ExactSizeIterator<Item = Part> + Send,
    work: impl Fn(Part) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let others = parts.len().saturating_sub(1);
    let waiting = Mutex::new(parts.enumerate());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work_off = || {
        let mut failed: Option<(usize, Error)> = None;
        while let Some((position, part)) = next() {
            if let Err(error) = work(part) {
                // Parts are handed out in order, so the first failure of a thread is its earliest.
                failed.get_or_insert((position, error));
            }
        }
        failed
    };
    thread::scope(|scope| {
        let helpers: Vec<_> =
            (0..others).map_while(|_| thread::Builder::new().spawn_scoped(scope, work_off).ok()).collect();
        let mut failed: Vec<_> = work_off().into_iter().collect();
        for helper in helpers {
            failed.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        failed.into_iter().min_by_key(|(position, _)| *position).map_or(Ok(()), |(_, error)| Err(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_work_is_worth_no_thread_and_much_is_worth_all() {
        let least = WORTH_IN_TESTS.load(Ordering::Relaxed);
        assert_eq!([0, 1, 2 * least, 9 * least].map(|units| worth(4, units, 1)), [1, 1, 2, 4]);
        assert_eq!([worth(0, 1, least), worth(1, usize::MAX, 2), worth(8, usize::MAX, 2)], [1, 1, 8]);
    }

    #[test]
    fn every_part_is_done_once_and_the_first_error_wins() {
        for parts in [0, 1, 2, 7, 40] {
            let done = AtomicUsize::new(0);
            let result = run(0..parts, |part: usize| {
                done.fetch_add(1, Ordering::Relaxed);
                // Later parts fail sooner.
                if part >= 3 {
                    thread::sleep(std::time::Duration::from_millis(u64::from(part == 3)));
                    return Err(part);
                }
                Ok(())
            });
            assert_eq!(done.into_inner(), parts);
            assert_eq!(result, if parts > 3 { Err(3) } else { Ok(()) });
        }
    }
}

//! Work in parts, on as many threads as the caller asks for.

use std::thread;

/// Blocks each thread takes.
pub fn share(blocks: usize, threads: usize) -> usize {
    blocks.div_ceil(threads.max(1)).max(1)
}

/// Run `work` on every part: the first on this thread, the others on one thread each. The error is the first part's that
/// has one, so that the result does not depend on timing.
pub fn run<Part: Send, Error: Send>(
    parts: impl Iterator<Item = Part>,
    work: impl Fn(Part) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let mut parts = parts;
    let Some(first) = parts.next() else {
        return Ok(());
    };
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut result = work(first);
        for other in others {
            let joined = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(joined);
        }
        result
    })
}

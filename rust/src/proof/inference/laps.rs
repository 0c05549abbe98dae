//! Where the time of a proof goes, for the bench: what has passed since the lap before, by name. It is the time of all
//! threads on processors, which does not depend on what else the machine does.

use std::cell::RefCell;
use std::time::Duration;

/// By name, and the clock when the last one ended.
type Laps = (Option<Duration>, Vec<(&'static str, Duration)>);

thread_local! {
    static LAPS: RefCell<Laps> = const { RefCell::new((None, Vec::new())) };
}

/// The time of the process on processors.
pub fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it is given room for what it writes.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Start again.
pub fn start() {
    LAPS.set((Some(now()), Vec::new()));
}

/// What ends here, and has begun where the last lap ended.
pub fn lap(name: &'static str) {
    LAPS.with_borrow_mut(|(last, laps)| {
        let now = now();
        if let Some(before) = last.replace(now) {
            laps.push((name, now - before));
        }
    });
}

/// All laps.
pub fn take() -> Vec<(&'static str, Duration)> {
    LAPS.with_borrow_mut(|(_, laps)| std::mem::take(laps))
}

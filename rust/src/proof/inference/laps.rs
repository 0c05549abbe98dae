//! Where the time of a proof goes, for the bench: what has passed since the lap before, by name.

use std::cell::RefCell;
use std::time::{Duration, Instant};

thread_local! {
    static LAPS: RefCell<(Option<Instant>, Vec<(&'static str, Duration)>)> = const { RefCell::new((None, Vec::new())) };
}

/// Start again.
pub fn start() {
    LAPS.set((Some(Instant::now()), Vec::new()));
}

/// What ends here, and has begun where the last lap ended.
pub fn lap(name: &'static str) {
    LAPS.with_borrow_mut(|(last, laps)| {
        let now = Instant::now();
        if let Some(before) = last.replace(now) {
            laps.push((name, now - before));
        }
    });
}

/// All laps, and what they come to.
pub fn take() -> Vec<(&'static str, Duration)> {
    LAPS.with_borrow_mut(|(_, laps)| std::mem::take(laps))
}

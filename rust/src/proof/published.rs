//! Where what was computed from secrets becomes public, and what must not be left in memory: tests are told so, and nothing
//! else happens. Memcheck is told what is public (`crate::taint`), the search of freed memory what is not
//! (`crate::allocations`).

/// These words are wiped before their memory is given back.
#[inline(always)]
pub fn hide(words: impl IntoIterator<Item = u64>) {
    #[cfg(test)]
    crate::allocations::hide(words);
    #[cfg(not(test))]
    let _ = words;
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
pub use crate::taint::{publish, published};

/// These words are sent.
#[cfg(not(all(test, target_arch = "x86_64", target_os = "linux")))]
#[inline(always)]
pub fn publish<T>(_: &[T]) {}

/// A value that a branch may look at, whatever it was computed from.
#[cfg(not(all(test, target_arch = "x86_64", target_os = "linux")))]
#[inline(always)]
pub fn published<T>(value: T) -> T {
    value
}

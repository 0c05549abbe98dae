//! Memory that other threads may write to while it is read: each value is read once, and what was read is what is checked
//! and encrypted. A plain slice would make such a write undefined behaviour.

use std::marker::PhantomData;

/// A run of values in such memory.
pub struct Shared<'a, T> {
    start: *const T,
    length: usize,
    held: PhantomData<&'a T>,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

// SAFETY: what it points to may be read from any thread, at any time.
unsafe impl<T: Sync> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shared<'_, T> {}

impl<'a, T: Copy> Shared<'a, T> {
    /// # Safety
    /// The memory is valid for reads, and aligned, as long as `'a`. Every bit pattern is a `T`.
    pub unsafe fn new(start: *const T, length: usize) -> Self {
        Self { start, length, held: PhantomData }
    }

    pub fn len(self) -> usize {
        self.length
    }

    /// Runs of `size` values, the last one perhaps shorter.
    pub fn chunks(self, size: usize) -> impl ExactSizeIterator<Item = Shared<'a, T>> {
        (0..self.length.div_ceil(size)).map(move |index| self.part(index * size, size).expect("it starts within"))
    }

    /// Up to `size` values from `first` on, or nothing where there are none.
    pub fn part(self, first: usize, size: usize) -> Option<Self> {
        if first >= self.length {
            return None;
        }
        // SAFETY: within the same memory.
        Some(unsafe { Shared::new(self.start.add(first), size.min(self.length - first)) })
    }

    /// [`prefetch`] for memory that others may write to.
    pub fn prefetch(self) {
        prefetch_lines(self.start.cast(), self.length * size_of::<T>());
    }

    /// Copy everything to `out`, which is as long, reading each byte once.
    pub fn read(self, out: &mut [T]) {
        assert_eq!(out.len(), self.length);
        // SAFETY: both places have that many values; the instruction tells the compiler nothing about what it reads, so
        // a write meanwhile changes the bytes and no assumption.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            std::arch::asm!(
                "rep movsb",
                inout("rcx") size_of_val(out) => _,
                inout("rsi") self.start => _,
                inout("rdi") out.as_mut_ptr() => _,
                options(nostack, preserves_flags)
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        for (index, value) in out.iter_mut().enumerate() {
            // SAFETY: within the memory; a volatile read is done once, and assumed to give anything.
            *value = unsafe { self.start.add(index).read_volatile() };
        }
    }
}

/// Ask for memory to be brought near that is read soon, where the processor can be asked.
pub fn prefetch<T, const LENGTH: usize>(memory: &[T; LENGTH]) {
    prefetch_lines(memory.as_ptr().cast(), size_of_val(memory));
}

#[inline]
fn prefetch_lines(start: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for byte in (0..bytes).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: nothing is read, wherever the address points.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(byte).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_everything_once_and_in_order() {
        let values: Vec<u32> = (0..10_000).collect();
        // SAFETY: the vector lives longer.
        let shared = unsafe { Shared::new(values.as_ptr(), values.len()) };
        for size in [1, 7, 4096, 10_000, 20_000] {
            let mut read = Vec::new();
            for chunk in shared.chunks(size) {
                let mut some = vec![0; chunk.len()];
                chunk.read(&mut some);
                read.extend(some);
            }
            assert_eq!(read, values);
        }
    }
}

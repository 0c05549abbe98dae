//! Buffers of whole cache lines: a wide load that crosses two takes twice as long.

use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

#[repr(align(64))]
struct Lines<T>(T);

/// `LENGTH` numbers on the heap, at the start of a cache line, wiped when dropped.
pub struct Aligned<T: Number, const LENGTH: usize>(Box<Lines<[T; LENGTH]>>);

/// What a buffer may hold: any bits are one, and there is no padding.
pub trait Number: Copy + Default + Zeroize {}

impl Number for u8 {}
impl Number for u64 {}
impl Number for i64 {}
impl Number for f32 {}
impl Number for f64 {}

impl<T: Number, const LENGTH: usize> Aligned<T, LENGTH> {
    pub fn zero() -> Self {
        Self(Box::new(Lines([T::default(); LENGTH])))
    }
}

impl<T: Number, const LENGTH: usize> Deref for Aligned<T, LENGTH> {
    type Target = [T; LENGTH];
    fn deref(&self) -> &[T; LENGTH] {
        &self.0.0
    }
}

impl<T: Number, const LENGTH: usize> DerefMut for Aligned<T, LENGTH> {
    fn deref_mut(&mut self) -> &mut [T; LENGTH] {
        &mut self.0.0
    }
}

impl<T: Number, const LENGTH: usize> Drop for Aligned<T, LENGTH> {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

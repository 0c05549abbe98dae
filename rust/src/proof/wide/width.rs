//! Which copy of a loop runs.

use std::sync::atomic::{AtomicBool, Ordering};

use super::packed::Packed;
use crate::processor::{self, Level};

#[cfg(target_arch = "x86_64")]
use super::ifma::Ifma;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256i, __m512i};

/// A width that this processor has: there is no way to make another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Width(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with products of 52 bits.
    #[cfg(target_arch = "x86_64")]
    Ifma,
}

/// A loop, written once for any register.
pub trait Work {
    type Output;

    /// Must be `#[inline(always)]`, and so must what it calls: only then is it compiled for the register's processor.
    ///
    /// # Safety
    /// The processor has the instructions of `V`.
    unsafe fn run<V: Packed>(self) -> Self::Output;
}

/// Whether products of 52 bits are used where they are here.
static PRODUCTS_OF_52_BITS: AtomicBool = AtomicBool::new(true);

impl Width {
    /// The best that is here and within the limits of [`processor::limit`] and [`Self::limit`].
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        match processor::level() {
            Level::Avx512 if PRODUCTS_OF_52_BITS.load(Ordering::Relaxed) && is_x86_feature_detected!("avx512ifma") => {
                return Self(Kind::Ifma);
            }
            Level::Avx512 => return Self(Kind::Avx512),
            Level::Avx2 => return Self(Kind::Avx2),
            Level::Neon | Level::Portable => (),
        }
        Self(Kind::Portable)
    }

    /// Use nothing above this width from now on, in the whole process; and of the kernel no copy above its level. For
    /// tests and benches that compare the copies on one machine.
    pub fn limit(self) {
        PRODUCTS_OF_52_BITS.store(self.name() == "avx512ifma", Ordering::Relaxed);
        processor::limit(match self.0 {
            // Vectors of 64-bit ARM are not told from plain words here.
            Kind::Portable if cfg!(target_arch = "aarch64") => Level::Neon,
            Kind::Portable => Level::Portable,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Ifma => Level::Avx512,
        });
    }

    /// All that are here, the plainest first.
    pub fn all() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
        let mut all = vec![Self(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            let kinds = [
                (Kind::Avx2, Level::Avx2.is_here()),
                (Kind::Avx512, Level::Avx512.is_here()),
                (Kind::Ifma, Level::Avx512.is_here() && is_x86_feature_detected!("avx512ifma")),
            ];
            all.extend(kinds.into_iter().filter(|(_, here)| *here).map(|(kind, _)| Self(kind)));
        }
        all
    }

    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Ifma => "avx512ifma",
        }
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }

    /// `work`, in the copy for this width.
    #[inline]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma,avx2")]
        unsafe fn ifma<W: Work>(work: W) -> W::Output {
            unsafe { work.run::<Ifma>() }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2")]
        unsafe fn avx512<W: Work>(work: W) -> W::Output {
            unsafe { work.run::<__m512i>() }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        unsafe fn avx2<W: Work>(work: W) -> W::Output {
            unsafe { work.run::<__m256i>() }
        }
        // SAFETY: a `Width` is one that this processor has.
        unsafe {
            match self.0 {
                Kind::Portable => work.run::<u64>(),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => avx2(work),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => avx512(work),
                #[cfg(target_arch = "x86_64")]
                Kind::Ifma => ifma(work),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count;
    impl Work for Count {
        type Output = usize;
        #[inline(always)]
        unsafe fn run<V: Packed>(self) -> usize {
            V::COUNT
        }
    }

    #[test]
    fn the_best_width_is_one_of_those_here_and_runs_in_its_own_lanes() {
        let all = Width::all();
        assert!(all.contains(&Width::best()));
        for width in all {
            let lanes = if width.name().starts_with("avx512") {
                8
            } else if width.name() == "avx2" {
                4
            } else {
                1
            };
            assert_eq!(width.run(Count), lanes, "{}", width.name());
        }
    }
}

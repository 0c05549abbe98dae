//! What this processor can do beyond the least that the crate is built for, and how to use it.

use std::sync::atomic::{AtomicU8, Ordering};

/// The copies of the hot loops that exist. All give the same results; each includes what those before it need.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    /// What every processor of the target has.
    Portable,
    /// The vectors of 64-bit ARM, which all of its processors have: the transform by hand, the rest by the compiler.
    Neon,
    /// AVX2 and POPCNT.
    Avx2,
    /// AVX-512 with the parts that arithmetic and counting on 64-bit words need.
    Avx512,
}

impl Level {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this processor, and the system that runs on it, has what the level needs.
    pub fn is_here(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_here()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vpopcntdq")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }
}

/// What the whole build asks of every processor, beyond the first of its kind: nothing, where it is to serve them all.
pub fn built_with() -> Vec<&'static str> {
    macro_rules! asked {
        ($($feature:tt),*) => {[$(($feature, cfg!(target_feature = $feature))),*]};
    }
    let asked =
        asked!("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2", "fma", "bmi2", "aes", "avx512f", "vaes");
    asked.into_iter().filter_map(|(feature, asked)| asked.then_some(feature)).collect()
}

static LIMIT: AtomicU8 = AtomicU8::new(Level::Avx512 as u8);

/// Use nothing above `level` from now on, in the whole process. For tests that compare the copies on one machine.
pub fn limit(level: Level) {
    LIMIT.store(level as u8, Ordering::Relaxed);
}

/// The best level that is here and within the limit.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn level() -> Level {
    let limit = LIMIT.load(Ordering::Relaxed);
    Level::ALL.into_iter().find(|&level| level as u8 <= limit && level.is_here()).unwrap_or(Level::Portable)
}

/// `work(arguments)`, in a copy compiled for the best this processor has: the compiler makes its loops wide.
///
/// `work` must be a function marked `#[inline(always)]`. A closure will not do: one of some size is compiled once, for
/// the least that the crate is built for, and called from all three copies.
#[inline(always)]
pub fn at_its_best<Arguments, Output>(work: impl FnOnce(Arguments) -> Output, arguments: Arguments) -> Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512vpopcntdq,avx2,popcnt")]
        fn avx512<Arguments, Output>(work: impl FnOnce(Arguments) -> Output, arguments: Arguments) -> Output {
            work(arguments)
        }
        #[target_feature(enable = "avx2,popcnt")]
        fn avx2<Arguments, Output>(work: impl FnOnce(Arguments) -> Output, arguments: Arguments) -> Output {
            work(arguments)
        }
        match level() {
            // SAFETY: `level` gives only what is here.
            Level::Avx512 => return unsafe { avx512(work, arguments) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(work, arguments) },
            Level::Neon | Level::Portable => (),
        }
    }
    work(arguments)
}

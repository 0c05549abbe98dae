//! What this processor can do beyond the least that the crate is built for, and how to use it.

/// Whether AVX-512 is there, with the parts that arithmetic on 64-bit words needs.
#[cfg(target_arch = "x86_64")]
pub fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vpopcntdq")
        && std::arch::is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("popcnt")
}

/// Do `work`, in a copy compiled for the best this processor has: the compiler makes its loops over words wide.
#[inline(always)]
pub fn at_its_best<Result>(work: impl FnOnce() -> Result) -> Result {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512vpopcntdq,popcnt")]
        fn avx512<Result>(work: impl FnOnce() -> Result) -> Result {
            work()
        }
        #[target_feature(enable = "avx2,popcnt")]
        fn avx2<Result>(work: impl FnOnce() -> Result) -> Result {
            work()
        }
        if has_avx512() {
            // SAFETY: just checked.
            return unsafe { avx512(work) };
        }
        if has_avx2() {
            // SAFETY: just checked.
            return unsafe { avx2(work) };
        }
    }
    work()
}

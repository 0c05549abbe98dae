//! Words for the tests.

use crate::field::P;

/// Canonical words at which carries and borrows happen.
pub const EDGES: [u64; 16] = [
    0,
    1,
    2,
    7,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
    0x1_0000_0000,
    (1 << 52) - 1,
    1 << 52,
    P / 2,
    P / 2 + 1,
    P - 0x1_0000_0000,
    P - 0xFFFF_FFFF,
    P - 7,
    P - 2,
    P - 1,
];

/// The same, with words that are not canonical.
pub const LOOSE: [u64; 16] = [
    0,
    1,
    2,
    P,
    P + 1,
    0xFFFF_FFFF,
    0x1_0000_0000,
    (1 << 52) - 1,
    1 << 52,
    P / 2,
    u64::MAX - 1,
    P - 0x1_0000_0000,
    P - 0xFFFF_FFFF,
    u64::MAX,
    P - 2,
    P - 1,
];

/// Canonical words without a pattern, an edge here and there.
pub fn words(seed: u64, count: usize) -> Vec<u64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        // splitmix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    (0..count)
        .map(|_| {
            let word = next();
            if word % 11 == 0 { EDGES[(word >> 32) as usize % EDGES.len()] } else { word % P }
        })
        .collect()
}

pub fn elements(seed: u64, count: usize) -> Vec<[u64; 2]> {
    words(seed, 2 * count).as_chunks::<2>().0.to_vec()
}

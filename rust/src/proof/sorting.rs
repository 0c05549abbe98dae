//! Sorting by a network: which entries are compared does not depend on what they are (Batcher, AFIPS 1968).
//!
//! The bitonic network compares entries whose indices differ in one bit. Low bits of an index would be neighbours in
//! memory, which no wide comparison likes. So index bits are laid out in another order while sorting: those that are
//! compared most are the highest bits of an address.

use crate::processor::at_its_best;

/// Index bits that become the lowest bits of an address: the five highest, which are compared least.
const LANE_BITS: u32 = 5;

/// Sort `values`, of which there are a power of two, at least 32; what was in them is gone. `sorted` is as long.
pub fn sort(values: &mut [u16], sorted: &mut [u16]) {
    assert!(values.len().is_power_of_two() && values.len() >= 1 << LANE_BITS && sorted.len() == values.len());
    let bits = values.len().ilog2();
    // Entries come in no order, so that none has to be laid out.
    for level in 1..=bits {
        if level < bits {
            at_its_best(complement, (&mut *values, address_bit(level, bits)));
        }
        for bit in (0..level).rev() {
            at_its_best(exchange, (&mut *values, address_bit(bit, bits)));
        }
        if level < bits {
            at_its_best(complement, (&mut *values, address_bit(level, bits)));
        }
    }
    let rows = values.len() >> LANE_BITS;
    for (lane, run) in sorted.chunks_exact_mut(rows).enumerate() {
        let lane = (lane as u32).reverse_bits() >> (u32::BITS - LANE_BITS);
        for (row, out) in run.iter_mut().enumerate() {
            *out = values[(row << LANE_BITS) + lane as usize];
        }
    }
}

/// Where a bit of an index is in an address: rows above lanes, and the bits of lanes reversed.
fn address_bit(bit: u32, bits: u32) -> u32 {
    let row_bits = bits - LANE_BITS;
    if bit < row_bits { bit + LANE_BITS } else { LANE_BITS - 1 - (bit - row_bits) }
}

/// The smaller entry to where the bit is 0, the larger to where it is 1.
#[inline(always)]
fn exchange((values, bit): (&mut [u16], u32)) {
    let half = 1 << bit;
    for block in values.chunks_exact_mut(2 * half) {
        let (low, high) = block.split_at_mut(half);
        for (a, b) in low.iter_mut().zip(high) {
            (*a, *b) = ((*a).min(*b), (*a).max(*b));
        }
    }
}

/// Turn the order of the entries around where the bit is 1: they are sorted downwards there.
#[inline(always)]
fn complement((values, bit): (&mut [u16], u32)) {
    let half = 1 << bit;
    for block in values.chunks_exact_mut(2 * half) {
        block[half..].iter_mut().for_each(|value| *value = !*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_sorted() {
        for bits in 5..=12 {
            let length = 1 << bits;
            let cases: [Vec<u16>; 4] = [
                (0..length).map(|i: u32| (i * 40_503 % 65_521) as u16).collect(),
                (0..length).map(|i| (length - i) as u16).collect(),
                (0..length).map(|i| (i % 3) as u16 * 0x7FFF).collect(),
                vec![0xFFFF; length as usize],
            ];
            for mut values in cases {
                let mut expected = values.clone();
                expected.sort_unstable();
                let mut sorted = vec![0; values.len()];
                sort(&mut values, &mut sorted);
                assert_eq!(sorted, expected);
            }
        }
    }
}

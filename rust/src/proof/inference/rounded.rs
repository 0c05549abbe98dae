//! Sums as they are rounded and clipped: what is entered of each into Q, R and Y. Nothing here branches on a sum.

use zeroize::optimization_barrier;

use super::looked_up::entry_of;
use crate::processor::at_its_best;

/// sum + half = 2^shift q + r, y = min(max(q, low), high)
#[derive(Clone, Copy)]
pub struct Rounded {
    pub shift: u32,
    pub low: i64,
    pub high: i64,
}

impl Rounded {
    /// q, r and y of some sums; without r where the shift is 0.
    pub fn fill(self, sums: &[i64], q: &mut [u64], r: Option<&mut [u64]>, y: &mut [u64]) {
        match r {
            Some(r) => at_its_best(round, (self, sums, q, r, y)),
            None => at_its_best(clip, (self, sums, q, y)),
        }
    }
}

type Rounding<'b> = (Rounded, &'b [i64], &'b mut [u64], &'b mut [u64], &'b mut [u64]);

#[inline(always)]
fn round((rounded, sums, q, r, y): Rounding) {
    let shift = rounded.shift;
    let half = (1i64 << shift) >> 1;
    let rows = q.chunks_mut(RUN).zip(r.chunks_mut(RUN)).zip(y.chunks_mut(RUN));
    for (sums, ((q, r), y)) in sums.chunks(RUN).zip(rows) {
        let mut quotients = [0; RUN];
        for ((&sum, quotient), r) in sums.iter().zip(&mut quotients).zip(r) {
            let raised = sum + half;
            *quotient = raised >> shift;
            *r = (raised - (*quotient << shift)) as u64;
        }
        clip_run(rounded, &quotients[..sums.len()], q, y);
    }
}

#[inline(always)]
fn clip((rounded, sums, q, y): (Rounded, &[i64], &mut [u64], &mut [u64])) {
    for (sums, (q, y)) in sums.chunks(RUN).zip(q.chunks_mut(RUN).zip(y.chunks_mut(RUN))) {
        clip_run(rounded, sums, q, y);
    }
}

/// Sums that are clipped together.
const RUN: usize = 64;

/// By masks of which the compiler does not know what they are: of anything plainer it makes branches.
#[inline(always)]
fn clip_run(Rounded { low, high, .. }: Rounded, values: &[i64], q: &mut [u64], y: &mut [u64]) {
    let mut masks = [[0; RUN]; 2];
    let [below, above] = &mut masks;
    for ((&value, below), above) in values.iter().zip(below).zip(above) {
        (*below, *above) = ((value - low) >> 63, (high - value) >> 63);
    }
    optimization_barrier(&masks);
    let [below, above] = &masks;
    for ((&value, (below, above)), (q, y)) in values.iter().zip(below.iter().zip(above)).zip(q.iter_mut().zip(y)) {
        *q = entry_of(value);
        *y = entry_of((value & !(below | above)) | (low & below) | (high & above));
    }
}

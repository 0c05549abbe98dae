//! The compression function of BLAKE3 (section 2.2 of its paper), one state a lane.

use super::words::Words;

const INITIAL: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];
const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const ROUNDS: usize = 7;

/// Which word of the message is where in each round.
const SCHEDULE: [[usize; 16]; ROUNDS] = {
    let mut schedule = [[0; 16]; ROUNDS];
    let mut word = 0;
    while word < 16 {
        schedule[0][word] = word;
        word += 1;
    }
    let mut round = 1;
    while round < ROUNDS {
        let mut word = 0;
        while word < 16 {
            schedule[round][word] = schedule[round - 1][PERMUTATION[word]];
            word += 1;
        }
        round += 1;
    }
    schedule
};

pub(super) const CHUNK_START: u32 = 1;
pub(super) const CHUNK_END: u32 = 2;
pub(super) const ROOT: u32 = 8;
pub(super) const KEYED_HASH: u32 = 16;

/// The compression function with counter 0, to the first half of its output.
#[inline(always)]
pub(super) unsafe fn compress<W: Words>(state: &mut [W; 8], message: [W; 16], length: u32, flags: u32) {
    unsafe {
        let [s0, s1, s2, s3, s4, s5, s6, s7] = *state;
        let [i0, i1, i2, i3] = INITIAL;
        let mut v = [
            [s0, s1, s2, s3],
            [s4, s5, s6, s7],
            [W::splat(i0), W::splat(i1), W::splat(i2), W::splat(i3)],
            [W::splat(0), W::splat(0), W::splat(length), W::splat(flags)],
        ];
        // Written out, so that no word of the message moves.
        round::<W, 0>(&mut v, &message);
        round::<W, 1>(&mut v, &message);
        round::<W, 2>(&mut v, &message);
        round::<W, 3>(&mut v, &message);
        round::<W, 4>(&mut v, &message);
        round::<W, 5>(&mut v, &message);
        round::<W, 6>(&mut v, &message);
        for column in 0..4 {
            state[column] = v[0][column].xor(v[2][column]);
            state[4 + column] = v[1][column].xor(v[3][column]);
        }
    }
}

#[inline(always)]
unsafe fn round<W: Words, const ROUND: usize>(v: &mut [[W; 4]; 4], message: &[W; 16]) {
    unsafe {
        let m = SCHEDULE[ROUND];
        mix(v, [0, 0, 0, 0], message[m[0]], message[m[1]]);
        mix(v, [1, 1, 1, 1], message[m[2]], message[m[3]]);
        mix(v, [2, 2, 2, 2], message[m[4]], message[m[5]]);
        mix(v, [3, 3, 3, 3], message[m[6]], message[m[7]]);
        mix(v, [0, 1, 2, 3], message[m[8]], message[m[9]]);
        mix(v, [1, 2, 3, 0], message[m[10]], message[m[11]]);
        mix(v, [2, 3, 0, 1], message[m[12]], message[m[13]]);
        mix(v, [3, 0, 1, 2], message[m[14]], message[m[15]]);
    }
}

#[inline(always)]
unsafe fn mix<W: Words>(v: &mut [[W; 4]; 4], at: [usize; 4], x: W, y: W) {
    unsafe {
        let (mut a, mut b, mut c, mut d) = (v[0][at[0]], v[1][at[1]], v[2][at[2]], v[3][at[3]]);
        a = a.add(b).add(x);
        d = d.xor(a).rotated_right::<16>();
        c = c.add(d);
        b = b.xor(c).rotated_right::<12>();
        a = a.add(b).add(y);
        d = d.xor(a).rotated_right::<8>();
        c = c.add(d);
        b = b.xor(c).rotated_right::<7>();
        (v[0][at[0]], v[1][at[1]], v[2][at[2]], v[3][at[3]]) = (a, b, c, d);
    }
}

//! Sums of products of words with elements of E that are reduced once, in the end.
//!
//! A word times a limb of a weight is kept in 64 bits, sums of [`LARGEST_COUNT`] of them included, and what the limbs are
//! worth is made up for in the end.

use super::ext::{Element, Ext};
#[cfg(target_arch = "x86_64")]
use super::packed::Packed;
use crate::field;
#[cfg(target_arch = "x86_64")]
use crate::lanes::Lanes;

/// Products in one sum.
pub const LARGEST_COUNT: usize = 1024;

/// A register that has such sums. Words and weights are loose.
pub trait Accumulate: Sized {
    /// A weight in limbs, as words that are the same in all lanes: what of it is used depends on the register.
    type Limbs: Copy;
    /// The same in registers.
    type Weight: Copy;
    type Sum: Copy;
    /// Sums that fit in the registers of the processor: 4, 2 or 1.
    const ABREAST: usize;

    fn limbs(weight: Element) -> Self::Limbs;
    unsafe fn splat_weight(limbs: &Self::Limbs) -> Self::Weight;
    /// One weight a lane.
    unsafe fn weight(weight: Ext<Self>) -> Self::Weight;
    unsafe fn nothing() -> Self::Sum;
    unsafe fn accumulate(sum: &mut Self::Sum, word: Self, weight: &Self::Weight);
    /// Canonical.
    unsafe fn total(sum: Self::Sum) -> Ext<Self>;
}

/// Whole products, and the carries out of 128 bits.
impl Accumulate for u64 {
    type Limbs = Element;
    type Weight = Element;
    type Sum = [(u128, u64); 2];
    const ABREAST: usize = 1;

    #[inline(always)]
    fn limbs(weight: Element) -> Element {
        weight
    }
    #[inline(always)]
    unsafe fn splat_weight(limbs: &Element) -> Element {
        *limbs
    }
    #[inline(always)]
    unsafe fn weight(weight: Ext<u64>) -> Element {
        [weight.0, weight.1]
    }
    #[inline(always)]
    unsafe fn nothing() -> Self::Sum {
        [(0, 0); 2]
    }
    #[inline(always)]
    unsafe fn accumulate(sum: &mut Self::Sum, word: u64, weight: &Element) {
        for ((sum, carries), &weight) in sum.iter_mut().zip(weight) {
            let (added, carry) = sum.overflowing_add(u128::from(word) * u128::from(weight));
            *sum = added;
            *carries += u64::from(carry);
        }
    }
    #[inline(always)]
    unsafe fn total(sum: Self::Sum) -> Ext<u64> {
        // 2^128 = -2^32
        let [a, b] = sum.map(|(sum, carries)| field::sub(field::reduce(sum), carries << 32));
        Ext(a, b)
    }
}

/// Halves of words times limbs of 22 bits: 2^32 2^22 1024 = 2^64. The first three sums of a part are those of the lower
/// halves.
#[cfg(target_arch = "x86_64")]
impl<V: Lanes> Accumulate for V {
    type Limbs = [u64; 6];
    type Weight = [V; 6];
    type Sum = [V; 12];
    const ABREAST: usize = <V as Lanes>::COUNT / 4;

    #[inline(always)]
    fn limbs([a, b]: Element) -> [u64; 6] {
        let low = (1 << 22) - 1;
        [a & low, a >> 22 & low, a >> 44, b & low, b >> 22 & low, b >> 44]
    }
    #[inline(always)]
    unsafe fn splat_weight(&[a, b, c, d, e, f]: &[u64; 6]) -> [V; 6] {
        unsafe {
            [
                <V as Lanes>::splat(a),
                <V as Lanes>::splat(b),
                <V as Lanes>::splat(c),
                <V as Lanes>::splat(d),
                <V as Lanes>::splat(e),
                <V as Lanes>::splat(f),
            ]
        }
    }
    #[inline(always)]
    unsafe fn weight(Ext(a, b): Ext<V>) -> [V; 6] {
        unsafe {
            let low = <V as Lanes>::splat((1 << 22) - 1);
            [a.and(low), a.right(22).and(low), a.right(44), b.and(low), b.right(22).and(low), b.right(44)]
        }
    }
    #[inline(always)]
    unsafe fn nothing() -> [V; 12] {
        unsafe { [<V as Lanes>::splat(0); 12] }
    }
    #[inline(always)]
    unsafe fn accumulate(sum: &mut [V; 12], low: V, weight: &[V; 6]) {
        unsafe {
            let high = low.right(32);
            // Written out, so that the sums stay in registers.
            sum[0] = Lanes::add(sum[0], low.mul_low(weight[0]));
            sum[1] = Lanes::add(sum[1], low.mul_low(weight[1]));
            sum[2] = Lanes::add(sum[2], low.mul_low(weight[2]));
            sum[3] = Lanes::add(sum[3], high.mul_low(weight[0]));
            sum[4] = Lanes::add(sum[4], high.mul_low(weight[1]));
            sum[5] = Lanes::add(sum[5], high.mul_low(weight[2]));
            sum[6] = Lanes::add(sum[6], low.mul_low(weight[3]));
            sum[7] = Lanes::add(sum[7], low.mul_low(weight[4]));
            sum[8] = Lanes::add(sum[8], low.mul_low(weight[5]));
            sum[9] = Lanes::add(sum[9], high.mul_low(weight[3]));
            sum[10] = Lanes::add(sum[10], high.mul_low(weight[4]));
            sum[11] = Lanes::add(sum[11], high.mul_low(weight[5]));
        }
    }
    #[inline(always)]
    unsafe fn total(sum: [V; 12]) -> Ext<V> {
        unsafe {
            Ext(
                part::<V>([sum[0], sum[1], sum[2]], [sum[3], sum[4], sum[5]]),
                part::<V>([sum[6], sum[7], sum[8]], [sum[9], sum[10], sum[11]]),
            )
        }
    }
}

/// The sum of 2^(22 i) (lower_i + 2^32 upper_i), canonical.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn part<V: Lanes>(lower: [V; 3], upper: [V; 3]) -> V {
    unsafe {
        let (two_22, two_44) = (<V as Lanes>::splat(1 << 22), <V as Lanes>::splat(1 << 44));
        let first = limb::<V>(lower[0], upper[0]).canonical();
        let second = <V as Lanes>::mul(limb::<V>(lower[1], upper[1]), two_22).canonical();
        let third = <V as Lanes>::mul(limb::<V>(lower[2], upper[2]), two_44).canonical();
        Packed::add(Packed::add(first, second), third)
    }
}

/// lower + 2^32 upper, loose.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn limb<V: Lanes>(lower: V, upper: V) -> V {
    unsafe { Packed::add(lower, V::reduced(upper.left(32), upper.right(32)).canonical()) }
}

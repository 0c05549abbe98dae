//! Stochastic rounding of values to the integers of a slot.

/// One value of an update.
pub trait Value: crate::aligned::Number + Sync + Send {
    fn widened(self) -> f64;
}

impl Value for f32 {
    #[inline(always)]
    fn widened(self) -> f64 {
        f64::from(self)
    }
}

impl Value for f64 {
    #[inline(always)]
    fn widened(self) -> f64 {
        self
    }
}

/// How the values of an update become integers.
#[derive(Clone, Copy)]
pub struct Rounding {
    /// Values lie in [-clip, clip] ...
    pub clip: f64,
    /// ... and become integers when multiplied by this: weight * (2^(w-1) - 1) / clip.
    pub factor: f64,
    /// 2^(w-1) - 1
    pub largest: f64,
}

impl Rounding {
    /// Whether a value may be encrypted; NaN and the infinities may not. The second check is the silo's own, on what it
    /// is about to send: only the rounding of `factor` may carry a value beyond the range, and by less than one step.
    #[inline(always)]
    pub fn takes(&self, value: f64) -> bool {
        (value.abs() <= self.clip) & ((value * self.factor).abs() <= self.largest + 1.0)
    }

    /// Round to one of the two nearest integers, up with a probability equal to the fractional part (to 32 bits), so
    /// that the expectation is the value itself; the distance is below one. What is beyond the range, by the rounding of
    /// `factor`, is taken back to its end. No instruction depends on the value: selects, no branches.
    #[inline(always)]
    pub fn round(&self, value: f64, coin: u32) -> i64 {
        const STEP: f64 = 1.0 / 4_294_967_296.0;
        // Where doubles are the integers: a sum with it is rounded to the nearest one, which its lowest bits then are.
        const INTEGERS: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
        let scaled = value * self.factor;
        // Compared in this order, NaN becomes -largest; `max` and `min` would take three instructions for each of these.
        let scaled = if scaled > -self.largest { scaled } else { -self.largest };
        let scaled = if scaled < self.largest { scaled } else { self.largest };
        let shifted = scaled + INTEGERS;
        let above = shifted - INTEGERS > scaled;
        // One less in the bits is one less in the number. (Of a choice between two numbers, the compiler makes a branch
        // for processors without wide registers.)
        let below = shifted.to_bits().wrapping_sub(u64::from(above));
        let up = f64::from(coin) * STEP < scaled - (f64::from_bits(below) - INTEGERS);
        below.wrapping_sub(INTEGERS.to_bits()) as i64 + i64::from(up)
    }
}

#[cfg(test)]
mod tests {
    use super::Rounding;

    const LARGEST: f64 = 2_147_483_647.0;

    fn round(value: f64, coin: u32) -> i64 {
        Rounding { clip: LARGEST, factor: 1.0, largest: LARGEST }.round(value, coin)
    }

    #[test]
    fn integers_are_not_moved() {
        for value in [0.0, -0.0, 1.0, -1.0, 32767.0, -32767.0, LARGEST, -LARGEST, LARGEST - 1.0] {
            for coin in [0, 1, u32::MAX] {
                assert_eq!(round(value, coin), value as i64);
            }
        }
    }

    #[test]
    fn fractions_go_up_as_often_as_they_should() {
        for (value, floor) in [(0.25, 0), (-0.75, -1), (1000.25, 1000), (-1000.75, -1001)] {
            let threshold = 1 << 30;
            assert_eq!(round(value, threshold - 1), floor + 1);
            assert_eq!(round(value, threshold), floor);
        }
        for tiny in [f64::MIN_POSITIVE, 5e-324, 1e-20] {
            // Less than 2^-32: up only for the coin of zero, as for every positive fraction.
            assert_eq!((round(tiny, 0), round(tiny, 1)), (1, 0));
            // The fraction of -tiny rounds to one.
            assert_eq!((round(-tiny, 0), round(-tiny, u32::MAX)), (0, 0));
        }
    }

    #[test]
    fn what_does_not_fit_stays_at_the_end_of_the_range() {
        let largest = LARGEST as i64;
        for coin in [0, u32::MAX] {
            for beyond in [1e300, f64::INFINITY, LARGEST + 0.5] {
                assert_eq!((round(beyond, coin), round(-beyond, coin)), (largest, -largest));
            }
            assert!(round(f64::NAN, coin).abs() <= largest);
        }
    }

    #[test]
    fn only_finite_values_within_the_clip_bound_are_taken() {
        let rounding = Rounding { clip: 0.5, factor: 65534.0, largest: 32767.0 };
        for taken in [0.0, -0.0, 0.5, -0.5, 5e-324] {
            assert!(rounding.takes(taken));
        }
        for refused in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.500_000_1, -0.500_000_1, f64::MAX] {
            assert!(!rounding.takes(refused));
        }
        assert!(!Rounding { factor: 65540.0, ..rounding }.takes(0.5), "a factor that does not fit the range");
    }
}

//! The floating-point types that geometry is generic over.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// `f32`, which everything runs in, and `f64`, in which gradients are checked.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The nearest representable number.
    fn of(value: f64) -> Self;
    /// Absolute value.
    #[must_use]
    fn abs(self) -> Self;
    /// Square root.
    #[must_use]
    fn sqrt(self) -> Self;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;
    /// Hyperbolic tangent of every entry, within 2e-7 (`f32`) or 1e-15 (`f64`); NaN stays NaN.
    #[must_use]
    fn tanh<const N: usize>(values: [Self; N]) -> [Self; N];
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(value: f64) -> Self {
        value as f32
    }

    fn abs(self) -> Self {
        self.abs()
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }

    /// 1 - 2 / (e^2x + 1), branch-free so that it vectorises; the exponential is 2^n times a Taylor series in |r| <= ln 2 / 2.
    fn tanh<const N: usize>(values: [Self; N]) -> [Self; N] {
        // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
        const ROUND: f32 = 12_582_912.0;
        // tanh is 1 within f32 beyond.
        const SATURATED: f32 = 9.5;
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = (std::f64::consts::LN_2 - LN_2_HIGH as f64) as f32;
        values.map(|x| {
            let exponent = 2.0 * x.clamp(-SATURATED, SATURATED);
            let shifted = exponent * std::f32::consts::LOG2_E + ROUND;
            let n = shifted - ROUND;
            let r = (exponent - n * LN_2_HIGH) - n * LN_2_LOW;
            let mut series = 1.0 / 5040.0;
            for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
                series = series * r + coefficient;
            }
            // The low mantissa bits of `shifted` hold n.
            let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
            1.0 - 2.0 / (series * power + 1.0)
        })
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn of(value: f64) -> Self {
        value
    }

    fn abs(self) -> Self {
        self.abs()
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }

    fn tanh<const N: usize>(values: [Self; N]) -> [Self; N] {
        values.map(f64::tanh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_tanh_is_accurate_everywhere() {
        let mut worst = 0.0f64;
        for step in -40_000..=40_000 {
            let x = step as f32 * 5e-4;
            let [y] = <f32 as Real>::tanh([x]);
            worst = worst.max((f64::from(y) - f64::from(x).tanh()).abs());
        }
        assert!(worst < 2e-7, "{worst}");
        let [a, b, nan, zero] = <f32 as Real>::tanh([f32::MAX, f32::NEG_INFINITY, f32::NAN, 0.0]);
        assert_eq!((a, b, zero), (1.0, -1.0, 0.0));
        assert!(nan.is_nan());
    }
}

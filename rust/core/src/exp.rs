//! The exponential of network kernels, written without branches so that it vectorises.

/// `e^x`, at most a few units in the last place off; underflows to a tiny number below about -87, saturates above about 88.
#[allow(clippy::inline_always, reason = "must be compiled with the features of its caller to vectorise")]
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    series(x, |a, b, c| a * b + c)
}

/// As [`exp`], with fused multiplications: faster where the caller is compiled for processors that have them, far slower
/// elsewhere.
#[allow(clippy::inline_always, reason = "must be compiled with the features of its caller to vectorise")]
#[inline(always)]
pub fn exp_fused(x: f32) -> f32 {
    series(x, f32::mul_add)
}

/// `fma(a, b, c)` is `a b + c`.
#[allow(clippy::inline_always, reason = "must be compiled with the features of its caller to vectorise")]
#[inline(always)]
fn series(x: f32, fma: impl Fn(f32, f32, f32) -> f32) -> f32 {
    // x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series, whose next term is below 2^-26.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = fma(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma(-n, LN2_LOW, fma(-n, LN2_HIGH, x));
    let mut sum = 1.0 / 5040.0;
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = fma(r, sum, term);
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    sum * power
}

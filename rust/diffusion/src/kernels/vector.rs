//! Elementary functions over slices, written without branches so that they vectorise; at most a few units in the
//! last place off.

use maquette_core::exp::{exp, exp_fused};
use multiversion::multiversion;

const LANES: usize = 16;

/// The error function; a rational minimax fit, absolute error below 5e-7.
#[allow(clippy::inline_always, reason = "must be compiled with the features of its caller to vectorise")]
#[inline(always)]
fn erf(z: f32) -> f32 {
    let z = z.clamp(-3.92, 3.92);
    let u = z * z;
    let p = std::f32::consts::FRAC_2_SQRT_PI
        + u * (0.190_406_44 + u * (0.052_748_717 + u * (0.003_765_615_9 + u * (0.000_284_882_67 + u * 2.050_087e-6))));
    let q =
        1.0 + u * (0.502_076_1 + u * (0.114_109_1 + u * (0.014_969_214 + u * (0.001_162_535_2 + u * 3.809_170_8e-5))));
    z * p / q
}

/// Replaces every value by `e^(value - shift)` and gives their sum.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn exp_and_sum(values: &mut [f32], shift: f32) -> f32 {
    const FUSED: bool = multiversion::target::target_cfg_f!(target_feature = "fma");
    let mut sums = [0.0f32; LANES];
    let mut chunks = values.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            let power = if FUSED { exp_fused(chunk[lane] - shift) } else { exp(chunk[lane] - shift) };
            chunk[lane] = power;
            sums[lane] += power;
        }
    }
    let mut sum = sums.iter().sum::<f32>();
    for value in chunks.into_remainder() {
        *value = exp(*value - shift);
        sum += *value;
    }
    sum
}

/// The largest value; minus infinity for none. NaN is passed over.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn max(values: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            best[lane] = if chunk[lane] > best[lane] { chunk[lane] } else { best[lane] };
        }
    }
    rest.iter().chain(&best).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

/// Sum of values and of their squares about `center`, in double precision across blocks.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn moments(values: &[f32], center: f32) -> (f64, f64) {
    let (mut sum, mut squares) = (0.0f64, 0.0f64);
    for block in values.chunks(4096) {
        let (mut s, mut q) = ([0.0f32; LANES], [0.0f32; LANES]);
        let chunks = block.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for lane in 0..LANES {
                let x = chunk[lane] - center;
                s[lane] += x;
                q[lane] += x * x;
            }
        }
        for lane in 0..LANES {
            sum += f64::from(s[lane]);
            squares += f64::from(q[lane]);
        }
        for &value in rest {
            let x = f64::from(value - center);
            sum += x;
            squares += x * x;
        }
    }
    (sum, squares)
}

/// `out = value * scale + shift`, followed by SiLU when `silu`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn affine(values: &[f32], scale: f32, shift: f32, silu: bool, out: &mut [f32]) {
    if silu {
        for (value, out) in values.iter().zip(out) {
            let x = value * scale + shift;
            *out = x / (1.0 + exp(-x));
        }
    } else {
        for (value, out) in values.iter().zip(out) {
            *out = value * scale + shift;
        }
    }
}

/// `x / (1 + e^-x)`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn silu(values: &[f32], out: &mut [f32]) {
    for (&x, out) in values.iter().zip(out) {
        *out = x / (1.0 + exp(-x));
    }
}

/// `values *= gelu(gate)` with the exact, erf form of GELU.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn gate_by_gelu(values: &mut [f32], gate: &[f32]) {
    for (value, &x) in values.iter_mut().zip(gate) {
        *value *= x * 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// `values += added`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn add_to(values: &mut [f32], added: &[f32]) {
    for (value, added) in values.iter_mut().zip(added) {
        *value += added;
    }
}

/// Element-wise sum.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn add(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((&a, &b), out) in a.iter().zip(b).zip(out) {
        *out = a + b;
    }
}

/// `values *= scale`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn scale(values: &mut [f32], scale: f32) {
    for value in values {
        *value *= scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate_over_its_range() {
        let mut worst = 0.0f64;
        for k in -86_000..=0 {
            let x = k as f32 * 1e-3;
            let mut v = [x];
            exp_and_sum(&mut v, 0.0);
            worst = worst.max((f64::from(v[0]) / f64::from(x).exp() - 1.0).abs());
        }
        assert!(worst < 3e-7, "{worst}");
        let mut far = [-1e30f32, f32::NEG_INFINITY];
        assert!(exp_and_sum(&mut far, 0.0) < 1e-36);
    }

    #[test]
    fn gelu_matches_its_definition() {
        // Φ at 0, ±1, ±2 from tables.
        for (x, phi) in [
            (0.0f32, 0.5f64),
            (1.0, 0.841_344_746_068_543),
            (-1.0, 0.158_655_253_931_457),
            (2.0, 0.977_249_868_051_821),
            (-6.0, 9.9e-10),
        ] {
            let mut out = [1.0];
            gate_by_gelu(&mut out, &[x]);
            assert!((f64::from(out[0]) - f64::from(x) * phi).abs() < 6e-7, "{x}: {}", out[0]);
        }
    }

    #[test]
    fn sums_do_not_lose_digits() {
        let values: Vec<f32> = (0..100_003).map(|k| 1000.0 + (k % 7) as f32 * 0.25).collect();
        let (sum, squares) = moments(&values, 1000.0);
        let exact: f64 = values.iter().map(|&v| f64::from(v) - 1000.0).sum();
        let exact_squares: f64 = values.iter().map(|&v| (f64::from(v) - 1000.0).powi(2)).sum();
        assert!((sum / exact - 1.0).abs() < 1e-9 && (squares / exact_squares - 1.0).abs() < 1e-6);
        assert_eq!(max(&values), 1001.5);
    }
}

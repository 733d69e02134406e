//! Group and layer normalisation, with the activation that follows.

use rayon::prelude::*;

use super::vector;

/// `x` is `[batch, channels, pixels]`; every group of channels of a picture is brought to mean 0 and variance 1, then
/// `weight` and `bias` (`[channels]`) are applied, then SiLU when `silu`.
pub fn group_norm(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    pixels: usize,
    groups: usize,
    eps: f64,
    silu: bool,
) -> Vec<f32> {
    let channels = weight.len();
    let size = channels / groups * pixels;
    let mut out = vec![0.0f32; x.len()];
    out.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate().for_each(|(index, (out, x))| {
        let (mean, scale) = standardise(x, eps);
        let first = index % groups * (channels / groups);
        for (channel, (out, x)) in out.chunks_exact_mut(pixels).zip(x.chunks_exact(pixels)).enumerate() {
            let weight = weight[first + channel] * scale;
            vector::affine(x, weight, bias[first + channel] - mean * weight, silu, out);
        }
    });
    out
}

/// `x` is `[rows, channels]`; every row is brought to mean 0 and variance 1, then `weight` and `bias` are applied.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f64) -> Vec<f32> {
    let channels = weight.len();
    let mut out = vec![0.0f32; x.len()];
    out.par_chunks_mut(channels).zip(x.par_chunks(channels)).with_min_len(64).for_each(|(out, x)| {
        let (mean, scale) = standardise(x, eps);
        for (k, out) in out.iter_mut().enumerate() {
            *out = (x[k] - mean) * scale * weight[k] + bias[k];
        }
    });
    out
}

/// Mean, and 1 / standard deviation.
fn standardise(x: &[f32], eps: f64) -> (f32, f32) {
    let count = x.len() as f64;
    let mean = (vector::moments(x, 0.0).0 / count) as f32;
    let (sum, squares) = vector::moments(x, mean);
    // What rounding the mean left over.
    let rest = sum / count;
    let variance = (squares / count - rest * rest).max(0.0);
    (mean, (1.0 / (variance + eps).sqrt()) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_standardised() {
        let (batch, channels, pixels, groups) = (2, 6, 50, 3);
        let x: Vec<f32> = (0..batch * channels * pixels).map(|k| 30.0 + ((k * 7919) % 101) as f32 * 0.1).collect();
        let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let bias = [0.5; 6];
        let out = group_norm(&x, &weight, &bias, pixels, groups, 1e-5, false);
        for (index, chunk) in x.chunks(2 * pixels).enumerate() {
            let mean = chunk.iter().map(|&v| f64::from(v)).sum::<f64>() / 100.0;
            let variance = chunk.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / 100.0;
            for (k, &v) in chunk.iter().enumerate() {
                let channel = index % groups * 2 + k / pixels;
                let exact = (f64::from(v) - mean) / (variance + 1e-5).sqrt() * f64::from(weight[channel]) + 0.5;
                assert!((exact - f64::from(out[index * 100 + k])).abs() < 2e-5);
            }
        }
    }

    #[test]
    fn rows_are_standardised() {
        let out = layer_norm(&[1.0, 2.0, 3.0, 10.0, 10.0, 10.0], &[1.0, 1.0, 2.0], &[0.0, 0.0, 1.0], 1e-5);
        let expected = [-1.224_74, 0.0, 3.449_48, 0.0, 0.0, 1.0];
        assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{out:?}");
    }
}

//! Group normalisation followed by SiLU, of channels-last pictures and volumes, with its backward pass, as a candle operation.

use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Result, Shape, Tensor};
use maquette_core::exp::exp;
use multiversion::multiversion;
use rayon::prelude::*;

use super::slice_of;

const EPSILON: f32 = 1e-5;

/// `silu(scale · normalised + shift)`; `x` is `[batch, …, channels]`, scale and shift `[channels]`.
///
/// # Errors
/// When the channels do not divide into `groups`, or shapes do not fit together.
pub fn group_norm_silu(x: &Tensor, scale: &Tensor, shift: &Tensor, groups: usize) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return reference(x, scale, shift, groups);
    }
    x.contiguous()?.apply_op3(scale, shift, GroupNormSilu { groups })
}

/// The same from candle's own operations.
pub(super) fn reference(x: &Tensor, scale: &Tensor, shift: &Tensor, groups: usize) -> Result<Tensor> {
    let (batch, channels) = (x.dim(0)?, x.dim(D::Minus1)?);
    let pixels = x.dims()[1..x.rank() - 1].iter().product::<usize>();
    let grouped = x.reshape((batch, pixels, groups, channels / groups))?.transpose(1, 2)?.contiguous()?;
    let flat = grouped.reshape((batch, groups, pixels * channels / groups))?.to_dtype(DType::F32)?;
    let centred = flat.broadcast_sub(&flat.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let unit = centred.broadcast_div(&(variance + f64::from(EPSILON))?.sqrt()?)?;
    let unit = unit.reshape((batch, groups, pixels, channels / groups))?.transpose(1, 2)?.contiguous()?;
    unit.reshape(x.shape())?.broadcast_mul(scale)?.broadcast_add(shift)?.silu()
}

struct GroupNormSilu {
    groups: usize,
}

/// Sums of values and of squares for each channel.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma"))]
fn moments(x: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    let channels = sums.len();
    for pixel in x.chunks_exact(channels) {
        for ((value, sum), square) in pixel.iter().zip(sums.iter_mut()).zip(squares.iter_mut()) {
            *sum += value;
            *square += value * value;
        }
    }
}

/// `out = silu(gain x + offset)`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma"))]
fn apply(x: &[f32], gain: &[f32], offset: &[f32], out: &mut [f32]) {
    let channels = gain.len();
    for (pixel, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
        for (((value, gain), offset), out) in pixel.iter().zip(gain).zip(offset).zip(out) {
            let z = gain * value + offset;
            *out = z / (1.0 + exp(-z));
        }
    }
}

/// `out = dL/dz` from `grad = dL/d silu(z)`, and its sums for each channel, plain and weighted by `x`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma"))]
fn apply_backward(
    x: &[f32],
    gain: &[f32],
    offset: &[f32],
    grad: &[f32],
    out: &mut [f32],
    sums: &mut [f32],
    weighted: &mut [f32],
) {
    let channels = gain.len();
    for ((pixel, grad), out) in
        x.chunks_exact(channels).zip(grad.chunks_exact(channels)).zip(out.chunks_exact_mut(channels))
    {
        for channel in 0..channels {
            let z = gain[channel] * pixel[channel] + offset[channel];
            let sigmoid = 1.0 / (1.0 + exp(-z));
            let value = grad[channel] * sigmoid * (1.0 + z * (1.0 - sigmoid));
            out[channel] = value;
            sums[channel] += value;
            weighted[channel] += value * pixel[channel];
        }
    }
}

/// `grad = gain grad + slope x + constant`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma"))]
fn combine(x: &[f32], gain: &[f32], slope: &[f32], constant: &[f32], grad: &mut [f32]) {
    let channels = gain.len();
    for (pixel, grad) in x.chunks_exact(channels).zip(grad.chunks_exact_mut(channels)) {
        for channel in 0..channels {
            grad[channel] = gain[channel] * grad[channel] + slope[channel] * pixel[channel] + constant[channel];
        }
    }
}

/// What normalises one picture.
struct Statistics {
    /// Mean of each channel's group.
    mean: Vec<f32>,
    /// One over the standard deviation of each channel's group.
    inverse: Vec<f32>,
    /// `scale · inverse`.
    gain: Vec<f32>,
    /// `shift - gain · mean`.
    offset: Vec<f32>,
}

impl Statistics {
    fn of(x: &[f32], scale: &[f32], shift: &[f32], groups: usize) -> Self {
        let channels = scale.len();
        let (mut sums, mut squares) = (vec![0.0f32; channels], vec![0.0f32; channels]);
        moments(x, &mut sums, &mut squares);
        let size = channels / groups;
        let count = (x.len() / groups) as f64;
        let (mut mean, mut inverse) = (vec![0.0f32; channels], vec![0.0f32; channels]);
        for group in 0..groups {
            let range = group * size..(group + 1) * size;
            let sum: f64 = sums[range.clone()].iter().map(|&x| f64::from(x)).sum();
            let square: f64 = squares[range.clone()].iter().map(|&x| f64::from(x)).sum();
            let variance = (square / count - (sum / count).powi(2)).max(0.0);
            mean[range.clone()].fill((sum / count) as f32);
            inverse[range].fill((1.0 / (variance + f64::from(EPSILON)).sqrt()) as f32);
        }
        let gain: Vec<f32> = scale.iter().zip(&inverse).map(|(scale, inverse)| scale * inverse).collect();
        let offset = (0..channels).map(|k| shift[k] - gain[k] * mean[k]).collect();
        Self { mean, inverse, gain, offset }
    }
}

fn forward(x: &[f32], scale: &[f32], shift: &[f32], picture: usize, groups: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; x.len()];
    out.par_chunks_mut(picture).zip(x.par_chunks(picture)).for_each(|(out, x)| {
        let statistics = Statistics::of(x, scale, shift, groups);
        apply(x, &statistics.gain, &statistics.offset, out);
    });
    out
}

/// Gradients with respect to `x`, `scale` and `shift`.
fn backward(
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    grad: &[f32],
    picture: usize,
    groups: usize,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let channels = scale.len();
    let mut out = vec![0.0f32; x.len()];
    let parts: Vec<(Vec<f32>, Vec<f32>)> = out
        .par_chunks_mut(picture)
        .zip(x.par_chunks(picture))
        .zip(grad.par_chunks(picture))
        .map(|((out, x), grad)| {
            let Statistics { mean, inverse, gain, offset } = Statistics::of(x, scale, shift, groups);
            let (mut shift_grad, mut scale_grad) = (vec![0.0f32; channels], vec![0.0f32; channels]);
            apply_backward(x, &gain, &offset, grad, out, &mut shift_grad, &mut scale_grad);
            for k in 0..channels {
                scale_grad[k] = (scale_grad[k] - mean[k] * shift_grad[k]) * inverse[k];
            }
            let size = channels / groups;
            let count = (x.len() / groups) as f32;
            let (mut slope, mut constant) = (vec![0.0f32; channels], vec![0.0f32; channels]);
            for group in 0..groups {
                let range = group * size..(group + 1) * size;
                let sum: f32 = range.clone().map(|k| scale[k] * shift_grad[k]).sum();
                let along: f32 = range.clone().map(|k| scale[k] * scale_grad[k]).sum();
                for k in range {
                    slope[k] = -inverse[k] * inverse[k] * along / count;
                    constant[k] = -inverse[k] * sum / count - slope[k] * mean[k];
                }
            }
            combine(x, &gain, &slope, &constant, out);
            (scale_grad, shift_grad)
        })
        .collect();
    let (mut scale_grad, mut shift_grad) = (vec![0.0f32; channels], vec![0.0f32; channels]);
    for (scale_part, shift_part) in parts {
        for k in 0..channels {
            scale_grad[k] += scale_part[k];
            shift_grad[k] += shift_part[k];
        }
    }
    (out, scale_grad, shift_grad)
}

impl CustomOp3 for GroupNormSilu {
    fn name(&self) -> &'static str {
        "channels-last group norm and SiLU"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let &[_, .., channels] = x_layout.dims() else {
            candle_core::bail!("expected [batch, …, channels], got {x_layout:?}");
        };
        let picture = x_layout.dims()[1..].iter().product();
        if channels % self.groups != 0 || scale_layout.dims() != [channels] || shift_layout.dims() != [channels] {
            candle_core::bail!("{channels} channels in {} groups do not fit the layer", self.groups);
        }
        let (x, scale, shift) =
            (slice_of(x, x_layout)?, slice_of(scale, scale_layout)?, slice_of(shift, shift_layout)?);
        let out = forward(x, scale, shift, picture, self.groups);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let picture = x.dims()[1..].iter().product();
        let (x_grad, scale_grad, shift_grad) =
            super::with_slices([x, scale, shift, &grad], |[x, scale, shift, grad]| {
                backward(x, scale, shift, grad, picture, self.groups)
            })?;
        Ok((
            Some(Tensor::from_vec(x_grad, x.shape(), x.device())?),
            Some(Tensor::from_vec(scale_grad, scale.shape(), scale.device())?),
            Some(Tensor::from_vec(shift_grad, shift.shape(), shift.device())?),
        ))
    }
}

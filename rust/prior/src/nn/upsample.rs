//! Every pixel of a channels-last picture doubled on both axes, with its backward pass, as a candle operation.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::slice_of;

/// `x` is `[batch, height, width, channels]`; gives `[batch, 2 height, 2 width, channels]`.
///
/// # Errors
/// When `x` has another rank.
pub fn upsample(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return reference(x);
    }
    x.contiguous()?.apply_op1(Upsample)
}

/// The same from candle's own operations.
pub(super) fn reference(x: &Tensor) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    x.reshape((batch, height, 1, width, 1, channels))?
        .broadcast_as((batch, height, 2, width, 2, channels))?
        .contiguous()?
        .reshape((batch, 2 * height, 2 * width, channels))
}

struct Upsample;

fn forward(x: &[f32], width: usize, channels: usize) -> Vec<f32> {
    let line = width * channels;
    let mut out = vec![0.0f32; 4 * x.len()];
    out.par_chunks_mut(4 * line).zip(x.par_chunks(line)).for_each(|(out, line_in)| {
        let (top, below) = out.split_at_mut(2 * line);
        for (pixel, two) in line_in.chunks_exact(channels).zip(top.chunks_exact_mut(2 * channels)) {
            let (left, right) = two.split_at_mut(channels);
            left.copy_from_slice(pixel);
            right.copy_from_slice(pixel);
        }
        below.copy_from_slice(top);
    });
    out
}

fn backward(grad: &[f32], width: usize, channels: usize) -> Vec<f32> {
    let line = width * channels;
    let mut out = vec![0.0f32; grad.len() / 4];
    out.par_chunks_mut(line).zip(grad.par_chunks(4 * line)).for_each(|(out, grad)| {
        let (top, below) = grad.split_at(2 * line);
        let lines = top.chunks_exact(2 * channels).zip(below.chunks_exact(2 * channels));
        for (pixel, (top, below)) in out.chunks_exact_mut(channels).zip(lines) {
            for (k, sum) in pixel.iter_mut().enumerate() {
                *sum = top[k] + top[channels + k] + below[k] + below[channels + k];
            }
        }
    });
    out
}

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "channels-last upsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = layout.shape().dims4()?;
        let out = forward(slice_of(x, layout)?, width, channels);
        Ok((CpuStorage::F32(out), Shape::from((batch, 2 * height, 2 * width, channels))))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, width, channels) = x.dims4()?;
        let grad = grad.contiguous()?;
        let values = super::with_slices([&grad], |[grad]| backward(grad, width, channels))?;
        Ok(Some(Tensor::from_vec(values, x.shape(), x.device())?))
    }
}

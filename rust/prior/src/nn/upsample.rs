//! Every pixel of a channels-last picture, or voxel of a volume, doubled on all axes, with its backward pass, as a candle
//! operation.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::slice_of;

/// `x` is `[batch, height, width, channels]` or `[batch, depth, height, width, channels]`; all sizes between the batch
/// and the channels are doubled.
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
    let mut doubled = x.clone();
    for axis in 1..x.rank() - 1 {
        let mut shape = doubled.dims().to_vec();
        shape.insert(axis + 1, 2);
        let repeated = doubled.unsqueeze(axis + 1)?.broadcast_as(shape)?.contiguous()?;
        let mut shape = doubled.dims().to_vec();
        shape[axis] *= 2;
        doubled = repeated.reshape(shape)?;
    }
    Ok(doubled)
}

struct Upsample;

/// Sizes of one picture or volume.
struct Sizes {
    /// Every plane comes twice: 2 for volumes, else 1.
    planes: usize,
    /// Numbers of one plane of a volume; of pictures, one line.
    plane: usize,
    /// Numbers of one line.
    line: usize,
    channels: usize,
}

impl Sizes {
    fn of(shape: &Shape) -> Result<(Self, Shape)> {
        match *shape.dims() {
            [batch, height, width, channels] => Ok((
                Self { planes: 1, plane: width * channels, line: width * channels, channels },
                Shape::from((batch, 2 * height, 2 * width, channels)),
            )),
            [batch, depth, height, width, channels] => Ok((
                Self { planes: 2, plane: height * width * channels, line: width * channels, channels },
                Shape::from((batch, 2 * depth, 2 * height, 2 * width, channels)),
            )),
            _ => candle_core::bail!("expected a batch of pictures or volumes, channels last, got {shape:?}"),
        }
    }
}

fn forward(x: &[f32], sizes: &Sizes) -> Vec<f32> {
    let Sizes { planes, plane, line, channels } = *sizes;
    let mut out = vec![0.0f32; 4 * planes * x.len()];
    out.par_chunks_mut(4 * planes * plane).zip(x.par_chunks(plane)).for_each(|(out, x)| {
        let (first, second) = out.split_at_mut(4 * plane);
        for (out, line_in) in first.chunks_exact_mut(4 * line).zip(x.chunks_exact(line)) {
            let (top, below) = out.split_at_mut(2 * line);
            for (pixel, two) in line_in.chunks_exact(channels).zip(top.chunks_exact_mut(2 * channels)) {
                let (left, right) = two.split_at_mut(channels);
                left.copy_from_slice(pixel);
                right.copy_from_slice(pixel);
            }
            below.copy_from_slice(top);
        }
        if planes == 2 {
            second.copy_from_slice(first);
        }
    });
    out
}

fn backward(grad: &[f32], sizes: &Sizes) -> Vec<f32> {
    let Sizes { planes, plane, line, channels } = *sizes;
    let mut out = vec![0.0f32; grad.len() / (4 * planes)];
    out.par_chunks_mut(plane).zip(grad.par_chunks(4 * planes * plane)).for_each(|(out, grad)| {
        for grad in grad.chunks_exact(4 * plane) {
            for (out, grad) in out.chunks_exact_mut(line).zip(grad.chunks_exact(4 * line)) {
                let (top, below) = grad.split_at(2 * line);
                let lines = top.chunks_exact(2 * channels).zip(below.chunks_exact(2 * channels));
                for (pixel, (top, below)) in out.chunks_exact_mut(channels).zip(lines) {
                    for (k, sum) in pixel.iter_mut().enumerate() {
                        *sum += top[k] + top[channels + k] + below[k] + below[channels + k];
                    }
                }
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
        let (sizes, shape) = Sizes::of(layout.shape())?;
        Ok((CpuStorage::F32(forward(slice_of(x, layout)?, &sizes)), shape))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (sizes, _) = Sizes::of(x.shape())?;
        let grad = grad.contiguous()?;
        let values = super::with_slices([&grad], |[grad]| backward(grad, &sizes))?;
        Ok(Some(Tensor::from_vec(values, x.shape(), x.device())?))
    }
}

//! Convolution of channels-last pictures and volumes, with its backward pass, as a candle operation.
//!
//! Pictures are `[batch, height, width, channels]` and kernels `[rows, columns, inputs, outputs]`, so that the patches
//! under a kernel are rows of a matrix and every pass is one matrix product, cut into tiles; volumes and their kernels have
//! a depth before the height. No two tiles add into one output and tile sizes do not depend on the number of threads:
//! results are the same on any number of them. Elsewhere than on the CPU, candle's own convolution runs on pictures;
//! of volumes it has none.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::slice_of;

/// Pixels of a tile at most.
const TILE_PIXELS: usize = 512;
/// Numbers under the kernels of a tile, about: what a cache holds.
const TILE_NUMBERS: usize = 1 << 19;
/// Partial sums of a kernel's gradient at most.
const MOST_PARTS: usize = 4;

/// Which pixels a kernel sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// An odd kernel centred on every pixel, zeros outside of the picture: the size stays.
    Centred(usize),
    /// Kernels side by side: the size is divided by the kernel's.
    Tiled(usize),
}

impl Window {
    /// Rows and columns of the kernel.
    pub fn side(self) -> usize {
        match self {
            Self::Centred(side) | Self::Tiled(side) => side,
        }
    }
}

/// `x` `[batch, height, width, inputs]` under `kernel` `[side, side, inputs, outputs]` plus `bias` `[outputs]`.
///
/// # Errors
/// When shapes do not fit together, or a picture does not divide into tiles.
pub fn conv2d(x: &Tensor, kernel: &Tensor, bias: &Tensor, window: Window) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return reference(x, kernel, bias, window);
    }
    x.contiguous()?.apply_op3(kernel, bias, Convolution(window))
}

/// `x` `[batch, depth, height, width, inputs]` under `kernel` `[side, side, side, inputs, outputs]` plus `bias` `[outputs]`;
/// on the CPU only.
///
/// # Errors
/// When shapes do not fit together, or a volume does not divide into tiles.
pub fn conv3d(x: &Tensor, kernel: &Tensor, bias: &Tensor, window: Window) -> Result<Tensor> {
    x.contiguous()?.apply_op3(kernel, bias, Convolution(window))
}

/// The same by candle's own convolution.
pub(super) fn reference(x: &Tensor, kernel: &Tensor, bias: &Tensor, window: Window) -> Result<Tensor> {
    let (padding, stride) = match window {
        Window::Centred(side) => (side / 2, 1),
        Window::Tiled(side) => (0, side),
    };
    let x = x.permute((0, 3, 1, 2))?.contiguous()?;
    let kernel = kernel.permute((3, 2, 0, 1))?.contiguous()?;
    x.conv2d(&kernel, padding, stride, 1, 1)?.permute((0, 2, 3, 1))?.broadcast_add(bias)?.contiguous()
}

struct Convolution(Window);

/// Sizes of one convolution; of pictures the depth and that of the kernel are 1.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    window: Window,
    batch: usize,
    depth: usize,
    height: usize,
    width: usize,
    inputs: usize,
    outputs: usize,
    kernel_depth: usize,
}

impl Sizes {
    fn of(window: Window, x: &Shape, kernel: &Shape, bias: &Shape) -> Result<Self> {
        let side = window.side();
        let (kernel_depth, sizes) = match (x.dims(), kernel.dims()) {
            (&[batch, height, width, inputs], &[rows, columns, taken, outputs]) => {
                (1, (rows == side && columns == side && taken == inputs).then_some([batch, 1, height, width, outputs]))
            }
            (&[batch, depth, height, width, inputs], &[planes, rows, columns, taken, outputs]) => {
                let fits = [planes, rows, columns] == [side; 3] && taken == inputs;
                (side, fits.then_some([batch, depth, height, width, outputs]))
            }
            _ => (1, None),
        };
        let divides = |size: usize| match window {
            Window::Centred(side) => side % 2 == 1,
            Window::Tiled(side) => side > 0 && size.is_multiple_of(side),
        };
        match sizes {
            Some([batch, depth, height, width, outputs])
                if bias.dims() == [outputs]
                    && divides(height)
                    && divides(width)
                    && (kernel_depth == 1 || divides(depth)) =>
            {
                let inputs = x.dims()[x.rank() - 1];
                Ok(Self { window, batch, depth, height, width, inputs, outputs, kernel_depth })
            }
            _ => {
                candle_core::bail!("{window:?}: input {x:?}, kernel {kernel:?} and bias {bias:?} do not fit together")
            }
        }
    }

    fn out_depth(&self) -> usize {
        self.depth / if self.kernel_depth == 1 { 1 } else { self.stride() }
    }

    fn out_height(&self) -> usize {
        self.height / self.stride()
    }

    fn out_width(&self) -> usize {
        self.width / self.stride()
    }

    fn stride(&self) -> usize {
        match self.window {
            Window::Centred(_) => 1,
            Window::Tiled(side) => side,
        }
    }

    /// Output pixels of the whole batch.
    fn pixels(&self) -> usize {
        self.batch * self.out_depth() * self.out_height() * self.out_width()
    }

    /// Places under the kernel.
    fn taps(&self) -> usize {
        self.kernel_depth * self.window.side().pow(2)
    }

    /// Numbers under the kernel.
    fn patch(&self) -> usize {
        self.taps() * self.inputs
    }

    /// Output pixels of a tile.
    fn tile(&self) -> usize {
        (TILE_NUMBERS / self.patch()).clamp(64, TILE_PIXELS).min((self.pixels() / 4).max(32))
    }

    /// The patches of output pixels `first..first + count` as rows; `scratch` keeps them unless they lie in `x` already.
    fn patches<'a>(&self, x: &'a [f32], first: usize, count: usize, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        let (side, inputs, patch) = (self.window.side(), self.inputs, self.patch());
        if side == 1 {
            return &x[first * inputs..][..count * inputs];
        }
        let (out_width, out_height, out_depth) = (self.out_width(), self.out_height(), self.out_depth());
        scratch.resize(count * patch, 0.0);
        for (index, row) in scratch.chunks_exact_mut(patch).enumerate() {
            let pixel = first + index;
            let (column, line) = (pixel % out_width, pixel / out_width % out_height);
            let (plane, image) =
                (pixel / (out_width * out_height) % out_depth, pixel / (out_width * out_height * out_depth));
            let (front, top, left) = match self.window {
                Window::Centred(side) => (
                    plane.wrapping_sub(self.kernel_depth / 2),
                    line.wrapping_sub(side / 2),
                    column.wrapping_sub(side / 2),
                ),
                Window::Tiled(side) => (plane * self.kernel_depth, line * side, column * side),
            };
            // Columns of the kernel that meet the picture.
            let begin = if left >= self.width { left.wrapping_neg() } else { 0 };
            let end = self.width.wrapping_sub(left).min(side);
            let from = left.wrapping_add(begin) * inputs;
            for (k, taps) in row.chunks_exact_mut(side * inputs).enumerate() {
                let (z, y) = (front.wrapping_add(k / side), top.wrapping_add(k % side));
                if y >= self.height || z >= self.depth {
                    taps.fill(0.0);
                    continue;
                }
                let line =
                    &x[((image * self.depth + z) * self.height + y) * self.width * inputs..][..self.width * inputs];
                taps[..begin * inputs].fill(0.0);
                taps[end * inputs..].fill(0.0);
                taps[begin * inputs..end * inputs].copy_from_slice(&line[from..][..(end - begin) * inputs]);
            }
        }
        &scratch[..count * patch]
    }
}

/// `out = bias + patches(x) kernel`.
fn forward(x: &[f32], kernel: &[f32], bias: Option<&[f32]>, sizes: Sizes) -> Vec<f32> {
    let (patch, outputs, tile_pixels) = (sizes.patch(), sizes.outputs, sizes.tile());
    let mut out = vec![0.0f32; sizes.pixels() * outputs];
    out.par_chunks_mut(tile_pixels * outputs).enumerate().for_each_init(Vec::new, |scratch, (tile, out)| {
        let count = out.len() / outputs;
        if let Some(bias) = bias {
            for pixel in out.chunks_exact_mut(outputs) {
                pixel.copy_from_slice(bias);
            }
        }
        let patches = sizes.patches(x, tile * tile_pixels, count, scratch);
        faer::linalg::matmul::matmul(
            MatMut::from_row_major_slice_mut(out, count, outputs),
            Accum::Add,
            MatRef::from_row_major_slice(patches, count, patch),
            MatRef::from_row_major_slice(kernel, patch, outputs),
            1.0,
            Par::Seq,
        );
    });
    out
}

/// Gradient with respect to the input.
fn backward_input(grad: &[f32], kernel: &[f32], sizes: Sizes) -> Vec<f32> {
    let (inputs, outputs) = (sizes.inputs, sizes.outputs);
    match sizes.window {
        Window::Centred(_) => {
            // What an output gives to the input at tap k, the input takes from the output at the opposite tap.
            let taps = sizes.taps();
            let mut turned = vec![0.0f32; kernel.len()];
            for tap in 0..taps {
                let from = &kernel[(taps - 1 - tap) * inputs * outputs..][..inputs * outputs];
                let to = &mut turned[tap * inputs * outputs..][..inputs * outputs];
                for input in 0..inputs {
                    for output in 0..outputs {
                        to[output * inputs + input] = from[input * outputs + output];
                    }
                }
            }
            forward(grad, &turned, None, Sizes { inputs: outputs, outputs: inputs, ..sizes })
        }
        Window::Tiled(side) => {
            let (patch, width, out_width) = (sizes.patch(), sizes.width, sizes.out_width());
            // Of pictures whole lines are tiled, of volumes whole planes; lines of pictures count on over the batch.
            let lines = if sizes.kernel_depth == 1 { usize::MAX } else { sizes.out_height() };
            let slab = if sizes.kernel_depth == 1 { out_width } else { out_width * lines };
            let slabs = (TILE_PIXELS / slab).max(1);
            let mut out = vec![0.0f32; sizes.batch * sizes.depth * sizes.height * width * inputs];
            out.par_chunks_mut(slabs * slab * patch).enumerate().for_each_init(
                Vec::new,
                |scratch: &mut Vec<f32>, (tile, out)| {
                    let count = out.len() / patch;
                    scratch.resize(count * patch, 0.0);
                    let from = &grad[tile * slabs * slab * outputs..][..count * outputs];
                    faer::linalg::matmul::matmul(
                        MatMut::from_row_major_slice_mut(scratch, count, patch),
                        Accum::Replace,
                        MatRef::from_row_major_slice(from, count, outputs),
                        MatRef::from_row_major_slice(kernel, patch, outputs).transpose(),
                        1.0,
                        Par::Seq,
                    );
                    for (pixel, row) in scratch.chunks_exact(patch).enumerate() {
                        let (line, column) = (pixel / out_width, pixel % out_width);
                        let (plane, line) = (line / lines, line % lines);
                        for (k, taps) in row.chunks_exact(side * inputs).enumerate() {
                            let (z, y) = (plane * sizes.kernel_depth + k / side, line * side + k % side);
                            let to = ((z * sizes.height + y) * width + column * side) * inputs;
                            out[to..][..side * inputs].copy_from_slice(taps);
                        }
                    }
                },
            );
            out
        }
    }
}

/// Gradients with respect to kernel and bias.
fn backward_kernel(x: &[f32], grad: &[f32], sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
    let (patch, outputs, pixels) = (sizes.patch(), sizes.outputs, sizes.pixels());
    let tile = sizes.tile();
    let part_count = (pixels / tile).clamp(1, MOST_PARTS);
    let share = pixels.div_ceil(part_count);
    let parts: Vec<(Vec<f32>, Vec<f32>)> = (0..part_count)
        .into_par_iter()
        .map(|part| {
            let (mut kernel, mut bias) = (vec![0.0f32; patch * outputs], vec![0.0f32; outputs]);
            let mut scratch = Vec::new();
            let (mut first, last) = (part * share, ((part + 1) * share).min(pixels));
            while first < last {
                let count = tile.min(last - first);
                let patches = sizes.patches(x, first, count, &mut scratch);
                let from = &grad[first * outputs..][..count * outputs];
                for pixel in from.chunks_exact(outputs) {
                    for (sum, value) in bias.iter_mut().zip(pixel) {
                        *sum += value;
                    }
                }
                faer::linalg::matmul::matmul(
                    MatMut::from_row_major_slice_mut(&mut kernel, patch, outputs),
                    Accum::Add,
                    MatRef::from_row_major_slice(patches, count, patch).transpose(),
                    MatRef::from_row_major_slice(from, count, outputs),
                    1.0,
                    Par::Seq,
                );
                first += count;
            }
            (kernel, bias)
        })
        .collect();
    let mut parts = parts.into_iter();
    let (mut kernel, mut bias) = parts.next().unwrap_or_default();
    for (more_kernel, more_bias) in parts {
        for (sum, value) in kernel.iter_mut().zip(&more_kernel).chain(bias.iter_mut().zip(&more_bias)) {
            *sum += value;
        }
    }
    (kernel, bias)
}

impl CustomOp3 for Convolution {
    fn name(&self) -> &'static str {
        "channels-last convolution"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::of(self.0, x_layout.shape(), kernel_layout.shape(), bias_layout.shape())?;
        let (x, kernel, bias) =
            (slice_of(x, x_layout)?, slice_of(kernel, kernel_layout)?, slice_of(bias, bias_layout)?);
        let mut shape = vec![sizes.batch, sizes.out_height(), sizes.out_width(), sizes.outputs];
        if x_layout.shape().rank() == 5 {
            shape.insert(1, sizes.out_depth());
        }
        Ok((CpuStorage::F32(forward(x, kernel, Some(bias), sizes)), Shape::from(shape)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        bias: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = Sizes::of(self.0, x.shape(), kernel.shape(), bias.shape())?;
        let grad = grad.contiguous()?;
        let x_grad = if x.track_op() {
            let values = super::with_slices([&grad, kernel], |[grad, kernel]| backward_input(grad, kernel, sizes))?;
            Some(Tensor::from_vec(values, x.shape(), x.device())?)
        } else {
            None
        };
        // Fixed weights, as when a latent is fitted, need no gradient.
        if !kernel.track_op() && !bias.track_op() {
            return Ok((x_grad, None, None));
        }
        let (kernel_grad, bias_grad) = super::with_slices([x, &grad], |[x, grad]| backward_kernel(x, grad, sizes))?;
        let kernel_grad = Tensor::from_vec(kernel_grad, kernel.shape(), kernel.device())?;
        let bias_grad = Tensor::from_vec(bias_grad, bias.shape(), bias.device())?;
        Ok((x_grad, Some(kernel_grad), Some(bias_grad)))
    }
}

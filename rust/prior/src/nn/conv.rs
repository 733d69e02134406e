//! 2D convolution of channels-last pictures, with its backward pass, as a candle operation.
//!
//! Pictures are `[batch, height, width, channels]` and kernels `[rows, columns, inputs, outputs]`, so that the patches
//! under a kernel are rows of a matrix and every pass is one matrix product, cut into tiles. No two tiles add into one
//! output and tile sizes do not depend on the number of threads: results are the same on any number of them.
//! Elsewhere than on the CPU, candle's own convolution runs.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::slice_of;

/// Pixels of a tile, about.
const TILE_PIXELS: usize = 512;
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
    x.contiguous()?.apply_op3(kernel, bias, Conv2d(window))
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

struct Conv2d(Window);

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    window: Window,
    batch: usize,
    height: usize,
    width: usize,
    inputs: usize,
    outputs: usize,
}

impl Sizes {
    fn of(window: Window, x: &Shape, kernel: &Shape, bias: &Shape) -> Result<Self> {
        let (batch, height, width, inputs) = x.dims4()?;
        let (rows, columns, taken, outputs) = kernel.dims4()?;
        let side = window.side();
        let fits = (rows, columns, taken) == (side, side, inputs) && bias.dims() == [outputs];
        let divides = match window {
            Window::Centred(side) => side % 2 == 1,
            Window::Tiled(side) => side > 0 && height % side == 0 && width % side == 0,
        };
        if !fits || !divides {
            candle_core::bail!("{window:?}: input {x:?}, kernel {kernel:?} and bias {bias:?} do not fit together");
        }
        Ok(Self { window, batch, height, width, inputs, outputs })
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
        self.batch * self.out_height() * self.out_width()
    }

    /// Numbers under the kernel.
    fn patch(&self) -> usize {
        self.window.side().pow(2) * self.inputs
    }

    /// The patches of output pixels `first..first + count` as rows; `scratch` keeps them unless they lie in `x` already.
    fn patches<'a>(&self, x: &'a [f32], first: usize, count: usize, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        let (side, inputs, patch) = (self.window.side(), self.inputs, self.patch());
        if side == 1 {
            return &x[first * inputs..][..count * inputs];
        }
        let (out_width, out_height) = (self.out_width(), self.out_height());
        scratch.resize(count * patch, 0.0);
        for (index, row) in scratch.chunks_exact_mut(patch).enumerate() {
            let pixel = first + index;
            let (column, line, image) =
                (pixel % out_width, pixel / out_width % out_height, pixel / (out_width * out_height));
            let (top, left) = match self.window {
                Window::Centred(side) => (line.wrapping_sub(side / 2), column.wrapping_sub(side / 2)),
                Window::Tiled(side) => (line * side, column * side),
            };
            for (ky, taps) in row.chunks_exact_mut(side * inputs).enumerate() {
                let y = top.wrapping_add(ky);
                if y >= self.height {
                    taps.fill(0.0);
                    continue;
                }
                let line = &x[(image * self.height + y) * self.width * inputs..][..self.width * inputs];
                // Columns of the kernel that meet the picture.
                let begin = if left >= self.width { left.wrapping_neg() } else { 0 };
                let end = self.width.wrapping_sub(left).min(side);
                taps[..begin * inputs].fill(0.0);
                taps[end * inputs..].fill(0.0);
                let from = left.wrapping_add(begin) * inputs;
                taps[begin * inputs..end * inputs].copy_from_slice(&line[from..][..(end - begin) * inputs]);
            }
        }
        &scratch[..count * patch]
    }
}

/// `out = bias + patches(x) kernel`.
fn forward(x: &[f32], kernel: &[f32], bias: Option<&[f32]>, sizes: Sizes) -> Vec<f32> {
    let (patch, outputs) = (sizes.patch(), sizes.outputs);
    let mut out = vec![0.0f32; sizes.pixels() * outputs];
    out.par_chunks_mut(TILE_PIXELS * outputs).enumerate().for_each_init(Vec::new, |scratch, (tile, out)| {
        let count = out.len() / outputs;
        if let Some(bias) = bias {
            for pixel in out.chunks_exact_mut(outputs) {
                pixel.copy_from_slice(bias);
            }
        }
        let patches = sizes.patches(x, tile * TILE_PIXELS, count, scratch);
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
        Window::Centred(side) => {
            // What an output gives to the input at tap k, the input takes from the output at the opposite tap.
            let taps = side * side;
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
            let mut out = vec![0.0f32; sizes.batch * sizes.height * width * inputs];
            let lines = (TILE_PIXELS / out_width).max(1);
            out.par_chunks_mut(lines * side * width * inputs).enumerate().for_each_init(
                Vec::new,
                |scratch: &mut Vec<f32>, (tile, out)| {
                    let count = out.len() / (side * side * inputs);
                    scratch.resize(count * patch, 0.0);
                    let from = &grad[tile * lines * out_width * outputs..][..count * outputs];
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
                        for (ky, taps) in row.chunks_exact(side * inputs).enumerate() {
                            let to = ((line * side + ky) * width + column * side) * inputs;
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
    let part_count = (pixels / TILE_PIXELS).clamp(1, MOST_PARTS);
    let share = pixels.div_ceil(part_count);
    let parts: Vec<(Vec<f32>, Vec<f32>)> = (0..part_count)
        .into_par_iter()
        .map(|part| {
            let (mut kernel, mut bias) = (vec![0.0f32; patch * outputs], vec![0.0f32; outputs]);
            let mut scratch = Vec::new();
            let (mut first, last) = (part * share, ((part + 1) * share).min(pixels));
            while first < last {
                let count = TILE_PIXELS.min(last - first);
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

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "channels-last conv2d"
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
        let shape = Shape::from((sizes.batch, sizes.out_height(), sizes.out_width(), sizes.outputs));
        Ok((CpuStorage::F32(forward(x, kernel, Some(bias), sizes)), shape))
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
        let (kernel_grad, bias_grad) = super::with_slices([x, &grad], |[x, grad]| backward_kernel(x, grad, sizes))?;
        let kernel_grad = Tensor::from_vec(kernel_grad, kernel.shape(), kernel.device())?;
        let bias_grad = Tensor::from_vec(bias_grad, bias.shape(), bias.device())?;
        Ok((x_grad, Some(kernel_grad), Some(bias_grad)))
    }
}

//! 2D convolution as a sum of shifted matrix products, one for each tap of the kernel.
//!
//! A padded strip of the input is laid out in `stride²` phase planes, so that for every tap the pixels it meets, one
//! for each output, are one contiguous run of a plane. No column matrix is made: the scratch of a tile is its strip
//! and its outputs.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::{Stop, multiply, row_mut, tiles};

/// Outputs of one tile, about.
const TILE_PIXELS: usize = 512;
const TILE_CHANNELS: usize = 320;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Pictures.
    pub batch: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zero rows above and columns left of the input.
    pub pad_before: usize,
    /// Zero rows below and columns right of the input.
    pub pad_after: usize,
}

impl Shape {
    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        (self.height + self.pad_before + self.pad_after - self.kernel) / self.stride + 1
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        (self.width + self.pad_before + self.pad_after - self.kernel) / self.stride + 1
    }
}

/// `x` is `[batch, inputs, height, width]`; `taps` is `[kernel², outputs, inputs]`; `offset` is `[outputs]`, added to
/// every picture, or `[batch, outputs]`; gives `[batch, outputs, out_height, out_width]`.
pub fn conv2d(x: &[f32], taps: &[f32], offset: &[f32], shape: Shape, stop: &Stop<'_>) -> Vec<f32> {
    let Shape { batch, inputs, outputs, height, width, kernel, stride, pad_before, pad_after } = shape;
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let mut out = vec![0.0f32; batch * outputs * out_height * out_width];
    // Columns of a phase plane; an output row takes as many, of which the first out_width are kept.
    let pitch = (width + pad_before + pad_after).div_ceil(stride);
    let reach = (kernel - 1) / stride;
    let tile_rows = (TILE_PIXELS / pitch).clamp(1, out_height);
    let planes = MatMut::from_row_major_slice_mut(&mut out, batch * outputs, out_height * out_width);
    let mut work = Vec::new();
    for (image, planes) in split_rows(planes, outputs).into_iter().enumerate() {
        work.extend(tiles(planes, TILE_CHANNELS, tile_rows * out_width).into_iter().map(|tile| (image, tile)));
    }
    work.into_par_iter().for_each_init(
        || (Vec::new(), Vec::new()),
        |(strip, result): &mut (Vec<f32>, Vec<f32>), (image, mut tile)| {
            if stop() {
                return;
            }
            let first_row = tile.column / out_width;
            let rows = tile.part.ncols() / out_width;
            let strip_rows = rows + reach;
            let plane = strip_rows * pitch;
            // The last tap of the last output ends inside of its row, so runs of this length stay in the plane.
            let run = (rows - 1) * pitch + out_width;
            strip.clear();
            strip.resize(stride * stride * inputs * plane, 0.0);
            let picture = &x[image * inputs * height * width..][..inputs * height * width];
            for (phase, planes) in strip.chunks_exact_mut(inputs * plane).enumerate() {
                let (phase_y, phase_x) = (phase / stride, phase % stride);
                for (channel, plane) in planes.chunks_exact_mut(plane).enumerate() {
                    for (row, line) in plane.chunks_exact_mut(pitch).enumerate() {
                        let y = ((first_row + row) * stride + phase_y).wrapping_sub(pad_before);
                        if y < height {
                            copy_line(
                                &picture[(channel * height + y) * width..][..width],
                                line,
                                stride,
                                phase_x,
                                pad_before,
                            );
                        }
                    }
                }
            }
            let (height, first) = (tile.part.nrows(), tile.row);
            let offset = if offset.len() == outputs { offset } else { &offset[image * outputs..][..outputs] };
            result.clear();
            for &value in &offset[first..first + height] {
                result.resize(result.len() + run, value);
            }
            let mut sum = MatMut::from_row_major_slice_mut(result, height, run);
            for tap in 0..kernel * kernel {
                let (y, x) = (tap / kernel, tap % kernel);
                let phase = (y % stride) * stride + x % stride;
                let start = phase * inputs * plane + (y / stride) * pitch + x / stride;
                let end = ((phase + 1) * inputs * plane).min(start + (inputs - 1) * plane + run);
                let seen = MatRef::from_row_major_slice_with_stride(&strip[start..end], inputs, run, plane);
                let weight = &taps[(tap * outputs + first) * inputs..][..height * inputs];
                multiply(sum.as_mut(), true, MatRef::from_row_major_slice(weight, height, inputs), seen);
            }
            for channel in 0..height {
                let line = row_mut(&mut tile.part, channel);
                let from = &result[channel * run..][..run];
                for row in 0..rows {
                    line[row * out_width..][..out_width].copy_from_slice(&from[row * pitch..][..out_width]);
                }
            }
        },
    );
    out
}

/// Every `stride`th pixel of a padded line, from `phase` on.
fn copy_line(source: &[f32], line: &mut [f32], stride: usize, phase: usize, pad_before: usize) {
    if stride == 1 {
        line[pad_before..pad_before + source.len()].copy_from_slice(source);
        return;
    }
    for (column, value) in line.iter_mut().enumerate() {
        if let Some(&pixel) = source.get((column * stride + phase).wrapping_sub(pad_before)) {
            *value = pixel;
        }
    }
}

/// Cuts a matrix into groups of `rows` rows.
fn split_rows(whole: MatMut<'_, f32>, rows: usize) -> Vec<MatMut<'_, f32>> {
    let columns = whole.ncols();
    tiles(whole, rows, columns.max(1)).into_iter().map(|tile| tile.part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(x: &[f32], taps: &[f32], offset: &[f32], s: Shape) -> Vec<f32> {
        let mut out = Vec::new();
        for image in 0..s.batch {
            for o in 0..s.outputs {
                for oy in 0..s.out_height() {
                    for ox in 0..s.out_width() {
                        let mut sum = offset[if offset.len() == s.outputs { o } else { image * s.outputs + o }];
                        for tap in 0..s.kernel * s.kernel {
                            let y = (oy * s.stride + tap / s.kernel).wrapping_sub(s.pad_before);
                            let xx = (ox * s.stride + tap % s.kernel).wrapping_sub(s.pad_before);
                            if y < s.height && xx < s.width {
                                for i in 0..s.inputs {
                                    sum += taps[(tap * s.outputs + o) * s.inputs + i]
                                        * x[((image * s.inputs + i) * s.height + y) * s.width + xx];
                                }
                            }
                        }
                        out.push(sum);
                    }
                }
            }
        }
        out
    }

    #[test]
    fn matches_the_definition() {
        for (kernel, stride, pad_before, pad_after, height, width) in [
            (3, 1, 1, 1, 9, 7),
            (3, 2, 1, 1, 9, 7),
            (3, 2, 0, 1, 8, 10),
            (1, 1, 0, 0, 5, 6),
            (8, 8, 0, 0, 32, 24),
            (3, 1, 1, 1, 40, 600),
            (3, 1, 1, 1, 1, 1),
            (14, 14, 0, 0, 33, 28),
        ] {
            for outputs in [3, 330] {
                let s = Shape { batch: 2, inputs: 3, outputs, height, width, kernel, stride, pad_before, pad_after };
                if outputs > 3 && width > 100 {
                    continue;
                }
                // Small integers, so that sums are exact in any order.
                let x: Vec<f32> = (0..2 * 3 * height * width).map(|k| ((k * 7) % 11) as f32 - 5.0).collect();
                let taps: Vec<f32> = (0..kernel * kernel * outputs * 3).map(|k| ((k * 5) % 7) as f32 - 3.0).collect();
                let offset: Vec<f32> = (0..2 * outputs).map(|k| (k % 17) as f32).collect();
                for offset in [&offset[..], &offset[..outputs]] {
                    assert!(conv2d(&x, &taps, offset, s, &|| false) == direct(&x, &taps, offset, s), "{s:?}");
                }
            }
        }
    }
}

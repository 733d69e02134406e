//! Cheap previews of latents: an affine map to colour, fitted to the model's own encoder.
//!
//! Encoding the input gives pairs of latent cells and colours (the mean of the pixels under a cell) of this very VAE;
//! least squares over them gives the map. No constants, no decoding.

use candle_core::{Device, Tensor};
use maquette_core::Image;

use super::sample::{to_unit, to_vae_latent};
use crate::{Error, Result};

/// An affine map from latent cells to colours.
#[derive(Clone, Debug)]
pub struct Previewer {
    /// `[3][channels + 1]`, the constant last.
    map: [Vec<f64>; 3],
    scaling_factor: f64,
}

impl Previewer {
    /// Fits the map to a picture `[1, 3, h, w]` and its latent `[1, channels, h / factor, w / factor]`.
    pub fn fit(pixels: &Tensor, latent: &Tensor, scaling_factor: f64) -> Result<Self> {
        let (_, channels, rows, columns) = latent.dims4()?;
        let (_, _, height, _) = pixels.dims4()?;
        let small = pixels.to_device(&Device::Cpu)?.to_dtype(candle_core::DType::F32)?.avg_pool2d(height / rows)?;
        let colors = small.flatten_all()?.to_vec1::<f32>()?;
        let cells =
            latent.to_device(&Device::Cpu)?.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let (count, size) = (rows * columns, channels + 1);
        if colors.len() != 3 * count {
            return Err(Error::invalid("picture and latent are of different sizes; give the latent of this picture"));
        }
        let at = |cell: usize, k: usize| if k < channels { f64::from(cells[k * count + cell]) } else { 1.0 };
        let mut normal = vec![0.0f64; size * size];
        let mut right = [(); 3].map(|()| vec![0.0f64; size]);
        for cell in 0..count {
            for i in 0..size {
                for j in 0..size {
                    normal[i * size + j] += at(cell, i) * at(cell, j);
                }
                for (channel, right) in right.iter_mut().enumerate() {
                    right[i] += at(cell, i) * f64::from(colors[channel * count + cell]);
                }
            }
        }
        // A little ridge: pictures of one colour leave the map undetermined.
        for i in 0..size {
            normal[i * size + i] += 1e-3 * count as f64;
        }
        Ok(Self { map: right.map(|right| solve(normal.clone(), right)), scaling_factor })
    }

    /// A diffused latent `[1, channels, rows, columns]` as a picture, one pixel a cell.
    pub fn picture(&self, latent: &Tensor) -> Result<Image> {
        let (_, channels, rows, columns) = latent.dims4()?;
        let latent = to_vae_latent(&latent.to_device(&Device::Cpu)?, self.scaling_factor)?;
        let cells = latent.flatten_all()?.to_vec1::<f32>()?;
        let count = rows * columns;
        let colors: Vec<f32> = self
            .map
            .iter()
            .flat_map(|map| {
                let cells = &cells;
                (0..count).map(move |cell| {
                    let sum: f64 = (0..channels).map(|k| map[k] * f64::from(cells[k * count + cell])).sum();
                    (sum + map[channels]) as f32
                })
            })
            .collect();
        super::preprocess::to_image(&to_unit(&Tensor::from_vec(colors, (1, 3, rows, columns), &Device::Cpu)?)?)
    }
}

/// Solves a small positive definite system by elimination.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        for i in k + 1..n {
            let factor = a[i * n + k] / a[k * n + k];
            for j in k..n {
                a[i * n + j] -= factor * a[k * n + j];
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| a[k * n + j] * b[j]).sum();
        b[k] = (b[k] - known) / a[k * n + k];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_affine_code_is_found() {
        let device = Device::Cpu;
        let latent = Tensor::randn(0f32, 1f32, (1, 4, 8, 8), &device).unwrap();
        let flat = latent.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut pixels = vec![0.0f32; 3 * 32 * 32];
        for channel in 0..3 {
            for row in 0..32 {
                for column in 0..32 {
                    let cell = (row / 4) * 8 + column / 4;
                    let value = 0.1 * flat[channel * 64 + cell] - 0.05 * flat[3 * 64 + cell] + 0.02;
                    pixels[(channel * 32 + row) * 32 + column] = value;
                }
            }
        }
        let pixels = Tensor::from_vec(pixels, (1, 3, 32, 32), &device).unwrap();
        let previewer = Previewer::fit(&pixels, &latent, 0.18215).unwrap();
        for (channel, map) in previewer.map.iter().enumerate() {
            for (k, &value) in map.iter().enumerate() {
                let wanted = if k == channel {
                    0.1
                } else if k == 3 {
                    -0.05
                } else if k == 4 {
                    0.02
                } else {
                    0.0
                };
                assert!((value - wanted).abs() < 1e-3, "{channel} {k}: {value}");
            }
        }
    }
}

//! The networks of the shape autoencoder: signed distance to latent, and back.
//!
//! Residual blocks at 4³, 8³ and, in the decoder, 16³ (He et al. 2016, pre-activation; group norm). What lies between 64³
//! samples and 16³ is one linear layer on blocks of 4³ samples, which keeps the cost that of a 16³ network.

use candle_core::{Result, Tensor};

use crate::nn::{Conv3d, NormSilu, Residual3d, Weights, Window, upsample};

/// Samples of the signed distance on a side.
pub const SIZE: usize = 64;
/// Samples on a side of a block that becomes the channels of one voxel of the network, and back.
pub const BLOCK: usize = 4;
/// Voxels of the network's finest level on a side.
pub const SIDE: usize = SIZE / BLOCK;
/// Numbers of the latent.
pub const LATENT: usize = COARSEST * COARSEST * COARSEST * LATENT_CHANNELS;
/// Channels at each level, finest first.
const CHANNELS: [usize; 3] = [32, 64, 128];
/// Voxels of the coarsest level on a side.
const COARSEST: usize = SIDE >> (CHANNELS.len() - 1);
const LATENT_CHANNELS: usize = 64;
/// Least and largest logarithm of a latent's variance.
const LOG_VARIANCE: [f64; 2] = [-12.0, 4.0];

/// Signed distance to the distribution of its latent.
#[derive(Clone, Debug)]
pub struct Encoder {
    stem: Conv3d,
    blocks: Vec<Residual3d>,
    narrow: Vec<Conv3d>,
    norm: NormSilu,
    last: Conv3d,
}

/// Independent normal distributions of the numbers of a latent, each `[batch, LATENT]`.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Their means.
    pub mean: Tensor,
    /// Logarithms of their variances.
    pub log_variance: Tensor,
}

impl Encoder {
    /// Takes its parameters from `weights`.
    pub fn new(weights: &mut Weights) -> Result<Self> {
        let stem = Conv3d::new(weights, "encoder.stem", 1, CHANNELS[0], Window::Tiled(BLOCK))?;
        let (mut blocks, mut narrow) = (Vec::new(), Vec::new());
        for (level, &channels) in CHANNELS.iter().enumerate() {
            // At the finest level distances are smooth enough for linear layers.
            if level > 0 {
                blocks.push(Residual3d::new(weights, &format!("encoder.block{level}"), channels)?);
            }
            if let Some(&next) = CHANNELS.get(level + 1) {
                let name = format!("encoder.narrow{level}");
                narrow.push(Conv3d::new(weights, &name, channels, next, Window::Tiled(2))?);
            }
        }
        let last = CHANNELS[CHANNELS.len() - 1];
        Ok(Self {
            stem,
            blocks,
            narrow,
            norm: NormSilu::new(weights, "encoder.norm", last)?,
            last: Conv3d::new(weights, "encoder.last", last, 2 * LATENT_CHANNELS, Window::Centred(1))?,
        })
    }

    /// `distances` is `[batch, SIZE, SIZE, SIZE, 1]`, in units of [`crate::shapes::SdfCube::REACH`].
    pub fn forward(&self, distances: &Tensor) -> Result<Posterior> {
        let mut x = self.stem.forward(distances)?;
        for (narrow, block) in self.narrow.iter().zip(&self.blocks) {
            x = block.forward(&narrow.forward(&x)?)?;
        }
        let both = self.last.forward(&self.norm.forward(&x)?)?;
        let batch = both.dim(0)?;
        let [low, high] = LOG_VARIANCE;
        Ok(Posterior {
            mean: both.narrow(4, 0, LATENT_CHANNELS)?.reshape((batch, LATENT))?,
            log_variance: both
                .narrow(4, LATENT_CHANNELS, LATENT_CHANNELS)?
                .reshape((batch, LATENT))?
                .clamp(low, high)?,
        })
    }
}

/// Latent to signed distance.
#[derive(Clone, Debug)]
pub struct Decoder {
    first: Conv3d,
    middle: Vec<Residual3d>,
    widen: Vec<Conv3d>,
    blocks: Vec<Residual3d>,
    norm: NormSilu,
    last: Conv3d,
}

impl Decoder {
    /// Takes its parameters from `weights`.
    pub fn new(weights: &mut Weights) -> Result<Self> {
        let coarsest = CHANNELS[CHANNELS.len() - 1];
        let first = Conv3d::new(weights, "decoder.first", LATENT_CHANNELS, coarsest, Window::Centred(1))?;
        let middle =
            (0..2).map(|k| Residual3d::new(weights, &format!("decoder.middle{k}"), coarsest)).collect::<Result<_>>()?;
        let (mut widen, mut blocks) = (Vec::new(), Vec::new());
        for level in (0..CHANNELS.len() - 1).rev() {
            let channels = CHANNELS[level];
            let name = format!("decoder.widen{level}");
            widen.push(Conv3d::new(weights, &name, CHANNELS[level + 1], channels, Window::Centred(1))?);
            blocks.push(Residual3d::new(weights, &format!("decoder.block{level}"), channels)?);
        }
        Ok(Self {
            first,
            middle,
            widen,
            blocks,
            norm: NormSilu::new(weights, "decoder.norm", CHANNELS[0])?,
            last: Conv3d::new(weights, "decoder.last", CHANNELS[0], BLOCK * BLOCK * BLOCK, Window::Centred(1))?,
        })
    }

    /// `latent` is `[batch, LATENT]`; gives distances in units of [`crate::shapes::SdfCube::REACH`], unlimited,
    /// `[batch, SIDE, SIDE, SIDE, BLOCK³]`: see [`from_blocks`].
    pub fn forward(&self, latent: &Tensor) -> Result<Tensor> {
        let batch = latent.dim(0)?;
        let mut x = self.first.forward(&latent.reshape((batch, COARSEST, COARSEST, COARSEST, LATENT_CHANNELS))?)?;
        for block in &self.middle {
            x = block.forward(&x)?;
        }
        for (widen, block) in self.widen.iter().zip(&self.blocks) {
            x = block.forward(&upsample(&widen.forward(&x)?)?)?;
        }
        self.last.forward(&self.norm.forward(&x)?)
    }
}

/// Rows of samples along x in the decoder's order: the place of each in the plain order `(z · SIZE + y) · SIZE + x`, and its
/// place in the decoder's.
fn rows() -> impl Iterator<Item = (usize, usize)> {
    (0..SIDE * SIDE * SIDE).flat_map(|block| {
        let (x, y, z) = (block % SIDE, block / SIDE % SIDE, block / (SIDE * SIDE));
        (0..BLOCK * BLOCK).map(move |row| {
            let (y, z) = (y * BLOCK + row % BLOCK, z * BLOCK + row / BLOCK);
            ((z * SIZE + y) * SIZE + x * BLOCK, (block * BLOCK * BLOCK + row) * BLOCK)
        })
    })
}

/// One volume from the decoder's order into the plain one.
pub fn from_blocks(blocked: &[f32], plain: &mut [f32]) {
    for (to, from) in rows() {
        plain[to..to + BLOCK].copy_from_slice(&blocked[from..from + BLOCK]);
    }
}

/// The inverse of [`from_blocks`].
pub fn to_blocks(plain: &[f32], blocked: &mut [f32]) {
    for (from, to) in rows() {
        blocked[to..to + BLOCK].copy_from_slice(&plain[from..from + BLOCK]);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn every_parameter_gets_a_gradient() {
        let mut weights = Weights::fresh(1, &Device::Cpu);
        let (encoder, decoder) = (Encoder::new(&mut weights).unwrap(), Decoder::new(&mut weights).unwrap());
        let variables = weights.into_variables();
        let count: usize = variables.iter().map(|(_, variable)| variable.elem_count()).sum();
        assert!(count < 3_500_000, "{count}");
        // Zero-initialised layers block gradients, so give every parameter a value.
        for (_, variable) in &variables {
            variable.set(&Tensor::randn(0.0f32, 0.05, variable.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        let distances = Tensor::randn(0.0f32, 1.0, (1, SIZE, SIZE, SIZE, 1), &Device::Cpu).unwrap();
        let posterior = encoder.forward(&distances).unwrap();
        let latent = (posterior.mean + posterior.log_variance).unwrap();
        let out = decoder.forward(&latent).unwrap();
        assert_eq!(out.dims(), [1, SIDE, SIDE, SIDE, BLOCK * BLOCK * BLOCK]);
        let gradients = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for (name, variable) in &variables {
            let gradient = gradients.get(variable).unwrap_or_else(|| panic!("{name}"));
            let largest: f32 = gradient.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap();
            assert!(largest > 0.0 && largest.is_finite(), "{name}: {largest}");
        }
    }

    #[test]
    fn blocks_hold_every_sample_once() {
        let plain: Vec<f32> = (0..SIZE * SIZE * SIZE).map(|k| k as f32).collect();
        let (mut blocked, mut back) = (vec![-1.0; plain.len()], vec![-1.0; plain.len()]);
        to_blocks(&plain, &mut blocked);
        from_blocks(&blocked, &mut back);
        assert_eq!(plain, back);
        assert_eq!(blocked[BLOCK..2 * BLOCK], plain[SIZE..SIZE + BLOCK]);
    }
}

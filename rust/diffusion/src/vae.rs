//! The variational autoencoder between pictures and latents (Rombach et al. 2022), with `AutoencoderKL`'s names.

use candle_core::{DType, Device, Tensor};

use crate::config::VaeConfig;
use crate::nn::{Conv2d, GroupNorm, Linear, Resnet, add, double, from_tokens, scaled_dot_product, to_tokens};
use crate::weights::Weights;
use crate::{Error, Result, Run};

const EPS: f64 = 1e-6;

/// Distribution of latents that the encoder gives.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Mean, `[batch, channels, height, width]`.
    pub mean: Tensor,
    /// Logarithm of the variance, clamped to -30..=20.
    pub log_variance: Tensor,
}

impl Posterior {
    /// Standard deviation.
    pub fn std(&self) -> Result<Tensor> {
        Ok((&self.log_variance * 0.5)?.exp()?)
    }

    /// `mean + std noise`.
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor> {
        Ok((&self.mean + (self.std()? * noise)?)?)
    }
}

/// Single-head self-attention over all cells.
#[derive(Clone, Debug)]
struct CellAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl CellAttention {
    fn new(weights: &Weights, channels: usize, groups: usize) -> Result<Self> {
        // Files of 2022 have the older names.
        let linear = |name: &str, older: &str| Linear::new_named(weights, [name, older], channels, channels);
        Ok(Self {
            norm: GroupNorm::new(&weights.at("group_norm"), channels, groups, EPS)?,
            query: linear("to_q", "query")?,
            key: linear("to_k", "key")?,
            value: linear("to_v", "value")?,
            out: linear("to_out.0", "proj_attn")?,
        })
    }

    fn forward(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let tokens = to_tokens(&self.norm.forward(x, run)?)?;
        let query = self.query.forward(&tokens, run)?;
        let key = self.key.forward(&tokens, run)?;
        let value = self.value.forward(&tokens, run)?;
        let out = self.out.forward(&scaled_dot_product(&query, &key, &value, 1, run)?, run)?;
        add(x, &from_tokens(&out, height, width)?)
    }
}

#[derive(Clone, Debug)]
struct Middle {
    resnets: [Resnet; 2],
    attention: CellAttention,
}

impl Middle {
    fn new(weights: &Weights, channels: usize, groups: usize) -> Result<Self> {
        let resnet =
            |index: usize| Resnet::new(&weights.at(format!("resnets.{index}")), channels, channels, None, groups, EPS);
        Ok(Self {
            resnets: [resnet(0)?, resnet(1)?],
            attention: CellAttention::new(&weights.at("attentions.0"), channels, groups)?,
        })
    }

    fn forward(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        let x = self.resnets[0].forward(x, None, run)?;
        let x = self.attention.forward(&x, run)?;
        self.resnets[1].forward(&x, None, run)
    }
}

#[derive(Clone, Debug)]
struct Level {
    resnets: Vec<Resnet>,
    /// To the next level.
    resample: Option<Conv2d>,
}

/// The network.
#[derive(Clone, Debug)]
pub struct Vae {
    encoder_in: Conv2d,
    encoder_levels: Vec<Level>,
    encoder_middle: Middle,
    encoder_norm: GroupNorm,
    encoder_out: Conv2d,
    quantise: Conv2d,
    dequantise: Conv2d,
    decoder_in: Conv2d,
    decoder_middle: Middle,
    decoder_levels: Vec<Level>,
    decoder_norm: GroupNorm,
    decoder_out: Conv2d,
}

impl Vae {
    /// Builds the network from its weights.
    pub fn new(config: &VaeConfig, weights: &Weights) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (levels, groups, latent) = (channels.len(), config.norm_num_groups, config.latent_channels);
        let deepest = channels[levels - 1];

        let at = weights.at("encoder");
        let encoder_in = Conv2d::new(&at.at("conv_in"), config.in_channels, channels[0], 3)?;
        let mut current = channels[0];
        let mut encoder_levels = Vec::new();
        for level in 0..levels {
            let at = at.at(format!("down_blocks.{level}"));
            let mut resnets = Vec::new();
            for layer in 0..config.layers_per_block {
                let at = at.at(format!("resnets.{layer}"));
                resnets.push(Resnet::new(&at, current, channels[level], None, groups, EPS)?);
                current = channels[level];
            }
            let resample = if level + 1 < levels {
                // The original pads right and below only.
                Some(Conv2d::with(&at.at("downsamplers.0.conv"), current, current, 3, 2, (0, 1), true)?)
            } else {
                None
            };
            encoder_levels.push(Level { resnets, resample });
        }
        let encoder_middle = Middle::new(&at.at("mid_block"), deepest, groups)?;
        let encoder_norm = GroupNorm::new(&at.at("conv_norm_out"), deepest, groups, EPS)?;
        let encoder_out = Conv2d::new(&at.at("conv_out"), deepest, 2 * latent, 3)?;
        let quantise = Conv2d::new(&weights.at("quant_conv"), 2 * latent, 2 * latent, 1)?;

        let dequantise = Conv2d::new(&weights.at("post_quant_conv"), latent, latent, 1)?;
        let at = weights.at("decoder");
        let decoder_in = Conv2d::new(&at.at("conv_in"), latent, deepest, 3)?;
        let decoder_middle = Middle::new(&at.at("mid_block"), deepest, groups)?;
        let mut current = deepest;
        let mut decoder_levels = Vec::new();
        for index in 0..levels {
            let at = at.at(format!("up_blocks.{index}"));
            let width = channels[levels - 1 - index];
            let mut resnets = Vec::new();
            for layer in 0..=config.layers_per_block {
                resnets.push(Resnet::new(&at.at(format!("resnets.{layer}")), current, width, None, groups, EPS)?);
                current = width;
            }
            let resample = if index + 1 < levels {
                Some(Conv2d::new(&at.at("upsamplers.0.conv"), current, current, 3)?)
            } else {
                None
            };
            decoder_levels.push(Level { resnets, resample });
        }
        Ok(Self {
            encoder_in,
            encoder_levels,
            encoder_middle,
            encoder_norm,
            encoder_out,
            quantise,
            dequantise,
            decoder_in,
            decoder_middle,
            decoder_levels,
            decoder_norm: GroupNorm::new(&at.at("conv_norm_out"), channels[0], groups, EPS)?,
            decoder_out: Conv2d::new(&at.at("conv_out"), channels[0], config.out_channels, 3)?,
        })
    }

    /// Encodes pictures `[batch, 3, height, width]`.
    pub fn encode(&self, picture: &Tensor, run: &Run) -> Result<Posterior> {
        let mut x = self.encoder_in.forward(picture, run)?;
        run.see("enc_conv_in", &x)?;
        for (index, level) in self.encoder_levels.iter().enumerate() {
            for resnet in &level.resnets {
                x = resnet.forward(&x, None, run)?;
            }
            if let Some(resample) = &level.resample {
                x = resample.forward(&x, run)?;
            }
            run.see(&format!("enc_down{index}"), &x)?;
        }
        x = self.encoder_middle.forward(&x, run)?;
        run.see("enc_mid", &x)?;
        x = self.encoder_out.forward(&self.encoder_norm.forward_silu(&x, run)?, run)?;
        run.see("enc_out", &x)?;
        let moments = self.quantise.forward(&x, run)?;
        run.see("moments", &moments)?;
        let parts = moments.chunk(2, 1)?;
        let posterior = Posterior { mean: parts[0].contiguous()?, log_variance: parts[1].clamp(-30.0, 20.0)? };
        run.see("mean", &posterior.mean)?;
        run.see("logvar", &posterior.log_variance)?;
        Ok(posterior)
    }

    /// Decodes latents `[batch, channels, height, width]`, as they are: divide by the scaling factor before.
    pub fn decode(&self, latent: &Tensor, run: &Run) -> Result<Tensor> {
        let mut x = self.dequantise.forward(latent, run)?;
        run.see("post_quant", &x)?;
        x = self.decoder_in.forward(&x, run)?;
        run.see("dec_conv_in", &x)?;
        x = self.decoder_middle.forward(&x, run)?;
        run.see("dec_mid", &x)?;
        for (index, level) in self.decoder_levels.iter().enumerate() {
            for resnet in &level.resnets {
                x = resnet.forward(&x, None, run)?;
            }
            if let Some(resample) = &level.resample {
                x = resample.forward(&double(&x)?, run)?;
            }
            run.see(&format!("dec_up{index}"), &x)?;
        }
        let out = self.decoder_out.forward(&self.decoder_norm.forward_silu(&x, run)?, run)?;
        run.see("out", &out)?;
        Ok(out)
    }

    /// As [`Vae::decode`], in square tiles of `side` cells that share `overlap`, blended linearly; `factor` is pixels a
    /// cell. Memory is that of one tile. Attention and norms see a tile only, so the result is close to the whole
    /// picture's, not equal to it.
    pub fn decode_tiled(
        &self,
        latent: &Tensor,
        factor: usize,
        side: usize,
        overlap: usize,
        run: &Run,
    ) -> Result<Tensor> {
        let (batch, _, height, width) = latent.dims4()?;
        if height <= side && width <= side {
            return self.decode(latent, run);
        }
        if overlap >= side {
            return Err(Error::invalid(format!("tiles of {side} cells cannot share {overlap}; use fewer")));
        }
        let starts = |length: usize| -> Vec<usize> {
            if length <= side {
                return vec![0];
            }
            let count = (length - overlap).div_ceil(side - overlap);
            (0..count).map(|k| k * (length - side) / (count - 1)).collect()
        };
        // Weight along one axis: full inside, falling towards borders that another tile takes over.
        let ramp = |start: usize, extent: usize, length: usize| -> Vec<f32> {
            let edge = (overlap * factor) as f32;
            (0..extent * factor)
                .map(|k| {
                    let (before, after) = (k as f32 + 0.5, (extent * factor) as f32 - k as f32 - 0.5);
                    let low = if start == 0 { 1.0 } else { (before / edge).min(1.0) };
                    let high = if start + extent == length { 1.0 } else { (after / edge).min(1.0) };
                    low * high
                })
                .collect()
        };
        let (tall, wide) = (height * factor, width * factor);
        let mut sum = Vec::new();
        let mut weight = vec![0.0f32; tall * wide];
        let mut channels = 0;
        for top in starts(height) {
            for left in starts(width) {
                let (rows, columns) = (side.min(height), side.min(width));
                let part = latent.narrow(2, top, rows)?.narrow(3, left, columns)?.contiguous()?;
                let part = self.decode(&part, run)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
                channels = part.dim(1)?;
                sum.resize(batch * channels * tall * wide, 0.0f32);
                let values = part.flatten_all()?.to_vec1::<f32>()?;
                let (down, across) = (ramp(top, rows, height), ramp(left, columns, width));
                for (y, &wy) in down.iter().enumerate() {
                    for (x, &wx) in across.iter().enumerate() {
                        let at = (top * factor + y) * wide + left * factor + x;
                        weight[at] += wy * wx;
                        for plane in 0..batch * channels {
                            let value = values[(plane * rows * factor + y) * columns * factor + x];
                            sum[plane * tall * wide + at] += value * wy * wx;
                        }
                    }
                }
            }
        }
        for plane in sum.chunks_exact_mut(tall * wide) {
            for (value, weight) in plane.iter_mut().zip(&weight) {
                *value /= weight;
            }
        }
        Ok(Tensor::from_vec(sum, (batch, channels, tall, wide), &Device::Cpu)?.to_device(latent.device())?)
    }
}

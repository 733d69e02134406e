//! The denoising UNet of Stable Diffusion 2 and its relatives (Rombach et al. 2022), with `UNet2DConditionModel`'s
//! names.

mod block;
mod encoder;
pub mod policy;

use candle_core::Tensor;

pub use block::{SpatialTransformer, TransformerBlock};
pub use encoder::{Encoded, Encoder};
pub use policy::{AttentionPolicy, Site};

use crate::config::UnetConfig;
use crate::nn::{Conv2d, GroupNorm, Resnet, add, double, join};
use crate::weights::Weights;
use crate::{Error, Result, Run};
pub(crate) use block::Sites;

/// What a ControlNet adds to a UNet.
#[derive(Clone, Debug)]
pub struct Residuals {
    /// For every skip connection, in the encoder's order.
    pub down: Vec<Tensor>,
    /// For the middle block's output.
    pub mid: Tensor,
}

#[derive(Clone, Debug)]
struct UpBlock {
    resnets: Vec<Resnet>,
    transformers: Vec<SpatialTransformer>,
    upsampler: Option<Conv2d>,
}

/// The network.
#[derive(Clone, Debug)]
pub struct Unet {
    encoder: Encoder,
    up_blocks: Vec<UpBlock>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    sites: usize,
}

impl Unet {
    /// Builds the network from its weights.
    pub fn new(config: &UnetConfig, weights: &Weights) -> Result<Self> {
        let mut sites = Sites::default();
        let encoder = Encoder::new(config, weights, &mut sites)?;
        let channels = &config.block_out_channels;
        let levels = channels.len();
        let skips = Encoder::skip_channels(config);
        let mut skips = skips.into_iter().rev();
        let mut current = channels[levels - 1];
        let mut up_blocks = Vec::new();
        for index in 0..levels {
            let level = levels - 1 - index;
            let at = weights.at(format!("up_blocks.{index}"));
            let (mut resnets, mut transformers) = (Vec::new(), Vec::new());
            for layer in 0..=config.layers_per_block {
                let skip = skips.next().unwrap_or(0);
                resnets.push(Resnet::new(
                    &at.at(format!("resnets.{layer}")),
                    current + skip,
                    channels[level],
                    Some(config.time_channels()),
                    config.norm_num_groups,
                    config.norm_eps,
                )?);
                current = channels[level];
                if config.up_block_types[index] == "CrossAttnUpBlock2D" {
                    let name = format!("up_blocks.{index}.attentions.{layer}");
                    transformers.push(SpatialTransformer::new(config, level, weights, &name, &mut sites)?);
                }
            }
            let upsampler =
                if level > 0 { Some(Conv2d::new(&at.at("upsamplers.0.conv"), current, current, 3)?) } else { None };
            up_blocks.push(UpBlock { resnets, transformers, upsampler });
        }
        Ok(Self {
            encoder,
            up_blocks,
            norm_out: GroupNorm::new(
                &weights.at("conv_norm_out"),
                channels[0],
                config.norm_num_groups,
                config.norm_eps,
            )?,
            conv_out: Conv2d::new(&weights.at("conv_out"), channels[0], config.out_channels, 3)?,
            sites: sites.count(),
        })
    }

    /// Number of self-attentions, in the order they run.
    pub fn self_attention_count(&self) -> usize {
        self.sites
    }

    /// Predicts noise or velocity of `sample` `[batch, channels, height, width]` at training step `timestep` (may be
    /// fractional) under the tokens `context` `[batch, tokens, channels]`.
    ///
    /// Height and width must be divisible by 2 to the number of levels less one. `policy` chooses what every
    /// self-attention looks at; `residuals` come from a ControlNet.
    pub fn forward(
        &self,
        sample: &Tensor,
        timestep: f64,
        context: &Tensor,
        policy: &mut dyn AttentionPolicy,
        residuals: Option<&Residuals>,
        run: &Run,
    ) -> Result<Tensor> {
        let time = self.encoder.time(timestep, sample, run)?;
        let start = self.encoder.start(sample, run)?;
        let Encoded { mut skips, mut mid } = self.encoder.forward(start, &time, context, policy, run)?;
        run.see("mid", &mid)?;
        if let Some(residuals) = residuals {
            if residuals.down.len() != skips.len() {
                return Err(Error::invalid(format!(
                    "ControlNet gives {} residuals, but this UNet has {} skip connections; use the ControlNet of this model",
                    residuals.down.len(),
                    skips.len()
                )));
            }
            for (skip, residual) in skips.iter_mut().zip(&residuals.down) {
                *skip = add(skip, residual)?;
            }
            mid = add(&mid, &residuals.mid)?;
        }
        let mut x = mid;
        for (index, block) in self.up_blocks.iter().enumerate() {
            for (layer, resnet) in block.resnets.iter().enumerate() {
                // The constructor asked for as many as the encoder leaves.
                let skip = skips.pop().ok_or_else(|| Error::invalid("the encoder left too few skip connections"))?;
                x = resnet.forward(&join(&x, &skip)?, Some(&time), run)?;
                if let Some(transformer) = block.transformers.get(layer) {
                    x = transformer.forward(&x, context, policy, run)?;
                }
            }
            if let Some(upsampler) = &block.upsampler {
                x = upsampler.forward(&double(&x)?, run)?;
            }
            run.see(&format!("up{index}"), &x)?;
        }
        if run.is_observed() {
            run.see("norm_out", &self.norm_out.forward(&x, run)?)?;
        }
        let out = self.conv_out.forward(&self.norm_out.forward_silu(&x, run)?, run)?;
        run.see("out", &out)?;
        Ok(out)
    }
}

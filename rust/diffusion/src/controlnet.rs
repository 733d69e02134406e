//! ControlNet (Zhang, Rao and Agrawala 2023): a copy of the UNet's encoder that sees a picture and adds residuals.

use candle_core::Tensor;

use crate::config::UnetConfig;
use crate::nn::{Conv2d, silu};
use crate::unet::policy::Own;
use crate::unet::{Encoder, Residuals, Sites};
use crate::weights::Weights;
use crate::{Error, Result, Run};

/// The network.
#[derive(Clone, Debug)]
pub struct ControlNet {
    encoder: Encoder,
    embedding: Vec<Conv2d>,
    down: Vec<Conv2d>,
    mid: Conv2d,
}

impl ControlNet {
    /// Builds the network from its weights.
    pub fn new(config: &UnetConfig, weights: &Weights) -> Result<Self> {
        let encoder = Encoder::new(config, weights, &mut Sites::default())?;
        let widths = config.conditioning_embedding_out_channels.as_deref().unwrap_or_default();
        let (Some(&first), Some(&last)) = (widths.first(), widths.last()) else {
            return Err(Error::invalid("conditioning_embedding_out_channels is empty; this is not a ControlNet"));
        };
        let at = weights.at("controlnet_cond_embedding");
        let mut embedding = vec![Conv2d::new(&at.at("conv_in"), config.conditioning_channels, first, 3)?];
        for (index, pair) in widths.windows(2).enumerate() {
            let (keep, shrink) = (at.at(format!("blocks.{}", 2 * index)), at.at(format!("blocks.{}", 2 * index + 1)));
            embedding.push(Conv2d::new(&keep, pair[0], pair[0], 3)?);
            embedding.push(Conv2d::with(&shrink, pair[0], pair[1], 3, 2, (1, 1), true)?);
        }
        embedding.push(Conv2d::new(&at.at("conv_out"), last, config.block_out_channels[0], 3)?);
        let down = Encoder::skip_channels(config)
            .into_iter()
            .enumerate()
            .map(|(index, channels)| {
                Conv2d::new(&weights.at(format!("controlnet_down_blocks.{index}")), channels, channels, 1)
            })
            .collect::<Result<_>>()?;
        let deepest = *config.block_out_channels.last().unwrap_or(&0);
        let mid = Conv2d::new(&weights.at("controlnet_mid_block"), deepest, deepest, 1)?;
        Ok(Self { encoder, embedding, down, mid })
    }

    /// Embeds a picture `[batch, 3, height, width]` in -1..=1; give the result to every [`ControlNet::forward`].
    pub fn embed(&self, picture: &Tensor, run: &Run) -> Result<Tensor> {
        let mut x = picture.clone();
        for (index, layer) in self.embedding.iter().enumerate() {
            x = layer.forward(&x, run)?;
            if index + 1 < self.embedding.len() {
                x = silu(&x)?;
            }
        }
        run.see("cond_embedding", &x)?;
        Ok(x)
    }

    /// Residuals for a UNet pass over the same `sample`, `timestep` and `context`, times `scale`. `embedding` has one
    /// item, or as many as `sample`.
    pub fn forward(
        &self,
        sample: &Tensor,
        timestep: f64,
        context: &Tensor,
        embedding: &Tensor,
        scale: f64,
        run: &Run,
    ) -> Result<Residuals> {
        let time = self.encoder.time(timestep, sample, run)?;
        let start = self.encoder.start(sample, run)?;
        if start.dims()[2..] != embedding.dims()[2..] {
            let (_, _, height, width) = embedding.dims4()?;
            let factor = 1 << (self.embedding.len() / 2 - 1);
            return Err(Error::invalid(format!(
                "control picture of {}x{} pixels for a latent of {}x{} cells; give {}x{} pixels",
                width * factor,
                height * factor,
                start.dim(3)?,
                start.dim(2)?,
                start.dim(3)? * factor,
                start.dim(2)? * factor
            )));
        }
        let start = start.broadcast_add(embedding)?;
        let encoded = self.encoder.forward(start, &time, context, &mut Own, run)?;
        run.see("mid_block", &encoded.mid)?;
        let residual = |layer: &Conv2d, x: &Tensor| -> Result<Tensor> {
            let out = layer.forward(x, run)?;
            Ok(if scale == 1.0 { out } else { (out * scale)? })
        };
        let down =
            self.down.iter().zip(&encoded.skips).map(|(layer, skip)| residual(layer, skip)).collect::<Result<_>>()?;
        Ok(Residuals { down, mid: residual(&self.mid, &encoded.mid)? })
    }
}

//! The encoder half and the middle of a UNet, which a ControlNet has too.

use candle_core::Tensor;

use super::block::{Sites, SpatialTransformer};
use super::policy::AttentionPolicy;
use crate::config::UnetConfig;
use crate::nn::{Conv2d, Linear, Resnet, silu};
use crate::weights::Weights;
use crate::{Error, Result, Run};

#[derive(Clone, Debug)]
struct DownBlock {
    resnets: Vec<Resnet>,
    transformers: Vec<SpatialTransformer>,
    downsampler: Option<Conv2d>,
}

/// What the encoder and the middle give.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// Skip connections, in the order they were made.
    pub skips: Vec<Tensor>,
    /// Output of the middle block.
    pub mid: Tensor,
}

/// Encoder, time embedding and middle.
#[derive(Clone, Debug)]
pub struct Encoder {
    conv_in: Conv2d,
    time1: Linear,
    time2: Linear,
    down_blocks: Vec<DownBlock>,
    mid_resnets: [Resnet; 2],
    mid_transformer: SpatialTransformer,
    time_width: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
}

impl Encoder {
    pub(crate) fn new(config: &UnetConfig, weights: &Weights, sites: &mut Sites) -> Result<Self> {
        let channels = &config.block_out_channels;
        let levels = channels.len();
        let time = config.time_channels();
        let resnet = |weights: &Weights, inputs, outputs| {
            Resnet::new(weights, inputs, outputs, Some(time), config.norm_num_groups, config.norm_eps)
        };
        let conv_in = Conv2d::new(&weights.at("conv_in"), config.in_channels, channels[0], 3)?;
        let time1 = Linear::new(&weights.at("time_embedding.linear_1"), channels[0], time, true)?;
        let time2 = Linear::new(&weights.at("time_embedding.linear_2"), time, time, true)?;
        let mut current = channels[0];
        let mut down_blocks = Vec::new();
        for level in 0..levels {
            let at = weights.at(format!("down_blocks.{level}"));
            let (mut resnets, mut transformers) = (Vec::new(), Vec::new());
            for layer in 0..config.layers_per_block {
                resnets.push(resnet(&at.at(format!("resnets.{layer}")), current, channels[level])?);
                current = channels[level];
                if config.down_block_types[level] == "CrossAttnDownBlock2D" {
                    let name = format!("down_blocks.{level}.attentions.{layer}");
                    transformers.push(SpatialTransformer::new(config, level, weights, &name, sites)?);
                }
            }
            let downsampler = if level + 1 < levels {
                let at = at.at("downsamplers.0.conv");
                Some(Conv2d::with(&at, current, current, 3, 2, (1, 1), true)?)
            } else {
                None
            };
            down_blocks.push(DownBlock { resnets, transformers, downsampler });
        }
        let first = resnet(&weights.at("mid_block.resnets.0"), current, current)?;
        let mid_transformer = SpatialTransformer::new(config, levels - 1, weights, "mid_block.attentions.0", sites)?;
        let second = resnet(&weights.at("mid_block.resnets.1"), current, current)?;
        Ok(Self {
            conv_in,
            time1,
            time2,
            down_blocks,
            mid_resnets: [first, second],
            mid_transformer,
            time_width: channels[0],
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
        })
    }

    /// Channels of the skip connections, in the order they are made.
    pub(crate) fn skip_channels(config: &UnetConfig) -> Vec<usize> {
        let channels = &config.block_out_channels;
        let mut skips = vec![channels[0]];
        for level in 0..channels.len() {
            let downsampled = usize::from(level + 1 < channels.len());
            skips.extend(std::iter::repeat_n(channels[level], config.layers_per_block + downsampled));
        }
        skips
    }

    /// Embedding of a training step, after SiLU, one row for every item of `sample`.
    pub(crate) fn time(&self, timestep: f64, sample: &Tensor, run: &Run) -> Result<Tensor> {
        let half = self.time_width / 2;
        // The frequencies and their products with the step are single precision in the original.
        let angles: Vec<f32> = (0..half)
            .map(|j| {
                let exponent = -(10_000f32.ln()) * j as f32 / (half as f32 - self.freq_shift as f32);
                timestep as f32 * exponent.exp()
            })
            .collect();
        let (sines, cosines) = (angles.iter().map(|a| a.sin()), angles.iter().map(|a| a.cos()));
        let values: Vec<f32> =
            if self.flip_sin_to_cos { cosines.chain(sines).collect() } else { sines.chain(cosines).collect() };
        let batch = sample.dim(0)?;
        let projected = Tensor::from_vec(values, (1, self.time_width), sample.device())?
            .to_dtype(sample.dtype())?
            .broadcast_as((batch, self.time_width))?
            .contiguous()?;
        run.see("time_proj", &projected)?;
        let hidden = silu(&self.time1.forward(&projected, run)?)?;
        let embedding = self.time2.forward(&hidden, run)?;
        run.see("temb", &embedding)?;
        silu(&embedding)
    }

    /// The first convolution.
    pub(crate) fn start(&self, sample: &Tensor, run: &Run) -> Result<Tensor> {
        let (_, _, height, width) = sample.dims4()?;
        let step = 1usize << (self.down_blocks.len() - 1);
        if height == 0 || width == 0 || !height.is_multiple_of(step) || !width.is_multiple_of(step) {
            return Err(Error::invalid(format!(
                "latent of {width}x{height} cells; both must be multiples of {step} for this UNet"
            )));
        }
        let x = self.conv_in.forward(sample, run)?;
        run.see("conv_in", &x)?;
        Ok(x)
    }

    pub(crate) fn forward(
        &self,
        start: Tensor,
        time: &Tensor,
        context: &Tensor,
        policy: &mut dyn AttentionPolicy,
        run: &Run,
    ) -> Result<Encoded> {
        let mut skips = vec![start.clone()];
        let mut x = start;
        for (level, block) in self.down_blocks.iter().enumerate() {
            for (layer, resnet) in block.resnets.iter().enumerate() {
                x = resnet.forward(&x, Some(time), run)?;
                if let Some(transformer) = block.transformers.get(layer) {
                    x = transformer.forward(&x, context, policy, run)?;
                }
                skips.push(x.clone());
            }
            if let Some(downsampler) = &block.downsampler {
                x = downsampler.forward(&x, run)?;
                skips.push(x.clone());
            }
            run.see(&format!("down{level}"), &x)?;
        }
        x = self.mid_resnets[0].forward(&x, Some(time), run)?;
        x = self.mid_transformer.forward(&x, context, policy, run)?;
        let mid = self.mid_resnets[1].forward(&x, Some(time), run)?;
        Ok(Encoded { skips, mid })
    }
}

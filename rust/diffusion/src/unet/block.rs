//! Transformer blocks over the cells of a feature map.

use candle_core::Tensor;

use super::policy::{AttentionPolicy, Site};
use crate::config::UnetConfig;
use crate::nn::{Attention, Conv2d, GatedMlp, GroupNorm, LayerNorm, Linear, add, from_tokens, to_tokens};
use crate::weights::Weights;
use crate::{Result, Run};

/// Epsilon of the `GroupNorm` in front of every spatial transformer.
const NORM_EPS: f64 = 1e-6;

/// Numbers the self-attentions in the order they are built, which is the order they run.
#[derive(Debug, Default)]
pub(crate) struct Sites(usize);

impl Sites {
    fn next(&mut self, name: String) -> Site {
        self.0 += 1;
        Site { name, index: self.0 - 1 }
    }

    pub(crate) fn count(&self) -> usize {
        self.0
    }
}

/// Self-attention, cross-attention, gated MLP.
#[derive(Clone, Debug)]
pub struct TransformerBlock {
    site: Site,
    norm1: LayerNorm,
    self_attention: Attention,
    norm2: LayerNorm,
    cross_attention: Attention,
    norm3: LayerNorm,
    mlp: GatedMlp,
}

impl TransformerBlock {
    fn new(weights: &Weights, channels: usize, context: usize, heads: usize, site: Site) -> Result<Self> {
        Ok(Self {
            site,
            norm1: LayerNorm::new(&weights.at("norm1"), channels, 1e-5)?,
            self_attention: Attention::new(&weights.at("attn1"), channels, channels, heads)?,
            norm2: LayerNorm::new(&weights.at("norm2"), channels, 1e-5)?,
            cross_attention: Attention::new(&weights.at("attn2"), channels, context, heads)?,
            norm3: LayerNorm::new(&weights.at("norm3"), channels, 1e-5)?,
            mlp: GatedMlp::new(&weights.at("ff"), channels)?,
        })
    }

    /// `x` is `[batch, tokens, channels]`.
    fn forward(&self, x: &Tensor, context: &Tensor, policy: &mut dyn AttentionPolicy, run: &Run) -> Result<Tensor> {
        let tokens = self.norm1.forward(x)?;
        let seen = policy.tokens(&self.site, &tokens)?;
        let x = self.self_attention.forward_onto(x, &tokens, &seen, run)?;
        let x = self.cross_attention.forward_onto(&x, &self.norm2.forward(&x)?, context, run)?;
        self.mlp.forward_onto(&x, &self.norm3.forward(&x)?, run)
    }
}

/// Projections that are linear layers in SD2 and 1x1 convolutions in SD1.
#[derive(Clone, Debug)]
enum Projection {
    Linear(Linear, Linear),
    Conv(Conv2d, Conv2d),
}

/// Transformer blocks between two projections, with a residual.
#[derive(Clone, Debug)]
pub struct SpatialTransformer {
    norm: GroupNorm,
    projection: Projection,
    blocks: Vec<TransformerBlock>,
}

impl SpatialTransformer {
    pub(crate) fn new(
        config: &UnetConfig,
        level: usize,
        weights: &Weights,
        name: &str,
        sites: &mut Sites,
    ) -> Result<Self> {
        let weights = weights.at(name);
        let channels = config.block_out_channels[level];
        let norm = GroupNorm::new(&weights.at("norm"), channels, config.norm_num_groups, NORM_EPS)?;
        let (inward, outward) = (weights.at("proj_in"), weights.at("proj_out"));
        let projection = if config.use_linear_projection {
            Projection::Linear(
                Linear::new(&inward, channels, channels, true)?,
                Linear::new(&outward, channels, channels, true)?,
            )
        } else {
            Projection::Conv(
                Conv2d::new(&inward, channels, channels, 1)?,
                Conv2d::new(&outward, channels, channels, 1)?,
            )
        };
        let blocks = (0..config.transformer_layers_per_block.at(level))
            .map(|layer| {
                let inner = format!("transformer_blocks.{layer}");
                let site = sites.next(format!("{name}.{inner}.attn1"));
                TransformerBlock::new(
                    &weights.at(&inner),
                    channels,
                    config.cross_attention_dim,
                    config.heads(level),
                    site,
                )
            })
            .collect::<Result<_>>()?;
        Ok(Self { norm, projection, blocks })
    }

    pub(crate) fn forward(
        &self,
        x: &Tensor,
        context: &Tensor,
        policy: &mut dyn AttentionPolicy,
        run: &Run,
    ) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let hidden = self.norm.forward(x, run)?;
        let mut tokens = match &self.projection {
            Projection::Linear(inward, _) => inward.forward(&to_tokens(&hidden)?, run)?,
            Projection::Conv(inward, _) => to_tokens(&inward.forward(&hidden, run)?)?,
        };
        for block in &self.blocks {
            tokens = block.forward(&tokens, context, policy, run)?;
        }
        let hidden = match &self.projection {
            Projection::Linear(_, outward) => from_tokens(&outward.forward(&tokens, run)?, height, width)?,
            Projection::Conv(_, outward) => outward.forward(&from_tokens(&tokens, height, width)?, run)?,
        };
        add(x, &hidden)
    }
}

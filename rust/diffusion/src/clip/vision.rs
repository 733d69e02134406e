//! The vision encoder with its projection.

use candle_core::Tensor;

use super::layer::ClipLayer;
use crate::config::ClipVisionConfig;
use crate::nn::{Conv2d, LayerNorm, Linear, compute_dtype, to_tokens};
use crate::weights::Weights;
use crate::{Error, Result, Run};

/// `CLIPVisionModelWithProjection`.
#[derive(Clone, Debug)]
pub struct ClipVision {
    class: Tensor,
    patches: Conv2d,
    positions: Tensor,
    pre_norm: LayerNorm,
    layers: Vec<ClipLayer>,
    post_norm: LayerNorm,
    projection: Linear,
    image_size: usize,
}

impl ClipVision {
    /// Builds the network from its weights.
    pub fn new(config: &ClipVisionConfig, weights: &Weights) -> Result<Self> {
        let at = weights.at("vision_model");
        let embeddings = at.at("embeddings");
        let (hidden, patch) = (config.hidden_size, config.patch_size);
        let count = (config.image_size / patch).pow(2) + 1;
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                ClipLayer::new(
                    &at.at(format!("encoder.layers.{index}")),
                    hidden,
                    config.intermediate_size,
                    config.num_attention_heads,
                    config.layer_norm_eps,
                    config.hidden_act,
                )
            })
            .collect::<Result<_>>()?;
        let patches = embeddings.at("patch_embedding");
        Ok(Self {
            class: embeddings.tensor("class_embedding", &[hidden])?,
            patches: Conv2d::with(&patches, config.num_channels, hidden, patch, patch, (0, 0), false)?,
            positions: embeddings.tensor("position_embedding.weight", &[count, hidden])?,
            // The published name has this spelling.
            pre_norm: LayerNorm::new(&at.at("pre_layrnorm"), hidden, config.layer_norm_eps)?,
            layers,
            post_norm: LayerNorm::new(&at.at("post_layernorm"), hidden, config.layer_norm_eps)?,
            projection: Linear::new(&weights.at("visual_projection"), hidden, config.projection_dim, false)?,
            image_size: config.image_size,
        })
    }

    /// Embedding `[1, projection]` of a normalised picture `[1, 3, size, size]`; not brought to unit length.
    pub fn forward(&self, picture: &Tensor, run: &Run) -> Result<Tensor> {
        let (batch, _, height, width) = picture.dims4()?;
        if batch != 1 || height != self.image_size || width != self.image_size {
            return Err(Error::invalid(format!(
                "the vision encoder takes one picture of {0}x{0} pixels, but was given {batch} of {width}x{height}",
                self.image_size
            )));
        }
        let patches = to_tokens(&self.patches.forward(picture, run)?)?;
        let dtype = compute_dtype(&patches);
        let class = self.class.to_dtype(dtype)?.reshape((1, 1, ()))?;
        let x = Tensor::cat(&[&class, &patches], 1)?.broadcast_add(&self.positions.to_dtype(dtype)?)?;
        run.see("embeddings", &x)?;
        let mut x = self.pre_norm.forward(&x)?;
        run.see("pre_layernorm", &x)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, false, run)?;
            run.see(&format!("layer{index}"), &x)?;
        }
        let pooled = self.post_norm.forward(&x.narrow(1, 0, 1)?.squeeze(1)?)?;
        run.see("pooled", &pooled)?;
        let embedding = self.projection.forward(&pooled, run)?;
        run.see("image_embeds", &embedding)?;
        Ok(embedding)
    }
}

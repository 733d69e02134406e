//! The text encoder.

use candle_core::Tensor;

use super::layer::ClipLayer;
use crate::config::ClipTextConfig;
use crate::nn::LayerNorm;
use crate::weights::Weights;
use crate::{Error, Result, Run};

/// `CLIPTextModel`.
#[derive(Clone, Debug)]
pub struct ClipText {
    words: Tensor,
    positions: Tensor,
    layers: Vec<ClipLayer>,
    final_norm: LayerNorm,
    vocab_size: usize,
}

impl ClipText {
    /// Builds the network from its weights.
    pub fn new(config: &ClipTextConfig, weights: &Weights) -> Result<Self> {
        let weights = weights.at("text_model");
        let hidden = config.hidden_size;
        let embeddings = weights.at("embeddings");
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                ClipLayer::new(
                    &weights.at(format!("encoder.layers.{index}")),
                    hidden,
                    config.intermediate_size,
                    config.num_attention_heads,
                    config.layer_norm_eps,
                    config.hidden_act,
                )
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            words: embeddings.tensor("token_embedding.weight", &[config.vocab_size, hidden])?,
            positions: embeddings.tensor("position_embedding.weight", &[config.max_position_embeddings, hidden])?,
            layers,
            final_norm: LayerNorm::new(&weights.at("final_layer_norm"), hidden, config.layer_norm_eps)?,
            vocab_size: config.vocab_size,
        })
    }

    /// Last hidden state `[1, tokens, hidden]` of one text's token ids.
    pub fn forward(&self, ids: &[u32], run: &Run) -> Result<Tensor> {
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            return Err(Error::invalid(format!(
                "token id {id} is outside of the text encoder's {} words; tokenizer and text encoder are of different models",
                self.vocab_size
            )));
        }
        let tokens = self.words.index_select(&Tensor::new(ids, self.words.device())?, 0)?;
        let positions = self.positions.narrow(0, 0, ids.len())?;
        let dtype = crate::nn::compute_dtype(&tokens);
        let mut x = (tokens.to_dtype(dtype)? + positions.to_dtype(dtype)?)?.unsqueeze(0)?;
        run.see("embeddings", &x)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, true, run)?;
            run.see(&format!("layer{index}"), &x)?;
        }
        self.final_norm.forward(&x)
    }
}

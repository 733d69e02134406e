//! The transformer layer that text and vision share.

use candle_core::{D, DType, Tensor};

use crate::config::ClipActivation;
use crate::nn::{LayerNorm, Linear, add, gelu, scaled_dot_product, silu};
use crate::weights::Weights;
use crate::{Result, Run};

/// Pre-norm self-attention and MLP.
#[derive(Clone, Debug)]
pub(super) struct ClipLayer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    activation: ClipActivation,
}

impl ClipLayer {
    pub(super) fn new(
        weights: &Weights,
        hidden: usize,
        inner: usize,
        heads: usize,
        eps: f64,
        activation: ClipActivation,
    ) -> Result<Self> {
        let attention = weights.at("self_attn");
        let linear = |name: &str| Linear::new(&attention.at(name), hidden, hidden, true);
        Ok(Self {
            norm1: LayerNorm::new(&weights.at("layer_norm1"), hidden, eps)?,
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            out: linear("out_proj")?,
            norm2: LayerNorm::new(&weights.at("layer_norm2"), hidden, eps)?,
            fc1: Linear::new(&weights.at("mlp.fc1"), hidden, inner, true)?,
            fc2: Linear::new(&weights.at("mlp.fc2"), inner, hidden, true)?,
            heads,
            activation,
        })
    }

    /// `x` is `[batch, tokens, hidden]`; when `causal`, tokens see themselves and those before them.
    pub(super) fn forward(&self, x: &Tensor, causal: bool, run: &Run) -> Result<Tensor> {
        let tokens = self.norm1.forward(x)?;
        let query = self.query.forward(&tokens, run)?;
        let key = self.key.forward(&tokens, run)?;
        let value = self.value.forward(&tokens, run)?;
        let seen = if causal {
            causal_attention(&query, &key, &value, self.heads)?
        } else {
            scaled_dot_product(&query, &key, &value, self.heads, run)?
        };
        let x = add(x, &self.out.forward(&seen, run)?)?;
        let hidden = self.fc1.forward(&self.norm2.forward(&x)?, run)?;
        let hidden = match self.activation {
            ClipActivation::Gelu => gelu(&hidden)?,
            ClipActivation::QuickGelu => (silu(&(hidden * 1.702)?)? * (1.0 / 1.702))?,
        };
        add(&x, &self.fc2.forward(&hidden, run)?)
    }
}

/// A text has few tokens: the whole score matrix is small.
fn causal_attention(query: &Tensor, key: &Tensor, value: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, tokens, width) = query.dims3()?;
    let channels = width / heads;
    let split = |x: &Tensor| -> candle_core::Result<Tensor> {
        x.reshape((batch, tokens, heads, channels))?.transpose(1, 2)?.contiguous()
    };
    let (query, key, value) = (split(query)?, split(key)?.transpose(2, 3)?.contiguous()?, split(value)?);
    let scores = (query.matmul(&key)?.to_dtype(DType::F32)? * (1.0 / (channels as f64).sqrt()))?;
    let mask: Vec<f32> = (0..tokens)
        .flat_map(|row| (0..tokens).map(move |column| if column > row { f32::NEG_INFINITY } else { 0.0 }))
        .collect();
    let mask = Tensor::from_vec(mask, (1, 1, tokens, tokens), query.device())?;
    let shares = candle_nn::ops::softmax(&scores.broadcast_add(&mask)?, D::Minus1)?.to_dtype(value.dtype())?;
    Ok(shares.matmul(&value)?.transpose(1, 2)?.reshape((batch, tokens, width))?)
}

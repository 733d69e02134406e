//! Self-attention among tokens (Vaswani et al. 2017), normalised before each layer.

use candle_core::{D, Result, Tensor};

use super::{Init, Linear, Weights, silu, softmax, sum};

const EPSILON: f64 = 1e-5;

/// Normalisation over the channels of a token (Ba et al. 2016).
#[derive(Clone, Debug)]
pub struct LayerNorm {
    scale: Tensor,
    shift: Tensor,
}

impl LayerNorm {
    /// Takes `NAME.scale` and `NAME.shift` `[channels]` from `weights`.
    pub fn new(weights: &mut Weights, name: &str, channels: usize) -> Result<Self> {
        Ok(Self {
            scale: weights.tensor(&format!("{name}.scale"), &[channels], Init::Constant(1.0))?,
            shift: weights.tensor(&format!("{name}.shift"), &[channels], Init::Constant(0.0))?,
        })
    }

    /// `x` is `[…, channels]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?.broadcast_mul(&self.scale)?.broadcast_add(&self.shift)
    }
}

/// Attention among all tokens, then two layers on each; a fresh block is the identity.
#[derive(Clone, Debug)]
pub struct TransformerBlock {
    heads: usize,
    norms: [LayerNorm; 2],
    query_key_value: Linear,
    joined: Linear,
    wide: Linear,
    narrow: Linear,
}

/// Channels of the wide layer for each channel of a token.
const WIDER: usize = 4;

impl TransformerBlock {
    /// A block of `channels`, which `heads` divides, under `NAME`.
    pub fn new(weights: &mut Weights, name: &str, channels: usize, heads: usize) -> Result<Self> {
        Ok(Self {
            heads,
            norms: [
                LayerNorm::new(weights, &format!("{name}.norm1"), channels)?,
                LayerNorm::new(weights, &format!("{name}.norm2"), channels)?,
            ],
            query_key_value: Linear::new(weights, &format!("{name}.query_key_value"), channels, 3 * channels)?,
            joined: Linear::new_zero(weights, &format!("{name}.joined"), channels, channels)?,
            wide: Linear::new(weights, &format!("{name}.wide"), channels, WIDER * channels)?,
            narrow: Linear::new_zero(weights, &format!("{name}.narrow"), WIDER * channels, channels)?,
        })
    }

    /// `x` is `[batch, tokens, channels]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, channels) = x.dims3()?;
        let flat = (batch * tokens, channels);
        let each = self.query_key_value.forward(&self.norms[0].forward(x)?.reshape(flat)?)?;
        let each = each.reshape((batch, tokens, 3, self.heads, channels / self.heads))?.permute((2, 0, 3, 1, 4))?;
        let part = |index: usize| each.get(index)?.contiguous();
        let scale = 1.0 / ((channels / self.heads) as f32).sqrt();
        let affinity = part(0)?.matmul(&part(1)?.transpose(2, 3)?.contiguous()?)?;
        let seen = softmax(&affinity, scale)?.matmul(&part(2)?)?;
        let seen = seen.transpose(1, 2)?.contiguous()?.reshape(flat)?;
        let x = sum(x, &self.joined.forward(&seen)?.reshape(x.shape())?)?;
        let wide = silu(&self.wide.forward(&self.norms[1].forward(&x)?.reshape(flat)?)?)?;
        sum(&x, &self.narrow.forward(&wide)?.reshape(x.shape())?)
    }
}

//! Multi-head attention.

use candle_core::{D, DType, Tensor};

use super::{Linear, from_vec, is_fast, with_slice};
use crate::kernels;
use crate::weights::Weights;
use crate::{Error, Result, Run};

/// Scores held at once by [`scaled_dot_product`] off the CPU's fast path: 256 MB in F32.
const MAX_SCORES: usize = 1 << 26;

/// Exact softmax attention that never holds the whole score matrix.
///
/// `query` is `[batch, queries, heads * channels]`, `key` and `value` `[batch, keys, heads * channels]`; gives the
/// shape of `query`. Memory beside inputs and output: [`kernels::attention`]'s scratch on the CPU's fast path, else
/// [`MAX_SCORES`] scores.
pub fn scaled_dot_product(query: &Tensor, key: &Tensor, value: &Tensor, heads: usize, run: &Run) -> Result<Tensor> {
    let (batch, queries, width) = query.dims3()?;
    let (key_batch, keys, key_width) = key.dims3()?;
    if key.dims() != value.dims()
        || key_batch != batch
        || key_width != width
        || keys == 0
        || heads == 0
        || !width.is_multiple_of(heads)
    {
        return Err(Error::invalid(format!(
            "attention over queries {:?}, keys {:?}, values {:?} with {heads} heads; batch and channels must agree",
            query.dims(),
            key.dims(),
            value.dims()
        )));
    }
    let channels = width / heads;
    if is_fast(query) && is_fast(key) && is_fast(value) {
        let out = with_slice(query, |query| {
            with_slice(key, |key| {
                with_slice(value, |value| {
                    let stop = || run.progress.is_cancelled();
                    kernels::attention::attention(query, key, value, batch, heads, channels, &stop)
                })
            })
        })???;
        run.progress.check()?;
        return Ok(from_vec(out, query.dims())?);
    }
    let split = |x: &Tensor, count: usize| -> candle_core::Result<Tensor> {
        x.reshape((batch, count, heads, channels))?.transpose(1, 2)?.contiguous()
    };
    let (query, key, value) = (split(query, queries)?, split(key, keys)?.transpose(2, 3)?, split(value, keys)?);
    let query = (query * (1.0 / (channels as f64).sqrt()))?;
    let chunk = (MAX_SCORES / (batch * heads * keys)).clamp(1, queries.max(1));
    let mut parts = Vec::new();
    for first in (0..queries).step_by(chunk) {
        run.progress.check()?;
        let count = chunk.min(queries - first);
        let scores = run.finish(query.narrow(2, first, count)?.contiguous()?.matmul(&key))?;
        let scores = run.finish(scores.to_dtype(DType::F32))?;
        let shares = run.finish(candle_nn::ops::softmax(&scores, D::Minus1))?;
        parts.push(run.finish(shares.to_dtype(value.dtype())?.matmul(&value))?);
    }
    let out = Tensor::cat(&parts, 2)?;
    Ok(out.transpose(1, 2)?.reshape((batch, queries, width))?)
}

/// Projections around [`scaled_dot_product`], with diffusers' names.
#[derive(Clone, Debug)]
pub struct Attention {
    to_query: Linear,
    to_key: Linear,
    to_value: Linear,
    to_out: Linear,
    heads: usize,
}

impl Attention {
    /// Reads `to_q`, `to_k`, `to_v` (no bias) and `to_out.0`; keys and values come from tokens of `context` channels.
    pub fn new(weights: &Weights, channels: usize, context: usize, heads: usize) -> Result<Self> {
        Ok(Self {
            to_query: Linear::new(&weights.at("to_q"), channels, channels, false)?,
            to_key: Linear::new(&weights.at("to_k"), context, channels, false)?,
            to_value: Linear::new(&weights.at("to_v"), context, channels, false)?,
            to_out: Linear::new(&weights.at("to_out.0"), channels, channels, true)?,
            heads,
        })
    }

    /// `tokens` ask, `context` answers; what comes of it is added to `onto`, `[batch, tokens, channels]` like `tokens`.
    pub fn forward_onto(&self, onto: &Tensor, tokens: &Tensor, context: &Tensor, run: &Run) -> Result<Tensor> {
        let query = self.to_query.forward(tokens, run)?;
        let key = self.to_key.forward(context, run)?;
        let value = self.to_value.forward(context, run)?;
        let seen = scaled_dot_product(&query, &key, &value, self.heads, run)?;
        self.to_out.forward_onto(onto, &seen, run)
    }
}

//! What a self-attention looks at: its own tokens, or also those of a reference.
//!
//! Every self-attention of a [`super::Unet`] asks an [`AttentionPolicy`] which tokens to make keys and values of.
//! The answer is in tokens before the projections, as the methods here define it: reference attention (Zhang,
//! "Reference-only control"; Shi et al., "Zero123++", 2023) appends the reference's tokens; attention injection (Cao
//! et al., "MasaCtrl", 2023; Yu et al., "HiFi-123", 2024) replaces an item's keys and values by another item's, which
//! is the same as replacing the tokens, since all items share the projections.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::Tensor;

use crate::nn::join;
use crate::{Error, Result};

/// Where a self-attention is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Full name, as in `down_blocks.0.attentions.0.transformer_blocks.0.attn1`.
    pub name: String,
    /// Number in the order they run.
    pub index: usize,
}

/// Chooses the tokens that a self-attention makes keys and values of.
pub trait AttentionPolicy {
    /// `own` are the site's normalised tokens `[batch, tokens, channels]`; gives tokens of the same batch and channels.
    fn tokens(&mut self, site: &Site, own: &Tensor) -> Result<Tensor>;
}

/// Plain self-attention.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own;

impl AttentionPolicy for Own {
    fn tokens(&mut self, _site: &Site, own: &Tensor) -> Result<Tensor> {
        Ok(own.clone())
    }
}

/// The tokens of every site, by name.
pub type Tokens = BTreeMap<String, Tensor>;

/// Plain self-attention that keeps every site's tokens: the write pass of reference attention, and a recorder.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// What was seen.
    pub tokens: Tokens,
}

impl AttentionPolicy for Recorded {
    fn tokens(&mut self, site: &Site, own: &Tensor) -> Result<Tensor> {
        self.tokens.insert(site.name.clone(), own.clone());
        Ok(own.clone())
    }
}

/// Own tokens, then those that a [`Recorded`] pass kept at the same site: the read pass of reference attention.
#[derive(Debug)]
pub struct Referenced<'a> {
    tokens: &'a Tokens,
}

impl<'a> Referenced<'a> {
    /// Reads from `tokens`; sites that it lacks are errors.
    pub fn new(tokens: &'a Tokens) -> Self {
        Self { tokens }
    }
}

impl AttentionPolicy for Referenced<'_> {
    fn tokens(&mut self, site: &Site, own: &Tensor) -> Result<Tensor> {
        let reference = self.tokens.get(&site.name).ok_or_else(|| {
            Error::invalid(format!(
                "no reference tokens for {}; run the write pass of the same network first",
                site.name
            ))
        })?;
        join(own, reference)
    }
}

/// Within ranges of sites and steps, every item looks at the tokens of another item of its batch.
#[derive(Clone, Debug)]
pub struct Injected {
    /// For every item, whose tokens it looks at.
    pub source: Vec<u32>,
    /// Sites, by index, where this happens.
    pub sites: Range<usize>,
    /// Denoising steps where this happens.
    pub steps: Range<usize>,
    /// The denoising step now at work; to be set by the caller before every pass.
    pub step: usize,
}

impl AttentionPolicy for Injected {
    fn tokens(&mut self, site: &Site, own: &Tensor) -> Result<Tensor> {
        if !self.sites.contains(&site.index) || !self.steps.contains(&self.step) {
            return Ok(own.clone());
        }
        let batch = own.dim(0)?;
        if self.source.len() != batch || self.source.iter().any(|&item| item as usize >= batch) {
            return Err(Error::invalid(format!(
                "attention is to be injected from items {:?}, but the batch has {batch}; name one item of the batch for each",
                self.source
            )));
        }
        let index = Tensor::new(&self.source[..], own.device())?;
        Ok(own.index_select(&index, 0)?)
    }
}

//! The residual block of UNet, ControlNet and VAE.

use candle_core::Tensor;

use super::{Conv2d, GroupNorm, Linear, add};
use crate::weights::Weights;
use crate::{Result, Run};

/// `GroupNorm`, SiLU, convolution, twice; the time embedding is added in between.
#[derive(Clone, Debug)]
pub struct Resnet {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl Resnet {
    /// Reads a block from `inputs` to `outputs` channels; `time` is the width of the time embedding, if there is one.
    pub fn new(
        weights: &Weights,
        inputs: usize,
        outputs: usize,
        time: Option<usize>,
        groups: usize,
        eps: f64,
    ) -> Result<Self> {
        Ok(Self {
            norm1: GroupNorm::new(&weights.at("norm1"), inputs, groups, eps)?,
            conv1: Conv2d::new(&weights.at("conv1"), inputs, outputs, 3)?,
            time: time.map(|time| Linear::new(&weights.at("time_emb_proj"), time, outputs, true)).transpose()?,
            norm2: GroupNorm::new(&weights.at("norm2"), outputs, groups, eps)?,
            conv2: Conv2d::new(&weights.at("conv2"), outputs, outputs, 3)?,
            shortcut: if inputs == outputs {
                None
            } else {
                Some(Conv2d::new(&weights.at("conv_shortcut"), inputs, outputs, 1)?)
            },
        })
    }

    /// `time` is the embedding after its SiLU, `[batch, channels]`.
    pub fn forward(&self, x: &Tensor, time: Option<&Tensor>, run: &Run) -> Result<Tensor> {
        let hidden = self.norm1.forward_silu(x, run)?;
        let offset = match (&self.time, time) {
            (Some(layer), Some(time)) => Some(layer.forward(time, run)?),
            _ => None,
        };
        let hidden = self.conv1.forward_plus(&hidden, offset.as_ref(), run)?;
        let hidden = self.norm2.forward_silu(&hidden, run)?;
        let hidden = self.conv2.forward(&hidden, run)?;
        match &self.shortcut {
            Some(shortcut) => add(&shortcut.forward(x, run)?, &hidden),
            None => add(x, &hidden),
        }
    }
}

//! The latent initialisation network (LatentDreamer's LIN): six views of normals to the latent of their shape.
//!
//! Every view goes through the same convolutions and becomes tokens, which know their view and place; the voxels of the
//! latent's coarsest level are tokens too. All of them attend to each other.

use candle_core::{Result, Tensor};

use crate::nn::attention::{LayerNorm, TransformerBlock};
use crate::nn::{Conv2d, Init, Linear, NormSilu, Residual, Weights, Window};
use crate::sae::network::LATENT;

/// Views of the rig, in the order of [`maquette_core::Camera::six_views`].
pub const VIEWS: usize = 6;
/// Pixels on a side of a view.
pub const VIEW_PX: usize = 64;
/// Channels of a pixel: camera-space normal (right, up, towards the camera), 0 outside of the mask, and coverage.
pub const VIEW_CHANNELS: usize = 4;
/// Channels of the levels, finest first.
const CHANNELS: [usize; 4] = [24, 64, 128, 192];
/// Channels of a token.
const TOKEN: usize = CHANNELS[CHANNELS.len() - 1];
/// Tokens of a view.
const VIEW_TOKENS: usize = (VIEW_PX >> CHANNELS.len()) * (VIEW_PX >> CHANNELS.len());
/// Tokens of the latent.
const LATENT_TOKENS: usize = 64;
const HEADS: usize = 6;
const LAYERS: usize = 3;

/// The network with its parameters.
#[derive(Clone, Debug)]
pub struct LinNet {
    narrow: Vec<Conv2d>,
    blocks: Vec<Residual>,
    norm: NormSilu,
    view: Tensor,
    place: Tensor,
    latent: Tensor,
    layers: Vec<TransformerBlock>,
    last_norm: LayerNorm,
    last: Linear,
}

impl LinNet {
    /// Takes all parameters from `weights`.
    pub fn new(weights: &mut Weights) -> Result<Self> {
        let (mut narrow, mut blocks, mut before) = (Vec::new(), Vec::new(), VIEW_CHANNELS);
        for (level, &channels) in CHANNELS.iter().enumerate() {
            narrow.push(Conv2d::new(weights, &format!("narrow{level}"), before, channels, Window::Tiled(2))?);
            before = channels;
            if (1..CHANNELS.len() - 1).contains(&level) {
                blocks.push(Residual::new(weights, &format!("block{level}"), channels)?);
            }
        }
        // Embeddings of about the size of what they are added to.
        let embedding = Init::Normal { fan_in: 4 };
        Ok(Self {
            narrow,
            blocks,
            norm: NormSilu::new(weights, "norm", CHANNELS[0])?,
            view: weights.tensor("view", &[1, VIEWS, 1, TOKEN], embedding)?,
            place: weights.tensor("place", &[1, 1, VIEW_TOKENS, TOKEN], embedding)?,
            latent: weights.tensor("latent", &[1, LATENT_TOKENS, TOKEN], embedding)?,
            layers: (0..LAYERS)
                .map(|k| TransformerBlock::new(weights, &format!("layer{k}"), TOKEN, HEADS))
                .collect::<Result<_>>()?,
            last_norm: LayerNorm::new(weights, "last_norm", TOKEN)?,
            last: Linear::new(weights, "last", TOKEN, LATENT / LATENT_TOKENS)?,
        })
    }

    /// `views` is `[batch · VIEWS, VIEW_PX, VIEW_PX, VIEW_CHANNELS]`; gives `[batch, LATENT]`.
    pub fn forward(&self, views: &Tensor) -> Result<Tensor> {
        let batch = views.dim(0)? / VIEWS;
        let mut x = self.norm.forward(&self.narrow[0].forward(views)?)?;
        for (level, narrow) in self.narrow.iter().enumerate().skip(1) {
            x = narrow.forward(&x)?;
            if let Some(block) = self.blocks.get(level - 1) {
                x = block.forward(&x)?;
            }
        }
        let tokens = x.reshape((batch, VIEWS, VIEW_TOKENS, TOKEN))?;
        let tokens = tokens.broadcast_add(&self.view)?.broadcast_add(&self.place)?;
        let tokens = tokens.reshape((batch, VIEWS * VIEW_TOKENS, TOKEN))?;
        let latent = self.latent.broadcast_as((batch, LATENT_TOKENS, TOKEN))?.contiguous()?;
        let mut tokens = Tensor::cat(&[&latent, &tokens], 1)?;
        for layer in &self.layers {
            tokens = layer.forward(&tokens)?;
        }
        let latent = tokens.narrow(1, 0, LATENT_TOKENS)?.contiguous()?;
        let latent = self.last_norm.forward(&latent)?.reshape((batch * LATENT_TOKENS, TOKEN))?;
        self.last.forward(&latent)?.reshape((batch, LATENT))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn every_parameter_gets_a_gradient_and_views_are_told_apart() {
        let mut weights = Weights::fresh(1, &Device::Cpu);
        let net = LinNet::new(&mut weights).unwrap();
        let variables = weights.into_variables();
        let count: usize = variables.iter().map(|(_, variable)| variable.elem_count()).sum();
        assert!(count < 4_000_000, "{count}");
        for (_, variable) in &variables {
            variable.set(&Tensor::randn(0.0f32, 0.3, variable.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        let shape = (2 * VIEWS, VIEW_PX, VIEW_PX, VIEW_CHANNELS);
        let views = Tensor::randn(0.0f32, 1.0, shape, &Device::Cpu).unwrap();
        let latent = net.forward(&views).unwrap();
        assert_eq!(latent.dims(), [2, LATENT]);
        let gradients = latent.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for (name, variable) in &variables {
            let gradient = gradients.get(variable).unwrap_or_else(|| panic!("{name}"));
            let largest: f32 = gradient.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap();
            assert!(largest > 0.0 && largest.is_finite(), "{name}: {largest}");
        }
        // The same pictures in another order are other views.
        let first = views.narrow(0, 0, VIEWS).unwrap();
        let turned = Tensor::cat(&[&first.narrow(0, 1, 5).unwrap(), &first.narrow(0, 0, 1).unwrap()], 0).unwrap();
        let off = (net.forward(&turned).unwrap() - latent.narrow(0, 0, 1).unwrap()).unwrap();
        assert!(off.abs().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap() > 1e-6);
    }
}

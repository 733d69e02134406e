//! The sampling loop of Zero123++ (Shi et al. 2023): reference attention, ramped global embedding, guidance.

use candle_core::Tensor;
use maquette_core::Image;

use super::noise::{Draw, Noise};
use super::preview::Previewer;
use crate::clip::{ClipText, ClipTokenizer};
use crate::controlnet::ControlNet;
use crate::schedulers::EulerAncestral;
use crate::unet::Unet;
use crate::unet::policy::{Recorded, Referenced};
use crate::vae::Vae;
use crate::{Error, Result, Run};

/// Latents of the VAE and those that are diffused differ by this shift and scale.
const LATENT_SHIFT: f64 = 0.22;
const LATENT_SCALE: f64 = 0.75;
/// Pictures were scaled by 0.5 / 0.8 in training.
const IMAGE_SCALE: f64 = 0.5 / 0.8;

/// What the denoiser is told about the input picture; batch 2 (without, with) under guidance, else 1.
#[derive(Clone, Debug)]
pub struct Conditioning {
    /// Tokens for cross-attention, `[batch, tokens, channels]`.
    pub tokens: Tensor,
    /// Latents for reference attention, `[batch, channels, height, width]`.
    pub latent: Tensor,
}

/// Guidance steers only above 1; at 1 and below the unconditional half is not computed.
pub fn is_guided(guidance: f64) -> bool {
    guidance > 1.0
}

/// Tokens for cross-attention: the prompt's, each with its share `ramp` of the picture's embedding; before them, with
/// guidance, those of the negative prompt.
pub fn global_condition(
    text: &ClipText,
    tokenizer: &ClipTokenizer,
    embedding: &Tensor,
    ramp: &[f64],
    prompt: &str,
    negative_prompt: &str,
    guidance: f64,
    run: &Run,
) -> Result<Tensor> {
    let prompt_tokens = text.forward(&tokenizer.encode(prompt)?, run)?;
    let ramp: Vec<f32> = ramp.iter().map(|&r| r as f32).collect();
    let ramp = Tensor::new(ramp, prompt_tokens.device())?.to_dtype(prompt_tokens.dtype())?.reshape((1, (), 1))?;
    let share = ramp.broadcast_mul(&embedding.to_dtype(prompt_tokens.dtype())?.unsqueeze(1)?)?;
    let with = (prompt_tokens + share)?;
    if !is_guided(guidance) {
        return Ok(with);
    }
    let without = text.forward(&tokenizer.encode(negative_prompt)?, run)?;
    Ok(Tensor::cat(&[&without, &with], 0)?)
}

/// Latents for reference attention: a sample of the picture's posterior; before it, with guidance, one of a grey
/// picture's. Neither is brought to the scale that is diffused: this is the paper's scaled reference attention.
pub fn local_condition(vae: &Vae, pixels: &Tensor, guidance: f64, noise: &mut dyn Noise, run: &Run) -> Result<Tensor> {
    let mut sample = |pixels: &Tensor, draw: Draw| -> Result<Tensor> {
        let posterior = vae.encode(pixels, run)?;
        let noise = noise.draw(draw, posterior.mean.dims())?;
        posterior.sample(&noise.to_device(pixels.device())?.to_dtype(posterior.mean.dtype())?)
    };
    let with = sample(pixels, Draw::Condition)?;
    if !is_guided(guidance) {
        return Ok(with);
    }
    let without = sample(&pixels.zeros_like()?, Draw::Negative)?;
    Ok(Tensor::cat(&[&without, &with], 0)?)
}

/// A ControlNet, its picture's embedding and its weight.
#[derive(Clone, Copy, Debug)]
pub struct Control<'a> {
    /// The network.
    pub network: &'a ControlNet,
    /// From [`ControlNet::embed`].
    pub embedding: &'a Tensor,
    /// Factor on its residuals.
    pub scale: f64,
}

/// Shown after every denoising step: step from 1, and the picture as predicted now, one pixel a latent cell.
pub type OnPreview<'a> = dyn FnMut(usize, &Image) + 'a;

/// Called before every step with its index; the place for progress.
pub type OnStep<'a> = dyn FnMut(usize) -> Result<()> + 'a;

/// Everything around the loop.
pub struct Denoising<'a> {
    /// The denoiser.
    pub unet: &'a Unet,
    /// Steps.
    pub schedule: &'a EulerAncestral,
    /// Strength of classifier-free guidance.
    pub guidance: f64,
    /// ControlNet.
    pub control: Option<Control<'a>>,
    /// Latent cells, height and width.
    pub size: [usize; 2],
    /// Makes previews of latents.
    pub previewer: Option<&'a Previewer>,
}

impl Denoising<'_> {
    /// Runs the loop; gives the final latent `[1, channels, height, width]` in F32.
    pub fn run(
        &self,
        condition: &Conditioning,
        noise: &mut dyn Noise,
        on_step: &mut OnStep<'_>,
        on_preview: &mut OnPreview<'_>,
        run: &Run,
    ) -> Result<Tensor> {
        let batch = if is_guided(self.guidance) { 2 } else { 1 };
        let (tokens, reference) = (&condition.tokens, &condition.latent);
        if tokens.dim(0)? != batch || reference.dim(0)? != batch {
            return Err(Error::invalid(format!(
                "conditions of {} and {} items at guidance {}; make them with the same guidance",
                tokens.dim(0)?,
                reference.dim(0)?,
                self.guidance
            )));
        }
        let (device, dtype) = (tokens.device(), tokens.dtype());
        let channels = reference.dim(1)?;
        let shape = [1, channels, self.size[0], self.size[1]];
        let mut draw =
            |kind: Draw, shape: &[usize]| -> Result<Tensor> { Ok(noise.draw(kind, shape)?.to_device(device)?) };
        let reference = reference.to_dtype(candle_core::DType::F32)?;
        let mut latent = (draw(Draw::Initial, &shape)? * self.schedule.initial_sigma)?;
        for index in 0..self.schedule.len() {
            on_step(index)?;
            let timestep = self.schedule.timesteps[index];
            run.see(&format!("step{index}.latents_in"), &latent)?;
            let scaled = self.schedule.scale_input(&latent, index)?;
            let input = if batch == 2 { Tensor::cat(&[&scaled, &scaled], 0)? } else { scaled };
            run.see(&format!("step{index}.model_input"), &input)?;

            let reference_noise = draw(Draw::Reference(index), reference.dims())?;
            let noisy = self.schedule.add_noise(&reference, &reference_noise, index)?;
            let noisy = self.schedule.scale_input(&noisy, index)?;
            run.see(&format!("step{index}.noisy_cond_lat"), &noisy)?;
            let mut written = Recorded::default();
            self.unet.forward(&noisy.to_dtype(dtype)?, timestep, tokens, &mut written, None, run)?;

            let input = input.to_dtype(dtype)?;
            let residuals = match self.control {
                Some(Control { network, embedding, scale }) => {
                    Some(network.forward(&input, timestep, tokens, embedding, scale, run)?)
                }
                None => None,
            };
            let mut read = Referenced::new(&written.tokens);
            let prediction = self.unet.forward(&input, timestep, tokens, &mut read, residuals.as_ref(), run)?;
            let prediction = prediction.to_dtype(candle_core::DType::F32)?;
            run.see(&format!("step{index}.unet_out"), &prediction)?;
            let guided = if batch == 2 {
                let (without, with) = (prediction.narrow(0, 0, 1)?, prediction.narrow(0, 1, 1)?);
                (&without + ((with - &without)? * self.guidance)?)?
            } else {
                prediction
            };
            run.see(&format!("step{index}.guided"), &guided)?;
            let step = self.schedule.step(&guided, &latent, &draw(Draw::Step(index), &shape)?, index)?;
            latent = step.next;
            run.see(&format!("step{index}.latents_out"), &latent)?;
            if let Some(previewer) = self.previewer {
                on_preview(index + 1, &previewer.picture(&step.clean)?);
            }
        }
        if !is_finite(&latent)? {
            return Err(Error::invalid(
                "denoising gave NaN or infinite values; the weights do not fit this type of numbers: use BF16 or F32",
            ));
        }
        run.see("final_latents", &latent)?;
        Ok(latent)
    }
}

fn is_finite(latent: &Tensor) -> Result<bool> {
    let values = latent.to_device(&candle_core::Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.iter().all(|value| value.is_finite()))
}

/// A diffused latent as the VAE knows it.
pub fn to_vae_latent(latent: &Tensor, scaling_factor: f64) -> Result<Tensor> {
    Ok((((latent / LATENT_SCALE)? + LATENT_SHIFT)? / scaling_factor)?)
}

/// Decoded pixels in -1..=1 (times the training scale) as `[1, 3, height, width]` in 0..=1.
pub fn to_unit(decoded: &Tensor) -> Result<Tensor> {
    let full = (decoded.to_dtype(candle_core::DType::F32)? / IMAGE_SCALE)?;
    Ok(((full * 0.5)? + 0.5)?.clamp(0.0f32, 1.0)?)
}

//! Ancestral sampling with Euler steps (Karras et al. 2022, as in k-diffusion and diffusers).

use candle_core::Tensor;

use super::alphas_cumprod;
use crate::config::{PredictionType, SchedulerConfig, TimestepSpacing};
use crate::{Error, Result};

/// A schedule of a given number of steps. Latents are kept in noise levels σ: `x = x₀ + σ ε`.
#[derive(Clone, Debug)]
pub struct EulerAncestral {
    /// Training steps visited, from noisy to clean; may be fractional.
    pub timesteps: Vec<f64>,
    /// Noise level of every step, then 0.
    pub sigmas: Vec<f64>,
    /// Noise level of the first latent.
    pub initial_sigma: f64,
    prediction: PredictionType,
}

/// What one step gives.
#[derive(Clone, Debug)]
pub struct Step {
    /// The latent at the next noise level.
    pub next: Tensor,
    /// The clean latent as predicted now.
    pub clean: Tensor,
}

impl EulerAncestral {
    /// A schedule of `steps` steps (1..=training steps), spaced as the configuration says unless `spacing` is given.
    pub fn new(config: &SchedulerConfig, steps: usize, spacing: Option<TimestepSpacing>) -> Result<Self> {
        let training = config.num_train_timesteps;
        if steps == 0 || steps > training {
            return Err(Error::invalid(format!("{steps} denoising steps; use 1 to {training}")));
        }
        let spacing = spacing.or(config.timestep_spacing).unwrap_or_default();
        let timesteps: Vec<f64> = match spacing {
            TimestepSpacing::Linspace if steps == 1 => vec![0.0],
            TimestepSpacing::Linspace => {
                (0..steps).map(|i| (training - 1) as f64 * (steps - 1 - i) as f64 / (steps - 1) as f64).collect()
            }
            TimestepSpacing::Trailing => (0..steps)
                .map(|i| (training as f64 - i as f64 * training as f64 / steps as f64).round_ties_even() - 1.0)
                .collect(),
            TimestepSpacing::Leading => {
                (0..steps).map(|i| ((steps - 1 - i) * (training / steps) + config.steps_offset) as f64).collect()
            }
        };
        let table: Vec<f64> = alphas_cumprod(config)
            .iter()
            .map(|&alpha| {
                let alpha = f64::from(alpha);
                f64::from(((1.0 - alpha) / alpha).sqrt() as f32)
            })
            .collect();
        let mut sigmas: Vec<f64> = timesteps
            .iter()
            .map(|&t| {
                let t = t.clamp(0.0, (training - 1) as f64);
                let low = t.floor() as usize;
                let high = (low + 1).min(training - 1);
                table[low] + (table[high] - table[low]) * (t - low as f64)
            })
            .collect();
        let largest = sigmas.iter().copied().fold(0.0, f64::max);
        let initial_sigma =
            if spacing == TimestepSpacing::Leading { (largest * largest + 1.0).sqrt() } else { largest };
        sigmas.push(0.0);
        Ok(Self { timesteps, sigmas, initial_sigma, prediction: config.prediction_type })
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.timesteps.len()
    }

    /// A schedule has at least one step.
    pub fn is_empty(&self) -> bool {
        self.timesteps.is_empty()
    }

    /// A latent as the network wants it at step `index`.
    pub fn scale_input(&self, latent: &Tensor, index: usize) -> Result<Tensor> {
        let sigma = self.sigmas[index];
        Ok((latent / (sigma * sigma + 1.0).sqrt())?)
    }

    /// A clean latent brought to the noise level of step `index`.
    pub fn add_noise(&self, clean: &Tensor, noise: &Tensor, index: usize) -> Result<Tensor> {
        Ok((clean + (noise * self.sigmas[index])?)?)
    }

    /// One step from `index`; `noise` has unit variance.
    pub fn step(&self, prediction: &Tensor, latent: &Tensor, noise: &Tensor, index: usize) -> Result<Step> {
        let (from, to) = (self.sigmas[index], self.sigmas[index + 1]);
        let clean = match self.prediction {
            PredictionType::Epsilon => (latent - (prediction * from)?)?,
            PredictionType::Velocity => {
                let variance = from * from + 1.0;
                ((prediction * (-from / variance.sqrt()))? + (latent / variance)?)?
            }
        };
        let up = (to * to * (from * from - to * to) / (from * from)).max(0.0).sqrt();
        let down = (to * to - up * up).max(0.0).sqrt();
        let slope = ((latent - &clean)? / from)?;
        let next = ((latent + (slope * (down - from))?)? + (noise * up)?)?;
        Ok(Step { next, clean })
    }
}

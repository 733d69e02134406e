//! Denoising diffusion implicit models (Song, Meng and Ermon 2021), deterministic, forwards and backwards.

use candle_core::Tensor;

use super::alphas_cumprod;
use crate::config::{PredictionType, SchedulerConfig};
use crate::{Error, Result};

/// A schedule of a given number of steps, leading spacing.
#[derive(Clone, Debug)]
pub struct Ddim {
    /// Training steps visited, from noisy to clean.
    pub timesteps: Vec<usize>,
    alphas: Vec<f32>,
    stride: usize,
    final_alpha: f64,
    prediction: PredictionType,
}

impl Ddim {
    /// A schedule of `steps` steps; they must not be more than the training steps.
    pub fn new(config: &SchedulerConfig, steps: usize) -> Result<Self> {
        let training = config.num_train_timesteps;
        if steps == 0 || steps > training {
            return Err(Error::invalid(format!("{steps} denoising steps; use 1 to {training}")));
        }
        let stride = training / steps;
        let timesteps: Vec<usize> = (0..steps).rev().map(|i| i * stride + config.steps_offset).collect();
        if timesteps[0] >= training {
            return Err(Error::invalid(format!(
                "{steps} steps with offset {} reach training step {}, but there are {training}; use fewer steps",
                config.steps_offset, timesteps[0]
            )));
        }
        let alphas = alphas_cumprod(config);
        let final_alpha = if config.set_alpha_to_one { 1.0 } else { f64::from(alphas[0]) };
        Ok(Self { timesteps, alphas, stride, final_alpha, prediction: config.prediction_type })
    }

    /// ᾱ at a training step; below step 0 the final one.
    pub fn alpha(&self, timestep: Option<usize>) -> f64 {
        timestep.map_or(self.final_alpha, |timestep| f64::from(self.alphas[timestep]))
    }

    /// The training step that a denoising step from `timestep` arrives at; none below step 0.
    pub fn before(&self, timestep: usize) -> Option<usize> {
        timestep.checked_sub(self.stride)
    }

    /// One denoising step from `timestep`.
    pub fn step(&self, prediction: &Tensor, latent: &Tensor, timestep: usize) -> Result<Tensor> {
        let (from, to) = (self.alpha(Some(timestep)), self.alpha(self.before(timestep)));
        self.between(prediction, latent, from, to)
    }

    /// One inversion step to `timestep`: `latent` is at the step before, `prediction` was made with `timestep`.
    pub fn invert(&self, prediction: &Tensor, latent: &Tensor, timestep: usize) -> Result<Tensor> {
        let (from, to) = (self.alpha(self.before(timestep)), self.alpha(Some(timestep)));
        self.between(prediction, latent, from, to)
    }

    /// `x₀` and ε of `latent` at ᾱ = `from`, put together again at ᾱ = `to`.
    fn between(&self, prediction: &Tensor, latent: &Tensor, from: f64, to: f64) -> Result<Tensor> {
        let (signal, noise) = (from.sqrt(), (1.0 - from).sqrt());
        let (clean, epsilon) = match self.prediction {
            PredictionType::Epsilon => (((latent - (prediction * noise)?)? / signal)?, prediction.clone()),
            PredictionType::Velocity => {
                (((latent * signal)? - (prediction * noise)?)?, ((prediction * signal)? + (latent * noise)?)?)
            }
        };
        Ok(((clean * to.sqrt())? + (epsilon * (1.0 - to).sqrt())?)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::config::{BetaSchedule, TimestepSpacing};

    fn sd2_depth() -> SchedulerConfig {
        SchedulerConfig {
            num_train_timesteps: 1000,
            beta_start: 0.000_85,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            prediction_type: PredictionType::Epsilon,
            steps_offset: 0,
            timestep_spacing: Some(TimestepSpacing::Leading),
            set_alpha_to_one: false,
        }
    }

    #[test]
    fn fifty_steps_are_those_of_the_original() {
        let ddim = Ddim::new(&sd2_depth(), 50).unwrap();
        assert_eq!((ddim.timesteps[0], ddim.timesteps[1], ddim.timesteps[49]), (980, 960, 0));
        assert!(Ddim::new(&sd2_depth(), 0).is_err() && Ddim::new(&sd2_depth(), 1001).is_err());
    }

    #[test]
    fn inversion_undoes_denoising_of_the_same_prediction() {
        let device = Device::Cpu;
        for prediction_type in [PredictionType::Epsilon, PredictionType::Velocity] {
            let ddim = Ddim::new(&SchedulerConfig { prediction_type, ..sd2_depth() }, 50).unwrap();
            let x = Tensor::new(&[0.3f32, -1.2, 0.7], &device).unwrap();
            let epsilon = Tensor::new(&[0.5f32, 0.1, -0.9], &device).unwrap();
            if prediction_type == PredictionType::Epsilon {
                let up = ddim.invert(&epsilon, &x, 400).unwrap();
                let back = ddim.step(&epsilon, &up, 400).unwrap();
                let off = (back - &x).unwrap().abs().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
                assert!(off < 1e-5, "{off}");
            }
            // The first inversion step goes from ᾱ₀ to ᾱ₀.
            let same = ddim.invert(&epsilon, &x, 0).unwrap();
            let off = (same - &x).unwrap().abs().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
            assert!(off < 1e-6, "{off}");
        }
    }
}

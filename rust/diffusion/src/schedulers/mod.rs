//! Noise schedules: which training steps are visited, and how a latent moves from one to the next.

mod ddim;
mod euler_ancestral;

pub use ddim::Ddim;
pub use euler_ancestral::EulerAncestral;

use crate::config::{BetaSchedule, SchedulerConfig};

/// Cumulated products of 1 − β over the training steps, in single precision as the original keeps them.
pub fn alphas_cumprod(config: &SchedulerConfig) -> Vec<f32> {
    let count = config.num_train_timesteps;
    let (start, end) = match config.beta_schedule {
        BetaSchedule::Linear => (config.beta_start, config.beta_end),
        BetaSchedule::ScaledLinear => (config.beta_start.sqrt(), config.beta_end.sqrt()),
    };
    let mut product = 1.0f32;
    (0..count)
        .map(|index| {
            let value = (start + (end - start) * index as f64 / (count - 1) as f64) as f32;
            let beta = match config.beta_schedule {
                BetaSchedule::Linear => value,
                BetaSchedule::ScaledLinear => value * value,
            };
            product *= 1.0 - beta;
            product
        })
        .collect()
}

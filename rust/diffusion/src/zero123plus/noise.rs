//! Noise in the order of the original's draws.

use candle_core::{Device, Tensor};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::Result;

/// What a draw is for, in the order of draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Sample of the input's latent.
    Condition,
    /// Sample of the grey picture's latent; only with guidance.
    Negative,
    /// First latent, unit variance.
    Initial,
    /// Noise on the reference at a step.
    Reference(usize),
    /// Noise added by the scheduler at a step.
    Step(usize),
}

/// Gives noise of zero mean and unit variance.
pub trait Noise {
    /// A tensor of `shape` on the CPU in F32.
    fn draw(&mut self, draw: Draw, shape: &[usize]) -> Result<Tensor>;
}

/// Noise from a seed, the same on every platform up to rounding of elementary functions.
#[derive(Debug)]
pub struct Seeded(ChaCha8Rng);

impl Seeded {
    /// Noise for `purpose` under a job's `seed`.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(maquette_core::random::stream(seed, purpose))
    }
}

impl Noise for Seeded {
    fn draw(&mut self, _draw: Draw, shape: &[usize]) -> Result<Tensor> {
        let count: usize = shape.iter().product();
        let mut values = Vec::with_capacity(count + 1);
        // Box and Muller (1958): two normal numbers of two uniform ones.
        while values.len() < count {
            let (u, v): (f64, f64) = (self.0.random(), self.0.random());
            let radius = (-2.0 * (1.0 - u).ln()).sqrt();
            let angle = 2.0 * std::f64::consts::PI * v;
            values.push((radius * angle.cos()) as f32);
            values.push((radius * angle.sin()) as f32);
        }
        values.truncate(count);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal_and_repeats() {
        let draw = |seed| Seeded::new(seed, "test").draw(Draw::Initial, &[100_001]).unwrap().to_vec1::<f32>().unwrap();
        let values = draw(7);
        assert_eq!(values, draw(7));
        assert_ne!(values, draw(8));
        let mean = values.iter().sum::<f32>() / 1e5;
        let variance = values.iter().map(|v| v * v).sum::<f32>() / 1e5;
        let beyond = values.iter().filter(|v| v.abs() > 1.959_964).count();
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02 && beyond.abs_diff(5000) < 300);
    }
}

//! Random choices of the generators.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// A stream of random choices.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream for `purpose` under `seed`.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(maquette_core::random::stream(seed, purpose))
    }

    /// Uniform in `low..high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.random::<f32>()
    }

    /// Uniform in the logarithm, `low..high`, both positive.
    pub fn log_between(&mut self, low: f32, high: f32) -> f32 {
        self.between(low.ln(), high.ln()).exp()
    }

    /// True with probability `share`.
    pub fn chance(&mut self, share: f32) -> bool {
        self.0.random::<f32>() < share
    }

    /// Uniform integer in `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    /// Uniform integer in `low..=high`.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        self.0.random_range(low..=high)
    }

    /// +1 or -1.
    pub fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// Normal of mean 0 and deviation 1, by Box and Muller.
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.0.random::<f32>()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.0.random::<f32>()).cos()
    }

    /// Uniform direction.
    pub fn direction(&mut self) -> [f32; 3] {
        let y = self.between(-1.0, 1.0);
        let (sin, cos) = self.between(0.0, std::f32::consts::TAU).sin_cos();
        let ring = (1.0 - y * y).sqrt();
        [ring * cos, y, ring * sin]
    }

    /// An entry of `weights` with probability proportional to it.
    pub fn weighted(&mut self, weights: impl Iterator<Item = f32> + Clone) -> usize {
        let mut left = self.between(0.0, weights.clone().sum());
        let mut last = 0;
        for (index, weight) in weights.enumerate() {
            last = index;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// A seed for a stream of its own.
    pub fn seed(&mut self) -> u64 {
        self.0.random()
    }
}

//! Descent on a latent: a shape is moved by gradients of its distances on a grid.

use super::network::{LATENT, SIZE};
use super::{Decoded, Sae};
use crate::{Error, Result};

/// Decay of Adam's moments (Kingma and Ba 2015).
const BETAS: [f32; 2] = [0.9, 0.99];
const EPSILON: f32 = 1e-8;

/// A latent that moves.
pub struct LatentField<'a> {
    sae: &'a Sae,
    latent: Vec<f32>,
    moments: [Vec<f32>; 2],
    steps: i32,
    decoded: Option<Decoded>,
}

/// A coordinate of a grid vertex among the samples of the decoder: lower neighbour and the weight of the upper one.
type Place = (usize, f32);

/// Grid vertex `i` of `cells` lies at `i / cells - 1/2`, sample `k` at `(k + 1/2) / SIZE - 1/2`; beyond the outermost samples
/// the field stays.
fn places(cells: usize) -> Vec<Place> {
    let last = (SIZE - 1) as f32;
    (0..=cells)
        .map(|index| {
            let at = (index as f32 / cells as f32 * SIZE as f32 - 0.5).clamp(0.0, last);
            let low = (at as usize).min(SIZE - 2);
            (low, at - low as f32)
        })
        .collect()
}

/// The eight samples around a grid vertex and their weights.
fn corners([x, y, z]: [Place; 3]) -> impl Iterator<Item = (usize, f32)> {
    (0..8usize).map(move |corner| {
        let at = |(low, share): Place, bit: usize| {
            if corner >> bit & 1 == 1 { (low + 1, share) } else { (low, 1.0 - share) }
        };
        let ((x, a), (y, b), (z, c)) = (at(x, 0), at(y, 1), at(z, 2));
        ((z * SIZE + y) * SIZE + x, a * b * c)
    })
}

impl<'a> LatentField<'a> {
    /// Starts at `latent`.
    ///
    /// # Errors
    /// When it is not [`LATENT`] finite numbers.
    pub fn new(sae: &'a Sae, latent: Vec<f32>) -> Result<Self> {
        let decoded = Some(sae.follow(&latent)?);
        Ok(Self { sae, latent, moments: [vec![0.0; LATENT], vec![0.0; LATENT]], steps: 0, decoded })
    }

    /// Where the latent is.
    pub fn latent(&self) -> &[f32] {
        &self.latent
    }

    fn decoded(&mut self) -> Result<&Decoded> {
        let decoded = match self.decoded.take() {
            Some(decoded) => decoded,
            None => self.sae.follow(&self.latent)?,
        };
        Ok(self.decoded.insert(decoded))
    }

    /// Signed distances in world units at the vertices of a grid of `cells` an axis over the unit cube, trilinear; vertex
    /// `(i, j, k)` is number `(i (cells + 1) + j) (cells + 1) + k`, `i` along x.
    ///
    /// # Errors
    /// When the network fails.
    pub fn distances(&mut self, cells: usize) -> Result<Vec<f32>> {
        let (places, cube) = (places(cells), &self.decoded()?.cube);
        let mut out = Vec::with_capacity((cells + 1).pow(3));
        for &x in &places {
            for &y in &places {
                out.extend(
                    places
                        .iter()
                        .map(|&z| corners([x, y, z]).map(|(index, weight)| weight * cube.values[index]).sum::<f32>()),
                );
            }
        }
        Ok(out)
    }

    /// One step of Adam of `rate` against `gradient`, dL/ddistance at the vertices of the grid of `cells`.
    ///
    /// # Errors
    /// When the gradient has another length, or the network fails.
    pub fn step(&mut self, gradient: &[f32], cells: usize, rate: f32) -> Result<()> {
        let side = cells + 1;
        if gradient.len() != side.pow(3) {
            return Err(Error::Core(maquette_core::Error::invalid(format!(
                "the gradient has {} numbers for a grid of {cells} cells an axis",
                gradient.len()
            ))));
        }
        let places = places(cells);
        let mut on_samples = vec![0.0f32; SIZE * SIZE * SIZE];
        // Only vertices near the surface have a gradient.
        for (vertex, &value) in gradient.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            let at = [vertex / (side * side), vertex / side % side, vertex % side].map(|k| places[k]);
            for (index, weight) in corners(at) {
                on_samples[index] += weight * value;
            }
        }
        let gradient = self.decoded()?.backward(&on_samples)?;
        self.steps += 1;
        let unbias = BETAS.map(|beta| 1.0 / (1.0 - beta.powi(self.steps)));
        let [first, second] = &mut self.moments;
        for (((value, first), second), gradient) in self.latent.iter_mut().zip(first).zip(second).zip(gradient) {
            *first = BETAS[0] * *first + (1.0 - BETAS[0]) * gradient;
            *second = BETAS[1] * *second + (1.0 - BETAS[1]) * gradient * gradient;
            *value -= rate * *first * unbias[0] / ((*second * unbias[1]).sqrt() + EPSILON);
        }
        self.decoded = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Weights;
    use crate::sae::network::{Decoder, Encoder};

    #[test]
    fn steps_lower_what_they_descend() {
        let mut weights = Weights::fresh(3, &candle_core::Device::Cpu);
        let encoder = Encoder::new(&mut weights).unwrap();
        let sae = Sae { encoder, decoder: Decoder::new(&mut weights).unwrap() };
        let cells = 20;
        let mut field = LatentField::new(&sae, vec![0.1; LATENT]).unwrap();
        // L = half the squared distance to a ramp along x.
        let ramp = |vertex: usize| (vertex / (21 * 21)) as f32 / 20.0 * 0.1 - 0.05;
        let loss = |values: &[f32]| -> f32 {
            values.iter().enumerate().map(|(k, value)| 0.5 * (value - ramp(k)).powi(2)).sum()
        };
        let start = loss(&field.distances(cells).unwrap());
        for _ in 0..12 {
            let values = field.distances(cells).unwrap();
            let gradient: Vec<f32> = values.iter().enumerate().map(|(k, value)| value - ramp(k)).collect();
            field.step(&gradient, cells, 0.05).unwrap();
        }
        let end = loss(&field.distances(cells).unwrap());
        assert!(end < 0.7 * start, "{start} {end}");
        assert!(field.step(&[0.0; 3], cells, 0.1).is_err());
    }

    #[test]
    fn the_grid_lies_where_the_samples_lie() {
        // x in units of samples: linear fields come back exactly between the outermost samples.
        let places = places(32);
        for (vertex, (low, share)) in places.iter().enumerate() {
            let at = (*low as f32 + share + 0.5) / SIZE as f32;
            let wanted = (vertex as f32 / 32.0).clamp(0.5 / 64.0, 63.5 / 64.0);
            assert!((at - wanted).abs() < 1e-6);
        }
        let weights: f32 = corners([places[3], places[9], places[32]]).map(|(_, weight)| weight).sum();
        assert!((weights - 1.0).abs() < 1e-6);
    }
}

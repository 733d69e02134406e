//! The shape autoencoder of LatentDreamer: a signed distance in 4096 numbers, among which a shape can be sought.

mod descent;
pub mod network;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};

use self::network::{Decoder, Encoder, LATENT, SIZE, from_blocks, to_blocks};
use crate::Result;
use crate::embedded::{Embedded, tensors_of};
use crate::nn::{Weights, seed};
use crate::shapes::SdfCube;

pub use self::descent::LatentField;

/// The network inside the library.
static EMBEDDED: Embedded<Sae> = Embedded::new(include_bytes!("../../weights/sae.safetensors"));

/// The autoencoder, ready to be asked.
#[derive(Clone, Debug)]
pub struct Sae {
    encoder: Encoder,
    decoder: Decoder,
}

impl Sae {
    /// The autoencoder with the weights that are built into the library; they are read once.
    ///
    /// # Errors
    /// When this build's weights do not fit its network.
    pub fn embedded() -> Result<&'static Self> {
        EMBEDDED.get(Self::from_tensors)
    }

    /// The autoencoder with the weights of a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be read or does not fit the network.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        Self::from_tensors(tensors_of(bytes)?)
    }

    /// The autoencoder with given parameters.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn from_tensors(tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        let mut weights = Weights::given(tensors, &Device::Cpu);
        Ok(Self { encoder: Encoder::new(&mut weights)?, decoder: Decoder::new(&mut weights)? })
    }

    /// The likeliest latent of a shape, [`LATENT`] numbers.
    ///
    /// # Errors
    /// When the cube has another size than [`SIZE`], or holds what is not finite.
    pub fn encode(&self, cube: &SdfCube) -> Result<Vec<f32>> {
        let wrong = cube.size != SIZE || cube.values.len() != SIZE * SIZE * SIZE;
        if wrong || cube.values.iter().any(|value| !value.is_finite()) {
            return Err(maquette_core::Error::invalid(format!(
                "the autoencoder takes {SIZE} finite distances a side, got {} a side, {} in all",
                cube.size,
                cube.values.len()
            ))
            .into());
        }
        let values = cube.values.iter().map(|value| (value / SdfCube::REACH).clamp(-1.0, 1.0)).collect();
        let distances = Tensor::from_vec(values, (1, SIZE, SIZE, SIZE, 1), &Device::Cpu)?;
        Ok(self.encoder.forward(&distances)?.mean.flatten_all()?.to_vec1()?)
    }

    /// The shape of a latent, [`LATENT`] finite numbers.
    ///
    /// # Errors
    /// When it has another length.
    pub fn decode(&self, latent: &[f32]) -> Result<SdfCube> {
        Ok(self.follow(latent)?.cube)
    }

    /// The shape of a latent, and the way back to the latent for gradients.
    ///
    /// # Errors
    /// When the latent has another length.
    pub fn follow(&self, latent: &[f32]) -> Result<Decoded> {
        if latent.len() != LATENT || latent.iter().any(|value| !value.is_finite()) {
            return Err(maquette_core::Error::invalid(format!(
                "a latent is {LATENT} finite numbers, got {}",
                latent.len()
            ))
            .into());
        }
        let latent = Var::from_slice(latent, (1, LATENT), &Device::Cpu)?;
        let output = self.decoder.forward(&latent)?;
        let mut values = vec![0.0; SIZE * SIZE * SIZE];
        from_blocks(&output.flatten_all()?.to_vec1::<f32>()?, &mut values);
        for value in &mut values {
            *value *= SdfCube::REACH;
        }
        Ok(Decoded { cube: SdfCube { size: SIZE, values }, latent, output })
    }
}

/// A decoded shape that remembers how it came about.
#[derive(Debug)]
pub struct Decoded {
    /// The shape; its distances are not clipped.
    pub cube: SdfCube,
    latent: Var,
    output: Tensor,
}

impl Decoded {
    /// dL/dlatent from dL/ddistance, one for each sample of the cube.
    ///
    /// # Errors
    /// When the gradient has another length.
    pub fn backward(&self, gradient: &[f32]) -> Result<Vec<f32>> {
        if gradient.len() != self.cube.values.len() {
            return Err(maquette_core::Error::invalid(format!(
                "the gradient has {} numbers for {} samples",
                gradient.len(),
                self.cube.values.len()
            ))
            .into());
        }
        let mut blocked = vec![0.0; gradient.len()];
        to_blocks(gradient, &mut blocked);
        for value in &mut blocked {
            *value *= SdfCube::REACH;
        }
        let gradients = seed(&self.output, blocked)?.backward()?;
        match gradients.get(&self.latent) {
            Some(gradient) => Ok(gradient.flatten_all()?.to_vec1()?),
            None => Ok(vec![0.0; LATENT]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::random_geometry;

    fn untrained() -> Sae {
        let mut weights = Weights::fresh(3, &Device::Cpu);
        let encoder = Encoder::new(&mut weights).unwrap();
        Sae { encoder, decoder: Decoder::new(&mut weights).unwrap() }
    }

    #[test]
    fn the_way_back_is_the_central_difference() {
        let sae = untrained();
        let latent = sae.encode(&random_geometry(1, SIZE)).unwrap();
        let decoded = sae.follow(&latent).unwrap();
        // L = sum of w d: linear in the distances.
        let weight: Vec<f32> = (0..SIZE * SIZE * SIZE).map(|k| ((k * 7919) % 41) as f32 * 0.05 - 1.0).collect();
        let gradient = decoded.backward(&weight).unwrap();
        let loss = |latent: &[f32]| -> f64 {
            let cube = sae.decode(latent).unwrap();
            cube.values.iter().zip(&weight).map(|(a, b)| f64::from(a * b)).sum()
        };
        for index in [0, 100, 2049, 4095] {
            let at = |step: f32| {
                let mut moved = latent.clone();
                moved[index] += step;
                loss(&moved)
            };
            let slope = (at(0.02) - at(-0.02)) / 0.04;
            assert!(
                (slope - f64::from(gradient[index])).abs() < 0.02 * slope.abs() + 0.05,
                "{slope} {}",
                gradient[index]
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let sae = untrained();
        assert!(sae.encode(&random_geometry(1, 32)).is_err());
        assert!(sae.decode(&[0.0; 7]).is_err() && sae.decode(&[f32::NAN; LATENT]).is_err());
        assert!(sae.follow(&[0.0; LATENT]).unwrap().backward(&[0.0]).is_err());
        assert!(Sae::from_safetensors(b"nonsense").is_err());
    }
}

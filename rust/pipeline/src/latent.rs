//! The built-in prior as the start of the coarse stage: a latent whose decoded field is fitted to the views.

use maquette_core::Views;
use maquette_core::recipe::Init;
use maquette_geometry::reconstruct::parametric::ParametricField;
use maquette_geometry::sdf_grid::SdfGrid;
use maquette_prior::lin::{Lin, planes_of};
use maquette_prior::sae::network::LATENT;
use maquette_prior::sae::{LatentField, Sae};

use crate::Result;

/// The shape autoencoder's decoder as the field that the coarse stage fits.
pub(crate) struct DecodedField(LatentField<'static>);

impl DecodedField {
    /// Where `init` asks for the prior, its first latent; `None` where the field starts without it.
    pub(crate) fn start(init: Init, views: &Views) -> Result<Option<Self>> {
        let latent = match init {
            Init::Auto | Init::Hull => return Ok(None),
            Init::Zero => vec![0.0; LATENT],
            Init::Lin => Lin::embedded()?.latent(&planes_of(views)?)?,
        };
        Ok(Some(Self(LatentField::new(Sae::embedded()?, latent)?)))
    }
}

/// The prior's error as geometry's.
fn failed(error: maquette_prior::Error) -> maquette_geometry::Error {
    match error {
        maquette_prior::Error::Core(error) => error.into(),
        other => maquette_geometry::Error::Field(other.to_string()),
    }
}

impl ParametricField for DecodedField {
    fn values(&mut self, resolution: usize) -> maquette_geometry::Result<SdfGrid> {
        SdfGrid::new(resolution, self.0.distances(resolution).map_err(failed)?)
    }

    fn step(&mut self, gradient: &[f32], resolution: usize, rate: f32) -> maquette_geometry::Result<()> {
        self.0.step(gradient, resolution, rate).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use maquette_core::{Camera, Plane, View};

    use super::*;

    #[test]
    fn the_prior_starts_only_where_asked_and_moves() {
        let size = 32;
        let disc = |pixel: usize| ((pixel % size) as f32 - 15.5).hypot((pixel / size) as f32 - 15.5) < 9.0;
        let view = |camera: Camera| {
            let covered = |pixel: usize| f32::from(u8::from(disc(pixel)));
            let normal = camera.vector_to_world([0.0, 0.0, 1.0]);
            View {
                mask: Plane { width: size, height: size, data: (0..size * size).map(|k| [covered(k)]).collect() },
                normal: Some(Plane::filled(size, size, normal)),
                color: None,
                camera,
            }
        };
        let mut views = Views { views: Camera::six_views(size).map(view).to_vec() };
        for init in [Init::Auto, Init::Hull] {
            assert!(DecodedField::start(init, &views).unwrap().is_none());
        }
        for init in [Init::Zero, Init::Lin] {
            let mut field = DecodedField::start(init, &views).unwrap().unwrap();
            let before = field.values(16).unwrap();
            field.step(&vec![1.0; before.values().len()], 16, 0.05).unwrap();
            let after = field.values(16).unwrap();
            // Against a gradient of ones distances fall.
            let sum = |grid: &SdfGrid| grid.values().iter().sum::<f32>();
            assert!(sum(&after) < sum(&before), "{init:?}");
            assert!(field.step(&[0.0; 3], 16, 0.05).is_err());
        }
        views.views[4].normal = None;
        assert!(DecodedField::start(Init::Zero, &views).unwrap().is_some());
        let Err(error) = DecodedField::start(Init::Lin, &views) else { panic!("views without normals") };
        assert!(error.to_string().contains("view 5"), "{error}");
    }
}

//! Six views of normals to the latent from which a shape is sought (LatentDreamer's latent initialisation network).

pub mod network;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use maquette_core::{Camera, Plane, Views};

use self::network::{LinNet, VIEW_CHANNELS, VIEW_PX, VIEWS};
use crate::Result;
use crate::embedded::{Embedded, tensors_of};
use crate::nn::Weights;

/// The network inside the library.
static EMBEDDED: Embedded<Lin> = Embedded::new(include_bytes!("../../weights/lin.safetensors"));

/// The network, ready to be asked.
#[derive(Clone, Debug)]
pub struct Lin {
    net: LinNet,
}

impl Lin {
    /// The network with the weights that are built into the library; they are read once.
    ///
    /// # Errors
    /// When this build's weights do not fit its network.
    pub fn embedded() -> Result<&'static Self> {
        EMBEDDED.get(Self::from_tensors)
    }

    /// The network with the weights of a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be read or does not fit the network.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        Self::from_tensors(tensors_of(bytes)?)
    }

    /// The network with given parameters.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn from_tensors(tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        Ok(Self { net: LinNet::new(&mut Weights::given(tensors, &Device::Cpu))? })
    }

    /// The latent of the shape that the views of the rig show, [`crate::sae::network::LATENT`] numbers.
    ///
    /// `views` holds, for each view in the order of [`maquette_core::Camera::six_views`], [`VIEW_CHANNELS`] planes of
    /// [`VIEW_PX`] squared, row 0 on top: camera-space normal (right, up, towards the camera; 0 outside of the mask), coverage.
    ///
    /// # Errors
    /// When there are more or fewer numbers, or one is not finite.
    pub fn latent(&self, views: &[f32]) -> Result<Vec<f32>> {
        let count = VIEWS * VIEW_CHANNELS * VIEW_PX * VIEW_PX;
        if views.len() != count || views.iter().any(|value| !value.is_finite()) {
            return Err(maquette_core::Error::invalid(format!(
                "the latent initialisation takes {VIEWS} views of {VIEW_CHANNELS} finite planes of {VIEW_PX} pixels a side, \
                 {count} numbers; got {}",
                views.len()
            ))
            .into());
        }
        let shape = (VIEWS, VIEW_PX, VIEW_PX, VIEW_CHANNELS);
        let pictures = Tensor::from_vec(channels_last(views), shape, &Device::Cpu)?;
        Ok(self.net.forward(&pictures)?.flatten_all()?.to_vec1()?)
    }
}

/// The planes that [`Lin::latent`] takes, from posed views: the first six must be those of the rig, with normals.
///
/// # Errors
/// When views or normals are missing, or a camera is not where the rig has it; the text says which.
pub fn planes_of(views: &Views) -> Result<Vec<f32>> {
    let mut planes = Vec::with_capacity(VIEWS * VIEW_CHANNELS * VIEW_PX * VIEW_PX);
    for (number, rig) in Camera::six_views(VIEW_PX).iter().enumerate() {
        let refused = |what: &str| {
            maquette_core::Error::invalid(format!(
                "the latent initialisation needs the six views of the rig with normals, but view {} {what}; set coarse.init to \
                 \"hull\" or \"zero\"",
                number + 1
            ))
        };
        let view = views.views.get(number).ok_or_else(|| refused("is missing"))?;
        let camera = view.camera.resized(VIEW_PX, VIEW_PX);
        let place = |camera: &Camera| [[0.3, 0.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, 0.3]].map(|p| camera.project(p).0);
        let (ours, theirs) = (place(&camera), place(rig));
        // A pixel, where spoilt views in training were off by as much; NaN is not near either.
        let near = |(a, b): (&[f32; 2], &[f32; 2])| (0..2).all(|k| (a[k] - b[k]).abs() < 1.0);
        if !ours.iter().zip(&theirs).all(near) {
            return Err(refused("is seen from elsewhere").into());
        }
        let normal = view.normal.as_ref().ok_or_else(|| refused("has no normals"))?;
        let covered = |normal: &[f32; 3], mask: &[f32; 1]| normal.map(|x| x * mask[0]);
        let normal =
            Plane { data: normal.data.iter().zip(&view.mask.data).map(|(n, m)| covered(n, m)).collect(), ..*normal };
        let (normal, mask) = (normal.resized(VIEW_PX, VIEW_PX), view.mask.resized(VIEW_PX, VIEW_PX));
        let units: Vec<[f32; 3]> = normal
            .data
            .iter()
            .zip(&mask.data)
            .map(|(n, mask)| {
                let n = camera.vector_to_camera(*n);
                let length = n.iter().map(|x| x * x).sum::<f32>().sqrt();
                if mask[0] > LEAST_COVERAGE && length > 1e-6 { n.map(|x| x / length) } else { [0.0; 3] }
            })
            .collect();
        for channel in 0..3 {
            planes.extend(units.iter().map(|n| n[channel]));
        }
        planes.extend(mask.data.iter().map(|mask| mask[0]));
    }
    Ok(planes)
}

/// Coverage below which a pixel has no normal.
const LEAST_COVERAGE: f32 = 0.05;

/// Views of planes as the network takes them, channels last.
pub fn channels_last(views: &[f32]) -> Vec<f32> {
    let area = VIEW_PX * VIEW_PX;
    let mut out = Vec::with_capacity(views.len());
    for view in views.chunks_exact(VIEW_CHANNELS * area) {
        out.extend((0..area).flat_map(|pixel| (0..VIEW_CHANNELS).map(move |channel| view[channel * area + pixel])));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut weights = Weights::fresh(3, &Device::Cpu);
        let lin = Lin { net: LinNet::new(&mut weights).unwrap() };
        assert!(lin.latent(&[0.0; 10]).is_err());
        let mut views = vec![0.0; VIEWS * VIEW_CHANNELS * VIEW_PX * VIEW_PX];
        assert_eq!(lin.latent(&views).unwrap().len(), crate::sae::network::LATENT);
        views[7] = f32::NAN;
        assert!(lin.latent(&views).is_err());
        assert!(Lin::from_safetensors(b"nonsense").is_err());
    }

    #[test]
    fn views_of_the_rig_are_taken_and_no_others() {
        let size = 2 * VIEW_PX;
        let view = |camera: Camera| maquette_core::View {
            mask: Plane::filled(size, size, [1.0]),
            normal: Some(Plane::filled(size, size, camera.vector_to_world([0.0, 0.6, 0.8]))),
            color: None,
            camera,
        };
        let mut views = Views { views: Camera::six_views(size).map(view).to_vec() };
        let planes = planes_of(&views).unwrap();
        let area = VIEW_PX * VIEW_PX;
        for view in planes.chunks_exact(VIEW_CHANNELS * area) {
            let pixel = |channel: usize| view[channel * area + 100];
            let (x, y, z, mask) = (pixel(0), pixel(1), pixel(2), pixel(3));
            assert!(x.abs() < 1e-5 && (y - 0.6).abs() < 1e-5 && (z - 0.8).abs() < 1e-5 && mask == 1.0);
        }
        let said = |views: &Views| planes_of(views).unwrap_err().to_string();
        views.views[2].normal = None;
        assert!(said(&views).contains("view 3 has no normals"));
        views.views.swap(0, 1);
        assert!(said(&views).contains("view 1 is seen from elsewhere"));
        views.views.clear();
        assert!(said(&views).contains("missing"));
    }

    #[test]
    fn channels_come_last() {
        let area = VIEW_PX * VIEW_PX;
        let planes: Vec<f32> = (0..VIEWS * VIEW_CHANNELS * area).map(|k| k as f32).collect();
        let out = channels_last(&planes);
        assert_eq!(out[..VIEW_CHANNELS], [0.0, area as f32, 2.0 * area as f32, 3.0 * area as f32]);
        assert_eq!(out[VIEW_CHANNELS], 1.0);
    }
}

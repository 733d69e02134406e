//! Posed pictures of one object: what every view source gives and reconstruction and texturing take.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Camera, Error, Plane, Result};

/// One posed picture.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct View {
    /// Where it was taken from; its size is that of all planes here.
    pub camera: Camera,
    /// Coverage in 0..=1.
    pub mask: Plane<1>,
    /// Linear colour with straight alpha.
    pub color: Option<Plane<4>>,
    /// Unit normals in world space; the zero vector where unknown or outside of the mask.
    pub normal: Option<Plane<3>>,
}

impl View {
    /// Checks that sizes agree and every number is finite.
    pub fn validate(&self) -> Result<()> {
        let size = (self.camera.width, self.camera.height);
        let check = |name: &str, width: usize, height: usize, finite: bool| {
            if (width, height) != size {
                return Err(Error::invalid(format!(
                    "{name} of a view is {width}x{height} pixels, but its camera has {}x{}; give the same size",
                    size.0, size.1
                )));
            }
            if !finite {
                return Err(Error::invalid(format!("{name} of a view has NaN or infinite pixels; write it again")));
            }
            Ok(())
        };
        check("mask", self.mask.width, self.mask.height, self.mask.is_finite())?;
        if let Some(color) = &self.color {
            check("colour", color.width, color.height, color.is_finite())?;
        }
        if let Some(normal) = &self.normal {
            check("normal map", normal.width, normal.height, normal.is_finite())?;
        }
        Ok(())
    }

    /// The same view with its longer side at `longest_px`, where it is larger; see [`View::resized`].
    #[must_use]
    pub fn at_most(&self, longest_px: usize) -> Self {
        let longest = self.camera.width.max(self.camera.height).max(1);
        let size = |side: usize| (side * longest_px.min(longest) / longest).max(1);
        self.resized(size(self.camera.width), size(self.camera.height))
    }

    /// The same view at another size: colour averaged with its alpha, normals averaged and made unit again.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.camera.width, self.camera.height) {
            return self.clone();
        }
        let color = self.color.as_ref().map(|color| color.clone().premultiplied().resized(width, height).straight());
        let normal = self.normal.as_ref().map(|normal| {
            let mut small = normal.resized(width, height);
            for pixel in &mut small.data {
                let length = (pixel[0] * pixel[0] + pixel[1] * pixel[1] + pixel[2] * pixel[2]).sqrt();
                *pixel = if length > 1e-6 { pixel.map(|x| x / length) } else { [0.0; 3] };
            }
            small
        });
        Self { camera: self.camera.resized(width, height), mask: self.mask.resized(width, height), color, normal }
    }
}

/// The views of one job.
#[derive(Clone, Debug, Default, BorshSerialize, BorshDeserialize)]
pub struct Views {
    /// Posed pictures, usually six.
    pub views: Vec<View>,
}

impl Views {
    /// Most views accepted.
    pub const MAX_VIEWS: usize = 64;

    /// Checks the count and every view.
    pub fn validate(&self) -> Result<()> {
        if self.views.is_empty() || self.views.len() > Self::MAX_VIEWS {
            return Err(Error::invalid(format!(
                "{} views were given; give 1 to {}",
                self.views.len(),
                Self::MAX_VIEWS
            )));
        }
        self.views.iter().try_for_each(View::validate)
    }
}

//! Differentiable rasteriser for triangle meshes.
//!
//! [`rasterize`] decides which triangle each pixel centre sees; [`interpolate`] reads vertex attributes there. One
//! algorithm, one file, the backward pass beside the forward one.
//!
//! Everything is deterministic: the result depends neither on the number of threads nor on their timing.

mod faces;
mod interpolate;
mod projection;
mod rasterize;

pub use faces::{coverage, face_normals, look_up_faces};
pub use interpolate::{interpolate, interpolate_corners};
pub use projection::NEAR_DEPTH;
pub use rasterize::{rasterize, rasterize_views};

/// What one camera sees: for every pixel centre the nearest triangle, if any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GBuffer {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[height * width]` triangle index, or [`GBuffer::EMPTY`].
    pub triangle: Vec<u32>,
    /// Perspective-correct weights of the triangle's second and third vertex; the first has `1 - u - v`.
    pub barycentric: Vec<[f32; 2]>,
    /// Distance along the optical axis, positive; 0 where empty.
    pub depth: Vec<f32>,
}

impl GBuffer {
    /// Marks a pixel that no triangle covers.
    pub const EMPTY: u32 = u32::MAX;

    /// Weights of the three vertices at pixel `index`; zero where empty.
    pub fn weights(&self, index: usize) -> [f32; 3] {
        if self.triangle[index] == Self::EMPTY {
            return [0.0; 3];
        }
        let [u, v] = self.barycentric[index];
        [1.0 - u - v, u, v]
    }
}

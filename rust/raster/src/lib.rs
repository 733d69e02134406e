//! Differentiable rasteriser for triangle meshes.
//!
//! | step | forward | backward |
//! |---|---|---|
//! | which triangle each pixel centre sees, where on it, how far away | [`rasterize`] | [`rasterize_backward`] |
//! | attributes there, smooth or one for each triangle | [`interpolate`], [`interpolate_corners`], [`look_up_faces`] | [`interpolate_backward`], [`look_up_faces_backward`] |
//! | normals of triangles and vertices | [`face_normals`], [`vertex_normals`] | [`face_normals_backward`], [`vertex_normals_backward`] |
//! | soft silhouettes, which make coverage differentiable | [`Silhouettes::antialias`] | [`Silhouettes::antialias_backward`] |
//! | all of it for normals and masks of several views | [`NormalViews::render`] | [`NormalViews::backward`] |
//!
//! Backward passes add to the gradients they are given, so that several losses can share one buffer. Everything is
//! deterministic: the result depends neither on the number of threads nor on their timing.

mod antialias;
mod edges;
mod interpolate;
mod normals;
mod projection;
mod rasterize;
mod render;
mod scatter;

pub use antialias::{Crossing, Silhouettes};
pub use edges::Edges;
pub use interpolate::{
    coverage, interpolate, interpolate_backward, interpolate_corners, look_up_faces, look_up_faces_backward,
};
pub use normals::{face_normals, face_normals_backward, vertex_normals, vertex_normals_backward};
pub use projection::NEAR_DEPTH;
pub use rasterize::{rasterize, rasterize_backward, rasterize_views, rasterize_views_into};
pub use render::{NormalView, NormalViews, Shading};

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

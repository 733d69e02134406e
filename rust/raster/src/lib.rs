//! Differentiable rasteriser for triangle meshes.

/// What one camera sees: for every pixel centre the nearest triangle, if any.
#[derive(Clone, Debug, Default)]
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
}

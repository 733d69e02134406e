//! Vertex attributes at the pixels of a [`GBuffer`], perspective-correct.

use maquette_core::Plane;
use rayon::prelude::*;

use crate::GBuffer;

/// Pixels one task reads.
const PIXELS_PER_TASK: usize = 8192;

/// Attributes given for each vertex, read at every covered pixel; zero elsewhere.
///
/// `triangles` are those that were rasterised, `attributes` one value for each vertex (panics where one is missing).
pub fn interpolate<const C: usize>(gbuffer: &GBuffer, triangles: &[[u32; 3]], attributes: &[[f32; C]]) -> Plane<C> {
    interpolate_with(gbuffer, |triangle| triangles[triangle].map(|vertex| attributes[vertex as usize]))
}

/// Attributes given for each triangle corner, as texture coordinates are; zero where no triangle is seen.
pub fn interpolate_corners<const C: usize>(gbuffer: &GBuffer, corners: &[[[f32; C]; 3]]) -> Plane<C> {
    interpolate_with(gbuffer, |triangle| corners[triangle])
}

fn interpolate_with<const C: usize>(gbuffer: &GBuffer, corners: impl Fn(usize) -> [[f32; C]; 3] + Sync) -> Plane<C> {
    let mut plane = Plane::filled(gbuffer.width, gbuffer.height, [0.0; C]);
    plane
        .data
        .par_chunks_mut(PIXELS_PER_TASK)
        .zip(gbuffer.triangle.par_chunks(PIXELS_PER_TASK))
        .zip(gbuffer.barycentric.par_chunks(PIXELS_PER_TASK))
        .for_each(|((pixels, triangles), barycentrics)| {
            for ((pixel, &triangle), &[u, v]) in pixels.iter_mut().zip(triangles).zip(barycentrics) {
                if triangle != GBuffer::EMPTY {
                    let [a, b, c] = corners(triangle as usize);
                    *pixel = std::array::from_fn(|k| a[k] + u * (b[k] - a[k]) + v * (c[k] - a[k]));
                }
            }
        });
    plane
}

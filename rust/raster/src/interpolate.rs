//! Attributes of vertices, corners or triangles at the pixels of a [`GBuffer`], perspective-correct.

use maquette_core::Plane;
use rayon::prelude::*;

use crate::GBuffer;
use crate::scatter::{add, scatter};

/// Pixels one task reads.
const PIXELS_PER_TASK: usize = 8192;

/// Attributes given for each vertex, read at every covered pixel; zero elsewhere.
///
/// `triangles` are those that were rasterised, `attributes` one value for each vertex (panics where one is missing).
pub fn interpolate<const C: usize>(gbuffer: &GBuffer, triangles: &[[u32; 3]], attributes: &[[f32; C]]) -> Plane<C> {
    interpolate_with(gbuffer, |triangle| triangles[triangle].map(|vertex| attributes[vertex as usize]))
}

/// Adds the gradient of [`interpolate`] to `attribute_gradients` (one for each vertex) and to `barycentric_gradients` (one
/// for each pixel, for [`crate::rasterize_backward`]), given the one of its result.
pub fn interpolate_backward<const C: usize>(
    gbuffer: &GBuffer,
    triangles: &[[u32; 3]],
    attributes: &[[f32; C]],
    gradient: &Plane<C>,
    attribute_gradients: &mut [[f32; C]],
    barycentric_gradients: &mut [[f32; 2]],
) {
    scatter(gbuffer.triangle.len(), attribute_gradients, |range, sums| {
        for index in range {
            if gbuffer.triangle[index] == GBuffer::EMPTY {
                continue;
            }
            let weights = gbuffer.weights(index);
            let gradient = gradient.data[index];
            for (vertex, weight) in triangles[gbuffer.triangle[index] as usize].into_iter().zip(weights) {
                add(&mut sums[vertex as usize], gradient.map(|x| x * weight));
            }
        }
    });
    barycentric_gradients.par_iter_mut().enumerate().with_min_len(PIXELS_PER_TASK).for_each(|(index, sum)| {
        if gbuffer.triangle[index] != GBuffer::EMPTY {
            let [a, b, c] = triangles[gbuffer.triangle[index] as usize].map(|vertex| attributes[vertex as usize]);
            for (k, g) in gradient.data[index].into_iter().enumerate() {
                sum[0] += g * (b[k] - a[k]);
                sum[1] += g * (c[k] - a[k]);
            }
        }
    });
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

/// The value of the triangle seen at each pixel; zero where there is none.
pub fn look_up_faces<const C: usize>(gbuffer: &GBuffer, values: &[[f32; C]]) -> Plane<C> {
    let value = |&triangle: &u32| if triangle == GBuffer::EMPTY { [0.0; C] } else { values[triangle as usize] };
    let data = gbuffer.triangle.par_iter().with_min_len(PIXELS_PER_TASK).map(value).collect();
    Plane { width: gbuffer.width, height: gbuffer.height, data }
}

/// Adds the gradient of [`look_up_faces`] to `value_gradients`, given the one of its result.
pub fn look_up_faces_backward<const C: usize>(
    gbuffer: &GBuffer,
    gradient: &Plane<C>,
    value_gradients: &mut [[f32; C]],
) {
    scatter(gbuffer.triangle.len(), value_gradients, |range, sums| {
        for (&triangle, &gradient) in gbuffer.triangle[range.clone()].iter().zip(&gradient.data[range]) {
            if triangle != GBuffer::EMPTY {
                add(&mut sums[triangle as usize], gradient);
            }
        }
    });
}

/// 1 where a triangle is seen, 0 elsewhere.
pub fn coverage(gbuffer: &GBuffer) -> Plane<1> {
    let data = gbuffer.triangle.iter().map(|&triangle| [f32::from(triangle != GBuffer::EMPTY)]).collect();
    Plane { width: gbuffer.width, height: gbuffer.height, data }
}

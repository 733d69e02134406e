//! What other views show of the surface that one view sees: the colours that views should agree on (LSS3D's texture
//! shifting and its measures of consistency).

use maquette_core::{Plane, Views};
use maquette_raster::{GBuffer, NormalView};
use rayon::prelude::*;

use crate::shifting::Shift;
use crate::vec3::{dot, scale, sub};

/// Less of the surface's slant than this tells nothing, |cos| of ray and normal.
const LEAST_COSINE: f32 = 0.2;
/// Surface this much further away than the nearest one is hidden, in world units.
const DEPTH_TOLERANCE: f32 = 0.006;

/// Colours of the surface in view `target`, as the views numbered `sources` show it, in linear light, premultiplied by
/// the last number: 1 where some source sees the surface, else 0.
///
/// `rendered` shows the mesh in every view, and each view is read by its shift, all in the order of `views`. Sources are
/// blended by |cos|².
pub fn reproject(
    views: &Views,
    rendered: &[NormalView],
    shifts: &[Shift],
    target: usize,
    sources: &[usize],
) -> Plane<4> {
    let NormalView { camera, gbuffer, .. } = &rendered[target];
    let mut colors = Plane::filled(camera.width, camera.height, [0.0; 4]);
    colors.data.par_chunks_mut(camera.width).enumerate().for_each(|(row, colors)| {
        for (column, color) in colors.iter_mut().enumerate() {
            let pixel = row * camera.width + column;
            if gbuffer.triangle[pixel] == GBuffer::EMPTY {
                continue;
            }
            let point = camera.unproject(column as f32 + 0.5, row as f32 + 0.5, gbuffer.depth[pixel]);
            let mut sum = [0.0; 3];
            let mut total = 0.0;
            for &source in sources {
                let Some((read, weight)) = look(views, rendered, shifts, source, point) else { continue };
                for k in 0..3 {
                    sum[k] += weight * read[k];
                }
                total += weight;
            }
            if total > 0.0 {
                *color = [sum[0] / total, sum[1] / total, sum[2] / total, 1.0];
            }
        }
    });
    colors
}

/// Colour and weight of a surface point in one view, if it is seen there.
fn look(
    views: &Views,
    rendered: &[NormalView],
    shifts: &[Shift],
    source: usize,
    point: [f32; 3],
) -> Option<([f32; 3], f32)> {
    let NormalView { camera, gbuffer, normals, .. } = &rendered[source];
    let ([x, y], depth) = camera.project(point);
    let inside = depth > 0.0 && x >= 0.0 && y >= 0.0 && x < camera.width as f32 && y < camera.height as f32;
    let pixel = if inside { y as usize * camera.width + x as usize } else { return None };
    if gbuffer.triangle[pixel] == GBuffer::EMPTY || depth > gbuffer.depth[pixel] + DEPTH_TOLERANCE {
        return None;
    }
    let ray = sub(point, camera.position.coords.into());
    let cosine = -dot(normals.data[pixel], ray) / dot(ray, ray).sqrt();
    let [dx, dy] = shifts[source].shift_px(x, y);
    let [r, g, b, alpha] = views.views[source].color.as_ref()?.bilinear(x + dx, y + dy);
    let known = cosine > LEAST_COSINE && alpha > 0.99;
    known.then(|| (scale([r, g, b], 1.0 / alpha), cosine * cosine))
}

//! Flat-shaded quantities: one value for each triangle.

use maquette_core::Plane;
use rayon::prelude::*;

use crate::GBuffer;

/// Unit normals of triangles, outward for counter-clockwise winding; zero for a triangle without area.
pub fn face_normals(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Vec<[f32; 3]> {
    triangles
        .par_iter()
        .with_min_len(4096)
        .map(|&triangle| {
            let normal = area_vector(triangle.map(|vertex| positions[vertex as usize]));
            let length = norm(normal);
            if length > 0.0 && length.is_finite() { normal.map(|x| x / length) } else { [0.0; 3] }
        })
        .collect()
}

/// The value of the triangle seen at each pixel, zero where there is none.
pub fn look_up_faces<const C: usize>(gbuffer: &GBuffer, values: &[[f32; C]]) -> Plane<C> {
    let data = gbuffer
        .triangle
        .iter()
        .map(|&triangle| if triangle == GBuffer::EMPTY { [0.0; C] } else { values[triangle as usize] })
        .collect();
    Plane { width: gbuffer.width, height: gbuffer.height, data }
}

/// 1 where a triangle is seen, 0 elsewhere.
pub fn coverage(gbuffer: &GBuffer) -> Plane<1> {
    let data = gbuffer.triangle.iter().map(|&triangle| [f32::from(triangle != GBuffer::EMPTY)]).collect();
    Plane { width: gbuffer.width, height: gbuffer.height, data }
}

/// Twice-area vector of a triangle along its outward normal.
pub(crate) fn area_vector([a, b, c]: [[f32; 3]; 3]) -> [f32; 3] {
    let (u, v) = ([b[0] - a[0], b[1] - a[1], b[2] - a[2]], [c[0] - a[0], c[1] - a[1], c[2] - a[2]]);
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

pub(crate) fn norm(v: [f32; 3]) -> f32 {
    (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt()
}

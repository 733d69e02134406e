//! Normals of the surface against the views' normal maps, at full, half and quarter size.
//!
//! weight * pixel area * sum over pixels that both have of (1 - <rendered, given>), LatentDreamer's normal loss with
//! flat-shaded normals. At the smaller sizes both are averaged over the pixels of a block that both have, which looks
//! past small shifts between views (LSS3D).

use maquette_core::Plane;
use maquette_raster::GBuffer;

use crate::vec3::{Vec3, accumulate, dot, norm, scale, sub};

/// Sizes that are compared: 1, 1/2, 1/4.
pub const LEVELS: usize = 3;

/// A rendered view and the normals it should have.
pub(super) struct Pixels<'a> {
    pub(super) gbuffer: &'a GBuffer,
    /// Unit normals, zero where unknown, at full size.
    pub(super) target: &'a Plane<3>,
    /// Pixel (row, column) of the G-buffer is pixel `stride * (row, column) + offset` of the target.
    pub(super) stride: usize,
    pub(super) offset: [usize; 2],
}

impl Pixels<'_> {
    /// Triangle and given normal at a pixel of the G-buffer, where there are both.
    fn at(&self, row: usize, column: usize, areas: &[Vec3]) -> Option<(usize, Vec3)> {
        let triangle = self.gbuffer.triangle[row * self.gbuffer.width + column];
        if triangle == GBuffer::EMPTY || areas[triangle as usize] == [0.0; 3] {
            return None;
        }
        let given = self.target.at(row * self.stride + self.offset[0], column * self.stride + self.offset[1]);
        (given != [0.0; 3]).then_some((triangle as usize, given))
    }
}

/// The weighted loss; adds dL/d(unit normal) of every triangle to `gradient`. `areas` are area vectors of triangles.
pub(super) fn normal_loss(
    pixels: &Pixels<'_>,
    areas: &[Vec3],
    pixel_area: f32,
    weights: [f32; LEVELS],
    gradient: &mut [Vec3],
) -> f64 {
    let (width, height) = (pixels.gbuffer.width, pixels.gbuffer.height);
    let unit = |triangle: usize| scale(areas[triangle], 1.0 / norm(areas[triangle]));
    let mut loss = 0.0f64;
    for (level, weight) in weights.into_iter().enumerate().filter(|&(_, weight)| weight > 0.0) {
        let block = 1 << level;
        let weight = weight * pixel_area;
        for top in (0..height).step_by(block) {
            let rows = top..(top + block).min(height);
            for left in (0..width).step_by(block) {
                let columns = left..(left + block).min(width);
                let (mut rendered, mut given, mut count) = ([0.0; 3], [0.0; 3], 0.0);
                for row in rows.clone() {
                    for column in columns.clone() {
                        if let Some((triangle, normal)) = pixels.at(row, column, areas) {
                            accumulate(&mut rendered, unit(triangle));
                            accumulate(&mut given, normal);
                            count += 1.0;
                        }
                    }
                }
                let (rendered_length, given_length) = (norm(rendered), norm(given));
                // Blocks of opposite normals have no direction.
                if count == 0.0 || rendered_length < 1e-3 * count || given_length < 1e-3 * count {
                    continue;
                }
                let (rendered, given) = (scale(rendered, 1.0 / rendered_length), scale(given, 1.0 / given_length));
                let cosine = dot(rendered, given);
                loss += f64::from(weight * count * (1.0 - cosine));
                let slope = scale(sub(given, scale(rendered, cosine)), -weight * count / rendered_length);
                for row in rows.clone() {
                    for column in columns.clone() {
                        if let Some((triangle, _)) = pixels.at(row, column, areas) {
                            accumulate(&mut gradient[triangle], slope);
                        }
                    }
                }
            }
        }
    }
    loss
}

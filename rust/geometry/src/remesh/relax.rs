//! Moving vertices towards the centre of their neighbours, along the surface.
//!
//! A move x is damped by how much it would leave the planes of the triangles around: x = μ (μ I + mean n nᵀ)⁻¹ d for the
//! wish d. On smooth surface this removes the normal part, on a crease it also removes the part across, and at a
//! corner there is no move left.

use super::{Kind, Surface, area_vector};
use glam::{Mat3, Vec3};

/// μ: the smaller, the less a vertex leaves the planes around it.
const SOFTNESS: f32 = 0.02;
/// Least cosine between the normals of a triangle before and after a move.
const LEAST_TURN_COSINE: f32 = 0.7;

impl Surface {
    /// Moves every free vertex by `amount` of the way to the centre of its fan, or less, or not at all where a triangle
    /// would turn.
    pub(super) fn relax(&mut self, amount: f32) {
        let mut fan = Vec::new();
        for vertex in 0..self.topology.vertex_count() as u32 {
            if !self.topology.is_live(vertex) || self.kind(vertex) != Kind::Free {
                continue;
            }
            self.topology.fan(vertex, &mut fan);
            let here = self.position(vertex);
            let mut planes = Mat3::ZERO;
            let mut centre = Vec3::ZERO;
            let mut weight_sum = 0.0;
            for &h in &fan {
                let (p, q) = (self.position(self.topology.to(h)), self.position(self.topology.apex(h)));
                let normal = area_vector(here, p, q);
                let area = normal.length();
                if area > 0.0 {
                    let unit = normal / area;
                    planes += Mat3::from_cols(unit * unit.x, unit * unit.y, unit * unit.z);
                }
                // Weighting by area and by the aimed length evens out both areas and graded targets.
                let aim = self.lengths[self.topology.to(h) as usize].recip();
                let weight = area * aim * aim;
                centre += (p + q) * (0.5 * weight);
                weight_sum += weight;
            }
            if weight_sum <= 0.0 {
                continue;
            }
            let wish = (centre / weight_sum - here) * amount;
            let system = planes * (fan.len() as f32).recip() + Mat3::from_diagonal(Vec3::splat(SOFTNESS));
            let step = system.inverse() * (wish * SOFTNESS);
            for share in [1.0, 0.5] {
                let there = here + step * share;
                let keeps = fan.iter().all(|&h| {
                    let (p, q) = (self.position(self.topology.to(h)), self.position(self.topology.apex(h)));
                    let (before, after) = (area_vector(here, p, q), area_vector(there, p, q));
                    before.dot(after) > LEAST_TURN_COSINE * before.length() * after.length()
                });
                if keeps {
                    self.positions[vertex as usize] = there;
                    break;
                }
            }
        }
    }
}

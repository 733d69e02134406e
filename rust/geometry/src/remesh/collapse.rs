//! Collapsing short edges, shortest first, where neither topology nor shape suffers.

use glam::Vec3;

use super::{Kind, Surface, area_vector, shape, split::TOO_LONG};

/// Edges below this share of the aimed length are collapsed.
const TOO_SHORT: f32 = 4.0 / 5.0;
const SWEEPS: usize = 6;
/// Least cosine between the normals of a triangle before and after.
const LEAST_TURN_COSINE: f32 = 0.4;
/// Most a vertex may leave a plane around it by a collapse, as a share of the aimed length: keeps creases and thin parts.
const MOST_MOVED: f32 = 0.1;
/// A triangle whose [`shape`] is below this must not become worse.
const POOR_SHAPE: f32 = 0.3;

impl Surface {
    /// Collapses edges below 4/5 of the aimed length until no more can be.
    pub(super) fn collapse_short_edges(&mut self) {
        let mut scratch = Scratch::default();
        for _ in 0..SWEEPS {
            let mut any = false;
            for edge in self.edges_by_length(true, |length| length < TOO_SHORT) {
                let current = self.is_current(&edge) && self.relative_length(edge.from, edge.to) < TOO_SHORT;
                if current && self.collapse(edge.h, &mut scratch) {
                    any = true;
                }
            }
            if !any {
                return;
            }
        }
    }

    /// Collapses the edge of `h` where that is safe, to the end or middle that keeps the planes around it best.
    fn collapse(&mut self, h: u32, scratch: &mut Scratch) -> bool {
        let Some(h) = self.removable_end(h) else { return false };
        let (a, b) = (self.topology.from(h), self.topology.to(h));
        if !self.keeps_topology(h, scratch) {
            return false;
        }
        self.topology.fan(a, &mut scratch.fan_a);
        self.topology.fan(b, &mut scratch.fan_b);
        let weights: &[f32] = if self.kind(b) == Kind::Free { &[0.5, 0.0, 1.0] } else { &[1.0] };
        let mut best: Option<(f32, f32)> = None;
        for &weight in weights {
            let position = self.position(a).lerp(self.position(b), weight);
            if let Some(error) = self.collapse_error(h, position, scratch)
                && best.is_none_or(|(least, _)| error < least)
            {
                best = Some((error, weight));
            }
        }
        let Some((_, weight)) = best else { return false };
        self.interpolate(b, a, b, weight);
        self.topology.collapse(h, &scratch.fan_a);
        true
    }

    /// The half-edge of this edge that leaves a free vertex, if there is one and the other end is not pinned.
    fn removable_end(&self, h: u32) -> Option<u32> {
        let (a, b) = (self.kind(self.topology.from(h)), self.kind(self.topology.to(h)));
        match (a, b) {
            (Kind::Pinned, _) | (_, Kind::Pinned) => None,
            (Kind::Free, _) => Some(h),
            (_, Kind::Free) => Some(self.topology.twin(h)),
            _ => None,
        }
    }

    /// The link condition: the ends of an inner edge have only its two apexes as common neighbours, and each apex
    /// keeps enough triangles to be a surface.
    fn keeps_topology(&self, h: u32, scratch: &mut Scratch) -> bool {
        let topology = &self.topology;
        let (c, d) = (topology.apex(h), topology.apex(topology.twin(h)));
        let enough = |apex: u32| topology.valence(apex) > 3;
        if c == d || !enough(c) || !enough(d) {
            return false;
        }
        topology.neighbours(topology.from(h), &mut scratch.fan_a);
        topology.neighbours(topology.to(h), &mut scratch.fan_b);
        let common = scratch.fan_a.iter().filter(|vertex| scratch.fan_b.contains(vertex)).count();
        common == 2
    }

    /// Squared distance of `position` to the planes of the triangles that stay, weighted by area; `None` where that
    /// is too far, or where one of them would turn over, degenerate, or get too long an edge.
    fn collapse_error(&self, h: u32, position: Vec3, scratch: &Scratch) -> Option<f32> {
        let topology = &self.topology;
        let (a, b) = (topology.from(h), topology.to(h));
        let gone = [h / 3, topology.twin(h) / 3];
        let most = MOST_MOVED * self.lengths[b as usize];
        let mut error = 0.0;
        for (fan, end) in [(&scratch.fan_a, a), (&scratch.fan_b, b)] {
            let old = self.position(end);
            for &member in fan {
                if gone.contains(&(member / 3)) {
                    continue;
                }
                let (second, third) = (topology.to(member), topology.apex(member));
                let (p, q) = (self.position(second), self.position(third));
                let (before, after) = (area_vector(old, p, q), area_vector(position, p, q));
                let (area_before, area_after) = (before.length(), after.length());
                let new_shape = shape(position, p, q);
                if new_shape < POOR_SHAPE && new_shape <= shape(old, p, q) {
                    return None;
                }
                // A triangle without area has no normal that could turn.
                if area_before > 0.0 {
                    if before.dot(after) < LEAST_TURN_COSINE * area_before * area_after {
                        return None;
                    }
                    let distance = before.dot(position - old) / area_before;
                    if distance.abs() > most {
                        return None;
                    }
                    error += area_before * distance * distance;
                }
                if (p - position).length()
                    > TOO_LONG * 0.5 * (self.lengths[end as usize] + self.lengths[second as usize])
                    || (q - position).length()
                        > TOO_LONG * 0.5 * (self.lengths[end as usize] + self.lengths[third as usize])
                {
                    return None;
                }
            }
        }
        Some(error)
    }
}

#[derive(Default)]
struct Scratch {
    fan_a: Vec<u32>,
    fan_b: Vec<u32>,
}

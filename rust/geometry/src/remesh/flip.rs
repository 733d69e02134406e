//! Flipping edges towards regular valence (six inside, four on a border) or better shapes, never across a crease.

use super::{Kind, Surface, area_vector, shape, topology::NONE};

/// Edges whose triangles meet at less than this cosine are creases, and are flipped only to get rid of a triangle that
/// is bad and so thin that the surface hardly moves.
const CREASE_COSINE: f32 = 0.8;
/// Least cosine of the new triangles to one another and to the mean normal of the old ones.
const LEAST_FLAT_COSINE: f32 = 0.7;
/// Triangles below this [`shape`] are bad.
const BAD_SHAPE: f32 = 0.25;
/// Most such a flip may move the surface, as a share of the aimed length.
const MOST_MOVED: f32 = 0.02;
const SWEEPS: usize = 3;

impl Surface {
    /// Flips every edge that gains by it, some times over.
    pub(super) fn flip_edges(&mut self) {
        let mut valences: Vec<i32> = (0..self.topology.vertex_count() as u32)
            .map(|vertex| if self.topology.is_live(vertex) { self.topology.valence(vertex) as i32 } else { 0 })
            .collect();
        for _ in 0..SWEEPS {
            let mut any = false;
            for h in 0..3 * self.topology.triangles.len() as u32 {
                let twin = self.topology.twin(h);
                if twin == NONE || twin < h || self.topology.triangles[h as usize / 3][0] == NONE {
                    continue;
                }
                if self.gains_by_flip(h, &valences) {
                    let [a, b, c, d] = self.quad(h).map(|vertex| vertex as usize);
                    self.topology.flip(h);
                    valences[a] -= 1;
                    valences[b] -= 1;
                    valences[c] += 1;
                    valences[d] += 1;
                    any = true;
                }
            }
            if !any {
                return;
            }
        }
    }

    /// The ends of an inner edge, then the apexes.
    fn quad(&self, h: u32) -> [u32; 4] {
        let topology = &self.topology;
        [topology.from(h), topology.to(h), topology.apex(h), topology.apex(topology.twin(h))]
    }

    /// Distance of the lines through the two diagonals, over the aimed length.
    fn diagonal_distance(&self, quad: [u32; 4]) -> f32 {
        let [a, b, c, d] = quad.map(|vertex| self.position(vertex));
        let across = (b - a).cross(d - c);
        across.dot(c - a).abs() / (across.length() * self.lengths[quad[0] as usize])
    }

    fn gains_by_flip(&self, h: u32, valences: &[i32]) -> bool {
        let quad = self.quad(h);
        let [a, b, c, d] = quad;
        let deviation = |vertex: u32, change: i32| {
            let regular = if self.kind(vertex) == Kind::Free { 6 } else { 4 };
            (valences[vertex as usize] + change - regular).pow(2)
        };
        let valence_gain = deviation(a, 0) + deviation(b, 0) + deviation(c, 0) + deviation(d, 0)
            - deviation(a, -1)
            - deviation(b, -1)
            - deviation(c, 1)
            - deviation(d, 1);
        if valence_gain < 0 {
            return false;
        }
        let [pa, pb, pc, pd] = quad.map(|vertex| self.position(vertex));
        let shape_before = shape(pa, pb, pc).min(shape(pb, pa, pd));
        let shape_after = shape(pa, pd, pc).min(shape(pd, pb, pc));
        let bad = shape_before < BAD_SHAPE;
        let gains = if bad {
            shape_after > 1.5 * shape_before
        } else if valence_gain > 0 {
            shape_after > 0.7 * shape_before && shape_after > BAD_SHAPE
        } else {
            shape_after > 1.1 * shape_before
        };
        if !gains {
            return false;
        }
        let (n0, n1) = (area_vector(pa, pb, pc), area_vector(pb, pa, pd));
        let (m0, m1) = (area_vector(pa, pd, pc), area_vector(pd, pb, pc));
        let mean = n0 + n1;
        let cosine_at_least = |u: glam::Vec3, v: glam::Vec3, least: f32| u.dot(v) > least * u.length() * v.length();
        let flat = cosine_at_least(n0, n1, CREASE_COSINE) || (bad && self.diagonal_distance(quad) < MOST_MOVED);
        if !flat
            || !cosine_at_least(m0, m1, LEAST_FLAT_COSINE)
            || !cosine_at_least(m0, mean, LEAST_FLAT_COSINE)
            || !cosine_at_least(m1, mean, LEAST_FLAT_COSINE)
        {
            return false;
        }
        // The topological checks are the dearest, so they come last.
        let keeps_surface =
            |vertex: u32| valences[vertex as usize] > if self.kind(vertex) == Kind::Free { 3 } else { 2 };
        c != d
            && self.kind(c) != Kind::Pinned
            && self.kind(d) != Kind::Pinned
            && keeps_surface(a)
            && keeps_surface(b)
            && !self.topology.are_joined(c, d)
    }
}

//! Questions to a triangle mesh that need a hierarchy: closest point, winding number, what a box touches.
//!
//! The bounding volume hierarchy is built by `obvhs`. The winding number is that of Barill et al. 2018, "Fast Winding
//! Numbers for Soups and Clouds": far from a node its triangles act as one dipole.

use glam::Vec3A;
use obvhs::BvhBuildParams;
use obvhs::aabb::Aabb;
use obvhs::bvh2::Bvh2;
use obvhs::bvh2::builder::build_bvh2;

use crate::vec3::{Vec3, accumulate, add, area_vector, cross, dot, norm, scale, sub};

/// A node answers as a dipole when it is further away than this many of its radii.
const DIPOLE_DISTANCE: f32 = 2.0;

/// Hierarchy over the triangles of one mesh.
pub struct TriangleBvh {
    bvh: Bvh2,
    corners: Vec<[Vec3; 3]>,
    dipoles: Vec<Dipole>,
}

/// Sum of a node's triangles: centre weighted by area, radius around it, summed area vectors (not doubled).
#[derive(Clone, Copy, Default)]
struct Dipole {
    center: Vec3,
    radius: f32,
    area: Vec3,
}

/// Nearest point of a mesh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClosestPoint {
    /// Triangle it lies on; of several the lowest index.
    pub triangle: u32,
    /// The point.
    pub point: [f32; 3],
    /// Distance to it.
    pub distance: f32,
}

struct Bounds([Vec3; 3]);

impl obvhs::Boundable for Bounds {
    fn aabb(&self) -> Aabb {
        Aabb::from_points(&self.0.map(Vec3A::from))
    }
}

impl TriangleBvh {
    /// Hierarchy over triangles whose vertices exist and are finite (see [`maquette_core::Mesh::validate`]).
    pub fn new(positions: &[[f32; 3]], triangles: &[[u32; 3]]) -> Self {
        let corners: Vec<[Vec3; 3]> = triangles.iter().map(|t| t.map(|vertex| positions[vertex as usize])).collect();
        let bounds: Vec<Bounds> = corners.iter().map(|&corners| Bounds(corners)).collect();
        let bvh = if bounds.is_empty() {
            Bvh2::default()
        } else {
            build_bvh2(&bounds, BvhBuildParams::fast_build(), &mut std::time::Duration::default())
        };
        let dipoles = dipoles(&bvh, &corners);
        Self { bvh, corners, dipoles }
    }

    /// Nearest point of the mesh within `within` of `query`, if any.
    pub fn closest_point(&self, query: [f32; 3], within: f32) -> Option<ClosestPoint> {
        if self.bvh.nodes.is_empty() {
            return None;
        }
        let mut best = (within * within, u32::MAX, [0.0; 3]);
        let mut stack = [(0u32, 0.0f32); 128];
        let mut depth = 1;
        stack[0] = (0, self.box_distance_squared(0, query));
        while depth > 0 {
            depth -= 1;
            let (index, distance) = stack[depth];
            if distance > best.0 {
                continue;
            }
            let node = &self.bvh.nodes[index as usize];
            if node.is_leaf() {
                for slot in node.first_index..node.first_index + node.prim_count {
                    let triangle = self.bvh.primitive_indices[slot as usize];
                    let point = closest_on_triangle(query, self.corners[triangle as usize]);
                    let offset = sub(point, query);
                    let squared = dot(offset, offset);
                    if squared < best.0 || (squared == best.0 && triangle < best.1) {
                        best = (squared, triangle, point);
                    }
                }
            } else {
                let (left, right) = (node.first_index, node.first_index + 1);
                let (near, far) = (self.box_distance_squared(left, query), self.box_distance_squared(right, query));
                let (first, second) =
                    if near <= far { ((left, near), (right, far)) } else { ((right, far), (left, near)) };
                // A tree deeper than the stack does not come out of the builder; should one, the rest is skipped safely.
                if depth + 2 <= stack.len() {
                    stack[depth] = second;
                    stack[depth + 1] = first;
                    depth += 2;
                }
            }
        }
        (best.1 != u32::MAX).then(|| ClosestPoint { triangle: best.1, point: best.2, distance: best.0.sqrt() })
    }

    /// Generalised winding number at `query`: 1 inside of a closed mesh wound outwards, 0 outside, in between near holes.
    pub fn winding_number(&self, query: [f32; 3]) -> f32 {
        if self.bvh.nodes.is_empty() {
            return 0.0;
        }
        let mut solid_angle = 0.0f32;
        let mut stack = [0u32; 128];
        let mut depth = 1;
        while depth > 0 {
            depth -= 1;
            let index = stack[depth] as usize;
            let dipole = &self.dipoles[index];
            let offset = sub(dipole.center, query);
            let distance = norm(offset);
            let node = &self.bvh.nodes[index];
            if distance > DIPOLE_DISTANCE * dipole.radius && distance > 0.0 {
                solid_angle += dot(offset, dipole.area) / (distance * distance * distance);
            } else if node.is_leaf() || depth + 2 > stack.len() {
                for slot in node.first_index..node.first_index + node.prim_count {
                    let triangle = self.bvh.primitive_indices[slot as usize] as usize;
                    solid_angle += triangle_solid_angle(self.corners[triangle].map(|corner| sub(corner, query)));
                }
            } else {
                stack[depth] = node.first_index;
                stack[depth + 1] = node.first_index + 1;
                depth += 2;
            }
        }
        solid_angle / (4.0 * std::f32::consts::PI)
    }

    /// Calls `visit` with every triangle whose box touches the box `low`..=`high`.
    pub fn for_each_in_box(&self, low: [f32; 3], high: [f32; 3], mut visit: impl FnMut(u32)) {
        let query = Aabb::new(Vec3A::from(low), Vec3A::from(high));
        self.bvh.aabb_traverse(query, |bvh, index| {
            let node = &bvh.nodes[index as usize];
            for slot in node.first_index..node.first_index + node.prim_count {
                let triangle = bvh.primitive_indices[slot as usize];
                let bounds = Bounds(self.corners[triangle as usize]);
                if obvhs::Boundable::aabb(&bounds).intersect_aabb(&query) {
                    visit(triangle);
                }
            }
            true
        });
    }

    /// Corners of a triangle.
    pub fn corners(&self, triangle: u32) -> [[f32; 3]; 3] {
        self.corners[triangle as usize]
    }

    fn box_distance_squared(&self, node: u32, query: Vec3) -> f32 {
        let bounds = self.bvh.nodes[node as usize].aabb();
        let query = Vec3A::from(query);
        let outside = (bounds.min - query).max(query - bounds.max).max(Vec3A::ZERO);
        outside.length_squared()
    }
}

/// Dipoles of all nodes, children before parents.
fn dipoles(bvh: &Bvh2, corners: &[[Vec3; 3]]) -> Vec<Dipole> {
    let mut dipoles = vec![Dipole::default(); bvh.nodes.len()];
    if bvh.nodes.is_empty() {
        return dipoles;
    }
    // (sum of area, sum of area x centroid) of each node.
    let mut sums = vec![(0.0f32, [0.0f32; 3]); bvh.nodes.len()];
    let mut order = vec![0u32];
    let mut next = 0;
    while let Some(&index) = order.get(next) {
        next += 1;
        let node = &bvh.nodes[index as usize];
        if !node.is_leaf() {
            order.extend([node.first_index, node.first_index + 1]);
        }
    }
    for &index in order.iter().rev() {
        let node = &bvh.nodes[index as usize];
        let mut sum = (0.0, [0.0; 3]);
        let mut vector = [0.0; 3];
        if node.is_leaf() {
            for slot in node.first_index..node.first_index + node.prim_count {
                let corners = corners[bvh.primitive_indices[slot as usize] as usize];
                let area = scale(area_vector(corners), 0.5);
                let centroid = scale(add(add(corners[0], corners[1]), corners[2]), 1.0 / 3.0);
                let weight = norm(area);
                sum.0 += weight;
                accumulate(&mut sum.1, scale(centroid, weight));
                accumulate(&mut vector, area);
            }
        } else {
            for child in [node.first_index, node.first_index + 1] {
                sum.0 += sums[child as usize].0;
                accumulate(&mut sum.1, sums[child as usize].1);
                accumulate(&mut vector, dipoles[child as usize].area);
            }
        }
        sums[index as usize] = sum;
        let bounds = node.aabb();
        let (low, high) = (bounds.min.to_array(), bounds.max.to_array());
        let center = if sum.0 > 0.0 { scale(sum.1, 1.0 / sum.0) } else { scale(add(low, high), 0.5) };
        // The farthest corner of the node's box bounds its triangles.
        let reach: Vec3 = std::array::from_fn(|k| (center[k] - low[k]).max(high[k] - center[k]));
        dipoles[index as usize] = Dipole { center, radius: norm(reach), area: vector };
    }
    dipoles
}

/// Signed solid angle of a triangle seen from the origin (van Oosterom and Strackee 1983).
fn triangle_solid_angle([a, b, c]: [Vec3; 3]) -> f32 {
    let (la, lb, lc) = (norm(a), norm(b), norm(c));
    let determinant = dot(a, cross(b, c));
    let denominator = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb;
    2.0 * determinant.atan2(denominator)
}

/// Nearest point of a triangle (Ericson, "Real-Time Collision Detection", 5.1.5).
pub(crate) fn closest_on_triangle(p: Vec3, [a, b, c]: [Vec3; 3]) -> Vec3 {
    let (ab, ac, ap) = (sub(b, a), sub(c, a), sub(p, a));
    let (d1, d2) = (dot(ab, ap), dot(ac, ap));
    if d1 <= 0.0 && d2 <= 0.0 {
        return a;
    }
    let bp = sub(p, b);
    let (d3, d4) = (dot(ab, bp), dot(ac, bp));
    if d3 >= 0.0 && d4 <= d3 {
        return b;
    }
    let cp = sub(p, c);
    let (d5, d6) = (dot(ab, cp), dot(ac, cp));
    if d6 >= 0.0 && d5 <= d6 {
        return c;
    }
    let vc = d1 * d4 - d3 * d2;
    if vc <= 0.0 && d1 >= 0.0 && d3 <= 0.0 {
        return add(a, scale(ab, ratio(d1, d1 - d3)));
    }
    let vb = d5 * d2 - d1 * d6;
    if vb <= 0.0 && d2 >= 0.0 && d6 <= 0.0 {
        return add(a, scale(ac, ratio(d2, d2 - d6)));
    }
    let va = d3 * d6 - d5 * d4;
    if va <= 0.0 && d4 - d3 >= 0.0 && d5 - d6 >= 0.0 {
        return add(b, scale(sub(c, b), ratio(d4 - d3, (d4 - d3) + (d5 - d6))));
    }
    let inverse = 1.0 / (va + vb + vc);
    add(a, add(scale(ab, vb * inverse), scale(ac, vc * inverse)))
}

fn ratio(part: f32, whole: f32) -> f32 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_meshes::{icosphere, open_box};

    #[test]
    fn closest_point_agrees_with_brute_force() {
        let mesh = icosphere(3, 0.4);
        let bvh = TriangleBvh::new(&mesh.positions, &mesh.triangles);
        for step in 0..200 {
            let t = step as f32;
            let query = [(t * 0.37).sin() * 0.7, (t * 0.61).cos() * 0.7, (t * 0.23).sin() * 0.5];
            let brute = mesh
                .triangles
                .iter()
                .map(|t| norm(sub(closest_on_triangle(query, t.map(|v| mesh.positions[v as usize])), query)))
                .fold(f32::INFINITY, f32::min);
            let found = bvh.closest_point(query, f32::INFINITY).unwrap();
            assert!((found.distance - brute).abs() < 1e-6);
            assert!((norm(sub(found.point, query)) - brute).abs() < 1e-6);
        }
        assert!(bvh.closest_point([2.0, 0.0, 0.0], 0.1).is_none());
        assert!(TriangleBvh::new(&[], &[]).closest_point([0.0; 3], 1.0).is_none());
    }

    #[test]
    fn winding_number_is_one_inside_and_survives_a_hole() {
        let mesh = icosphere(3, 0.4);
        let bvh = TriangleBvh::new(&mesh.positions, &mesh.triangles);
        assert!((bvh.winding_number([0.1, 0.2, 0.0]) - 1.0).abs() < 1e-2);
        assert!(bvh.winding_number([0.5, 0.2, 0.0]).abs() < 1e-2);
        let (positions, triangles) = open_box();
        let bvh = TriangleBvh::new(&positions, &triangles);
        assert!(bvh.winding_number([0.0, -0.15, 0.0]) > 0.6);
        assert!(bvh.winding_number([0.0, 0.8, 0.0]).abs() < 0.3);
    }

    #[test]
    fn boxes_find_their_triangles() {
        let mesh = icosphere(2, 0.4);
        let bvh = TriangleBvh::new(&mesh.positions, &mesh.triangles);
        let mut found = Vec::new();
        bvh.for_each_in_box([0.2, -1.0, -1.0], [1.0, 1.0, 1.0], |triangle| found.push(triangle));
        found.sort_unstable();
        let expected: Vec<u32> = (0..mesh.triangles.len() as u32)
            .filter(|&t| bvh.corners(t).iter().any(|corner| corner[0] >= 0.2))
            .collect();
        assert_eq!(found, expected);
    }
}

//! Triangles of one mesh that pass through one another.
//!
//! Candidates come from a bounding volume hierarchy, decisions from the exact orientation predicates of
//! J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997 (`robust`).

use glam::Vec3A;
use maquette_core::Mesh;
use rayon::prelude::*;
use robust::{Coord, Coord3D, orient2d, orient3d};

use crate::triangle_bvh::TriangleBvh;

type Corners = [[f32; 3]; 3];

/// Pairs (lower, higher index) of triangles of `mesh` that pass through one another or overlap in one plane, in
/// ascending order. Triangles that only touch, as neighbours do, are no such pair.
///
/// `mesh` must be valid as by [`Mesh::validate`].
pub fn self_intersections(mesh: &Mesh) -> Vec<(u32, u32)> {
    intersecting_pairs(&TriangleBvh::new(&mesh.positions, &mesh.triangles), mesh.triangles.len())
}

/// As [`self_intersections`], for the hierarchy over a mesh of `triangle_count` triangles.
pub(crate) fn intersecting_pairs(bvh: &TriangleBvh, triangle_count: usize) -> Vec<(u32, u32)> {
    let pairs: Vec<Vec<(u32, u32)>> = (0..triangle_count as u32)
        .into_par_iter()
        .map(|index| {
            let mut found = Vec::new();
            let corners = bvh.corners(index);
            let [a, b, c] = corners.map(Vec3A::from);
            bvh.for_each_in_box(a.min(b).min(c).into(), a.max(b).max(c).into(), |other| {
                if other > index && intersect(&corners, &bvh.corners(other)) {
                    found.push((index, other));
                }
            });
            found.sort_unstable();
            found
        })
        .collect();
    pairs.concat()
}

/// Number of triangles that are part of some pair of [`self_intersections`].
pub fn intersecting_triangle_count(pairs: &[(u32, u32)]) -> usize {
    let mut triangles: Vec<u32> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
    triangles.sort_unstable();
    triangles.dedup();
    triangles.len()
}

/// Whether an edge of one triangle goes from one side of the other to its other side through it, or both lie in one
/// plane and share area there.
fn intersect(s: &Corners, t: &Corners) -> bool {
    let sides_of_t = s.map(|p| side(t, p));
    if sides_of_t.iter().all(|&side| side > 0.0) || sides_of_t.iter().all(|&side| side < 0.0) {
        return false;
    }
    if sides_of_t == [0.0; 3] {
        return overlap_in_plane(s, t);
    }
    let sides_of_s = t.map(|p| side(s, p));
    crosses(s, sides_of_t, t) || crosses(t, sides_of_s, s)
}

/// Whether an edge of `s`, whose corners lie on the given sides of `t`, passes through `t`.
fn crosses(s: &Corners, sides: [f64; 3], t: &Corners) -> bool {
    (0..3).any(|k| {
        let (p, q) = (s[k], s[(k + 1) % 3]);
        let (side_p, side_q) = (sides[k], sides[(k + 1) % 3]);
        // Products of tiny numbers might vanish; comparisons do not.
        let opposite = (side_p > 0.0 && side_q < 0.0) || (side_p < 0.0 && side_q > 0.0);
        opposite && {
            let turns = [0, 1, 2].map(|corner| side(&[p, q, t[corner]], t[(corner + 1) % 3]));
            turns.iter().all(|&turn| turn >= 0.0) || turns.iter().all(|&turn| turn <= 0.0)
        }
    })
}

/// Sign of the side of the plane of `triangle` that `point` lies on; exactly 0 on it.
fn side(triangle: &Corners, point: [f32; 3]) -> f64 {
    let [a, b, c, d] = [triangle[0], triangle[1], triangle[2], point].map(|[x, y, z]| Coord3D { x, y, z });
    orient3d(a, b, c, d)
}

/// Whether two triangles of one plane share area: convex shapes do unless an edge of one has the other on its outside.
fn overlap_in_plane(s: &Corners, t: &Corners) -> bool {
    let normal = (Vec3A::from(t[1]) - Vec3A::from(t[0])).cross(Vec3A::from(t[2]) - Vec3A::from(t[0])).abs();
    let dropped = if normal.x >= normal.y && normal.x >= normal.z {
        0
    } else if normal.y >= normal.z {
        1
    } else {
        2
    };
    let flat = |corners: &Corners| {
        let mut points = corners.map(|p| Coord { x: p[(dropped + 1) % 3], y: p[(dropped + 2) % 3] });
        let turn = orient2d(points[0], points[1], points[2]);
        if turn < 0.0 {
            points.swap(1, 2);
        }
        (turn != 0.0).then_some(points)
    };
    let (Some(s), Some(t)) = (flat(s), flat(t)) else { return false };
    let apart = |a: &[Coord<f32>; 3], b: &[Coord<f32>; 3]| {
        (0..3).any(|k| b.iter().all(|&point| orient2d(a[k], a[(k + 1) % 3], point) <= 0.0))
    };
    !apart(&s, &t) && !apart(&t, &s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remesh::shapes::{plate, sphere};

    fn join(a: &Mesh, b: &Mesh, offset: [f32; 3]) -> Mesh {
        let mut mesh = a.clone();
        let first = mesh.positions.len() as u32;
        mesh.positions.extend(b.positions.iter().map(|p| [p[0] + offset[0], p[1] + offset[1], p[2] + offset[2]]));
        mesh.triangles.extend(b.triangles.iter().map(|t| t.map(|v| v + first)));
        mesh
    }

    #[test]
    fn closed_smooth_meshes_have_none_and_overlapping_ones_have_a_ring() {
        let ball = sphere(0.2, 12);
        assert!(self_intersections(&ball).is_empty());
        assert!(self_intersections(&plate(0.4, 0.3, 0.001, 6)).is_empty());
        let apart = join(&ball, &ball, [0.5, 0.0, 0.0]);
        assert!(self_intersections(&apart).is_empty());
        let crossing = join(&ball, &ball, [0.2, 0.013, 0.007]);
        let pairs = self_intersections(&crossing);
        let count = ball.triangles.len() as u32;
        assert!(pairs.len() > 20 && pairs.iter().all(|&(a, b)| a < count && b >= count));
        assert!(pairs.is_sorted());
        assert!(intersecting_triangle_count(&pairs) < crossing.triangles.len() / 4);
    }

    #[test]
    fn agrees_with_brute_force_sampling() {
        use maquette_core::random;
        use rand::RngExt as _;
        let mut random = random::stream(3, "intersections test");
        let mut count = [0; 2];
        for _ in 0..4000 {
            let mut triangle = || [(); 3].map(|()| [(); 3].map(|()| random.random_range(-1.0..1.0f32)));
            let (s, t): (Corners, Corners) = (triangle(), triangle());
            let truth = brute_force(&s, &t) || brute_force(&t, &s);
            assert_eq!(intersect(&s, &t), truth, "{s:?} {t:?}");
            assert_eq!(intersect(&t, &s), truth);
            count[usize::from(truth)] += 1;
        }
        assert!(count[0] > 500 && count[1] > 500, "{count:?}");
    }

    /// An edge of `s` against `t` by solving for the point, in f64.
    fn brute_force(s: &Corners, t: &Corners) -> bool {
        use glam::{DMat3, DVec3};
        let [a, b, c] = t.map(|p| DVec3::from(p.map(f64::from)));
        (0..3).any(|k| {
            let (p, q) = (DVec3::from(s[k].map(f64::from)), DVec3::from(s[(k + 1) % 3].map(f64::from)));
            let solution = DMat3::from_cols(b - a, c - a, p - q).inverse() * (p - a);
            let inside = solution.x >= 0.0 && solution.y >= 0.0 && solution.x + solution.y <= 1.0;
            inside && (0.0..=1.0).contains(&solution.z)
        })
    }

    #[test]
    fn neighbours_count_only_when_folded_onto_one_another() {
        let flat = |third: [f32; 3]| {
            let positions = vec![[0.0; 3], [1.0, 0.0, 0.0], [0.3, 1.0, 0.0], third];
            Mesh::new(positions, vec![[0, 1, 2], [1, 0, 3]]).unwrap()
        };
        assert!(self_intersections(&flat([0.5, -1.0, 0.0])).is_empty());
        assert!(self_intersections(&flat([0.5, 0.9, 0.1])).is_empty());
        assert_eq!(self_intersections(&flat([0.5, 0.9, 0.0])), [(0, 1)]);
        // A common corner only: the second triangle pierces the first, or passes beside it.
        let corner = |z: f32| {
            let positions = vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.2, z], [0.2, 0.5, 1.0]];
            Mesh::new(positions, vec![[0, 1, 2], [0, 3, 4]]).unwrap()
        };
        assert_eq!(self_intersections(&corner(-1.0)), [(0, 1)]);
        assert!(self_intersections(&corner(0.5)).is_empty());
        assert!(self_intersections(&Mesh::default()).is_empty());
    }
}

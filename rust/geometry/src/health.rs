//! What a mesh is like as a solid: closed, manifold, wound outwards, free of self-intersections.

use maquette_core::Mesh;
use rayon::prelude::*;
use serde::Serialize;

use crate::Result;
use crate::intersections::{intersecting_pairs, intersecting_triangle_count};
use crate::mesh_to_sdf::signed_volume;
use crate::parts::DisjointSets;
use crate::triangle_bvh::TriangleBvh;
use crate::vec3::{add, area_vector, norm, scale};

/// Triangles whose winding is tested, evenly over the mesh.
const WINDING_SAMPLES: usize = 4096;

/// Counts over a mesh whose vertices at exactly the same position are taken as one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MeshHealth {
    /// Vertices that triangles use, after joining.
    pub vertices: usize,
    /// Triangles.
    pub triangles: usize,
    /// Parts that share no vertex.
    pub components: usize,
    /// Every edge has exactly two triangles.
    pub watertight: bool,
    /// Edges of one triangle alone.
    pub boundary_edges: usize,
    /// Edges of more than two triangles.
    pub nonmanifold_edges: usize,
    /// Vertices whose triangles form more than one fan.
    pub nonmanifold_vertices: usize,
    /// Edges of two triangles that run through it in the same direction: one of them is flipped.
    pub flipped_edges: usize,
    /// Triangles with two equal corners or without area.
    pub degenerate_triangles: usize,
    /// Handles of all parts together, where the mesh is watertight and manifold.
    pub genus: Option<usize>,
    /// Share of the area whose front looks out of the solid (by winding number), sampled.
    pub outward_fraction: f64,
    /// Triangles that another triangle pierces.
    pub self_intersecting_triangles: usize,
    /// Surface area in square metres.
    pub area: f64,
    /// Enclosed volume in cubic metres, negative when wound inwards.
    pub volume: f64,
}

impl MeshHealth {
    /// Examines `mesh`, which must be valid.
    pub fn of(mesh: &Mesh) -> Result<Self> {
        mesh.validate()?;
        let joined = join_equal_positions(&mesh.positions);
        let all: Vec<[u32; 3]> = mesh.triangles.iter().map(|t| t.map(|vertex| joined[vertex as usize])).collect();
        let triangles: Vec<[u32; 3]> = all.iter().copied().filter(|&[a, b, c]| a != b && b != c && c != a).collect();
        let corners = |t: [u32; 3]| t.map(|vertex| mesh.positions[vertex as usize]);
        let flat = triangles.iter().filter(|&&t| norm(area_vector(corners(t))) == 0.0).count();

        let mut health = Self {
            triangles: all.len(),
            degenerate_triangles: all.len() - triangles.len() + flat,
            area: triangles.iter().map(|&t| f64::from(norm(area_vector(corners(t)))) / 2.0).sum(),
            volume: signed_volume(mesh),
            ..Self::default()
        };
        let edge_count = health.examine_topology(mesh.positions.len(), &triangles);
        health.watertight = !triangles.is_empty() && health.boundary_edges == 0 && health.nonmanifold_edges == 0;
        if health.watertight && health.nonmanifold_vertices == 0 && health.flipped_edges == 0 {
            let euler = health.vertices as i64 - edge_count as i64 + triangles.len() as i64;
            health.genus = usize::try_from((2 * health.components as i64 - euler) / 2).ok();
        }
        let bvh = TriangleBvh::new(&mesh.positions, &triangles);
        health.outward_fraction = outward_fraction(&bvh, triangles.len());
        health.self_intersecting_triangles = intersecting_triangle_count(&intersecting_pairs(&bvh, triangles.len()));
        Ok(health)
    }

    /// Edges, vertices and parts; returns the number of edges.
    fn examine_topology(&mut self, vertex_count: usize, triangles: &[[u32; 3]]) -> usize {
        // (low vertex, high vertex, corner that the edge starts from, runs from low to high), grouped by sorting.
        let mut edges: Vec<(u32, u32, u32, bool)> = Vec::with_capacity(3 * triangles.len());
        let mut parts = DisjointSets::new(vertex_count);
        for (index, triangle) in triangles.iter().enumerate() {
            for corner in 0..3 {
                let (a, b) = (triangle[corner], triangle[(corner + 1) % 3]);
                edges.push((a.min(b), a.max(b), (3 * index + corner) as u32, a < b));
                parts.join(a, b);
            }
        }
        edges.par_sort_unstable();
        // Corners of one fan around a vertex are joined across their common edges.
        let mut fans = DisjointSets::new(3 * triangles.len());
        let mut edge_count = 0;
        for group in edges.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            edge_count += 1;
            match group {
                [_] => self.boundary_edges += 1,
                [a, b] => self.flipped_edges += usize::from(a.3 == b.3),
                _ => self.nonmanifold_edges += 1,
            }
            let ends = |edge: &(u32, u32, u32, bool)| {
                let start = edge.2;
                let end = start / 3 * 3 + (start % 3 + 1) % 3;
                if edge.3 { (start, end) } else { (end, start) }
            };
            let (low, high) = ends(&group[0]);
            for edge in &group[1..] {
                let (other_low, other_high) = ends(edge);
                fans.join(low, other_low);
                fans.join(high, other_high);
            }
        }
        let mut fans_of_vertex = vec![0u32; vertex_count];
        for corner in 0..3 * triangles.len() {
            if fans.find(corner as u32) == corner as u32 {
                fans_of_vertex[triangles[corner / 3][corner % 3] as usize] += 1;
            }
        }
        self.vertices = fans_of_vertex.iter().filter(|&&fans| fans > 0).count();
        self.nonmanifold_vertices = fans_of_vertex.iter().filter(|&&fans| fans > 1).count();
        self.components = (0..vertex_count as u32)
            .filter(|&vertex| fans_of_vertex[vertex as usize] > 0 && parts.find(vertex) == vertex)
            .count();
        edge_count
    }
}

/// For each vertex the first one at exactly its position.
fn join_equal_positions(positions: &[[f32; 3]]) -> Vec<u32> {
    // Adding zero turns -0 into +0, so that equal numbers have equal bits.
    let key = |vertex: u32| positions[vertex as usize].map(|x| (x + 0.0).to_bits());
    let mut order: Vec<u32> = (0..positions.len() as u32).collect();
    order.par_sort_unstable_by_key(|&vertex| (key(vertex), vertex));
    let mut first = vec![0; positions.len()];
    for group in order.chunk_by(|&a, &b| key(a) == key(b)) {
        for &vertex in group {
            first[vertex as usize] = group[0];
        }
    }
    first
}

fn outward_fraction(bvh: &TriangleBvh, triangle_count: usize) -> f64 {
    let stride = triangle_count.div_ceil(WINDING_SAMPLES).max(1);
    let tested: Vec<(f64, f64)> = (0..triangle_count)
        .into_par_iter()
        .step_by(stride)
        .filter_map(|triangle| {
            let [a, b, c] = bvh.corners(triangle as u32);
            let area = area_vector([a, b, c]);
            let double_area = norm(area);
            if double_area == 0.0 {
                return None;
            }
            let centroid = scale(add(add(a, b), c), 1.0 / 3.0);
            // A step off the surface, small against the triangle but not against rounding.
            let step = (0.05 * double_area.sqrt()).max(1e-5);
            let offset = scale(area, step / double_area);
            let front = bvh.winding_number(add(centroid, offset)).abs();
            let back = bvh.winding_number(add(centroid, scale(offset, -1.0))).abs();
            Some((f64::from(double_area), if front < back { f64::from(double_area) } else { 0.0 }))
        })
        .collect();
    let total: f64 = tested.iter().map(|sample| sample.0).sum();
    if total > 0.0 { tested.iter().map(|sample| sample.1).sum::<f64>() / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_meshes::{icosphere, open_box, torus};

    #[test]
    fn closed_surfaces_are_healthy() {
        let sphere = MeshHealth::of(&icosphere(3, 0.4)).unwrap();
        assert!(sphere.watertight && sphere.genus == Some(0) && sphere.components == 1);
        assert_eq!((sphere.nonmanifold_vertices, sphere.flipped_edges, sphere.degenerate_triangles), (0, 0, 0));
        assert_eq!(sphere.self_intersecting_triangles, 0);
        assert!(sphere.outward_fraction > 0.999 && sphere.volume > 0.0);
        let ring = MeshHealth::of(&torus(0.3, 0.1, 24, 12)).unwrap();
        assert_eq!(ring.genus, Some(1));
    }

    #[test]
    fn holes_flips_and_splits_are_counted() {
        let (positions, triangles) = open_box();
        let open = MeshHealth::of(&Mesh::new(positions, triangles).unwrap()).unwrap();
        assert!(!open.watertight && open.boundary_edges == 4 && open.genus.is_none());
        assert!(open.outward_fraction > 0.99);

        let mut inverted = icosphere(2, 0.4);
        inverted.triangles.iter_mut().for_each(|t| t.swap(1, 2));
        let inverted = MeshHealth::of(&inverted).unwrap();
        assert!(inverted.outward_fraction < 0.01 && inverted.volume < 0.0 && inverted.flipped_edges == 0);

        let mut one_flipped = icosphere(2, 0.4);
        one_flipped.triangles[5].swap(1, 2);
        assert_eq!(MeshHealth::of(&one_flipped).unwrap().flipped_edges, 3);

        // The same surface with every triangle on its own vertices is still one closed surface.
        let sphere = icosphere(2, 0.4);
        let positions = sphere.triangles.iter().flat_map(|t| t.map(|v| sphere.positions[v as usize])).collect();
        let triangles = (0..sphere.triangles.len() as u32).map(|t| [3 * t, 3 * t + 1, 3 * t + 2]).collect();
        let split = MeshHealth::of(&Mesh::new(positions, triangles).unwrap()).unwrap();
        assert!(split.watertight && split.genus == Some(0) && split.vertices == sphere.positions.len());
    }

    #[test]
    fn nonmanifold_edges_and_vertices_are_counted() {
        // Three triangles on one edge.
        let fin = Mesh::new(
            vec![[0.0; 3], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            vec![[0, 1, 2], [1, 0, 3], [0, 1, 4]],
        );
        assert_eq!(MeshHealth::of(&fin.unwrap()).unwrap().nonmanifold_edges, 1);
        // Two triangles that meet in a vertex alone.
        let bow = Mesh::new(
            vec![[0.0; 3], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [-1.0, -1.0, 0.0]],
            vec![[0, 1, 2], [0, 3, 4], [1, 1, 2]],
        );
        let bow = MeshHealth::of(&bow.unwrap()).unwrap();
        assert_eq!((bow.nonmanifold_vertices, bow.degenerate_triangles, bow.components), (1, 1, 1));
    }

    #[test]
    fn crossing_surfaces_are_found() {
        let mut mesh = icosphere(2, 0.3);
        let mut other = icosphere(2, 0.3);
        let offset = mesh.positions.len() as u32;
        other.positions.iter_mut().for_each(|p| *p = [p[0] + 0.2, p[1] + 0.03, p[2] + 0.05]);
        mesh.positions.extend(other.positions);
        mesh.triangles.extend(other.triangles.iter().map(|t| t.map(|v| v + offset)));
        let health = MeshHealth::of(&mesh).unwrap();
        let crossing = health.self_intersecting_triangles;
        assert!((20..200).contains(&crossing), "{crossing}");
        assert_eq!(health.components, 2);
    }

    #[test]
    fn an_empty_mesh_is_not_watertight() {
        let health = MeshHealth::of(&Mesh::default()).unwrap();
        assert!(!health.watertight && health.components == 0 && health.outward_fraction == 0.0);
    }
}

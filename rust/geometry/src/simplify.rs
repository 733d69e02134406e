//! Fewer triangles with the same silhouette: quadric error metrics of the meshoptimizer library, checked afterwards.

use maquette_core::{Mesh, Progress};
use meshopt::{SimplifyOptions, VertexDataAdapter, simplify_with_locks};

use crate::adjacency::Adjacency;
use crate::health::MeshHealth;
use crate::intersections::self_intersections;
use crate::{Error, Result};

/// Largest error, as a share of the mesh's extent, that simplification may make on its way to the target.
const LARGEST_ERROR: f32 = 0.05;
/// Attempts at a sound result; each fixes the vertices around the faults of the one before.
const ATTEMPTS: usize = 8;

/// A mesh of at most about `target` triangles; 0, or a mesh that is small already, gives the mesh as it is.
///
/// A closed manifold stays one, and a mesh that does not intersect itself as a rule stays so, if need be with more
/// triangles than `target`; where that fails, the mesh is returned as it is.
pub fn simplify(mesh: &Mesh, target: usize, progress: &Progress) -> Result<Mesh> {
    if target == 0 || mesh.triangles.len() <= target {
        return Ok(mesh.clone());
    }
    let bytes: Vec<u8> = mesh.positions.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let adapter = VertexDataAdapter::new(&bytes, size_of::<[f32; 3]>(), 0)
        .map_err(|error| Error::invalid(format!("mesh cannot be simplified: {error}")))?;
    let indices = mesh.triangles.as_flattened();
    let adjacency = Adjacency::new(mesh.positions.len(), &mesh.triangles);
    let before = MeshHealth::of(mesh)?;
    let mut fixed = vec![false; mesh.positions.len()];
    let mut sound = None;
    for _ in 0..ATTEMPTS {
        progress.check()?;
        let options = SimplifyOptions::None;
        let kept = simplify_with_locks(indices, &adapter, &fixed, target * 3, LARGEST_ERROR, options, None);
        let triangles = kept.as_chunks::<3>().0;
        let simple = compact(mesh, triangles);
        let after = MeshHealth::of(&simple)?;
        let manifold = after.boundary_edges <= before.boundary_edges
            && after.nonmanifold_edges <= before.nonmanifold_edges
            && after.nonmanifold_vertices <= before.nonmanifold_vertices
            && after.flipped_edges <= before.flipped_edges;
        let faults = if manifold {
            let clean = after.self_intersecting_triangles <= before.self_intersecting_triangles;
            sound = Some(simple);
            if clean {
                break;
            }
            intersecting_vertices(mesh, triangles)
        } else {
            faulty_vertices(triangles)
        };
        for vertex in faults {
            fixed[vertex as usize] = true;
            for &neighbour in adjacency.of(vertex as usize) {
                fixed[neighbour as usize] = true;
            }
        }
    }
    Ok(sound.unwrap_or_else(|| mesh.clone()))
}

/// Ends of edges that have not exactly two triangles, and centres of more than one fan.
fn faulty_vertices(triangles: &[[u32; 3]]) -> Vec<u32> {
    let sides = triangles.iter().flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)]);
    let mut edges: Vec<(u32, u32)> = sides.map(|(a, b)| (a.min(b), a.max(b))).collect();
    edges.sort_unstable();
    let mut faults: Vec<u32> = edges
        .chunk_by(|a, b| a == b)
        .filter(|group| group.len() != 2)
        .flat_map(|group| [group[0].0, group[0].1])
        .collect();
    // Around a vertex, every side of its triangles that lies opposite leads on to one more; a fan comes back to its start.
    let mut opposite: Vec<(u32, u32, u32)> =
        triangles.iter().flat_map(|&[a, b, c]| [(a, b, c), (b, c, a), (c, a, b)]).collect();
    opposite.sort_unstable();
    for fan in opposite.chunk_by(|a, b| a.0 == b.0) {
        let mut at = fan[0].1;
        let mut length = 0;
        while let Some(side) = fan.iter().find(|side| side.1 == at).filter(|_| length < fan.len()) {
            at = side.2;
            length += 1;
            if at == fan[0].1 {
                break;
            }
        }
        if length < fan.len() {
            faults.push(fan[0].0);
        }
    }
    faults
}

/// Vertices of `triangles` that pierce one another.
fn intersecting_vertices(mesh: &Mesh, triangles: &[[u32; 3]]) -> Vec<u32> {
    let simple = Mesh { positions: mesh.positions.clone(), triangles: triangles.to_vec(), ..Mesh::default() };
    self_intersections(&simple).iter().flat_map(|&(a, b)| [a, b]).flat_map(|t| triangles[t as usize]).collect()
}

/// `triangles` over the positions that they use, in their old order.
fn compact(mesh: &Mesh, triangles: &[[u32; 3]]) -> Mesh {
    let mut used = vec![false; mesh.positions.len()];
    for &index in triangles.as_flattened() {
        used[index as usize] = true;
    }
    let mut map = vec![0; used.len()];
    let mut positions = Vec::new();
    for (index, _) in used.iter().enumerate().filter(|(_, used)| **used) {
        map[index] = positions.len() as u32;
        positions.push(mesh.positions[index]);
    }
    let triangles = triangles.iter().map(|t| t.map(|index| map[index as usize])).collect();
    Mesh { positions, triangles, normals: None, corner_uvs: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remesh::shapes::{sphere, torus};

    #[test]
    fn closed_meshes_stay_closed_and_keep_their_volume() {
        for mesh in [sphere(0.4, 60), torus(0.3, 0.1, 120, 60)] {
            let before = MeshHealth::of(&mesh).unwrap();
            for (target, volume_loss) in [(8000, 0.01), (2000, 0.02), (600, 0.065)] {
                let simple = simplify(&mesh, target, &Progress::new()).unwrap();
                let after = MeshHealth::of(&simple).unwrap();
                assert!(simple.triangles.len() <= target.max(8) + 2, "{} {target}", simple.triangles.len());
                assert!(after.watertight && after.genus == before.genus && after.flipped_edges == 0, "{after:?}");
                assert_eq!(after.self_intersecting_triangles, 0);
                // 600 triangles are about 30 rings of 10 corners; a 10-gon inscribed in a circle lacks 6.5 % of its area.
                assert!((after.volume / before.volume - 1.0).abs() < volume_loss, "{} {}", after.volume, before.volume);
            }
            assert_eq!(simplify(&mesh, 0, &Progress::new()).unwrap(), mesh);
        }
    }

    #[test]
    fn pinches_and_borders_are_named() {
        let ball = sphere(0.3, 6);
        assert!(faulty_vertices(&ball.triangles).is_empty());
        let mut open = ball.triangles.clone();
        let gone = open.pop().unwrap();
        let mut border = faulty_vertices(&open);
        border.sort_unstable();
        border.dedup();
        let mut corners = gone;
        corners.sort_unstable();
        assert_eq!(border, corners);
        // Two balls that share one vertex.
        let first = ball.positions.len() as u32;
        let shared = |v: u32| if v == 0 { 0 } else { v + first };
        let pair: Vec<[u32; 3]> =
            ball.triangles.iter().copied().chain(ball.triangles.iter().map(|t| t.map(shared))).collect();
        assert_eq!(faulty_vertices(&pair), [0]);
    }

    #[test]
    fn odd_meshes_do_no_harm() {
        assert_eq!(simplify(&Mesh::default(), 10, &Progress::new()).unwrap(), Mesh::default());
        let flat = Mesh::new(vec![[0.0; 3]; 30], (0..10).map(|k| [3 * k, 3 * k + 1, 3 * k + 2]).collect()).unwrap();
        simplify(&flat, 2, &Progress::new()).unwrap().validate().unwrap();
    }
}

//! Fewer triangles with the same silhouette: quadric error metrics of the meshoptimizer library, checked afterwards.

use maquette_core::Mesh;
use meshopt::{SimplifyOptions, VertexDataAdapter};

use crate::health::MeshHealth;
use crate::{Error, Result};

/// Largest error, as a share of the mesh's extent, that simplification may make on its way to the target.
const LARGEST_ERROR: f32 = 0.05;

/// A mesh of at most about `target` triangles; 0, or a mesh that is small already, gives the mesh as it is.
///
/// A closed manifold stays one: were the library's result not, the mesh is returned as it is.
pub fn simplify(mesh: &Mesh, target: usize) -> Result<Mesh> {
    if target == 0 || mesh.triangles.len() <= target {
        return Ok(mesh.clone());
    }
    let bytes: Vec<u8> = mesh.positions.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let adapter = VertexDataAdapter::new(&bytes, size_of::<[f32; 3]>(), 0)
        .map_err(|error| Error::invalid(format!("mesh cannot be simplified: {error}")))?;
    let indices = mesh.triangles.as_flattened();
    let kept = meshopt::simplify(indices, &adapter, target * 3, LARGEST_ERROR, SimplifyOptions::None, None);
    let simple = compact(mesh, kept.as_chunks::<3>().0);
    let (before, after) = (MeshHealth::of(mesh)?, MeshHealth::of(&simple)?);
    let sound = after.boundary_edges <= before.boundary_edges
        && after.nonmanifold_edges <= before.nonmanifold_edges
        && after.flipped_edges <= before.flipped_edges;
    Ok(if sound { simple } else { mesh.clone() })
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
                let simple = simplify(&mesh, target).unwrap();
                let after = MeshHealth::of(&simple).unwrap();
                assert!(simple.triangles.len() <= target.max(8) + 2, "{} {target}", simple.triangles.len());
                assert!(after.watertight && after.genus == before.genus && after.flipped_edges == 0, "{after:?}");
                assert_eq!(after.self_intersecting_triangles, 0);
                // 600 triangles are about 30 rings of 10 corners; a 10-gon inscribed in a circle lacks 6.5 % of its area.
                assert!((after.volume / before.volume - 1.0).abs() < volume_loss, "{} {}", after.volume, before.volume);
            }
            assert_eq!(simplify(&mesh, 0).unwrap(), mesh);
        }
    }

    #[test]
    fn odd_meshes_do_no_harm() {
        assert_eq!(simplify(&Mesh::default(), 10).unwrap(), Mesh::default());
        let flat = Mesh::new(vec![[0.0; 3]; 30], (0..10).map(|k| [3 * k, 3 * k + 1, 3 * k + 2]).collect()).unwrap();
        simplify(&flat, 2).unwrap().validate().unwrap();
    }
}

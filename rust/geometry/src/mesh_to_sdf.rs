//! A triangle mesh as a signed distance field: the way an existing shape enters reconstruction.
//!
//! Distance to the closest point; inside is where the generalised winding number (Jacobson et al. 2013, "Robust
//! Inside-Outside Segmentation using Generalized Winding Numbers") reaches one half, which closes holes smoothly and
//! takes overlapping parts as one. A mesh wound inside out as a whole is turned round.

use maquette_core::{Mesh, Progress};
use rayon::prelude::*;

use crate::sdf_grid::{SdfGrid, vertex_position};
use crate::triangle_bvh::TriangleBvh;
use crate::vec3::{cross, dot};
use crate::{Error, Result};

/// Signed distance to `mesh`, world units, on a grid of `resolution` cells an axis over the unit cube.
///
/// Distances above `reach` are given as `reach`, with their sign; a short reach is much faster.
pub fn mesh_to_sdf(mesh: &Mesh, resolution: usize, reach: f32, progress: &Progress) -> Result<SdfGrid> {
    mesh.validate()?;
    if mesh.triangles.is_empty() {
        return Err(Error::invalid("the mesh to start from has no triangles; give a mesh with a surface"));
    }
    progress.check()?;
    let bvh = TriangleBvh::new(&mesh.positions, &mesh.triangles);
    progress.check()?;
    let orientation = if signed_volume(mesh) < 0.0 { -1.0 } else { 1.0 };
    let mut grid = SdfGrid::filled(resolution, 0.0)?;
    let (side, cell) = (resolution + 1, grid.cell());
    grid.values_mut().par_chunks_mut(side).enumerate().try_for_each(|(row, values)| {
        progress.check()?;
        let mut within = reach;
        for (k, value) in values.iter_mut().enumerate() {
            let point = vertex_position(resolution, [row / side, row % side, k]);
            let distance = bvh.closest_point(point, within).map_or(within, |closest| closest.distance);
            // The next vertex is one cell on, so its closest point is at most this far; a little more for rounding.
            within = reach.min((distance + cell) * 1.001);
            let inside = orientation * bvh.winding_number(point) >= 0.5;
            *value = if inside { -distance } else { distance };
        }
        Ok::<_, Error>(())
    })?;
    Ok(grid)
}

/// Volume that the surface encloses, counted negative where it is wound inwards.
pub(crate) fn signed_volume(mesh: &Mesh) -> f64 {
    mesh.triangles
        .iter()
        .map(|t| {
            let [a, b, c] = t.map(|vertex| mesh.positions[vertex as usize]);
            f64::from(dot(a, cross(b, c))) / 6.0
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_meshes::{icosphere, open_box, torus};

    fn mesh_to_sdf(mesh: &Mesh, resolution: usize) -> Result<SdfGrid> {
        super::mesh_to_sdf(mesh, resolution, f32::INFINITY, &Progress::new())
    }

    #[test]
    fn a_reach_cuts_the_far_distances_and_no_others() {
        let sphere = icosphere(3, 0.35);
        let whole = mesh_to_sdf(&sphere, 20).unwrap();
        let near = super::mesh_to_sdf(&sphere, 20, 0.1, &Progress::new()).unwrap();
        for (near, whole) in near.values().iter().zip(whole.values()) {
            assert_eq!(*near, whole.clamp(-0.1, 0.1));
        }
        let cancelled = Progress::new();
        cancelled.cancel();
        let stopped = super::mesh_to_sdf(&sphere, 20, 0.1, &cancelled);
        assert!(matches!(stopped, Err(Error::Core(maquette_core::Error::Cancelled))));
    }

    #[test]
    fn sphere_and_torus_have_their_analytic_distance() {
        let sphere = mesh_to_sdf(&icosphere(4, 0.35), 20).unwrap();
        let ring = mesh_to_sdf(&torus(0.3, 0.1, 96, 48), 20).unwrap();
        for ((s, t), p) in sphere.values().iter().zip(ring.values()).zip(SdfGrid::positions(20)) {
            let radius = p.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!((s - (radius - 0.35)).abs() < 2e-3, "{p:?} {s}");
            let tube = (p[0].hypot(p[2]) - 0.3).hypot(p[1]) - 0.1;
            assert!((t - tube).abs() < 2e-3, "{p:?} {t} {tube}");
        }
    }

    #[test]
    fn inside_out_and_open_meshes_keep_their_inside() {
        let mut sphere = icosphere(3, 0.35);
        for triangle in &mut sphere.triangles {
            triangle.swap(1, 2);
        }
        assert!(mesh_to_sdf(&sphere, 8).unwrap().sample([0.0; 3]) < -0.3);
        let (positions, triangles) = open_box();
        let grid = mesh_to_sdf(&Mesh::new(positions, triangles).unwrap(), 20).unwrap();
        assert!(grid.sample([0.0, -0.1, 0.0]) < 0.0);
        assert!(grid.sample([0.0, 0.4, 0.0]) > 0.0);
        assert!(grid.sample([0.3, 0.0, 0.0]) > 0.0);
    }

    #[test]
    fn empty_and_broken_meshes_are_refused() {
        assert!(mesh_to_sdf(&Mesh::default(), 8).is_err());
        let broken = Mesh { positions: vec![[f32::NAN; 3]; 3], triangles: vec![[0, 1, 2]], ..Mesh::default() };
        assert!(mesh_to_sdf(&broken, 8).is_err());
    }
}

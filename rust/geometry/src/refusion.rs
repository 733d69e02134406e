//! Re-fusion: a mesh that folds through itself becomes the surface of the solid that it winds around.
//!
//! Signed distances in a narrow band, the sign from the winding number (see [`crate::mesh_to_sdf`]), and extraction by
//! FlexiCubes. Folded-in pockets, inside-out patches and overlaps vanish; parts nearer to one another than a cell merge.

use maquette_core::Mesh;
use rayon::prelude::*;

use crate::Result;
use crate::flexicubes::{Field, FlexiCubes, Grid, Mode, Positions};
use crate::sdf_grid::{SdfGrid, vertex_position};
use crate::triangle_bvh::{TriangleBvh, closest_on_triangle};
use crate::vec3::{dot, sub};

/// Distances are exact up to this many cells.
const BAND: f32 = 1.75;

/// The surface of the solid inside `mesh`, from a grid of `resolution` cells over the unit cube, in which the mesh has to
/// lie; one that does not comes back as it is.
pub fn fuse(mesh: &Mesh, resolution: usize) -> Result<Mesh> {
    mesh.validate()?;
    let mut field = SdfGrid::filled(resolution, f32::INFINITY)?;
    let cell = 1.0 / resolution as f32;
    let rim = 0.5 - 2.0 * cell;
    if mesh.triangles.is_empty() || mesh.positions.iter().flatten().any(|x| x.abs() > rim) {
        return Ok(mesh.clone());
    }
    distances(mesh, &mut field);
    let bvh = TriangleBvh::new(&mesh.positions, &mesh.triangles);
    let side = resolution + 1;
    field.values_mut().par_chunks_mut(side).enumerate().for_each(|(row, values)| {
        // The rim is outside, and beyond the band the side does not change.
        let mut inside = false;
        for (k, value) in values.iter_mut().enumerate() {
            if value.is_finite() {
                inside = bvh.winding_number(vertex_position(resolution, [row / side, row % side, k])) >= 0.5;
            }
            let distance = value.min(BAND * cell);
            *value = if inside { -distance } else { distance };
        }
    });
    let mut cubes = FlexiCubes::new(Grid::new([resolution; 3])?);
    let grid = cubes.grid();
    let surface = cubes.extract(Field::new(Positions::unit_cube(&grid), field.values()), Mode::Evaluation)?;
    Ok(Mesh::new(surface.vertices.to_vec(), surface.faces.to_vec())?)
}

/// Distance to the mesh at every grid vertex within the band, infinite beyond.
fn distances(mesh: &Mesh, field: &mut SdfGrid) {
    let resolution = field.resolution();
    let (side, cell) = (resolution + 1, field.cell());
    let boxes: Vec<[[usize; 2]; 3]> = mesh
        .triangles
        .par_iter()
        .map(|t| {
            let corners = t.map(|vertex| mesh.positions[vertex as usize]);
            std::array::from_fn(|axis| {
                let at = |x: f32| (x + 0.5) / cell;
                let low = corners.iter().map(|p| at(p[axis])).fold(f32::INFINITY, f32::min) - BAND;
                let high = corners.iter().map(|p| at(p[axis])).fold(f32::NEG_INFINITY, f32::max) + BAND;
                [low.ceil().max(0.0) as usize, (high.floor().max(0.0) as usize).min(resolution)]
            })
        })
        .collect();
    // Every slab of the grid gathers from the triangles that reach it, so that no two threads write the same value.
    let mut of_slab: Vec<Vec<u32>> = vec![Vec::new(); side];
    for (triangle, [[low, high], ..]) in boxes.iter().enumerate() {
        for slab in &mut of_slab[*low..(*high + 1).max(*low)] {
            slab.push(triangle as u32);
        }
    }
    field.values_mut().par_chunks_mut(side * side).zip(of_slab).enumerate().for_each(|(i, (values, triangles))| {
        for triangle in triangles {
            let corners = mesh.triangles[triangle as usize].map(|vertex| mesh.positions[vertex as usize]);
            let [_, [low_j, high_j], [low_k, high_k]] = boxes[triangle as usize];
            for j in low_j..=high_j {
                for k in low_k..=high_k {
                    let point = vertex_position(resolution, [i, j, k]);
                    let offset = sub(closest_on_triangle(point, corners), point);
                    let distance = dot(offset, offset).sqrt();
                    let value = &mut values[j * side + k];
                    if distance < *value && distance <= BAND * cell {
                        *value = distance;
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::MeshHealth;
    use crate::intersections::self_intersections;
    use crate::remesh::shapes::sphere;

    #[test]
    fn overlapping_balls_become_one_surface() {
        let mut mesh = sphere(0.2, 20);
        let first = mesh.positions.len() as u32;
        let other = sphere(0.15, 20);
        mesh.positions.extend(other.positions.iter().map(|p| [p[0] + 0.2, p[1] + 0.01, p[2]]));
        mesh.triangles.extend(other.triangles.iter().map(|t| t.map(|v| v + first)));
        assert!(!self_intersections(&mesh).is_empty());
        let fused = fuse(&mesh, 48).unwrap();
        let health = MeshHealth::of(&fused).unwrap();
        assert!(health.watertight && health.components == 1 && health.self_intersecting_triangles == 0);
        assert!(health.volume > 0.0335 && health.outward_fraction > 0.99, "{health:?}");
        for p in &fused.positions {
            let length = |c: [f32; 3]| dot(sub(*p, c), sub(*p, c)).sqrt();
            let distance = (length([0.0; 3]) - 0.2).min(length([0.2, 0.01, 0.0]) - 0.15);
            assert!(distance.abs() < 0.006, "{p:?} {distance}");
        }
    }

    #[test]
    fn a_patch_that_is_inside_out_vanishes() {
        // A dent that comes out on the other side of the ball.
        let mut mesh = sphere(0.3, 40);
        for p in &mut mesh.positions {
            if p[1] > 0.2 {
                p[1] -= 0.7 * (p[1] - 0.2) / 0.1;
            }
        }
        assert!(!self_intersections(&mesh).is_empty());
        let fused = fuse(&mesh, 64).unwrap();
        let health = MeshHealth::of(&fused).unwrap();
        assert!(health.watertight && health.self_intersecting_triangles == 0 && health.outward_fraction > 0.99);
        assert!(fused.positions.iter().all(|p| p[1] > -0.31));
    }

    #[test]
    fn what_does_not_fit_comes_back() {
        let big = sphere(0.6, 8);
        assert_eq!(fuse(&big, 32).unwrap(), big);
        assert_eq!(fuse(&Mesh::default(), 32).unwrap(), Mesh::default());
        assert!(fuse(&sphere(0.1, 8), 0).is_err());
    }
}

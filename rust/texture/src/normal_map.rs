//! Tangent-space normal map: the shading normals of a detailed mesh, for use on a simpler one.
//!
//! Tangents are those of MikkTSpace (Mikkelsen 2008, "Simulation of Wrinkled Surfaces Revisited"), as glTF asks, with
//! texture coordinates whose origin is bottom-left, so that green points up. The map holds the exact inverse of what a
//! renderer does: it is expressed in the interpolated, not normalised tangent, bitangent and normal.

use std::time::Duration;

use bevy_mikktspace::{Geometry, TangentSpace, generate_tangents};
use glam::Vec3A;
use maquette_core::Mesh;
use obvhs::BvhBuildParams;
use obvhs::bvh2::Bvh2;
use obvhs::bvh2::builder::build_bvh2_from_tris;
use obvhs::ray::Ray;
use obvhs::triangle::Triangle;
use rayon::prelude::*;

use crate::Result;
use crate::atlas::Atlas;
use crate::least_squares::Color;
use crate::part::Part;
use crate::space::on_triangle;
use crate::vector::{Point, cross, dot, interpolate, sub, unit};

/// How far along the normal the detailed surface is looked for, in diagonals of the detailed mesh.
const REACH: f32 = 0.02;
/// Texels one task bakes between two looks at the cancel flag.
const TEXELS_PER_TASK: usize = 4096;

/// Tangent-space normals of `detail` for each used texel of `atlas`; the normal of the mesh itself, (0, 0, 1), where
/// `detail` has no surface near. Unit vectors, the fourth number is 0.
pub(crate) fn bake_normals(
    mesh: &Mesh,
    corner_uvs: &[[[f32; 2]; 3]],
    atlas: &Atlas,
    detail: &Mesh,
    part: Part,
) -> Result<Vec<Color>> {
    part.at(0.0)?;
    let normals = mesh.normals.clone().unwrap_or_else(|| mesh.vertex_normals());
    let tangents = tangents(mesh, &normals, corner_uvs);
    part.at(0.1)?;
    let detail = Detail::new(detail);
    part.at(0.2)?;
    let numbers: Vec<usize> = (0..atlas.texels.len()).collect();
    let baked: Vec<Color> = numbers
        .par_chunks(TEXELS_PER_TASK)
        .flat_map_iter(|numbers| {
            let cancelled = part.is_cancelled();
            let (normals, tangents, detail) = (&normals, &tangents, &detail);
            numbers.iter().map(move |&number| {
                let points = atlas.points(number);
                let point = points[points.len() / 2];
                let (triangle, uv) = (point.triangle as usize, point.barycentric);
                let normal = interpolate(mesh.triangles[triangle].map(|vertex| normals[vertex as usize]), uv);
                let Some(wanted) = (!cancelled)
                    .then(|| detail.normal_at(on_triangle(mesh, point.triangle, uv), unit(normal)))
                    .flatten()
                else {
                    return [0.0, 0.0, 1.0, 0.0];
                };
                let corners = tangents[triangle];
                let [x, y, z, _] = interpolate(corners, uv);
                to_tangent_space(wanted, [x, y, z], corners[0][3], normal)
            })
        })
        .collect();
    part.at(1.0)?;
    Ok(baked)
}

/// Inverse of `x * tangent + y * bitangent + z * normal`, at unit length.
fn to_tangent_space(wanted: Point, tangent: Point, sign: f32, normal: Point) -> Color {
    let bitangent = cross(normal, tangent).map(|x| x * sign);
    let rows = [cross(bitangent, normal), cross(normal, tangent), cross(tangent, bitangent)];
    let side = if dot(tangent, rows[0]) < 0.0 { -1.0 } else { 1.0 };
    let [x, y, z] = unit(rows.map(|row| side * dot(wanted, row)));
    // Nothing to say without a tangent, and a surface never looks away from itself.
    if z.is_nan() || z <= 0.0 { [0.0, 0.0, 1.0, 0.0] } else { [x, y, z, 0.0] }
}

/// MikkTSpace tangent and sign of every corner.
fn tangents(mesh: &Mesh, normals: &[Point], corner_uvs: &[[[f32; 2]; 3]]) -> Vec<[[f32; 4]; 3]> {
    struct Corners<'a> {
        mesh: &'a Mesh,
        normals: &'a [Point],
        corner_uvs: &'a [[[f32; 2]; 3]],
        tangents: Vec<[[f32; 4]; 3]>,
    }
    impl Geometry for Corners<'_> {
        fn num_faces(&self) -> usize {
            self.mesh.triangles.len()
        }
        fn num_vertices_of_face(&self, _: usize) -> usize {
            3
        }
        fn position(&self, face: usize, corner: usize) -> Point {
            self.mesh.positions[self.mesh.triangles[face][corner] as usize]
        }
        fn normal(&self, face: usize, corner: usize) -> Point {
            self.normals[self.mesh.triangles[face][corner] as usize]
        }
        fn tex_coord(&self, face: usize, corner: usize) -> [f32; 2] {
            self.corner_uvs[face][corner]
        }
        fn set_tangent(&mut self, space: Option<TangentSpace>, face: usize, corner: usize) {
            self.tangents[face][corner] = space.unwrap_or_default().tangent_encoded();
        }
    }
    let mut corners = Corners { mesh, normals, corner_uvs, tangents: vec![[[0.0; 4]; 3]; mesh.triangles.len()] };
    // Its error has no variants.
    let _ = generate_tangents(&mut corners);
    corners.tangents
}

/// The detailed mesh, ready for rays.
struct Detail<'a> {
    mesh: &'a Mesh,
    normals: Vec<Point>,
    triangles: Vec<Triangle>,
    bvh: Bvh2,
    reach: f32,
}

impl<'a> Detail<'a> {
    fn new(mesh: &'a Mesh) -> Self {
        let corner = |vertex: u32| Vec3A::from(mesh.positions[vertex as usize]);
        let triangles: Vec<Triangle> =
            mesh.triangles.iter().map(|&[a, b, c]| Triangle { v0: corner(a), v1: corner(b), v2: corner(c) }).collect();
        let bvh = if triangles.is_empty() {
            Bvh2::default()
        } else {
            build_bvh2_from_tris(&triangles, BvhBuildParams::fast_build(), &mut Duration::default())
        };
        let (low, high) = mesh.bounds().unwrap_or_default();
        let size = sub(high, low);
        let normals = mesh.normals.clone().unwrap_or_else(|| mesh.vertex_normals());
        Self { mesh, normals, triangles, bvh, reach: REACH * dot(size, size).sqrt() }
    }

    /// Shading normal of the nearest surface up or down `direction` that faces the same way.
    fn normal_at(&self, point: Point, direction: Point) -> Option<Point> {
        if self.bvh.nodes.is_empty() || direction == [0.0; 3] {
            return None;
        }
        let start = Vec3A::from(point) + Vec3A::from(direction) * self.reach;
        let ray = Ray::new(start, -Vec3A::from(direction), 0.0, 2.0 * self.reach);
        // Distance from `point`, then triangle: equal distances go to the lower triangle.
        let mut best: Option<(f32, u32)> = None;
        self.bvh.ray_traverse_anyhit(ray, |ray, id| {
            let index = self.bvh.primitive_indices[id];
            let triangle = &self.triangles[index as usize];
            let along = triangle.intersect(ray);
            if along.is_finite() && triangle.compute_normal().dot(ray.direction) < 0.0 {
                let found = ((along - self.reach).abs(), index);
                if best.is_none_or(|best| found < best) {
                    best = Some(found);
                }
            }
        });
        let (_, index) = best?;
        let corners = self.mesh.triangles[index as usize];
        let barycentric = self.triangles[index as usize];
        let [a, b, c] = [barycentric.v0, barycentric.v1, barycentric.v2];
        let area = (b - a).cross(c - a);
        let scale = 1.0 / area.length_squared();
        // The point's shadow on the triangle's plane along its normal: the ray is all but parallel to it.
        let offset = Vec3A::from(point) - a;
        let u = (offset.cross(c - a).dot(area) * scale).clamp(0.0, 1.0);
        let v = ((b - a).cross(offset).dot(area) * scale).clamp(0.0, 1.0 - u);
        let normal = unit(interpolate(corners.map(|vertex| self.normals[vertex as usize]), [u, v]));
        (normal != [0.0; 3] && normal.iter().all(|x| x.is_finite())).then_some(normal)
    }
}

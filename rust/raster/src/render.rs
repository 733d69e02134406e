//! Normals and soft masks of several views, and their gradient to the vertices: what fitting a mesh to pictures needs.

use maquette_core::{Camera, Plane};
use rayon::prelude::*;

use crate::normals::{unit, unit_backward};
use crate::rasterize::{bands_for_views, rasterize_bands};
use crate::scatter::{add, add_all};
use crate::{
    Edges, GBuffer, Silhouettes, face_normals, face_normals_backward, interpolate_backward, look_up_faces_backward,
    rasterize_backward, vertex_normals, vertex_normals_backward,
};

/// Which normal a pixel shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shading {
    /// The triangle's.
    #[default]
    Flat,
    /// The vertices', interpolated and made unit again.
    Smooth,
}

/// A mesh seen by several cameras. Rendering again reuses the memory of the last time.
#[derive(Clone, Debug)]
pub struct NormalViews {
    /// One for each camera.
    pub views: Vec<NormalView>,
    shading: Shading,
    /// Of triangles or vertices, by `shading`.
    mesh_normals: Vec<[f32; 3]>,
}

/// What one camera sees.
#[derive(Clone, Debug)]
pub struct NormalView {
    /// The camera.
    pub camera: Camera,
    /// Triangles, barycentrics and depth.
    pub gbuffer: GBuffer,
    /// Outlines.
    pub silhouettes: Silhouettes,
    /// World-space normals, unit inside; at outlines blended with what is behind, which is zero where that is nothing.
    pub normals: Plane<3>,
    /// Coverage, 1 inside and soft at outlines.
    pub mask: Plane<1>,
    to_positions: Vec<[f32; 3]>,
    to_normals: Vec<[f32; 3]>,
}

impl NormalViews {
    /// Views that show nothing yet.
    pub fn new(cameras: &[Camera], shading: Shading) -> Self {
        let view = |camera: &Camera| NormalView {
            camera: camera.clone(),
            gbuffer: GBuffer::default(),
            silhouettes: Silhouettes::default(),
            normals: Plane::filled(0, 0, [0.0; 3]),
            mask: Plane::filled(0, 0, [0.0]),
            to_positions: Vec::new(),
            to_normals: Vec::new(),
        };
        Self { views: cameras.iter().map(view).collect(), shading, mesh_normals: Vec::new() }
    }

    /// Renders a mesh into all views.
    pub fn render(&mut self, positions: &[[f32; 3]], triangles: &[[u32; 3]]) {
        let shading = self.shading;
        let (mesh_normals, edges) = rayon::join(
            || match shading {
                Shading::Flat => face_normals(positions, triangles),
                Shading::Smooth => vertex_normals(positions, triangles),
            },
            || Edges::new(triangles, positions.len()),
        );
        self.mesh_normals = mesh_normals;
        let mesh_normals = &self.mesh_normals;
        let bands = bands_for_views(self.views.len());
        self.views.par_iter_mut().for_each(|view| {
            rasterize_bands(positions, triangles, &view.camera, bands, &mut view.gbuffer);
            view.silhouettes = Silhouettes::new(&view.gbuffer, positions, triangles, &edges, &view.camera);
            view.shade(triangles, mesh_normals, shading);
        });
    }

    /// Gradient to the vertex positions, given those to the normals and the mask of each view. `positions` and
    /// `triangles` are those that were rendered last.
    pub fn backward(
        &mut self,
        positions: &[[f32; 3]],
        triangles: &[[u32; 3]],
        normal_gradients: &[Plane<3>],
        mask_gradients: &[Plane<1>],
    ) -> Vec<[f32; 3]> {
        let (shading, mesh_normals) = (self.shading, &self.mesh_normals);
        self.views.par_iter_mut().zip(normal_gradients.par_iter().zip(mask_gradients)).for_each(
            |(view, (to_normals, to_mask))| {
                view.backward(positions, triangles, mesh_normals, shading, to_normals, to_mask);
            },
        );
        let mut normal_sums = vec![[0.0; 3]; self.mesh_normals.len()];
        let mut sums = vec![[0.0; 3]; positions.len()];
        add_all(&mut normal_sums, &self.views, |view| &view.to_normals);
        add_all(&mut sums, &self.views, |view| &view.to_positions);
        match self.shading {
            Shading::Flat => face_normals_backward(positions, triangles, &normal_sums, &mut sums),
            Shading::Smooth => vertex_normals_backward(positions, triangles, &normal_sums, &mut sums),
        }
        sums
    }
}

impl NormalView {
    fn shade(&mut self, triangles: &[[u32; 3]], mesh_normals: &[[f32; 3]], shading: Shading) {
        let gbuffer = &self.gbuffer;
        let normal = |pixel: usize| pixel_normal(gbuffer, pixel, triangles, mesh_normals, shading).1;
        fill(&mut self.normals, gbuffer, normal);
        fill(&mut self.mask, gbuffer, |pixel| coverage_at(gbuffer, pixel));
        self.silhouettes.blend(&mut self.normals, normal);
        self.silhouettes.blend(&mut self.mask, |pixel| coverage_at(gbuffer, pixel));
    }

    /// Leaves gradients in `to_positions`, through outlines and barycentrics, and in `to_normals`.
    fn backward(
        &mut self,
        positions: &[[f32; 3]],
        triangles: &[[u32; 3]],
        mesh_normals: &[[f32; 3]],
        shading: Shading,
        normal_gradient: &Plane<3>,
        mask_gradient: &Plane<1>,
    ) {
        let Self { camera, gbuffer, silhouettes, to_positions, to_normals, .. } = self;
        let gbuffer = &*gbuffer;
        to_positions.clear();
        to_positions.resize(positions.len(), [0.0; 3]);
        to_normals.clear();
        to_normals.resize(mesh_normals.len(), [0.0; 3]);

        // Coverage itself has no gradient, only its outlines do.
        let coverage = |pixel| coverage_at(gbuffer, pixel);
        silhouettes.blend_backward(mask_gradient, coverage, positions, camera, |_, _| {}, to_positions);

        let normal = |pixel: usize| pixel_normal(gbuffer, pixel, triangles, mesh_normals, shading).1;
        match shading {
            Shading::Flat => {
                look_up_faces_backward(gbuffer, normal_gradient, to_normals);
                let add_value = |pixel: usize, gradient| {
                    let triangle = gbuffer.triangle[pixel];
                    if triangle != GBuffer::EMPTY {
                        add(&mut to_normals[triangle as usize], gradient);
                    }
                };
                silhouettes.blend_backward(normal_gradient, normal, positions, camera, add_value, to_positions);
            }
            Shading::Smooth => {
                let mut to_shaded = normal_gradient.clone();
                let add_value = |pixel: usize, gradient| add(&mut to_shaded.data[pixel], gradient);
                silhouettes.blend_backward(normal_gradient, normal, positions, camera, add_value, to_positions);
                for (pixel, gradient) in to_shaded.data.iter_mut().enumerate() {
                    if gbuffer.triangle[pixel] != GBuffer::EMPTY {
                        let (interpolated, _) = pixel_normal(gbuffer, pixel, triangles, mesh_normals, shading);
                        *gradient = unit_backward(interpolated, *gradient);
                    }
                }
                let mut to_weights = vec![[0.0; 2]; gbuffer.triangle.len()];
                interpolate_backward(gbuffer, triangles, mesh_normals, &to_shaded, to_normals, &mut to_weights);
                rasterize_backward(gbuffer, positions, triangles, camera, &to_weights, &[], to_positions);
            }
        }
    }
}

/// The normal at a pixel before and after it is made unit; zero where no triangle is seen.
#[inline]
fn pixel_normal(
    gbuffer: &GBuffer,
    pixel: usize,
    triangles: &[[u32; 3]],
    mesh_normals: &[[f32; 3]],
    shading: Shading,
) -> ([f32; 3], [f32; 3]) {
    let triangle = gbuffer.triangle[pixel] as usize;
    if gbuffer.triangle[pixel] == GBuffer::EMPTY {
        return ([0.0; 3], [0.0; 3]);
    }
    match shading {
        Shading::Flat => (mesh_normals[triangle], mesh_normals[triangle]),
        Shading::Smooth => {
            let [a, b, c] = triangles[triangle].map(|vertex| mesh_normals[vertex as usize]);
            let [u, v] = gbuffer.barycentric[pixel];
            let sum = [0, 1, 2].map(|k| a[k] + u * (b[k] - a[k]) + v * (c[k] - a[k]));
            (sum, unit(sum))
        }
    }
}

#[inline]
fn coverage_at(gbuffer: &GBuffer, pixel: usize) -> [f32; 1] {
    [f32::from(gbuffer.triangle[pixel] != GBuffer::EMPTY)]
}

/// `value` of every pixel, in the memory of `plane`.
fn fill<const C: usize>(plane: &mut Plane<C>, gbuffer: &GBuffer, value: impl Fn(usize) -> [f32; C]) {
    (plane.width, plane.height) = (gbuffer.width, gbuffer.height);
    plane.data.clear();
    plane.data.extend((0..gbuffer.triangle.len()).map(value));
}

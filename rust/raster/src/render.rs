//! Normals and soft masks of several views, and their gradient to the vertices: what fitting a mesh to pictures needs.

use maquette_core::{Camera, Plane};
use rayon::prelude::*;

use crate::normals::{unit, unit_backward};
use crate::scatter::add_all;
use crate::{
    Edges, GBuffer, Silhouettes, coverage, face_normals, face_normals_backward, interpolate, interpolate_backward,
    look_up_faces, look_up_faces_backward, rasterize_backward, rasterize_views, vertex_normals,
    vertex_normals_backward,
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

/// Rendered views with everything that the backward pass needs.
#[derive(Clone, Debug)]
pub struct NormalViews {
    /// What each camera sees.
    pub gbuffers: Vec<GBuffer>,
    /// Outlines in each view.
    pub silhouettes: Vec<Silhouettes>,
    /// World-space normals, unit inside; at outlines blended with what is behind, which is zero where that is nothing.
    pub normals: Vec<Plane<3>>,
    /// Coverage, 1 inside and soft at outlines.
    pub masks: Vec<Plane<1>>,
    cameras: Vec<Camera>,
    shading: Shading,
    /// Of triangles or vertices, by `shading`.
    mesh_normals: Vec<[f32; 3]>,
    /// Normals before they are blended.
    shaded: Vec<Plane<3>>,
}

impl NormalViews {
    /// Renders a mesh as seen by each of `cameras`.
    pub fn render(positions: &[[f32; 3]], triangles: &[[u32; 3]], cameras: &[Camera], shading: Shading) -> Self {
        let ((mesh_normals, edges), gbuffers) = rayon::join(
            || {
                let normals = match shading {
                    Shading::Flat => face_normals(positions, triangles),
                    Shading::Smooth => vertex_normals(positions, triangles),
                };
                (normals, Edges::new(triangles, positions.len()))
            },
            || rasterize_views(positions, triangles, cameras),
        );
        let mut views = Self {
            gbuffers,
            silhouettes: Vec::new(),
            normals: Vec::new(),
            masks: Vec::new(),
            cameras: cameras.to_vec(),
            shading,
            mesh_normals,
            shaded: Vec::new(),
        };
        let rendered: Vec<_> = (0..cameras.len())
            .into_par_iter()
            .map(|view| {
                let gbuffer = &views.gbuffers[view];
                let silhouettes = Silhouettes::new(gbuffer, positions, triangles, &edges, &cameras[view]);
                let shaded = match shading {
                    Shading::Flat => look_up_faces(gbuffer, &views.mesh_normals),
                    Shading::Smooth => {
                        let mut plane = interpolate(gbuffer, triangles, &views.mesh_normals);
                        plane.data.iter_mut().for_each(|normal| *normal = unit(*normal));
                        plane
                    }
                };
                let mask = silhouettes.antialias(&coverage(gbuffer));
                let normals = silhouettes.antialias(&shaded);
                (silhouettes, normals, mask, shaded)
            })
            .collect();
        for (silhouettes, normals, mask, shaded) in rendered {
            views.silhouettes.push(silhouettes);
            views.normals.push(normals);
            views.masks.push(mask);
            views.shaded.push(shaded);
        }
        views
    }

    /// Gradient to the vertex positions, given those to [`NormalViews::normals`] and [`NormalViews::masks`]. `positions`
    /// and `triangles` are those that were rendered.
    pub fn backward(
        &self,
        positions: &[[f32; 3]],
        triangles: &[[u32; 3]],
        normal_gradients: &[Plane<3>],
        mask_gradients: &[Plane<1>],
    ) -> Vec<[f32; 3]> {
        let parts: Vec<_> = (0..self.cameras.len())
            .into_par_iter()
            .map(|view| {
                let (normals, masks) = (&normal_gradients[view], &mask_gradients[view]);
                self.view_backward(view, positions, triangles, normals, masks)
            })
            .collect();
        let (to_positions, to_normals): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mut normal_sums = vec![[0.0; 3]; self.mesh_normals.len()];
        let mut sums = vec![[0.0; 3]; positions.len()];
        add_all(&mut normal_sums, &to_normals);
        add_all(&mut sums, &to_positions);
        match self.shading {
            Shading::Flat => face_normals_backward(positions, triangles, &normal_sums, &mut sums),
            Shading::Smooth => vertex_normals_backward(positions, triangles, &normal_sums, &mut sums),
        }
        sums
    }

    /// Gradients of one view to the positions, through outlines and barycentrics, and to the mesh's normals.
    fn view_backward(
        &self,
        view: usize,
        positions: &[[f32; 3]],
        triangles: &[[u32; 3]],
        normal_gradient: &Plane<3>,
        mask_gradient: &Plane<1>,
    ) -> (Vec<[f32; 3]>, Vec<[f32; 3]>) {
        let (gbuffer, camera, silhouettes) = (&self.gbuffers[view], &self.cameras[view], &self.silhouettes[view]);
        let (width, height) = (gbuffer.width, gbuffer.height);
        let mut to_positions = vec![[0.0; 3]; positions.len()];
        let mut to_normals = vec![[0.0; 3]; self.mesh_normals.len()];

        let shaded = &self.shaded[view];
        let mut to_shaded = Plane::filled(width, height, [0.0; 3]);
        silhouettes.antialias_backward(shaded, normal_gradient, positions, camera, &mut to_shaded, &mut to_positions);
        // Coverage itself has no gradient, only its outlines do.
        let mut to_coverage = Plane::filled(width, height, [0.0]);
        let covered = coverage(gbuffer);
        silhouettes.antialias_backward(&covered, mask_gradient, positions, camera, &mut to_coverage, &mut to_positions);

        match self.shading {
            Shading::Flat => look_up_faces_backward(gbuffer, &to_shaded, &mut to_normals),
            Shading::Smooth => {
                let attributes = &self.mesh_normals;
                let interpolated = interpolate(gbuffer, triangles, attributes);
                for (gradient, &normal) in to_shaded.data.iter_mut().zip(&interpolated.data) {
                    *gradient = unit_backward(normal, *gradient);
                }
                let mut to_barycentrics = vec![[0.0; 2]; gbuffer.triangle.len()];
                interpolate_backward(gbuffer, triangles, attributes, &to_shaded, &mut to_normals, &mut to_barycentrics);
                rasterize_backward(gbuffer, positions, triangles, camera, &to_barycentrics, &[], &mut to_positions);
            }
        }
        (to_positions, to_normals)
    }
}

//! What a surface is pulled by: normals and silhouettes of posed views, and priors on the signed distance field.
//!
//! [`MeshLosses`] works on plain positions and triangles, so that FlexiCubes' output and a free mesh share it; its
//! gradient is dL/dposition. [`field`] holds the terms on grids. Terms are in world units and do not depend on the
//! size of the views.

pub mod contour;
pub mod field;
pub mod hull_clamp;
pub mod normals;

use maquette_core::{Camera, Plane, Views};
use maquette_raster::rasterize;
use rayon::prelude::*;

use crate::silhouette::Silhouette;
use crate::vec3::{Vec3, accumulate, add, area_vector, cross, dot, norm, scale, sub};
use crate::{Error, Result};

/// Weights of the terms of [`MeshLosses`]; 0 leaves a term out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossWeights {
    /// Normals at 1, 1/2, 1/4 ... of the working size, see [`normals`].
    pub normal: [f32; normals::LEVELS],
    /// Staying inside of every silhouette, see [`hull_clamp`].
    pub hull: f32,
    /// Reaching every silhouette, see [`contour`].
    pub contour: f32,
}

/// Values of the terms, already weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossTerms {
    /// Normals at all sizes.
    pub normal: f64,
    /// Staying inside of every silhouette.
    pub hull: f64,
    /// Reaching every silhouette.
    pub contour: f64,
}

impl LossTerms {
    /// Sum of all terms.
    pub fn total(&self) -> f64 {
        self.normal + self.hull + self.contour
    }
}

/// The views of one object, prepared for many evaluations.
pub struct MeshLosses {
    targets: Vec<Target>,
    scratch: Vec<Scratch>,
    normal_gradient: Vec<Vec3>,
}

/// One view as the losses want it.
struct Target {
    camera: Camera,
    silhouette: Silhouette,
    /// World units a pixel covers at the distance of the origin.
    pixel: f32,
    /// Normals in world space, zero where unknown or where the mask has less than half.
    normal: Option<Plane<3>>,
    /// Every `stride`-th pixel of rows and columns takes part in one evaluation.
    stride: usize,
    /// How much the view counts, 1 as a rule.
    weight: f32,
}

/// Buffers of one view, kept between evaluations.
#[derive(Default)]
struct Scratch {
    terms: LossTerms,
    /// dL/d(unit normal) of every triangle.
    normal_gradient: Vec<Vec3>,
    vertex_gradient: Vec<Vec3>,
    projected: Vec<Projected>,
    contour: contour::Scratch,
}

/// A vertex in one view.
#[derive(Clone, Copy, Default)]
struct Projected {
    pixel: [f32; 2],
    depth: f32,
    in_camera: Vec3,
}

impl Projected {
    /// dL/d(world point) from dL/d(pixel position).
    fn pull_back(&self, camera: &Camera, pixel_gradient: [f32; 2]) -> Vec3 {
        let [fx, fy] = camera.focal_px;
        let inverse = 1.0 / self.depth;
        let (gx, gy) = (pixel_gradient[0] * fx * inverse, -pixel_gradient[1] * fy * inverse);
        let along = (gx * self.in_camera[0] + gy * self.in_camera[1]) * inverse;
        camera.vector_to_world([gx, gy, along])
    }
}

impl MeshLosses {
    /// Smallest depth at which a vertex takes part.
    const NEAR_DEPTH: f32 = 1e-3;

    /// Prepares `views` for working images of about `size_px` pixels a side: of larger views, whole strides of pixels
    /// are left out, other ones at every evaluation.
    pub fn new(views: &Views, size_px: usize) -> Result<Self> {
        let weights = vec![1.0; views.views.len()];
        Self::with_view_weights(views, size_px, &weights)
    }

    /// As [`MeshLosses::new`], each view counting as much as its weight says.
    pub fn with_view_weights(views: &Views, size_px: usize, weights: &[f32]) -> Result<Self> {
        views.validate()?;
        Error::check_length("weights of views", weights.len(), views.views.len(), "one weight for each view")?;
        let silhouettes = Silhouette::of_views(&views.views)?;
        let targets = views
            .views
            .iter()
            .zip(silhouettes)
            .zip(weights)
            .map(|((view, silhouette), &weight)| {
                let camera = view.camera.clone();
                let distance = camera.position.coords.norm();
                let focal = camera.focal_px[0].max(camera.focal_px[1]);
                let longest = camera.width.max(camera.height) as f32;
                let normal = view.normal.as_ref().map(|normal| {
                    let mut normal = normal.clone();
                    for (normal, mask) in normal.data.iter_mut().zip(&view.mask.data) {
                        let length = norm(*normal);
                        let known = mask[0] >= 0.5 && length > 0.5;
                        *normal = if known { scale(*normal, 1.0 / length) } else { [0.0; 3] };
                    }
                    normal
                });
                Target {
                    pixel: distance / focal,
                    stride: ((longest / size_px.max(1) as f32).round() as usize).max(1),
                    camera,
                    silhouette,
                    normal,
                    weight,
                }
            })
            .collect::<Vec<_>>();
        let scratch = targets.iter().map(|_| Scratch::default()).collect();
        Ok(Self { targets, scratch, normal_gradient: Vec::new() })
    }

    /// Whether any view has normals.
    pub fn has_normals(&self) -> bool {
        self.targets.iter().any(|target| target.normal.is_some())
    }

    /// The views' outlines and distances, in the order of the views.
    pub fn silhouettes(&self) -> impl Iterator<Item = (&Silhouette, &Camera)> {
        self.targets.iter().map(|target| (&target.silhouette, &target.camera))
    }

    /// The weighted terms of a mesh, and dL/dposition, which replaces what `gradient` holds.
    ///
    /// `phase` chooses which pixels of the views take part when they are larger than the working size: pass the number
    /// of the step. Visibility is decided by a depth buffer and has no gradient. Triangles must name existing vertices.
    pub fn evaluate(
        &mut self,
        positions: &[[f32; 3]],
        triangles: &[[u32; 3]],
        weights: &LossWeights,
        phase: usize,
        gradient: &mut Vec<[f32; 3]>,
    ) -> LossTerms {
        let areas: Vec<Vec3> =
            triangles.par_iter().with_min_len(4096).map(|t| area_vector(t.map(|v| positions[v as usize]))).collect();
        self.targets.par_iter().zip(&mut self.scratch).for_each(|(target, scratch)| {
            scratch.evaluate(target, positions, triangles, &areas, weights, phase);
        });

        gradient.clear();
        gradient.resize(positions.len(), [0.0; 3]);
        self.normal_gradient.clear();
        self.normal_gradient.resize(triangles.len(), [0.0; 3]);
        let mut terms = LossTerms::default();
        for scratch in &self.scratch {
            terms.normal += scratch.terms.normal;
            terms.hull += scratch.terms.hull;
            terms.contour += scratch.terms.contour;
            for (sum, part) in gradient.iter_mut().zip(&scratch.vertex_gradient) {
                accumulate(sum, *part);
            }
            for (sum, part) in self.normal_gradient.iter_mut().zip(&scratch.normal_gradient) {
                accumulate(sum, *part);
            }
        }
        scatter_normal_gradient(positions, triangles, &areas, &self.normal_gradient, gradient);
        terms
    }
}

impl Scratch {
    fn evaluate(
        &mut self,
        target: &Target,
        positions: &[[f32; 3]],
        triangles: &[[u32; 3]],
        areas: &[Vec3],
        weights: &LossWeights,
        phase: usize,
    ) {
        self.terms = LossTerms::default();
        self.normal_gradient.clear();
        self.vertex_gradient.clear();
        self.vertex_gradient.resize(positions.len(), [0.0; 3]);
        if let Some(normal) = &target.normal
            && weights.normal.iter().any(|&weight| weight > 0.0)
        {
            self.normal_gradient.resize(triangles.len(), [0.0; 3]);
            let (camera, offset) = strided_camera(&target.camera, target.stride, phase);
            let gbuffer = rasterize(positions, triangles, &camera);
            let weights = weights.normal.map(|weight| weight * target.weight);
            let pixel = target.pixel * target.stride as f32;
            let pixels = normals::Pixels { gbuffer: &gbuffer, target: normal, stride: target.stride, offset };
            self.terms.normal = normals::normal_loss(&pixels, areas, pixel * pixel, weights, &mut self.normal_gradient);
        }
        if target.silhouette.is_empty() || (weights.hull <= 0.0 && weights.contour <= 0.0) {
            return;
        }
        self.projected.clear();
        self.projected.extend(positions.iter().map(|&position| {
            let in_camera = target.camera.to_camera(position);
            let depth = -in_camera[2];
            let inverse = 1.0 / depth.max(MeshLosses::NEAR_DEPTH);
            let pixel = [
                target.camera.center_px[0] + target.camera.focal_px[0] * in_camera[0] * inverse,
                target.camera.center_px[1] - target.camera.focal_px[1] * in_camera[1] * inverse,
            ];
            Projected { pixel, depth, in_camera }
        }));
        self.terms.hull =
            hull_clamp::hull_clamp(target, &self.projected, weights.hull * target.weight, &mut self.vertex_gradient);
        self.terms.contour = contour::contour_pull(
            target,
            &self.projected,
            positions,
            triangles,
            areas,
            weights.contour * target.weight,
            &mut self.contour,
            &mut self.vertex_gradient,
        );
    }
}

/// Adds dL/dposition from dL/d(unit normal) of every triangle.
fn scatter_normal_gradient(
    positions: &[Vec3],
    triangles: &[[u32; 3]],
    areas: &[Vec3],
    normal_gradient: &[Vec3],
    gradient: &mut [Vec3],
) {
    for ((triangle, area), normal_gradient) in triangles.iter().zip(areas).zip(normal_gradient) {
        let length = norm(*area);
        if *normal_gradient == [0.0; 3] || length <= 1e-20 {
            continue;
        }
        // Through n = A / |A|, then through A = (b - a) x (c - a).
        let normal = scale(*area, 1.0 / length);
        let area_gradient = scale(sub(*normal_gradient, scale(normal, dot(normal, *normal_gradient))), 1.0 / length);
        let [a, b, c] = triangle.map(|vertex| positions[vertex as usize]);
        let to_b = cross(sub(c, a), area_gradient);
        let to_c = cross(area_gradient, sub(b, a));
        accumulate(&mut gradient[triangle[0] as usize], scale(add(to_b, to_c), -1.0));
        accumulate(&mut gradient[triangle[1] as usize], to_b);
        accumulate(&mut gradient[triangle[2] as usize], to_c);
    }
}

/// The camera whose pixel centres are every `stride`-th one of `camera`, and the first of them (row, column).
fn strided_camera(camera: &Camera, stride: usize, phase: usize) -> (Camera, [usize; 2]) {
    if stride == 1 {
        return (camera.clone(), [0, 0]);
    }
    // Steps of about the golden section visit all offsets in a scattered order: they have no common divisor with the
    // count because their difference to a multiple of the stride is one.
    let count = stride * stride;
    let step = (count as f32 * 0.618) as usize / stride * stride + 1;
    let offset = phase % count * step % count;
    let offset = [offset / stride, offset % stride];
    let axis = |size: usize, center: f32, focal: f32, offset: usize| {
        let count = (size - offset.min(size - 1)).div_ceil(stride);
        // Working pixel j has its centre on pixel stride * j + offset of the full picture.
        (count, (center - offset as f32 - 0.5) / stride as f32 + 0.5, focal / stride as f32)
    };
    let (width, x, fx) = axis(camera.width, camera.center_px[0], camera.focal_px[0], offset[1]);
    let (height, y, fy) = axis(camera.height, camera.center_px[1], camera.focal_px[1], offset[0]);
    (Camera { width, height, center_px: [x, y], focal_px: [fx, fy], ..camera.clone() }, offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_meshes::icosphere;
    use maquette_core::View;

    /// Views of a sphere: coverage by 4x4 samples, normals by the ray through the pixel centre.
    pub(crate) fn sphere_views(center: Vec3, radius: f32, size: usize) -> Views {
        let views = Camera::six_views(size).map(|camera| {
            let mut mask = Plane::filled(size, size, [0.0]);
            let mut normal = Plane::filled(size, size, [0.0; 3]);
            let hit = |x: f32, y: f32| {
                let ray = camera.ray_in_world(x, y);
                let from = sub(camera.position.coords.into(), center);
                let along = -dot(ray, from);
                let nearest = dot(from, from) - along * along;
                let half = radius * radius - nearest;
                (half > 0.0).then(|| scale(add(from, scale(ray, along - half.sqrt())), 1.0 / radius))
            };
            for row in 0..size {
                for column in 0..size {
                    let (x, y) = (column as f32, row as f32);
                    let hits = (0..16)
                        .filter(|s| hit(x + (s % 4) as f32 / 4.0 + 0.125, y + (s / 4) as f32 / 4.0 + 0.125).is_some());
                    mask.at_mut(row, column)[0] = hits.count() as f32 / 16.0;
                    *normal.at_mut(row, column) = hit(x + 0.5, y + 0.5).unwrap_or([0.0; 3]);
                }
            }
            View { camera, mask, color: None, normal: Some(normal) }
        });
        Views { views: views.to_vec() }
    }

    const NONE: LossWeights = LossWeights { normal: [0.0; 3], hull: 0.0, contour: 0.0 };

    fn check_silhouette_gradient(weights: LossWeights, radius: f32) {
        let views = sphere_views([0.01, -0.02, 0.015], 0.3, 96);
        let mut mesh = icosphere(2, radius);
        // No symmetry: no ties between nearest vertices, no face edge-on.
        for (index, position) in mesh.positions.iter_mut().enumerate() {
            let t = index as f32;
            *position = std::array::from_fn(|k| position[k] + 0.006 * (t * [1.3, 2.1, 3.7][k]).sin());
        }
        let mut losses = MeshLosses::new(&views, 96).unwrap();
        let mut gradient = Vec::new();
        let terms = losses.evaluate(&mesh.positions, &mesh.triangles, &weights, 0, &mut gradient);
        assert!(terms.total() > 0.0);
        let step = 5e-5;
        let largest = gradient.iter().map(|g| norm(*g)).fold(0.0, f32::max);
        let mut checked = 0;
        for vertex in (0..mesh.positions.len()).step_by(5) {
            for axis in 0..3 {
                let mut at = |offset: f32| {
                    let mut positions = mesh.positions.clone();
                    positions[vertex][axis] += offset;
                    losses.evaluate(&positions, &mesh.triangles, &weights, 0, &mut Vec::new()).total()
                };
                let numeric = ((at(step) - at(-step)) / f64::from(2.0 * step)) as f32;
                assert!(
                    (numeric - gradient[vertex][axis]).abs() < 0.02 * largest,
                    "{vertex} {axis}: {numeric} {}",
                    gradient[vertex][axis]
                );
                checked += usize::from(numeric.abs() > 0.1 * largest);
            }
        }
        assert!(checked > 10, "{checked}");
    }

    #[test]
    fn hull_clamp_gradient_matches_central_differences() {
        check_silhouette_gradient(LossWeights { hull: 20.0, ..NONE }, 0.34);
    }

    #[test]
    fn contour_gradient_matches_central_differences() {
        check_silhouette_gradient(LossWeights { contour: 10.0, ..NONE }, 0.26);
    }

    #[test]
    fn normal_gradient_matches_central_differences_under_fixed_visibility() {
        let views = sphere_views([0.05, 0.03, -0.04], 0.3, 64);
        let mesh = icosphere(1, 0.3);
        let view = &views.views[0];
        let gbuffer = rasterize(&mesh.positions, &mesh.triangles, &view.camera);
        let target = view.normal.as_ref().unwrap();
        let pixels = normals::Pixels { gbuffer: &gbuffer, target, stride: 1, offset: [0, 0] };
        let areas = |positions: &[Vec3]| -> Vec<Vec3> {
            mesh.triangles.iter().map(|t| area_vector(t.map(|v| positions[v as usize]))).collect()
        };
        let weights = [1.0, 0.7, 0.4];
        let mut normal_gradient = vec![[0.0; 3]; mesh.triangles.len()];
        let loss = normals::normal_loss(&pixels, &areas(&mesh.positions), 1.0, weights, &mut normal_gradient);
        assert!(loss > 1.0);
        let mut gradient = vec![[0.0; 3]; mesh.positions.len()];
        let here = areas(&mesh.positions);
        scatter_normal_gradient(&mesh.positions, &mesh.triangles, &here, &normal_gradient, &mut gradient);
        let largest = gradient.iter().map(|g| norm(*g)).fold(0.0, f32::max);
        for vertex in 0..mesh.positions.len() {
            for axis in 0..3 {
                let at = |offset: f32| {
                    let mut positions = mesh.positions.clone();
                    positions[vertex][axis] += offset;
                    let mut unused = vec![[0.0; 3]; mesh.triangles.len()];
                    normals::normal_loss(&pixels, &areas(&positions), 1.0, weights, &mut unused)
                };
                let numeric = ((at(1e-3) - at(-1e-3)) / 2e-3) as f32;
                assert!((numeric - gradient[vertex][axis]).abs() < 0.01 * largest, "{vertex} {axis}");
            }
        }
    }

    #[test]
    fn strides_sample_the_pixels_of_the_full_picture() {
        let camera = Camera::rig(30.0, 20.0, 96);
        for stride in [2, 3, 4] {
            let mut seen = vec![false; stride * stride];
            for phase in 0..stride * stride {
                let (strided, offset) = strided_camera(&camera, stride, phase);
                seen[offset[0] * stride + offset[1]] = true;
                let (row, column) = (7, 11);
                let full = camera
                    .ray_in_world((column * stride + offset[1]) as f32 + 0.5, (row * stride + offset[0]) as f32 + 0.5);
                let here = strided.ray_in_world(column as f32 + 0.5, row as f32 + 0.5);
                assert!(norm(sub(full, here)) < 1e-5);
                assert!((strided.width - 1) * stride + offset[1] < camera.width);
            }
            assert!(seen.iter().all(|&seen| seen));
        }
    }

    #[test]
    fn the_true_shape_has_almost_no_loss_and_others_have_more() {
        let views = sphere_views([0.0; 3], 0.3, 96);
        let mut losses = MeshLosses::new(&views, 48).unwrap();
        let weights = LossWeights { normal: [10.0, 0.0, 0.0], hull: 20.0, contour: 10.0 };
        let mut total = |radius: f32| {
            let mesh = icosphere(4, radius);
            losses.evaluate(&mesh.positions, &mesh.triangles, &weights, 1, &mut Vec::new()).total()
        };
        let (smaller, right, larger) = (total(0.29), total(0.3), total(0.31));
        assert!(right < 0.3 * smaller && right < 0.3 * larger, "{smaller} {right} {larger}");
    }

    #[test]
    fn bad_views_are_refused() {
        assert!(MeshLosses::new(&Views::default(), 64).is_err());
        let mut views = sphere_views([0.0; 3], 0.3, 16);
        views.views[2].mask.data[5] = [f32::NAN];
        assert!(MeshLosses::new(&views, 16).is_err());
    }
}

//! Left-right symmetry: found in the silhouettes, and used as new views.
//!
//! Seen in a mirror plane that contains the vertical axis, six views of a symmetric object are six more views of it, most
//! of them from new directions. If the object is not symmetric, the hull of all views together cannot fill the given
//! masks any more: the share of mask pixels whose rays miss that hull tells the two apart.

use maquette_core::recipe::Symmetry;
use maquette_core::{Camera, Plane, Progress, View, Views};
use nalgebra::{Matrix3, Point3, Rotation3, Vector3};
use rayon::prelude::*;

use crate::Result;
use crate::hull::hull_distance;
use crate::silhouette::Silhouette;

/// A vertical mirror plane: points p with `normal · p = offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MirrorPlane {
    /// Azimuth of the plane's normal in degrees, from +X (0) towards -Z (90); 0 is the plane x = offset.
    pub yaw_degrees: f32,
    /// Distance of the plane from the vertical axis, along the normal.
    pub offset: f32,
}

impl MirrorPlane {
    /// The plane x = 0: objects that look at the input view's camera.
    pub const FRONTAL: Self = Self { yaw_degrees: 0.0, offset: 0.0 };

    fn normal(self) -> Vector3<f32> {
        let yaw = f64::from(self.yaw_degrees).to_radians();
        Vector3::new(yaw.cos() as f32, 0.0, -yaw.sin() as f32)
    }

    fn reflection(self) -> Matrix3<f32> {
        let normal = self.normal();
        Matrix3::identity() - normal * normal.transpose() * 2.0
    }

    /// The camera in the mirror; its pictures are the originals flipped left to right.
    pub fn camera(self, camera: &Camera) -> Camera {
        let reflection = self.reflection();
        let flip = Matrix3::from_diagonal(&Vector3::new(-1.0, 1.0, 1.0));
        let rotation = reflection * camera.world_from_camera.matrix() * flip;
        let position = reflection * camera.position.coords + self.normal() * (2.0 * self.offset);
        Camera {
            center_px: [camera.width as f32 - camera.center_px[0], camera.center_px[1]],
            world_from_camera: Rotation3::from_matrix_unchecked(rotation),
            position: Point3::from(position),
            ..camera.clone()
        }
    }

    /// The view in the mirror.
    pub fn view(self, view: &View) -> View {
        let reflection = self.reflection();
        View {
            camera: self.camera(&view.camera),
            mask: flipped(&view.mask),
            color: view.color.as_ref().map(flipped),
            normal: view.normal.as_ref().map(|normal| {
                let mut normal = flipped(normal);
                for pixel in &mut normal.data {
                    *pixel = (reflection * Vector3::from(*pixel)).into();
                }
                normal
            }),
        }
    }

    /// All views, then all of them in the mirror.
    pub fn with_mirrored(self, views: &Views) -> Views {
        let mirrored = views.views.iter().map(|view| self.view(view));
        Views { views: views.views.iter().cloned().chain(mirrored).collect() }
    }
}

fn flipped<const C: usize>(plane: &Plane<C>) -> Plane<C> {
    let mut flipped = plane.clone();
    for row in flipped.data.chunks_mut(plane.width.max(1)) {
        row.reverse();
    }
    flipped
}

/// The mirror plane of the object in `views`, if it has one: the frontal one where it fits, else the best of all vertical
/// ones.
pub fn find_mirror_plane(views: &Views, symmetry: Symmetry, progress: &Progress) -> Result<Option<MirrorPlane>> {
    if symmetry == Symmetry::Off {
        return Ok(None);
    }
    let fine = MirrorTest::new(views, 4, progress)?;
    progress.check()?;
    if fine.fits(MirrorPlane::FRONTAL) {
        return Ok(Some(MirrorPlane::FRONTAL));
    }
    let plane = MirrorTest::new(views, 10, progress)?.best_plane(progress)?;
    let plane = fine.descend(plane, 0.5, 0.002, progress)?;
    if fine.fits(plane) {
        return Ok(Some(plane));
    }
    if symmetry == Symmetry::Auto {
        return Ok(None);
    }
    let frontal_is_best = fine.misfit(MirrorPlane::FRONTAL, TOLERANCE) <= fine.misfit(plane, TOLERANCE);
    Ok(Some(if frontal_is_best { MirrorPlane::FRONTAL } else { plane }))
}

/// How deep, on the average along the outlines and in world units, the hull of all silhouettes cuts into each: about 0 for
/// views of one solid.
pub fn silhouette_disagreement(views: &Views, progress: &Progress) -> Result<f32> {
    let test = MirrorTest::new(views, 4, progress)?;
    Ok(if test.rays.is_empty() { 0.0 } else { test.own_misfit })
}

/// How well mirror planes agree with the masks of one set of views.
struct MirrorTest {
    cameras: Vec<Camera>,
    silhouettes: Vec<Silhouette>,
    /// The silhouettes seen in a mirror.
    flipped: Vec<Silhouette>,
    /// Origin and direction of the rays of mask pixels.
    rays: Vec<[[f32; 3]; 2]>,
    /// Width of the strip along all outlines that one ray stands for, in world units.
    depth_of_ray: f32,
    /// Misfit of the views among themselves.
    own_misfit: f32,
}

/// How far outside of a silhouette a point still counts as inside, in world units: a pixel of a 320-pixel view.
const TOLERANCE: f32 = 0.003;
/// The same while the best plane is searched. It asks for points well inside, or many planes would look alike.
const SEARCH_TOLERANCE: f32 = -0.003;
/// Most misfit of a mirror plane, in world units, beyond [`OWN_MISFIT_FACTOR`] times the misfit of the views themselves.
const MOST_MISFIT: f32 = 0.0003;
/// Views that disagree fit their mirror images about twice as badly as one another, if the object is symmetric.
const OWN_MISFIT_FACTOR: f32 = 3.0;
/// Rays are followed through this radius around the origin.
const RADIUS: f32 = 0.6;
/// Steps of the search over all planes.
const YAW_STEP_DEGREES: f32 = 6.0;
const OFFSETS: [f32; 5] = [0.0, -0.03, 0.03, -0.06, 0.06];

impl MirrorTest {
    /// Prepares `views`; every `stride`-th pixel in both directions is tested.
    fn new(views: &Views, stride: usize, progress: &Progress) -> Result<Self> {
        views.validate()?;
        let mirrored: Vec<View> = views
            .views
            .iter()
            .map(|view| View { mask: flipped(&view.mask), color: None, normal: None, ..view.clone() })
            .collect();
        let cameras: Vec<Camera> = views.views.iter().map(|view| view.camera.clone()).collect();
        let silhouettes = Silhouette::of_views(&views.views)?;
        progress.check()?;
        let mut rays = Vec::new();
        let (mut area_of_rays, mut outline) = (0.0, 0.0);
        for (view, silhouette) in views.views.iter().zip(&silhouettes) {
            let camera = &view.camera;
            let pixel = camera.position.coords.norm() / camera.focal_px[0].max(camera.focal_px[1]);
            for row in (stride / 2..view.mask.height).step_by(stride) {
                for column in (stride / 2..view.mask.width).step_by(stride) {
                    if view.mask.at(row, column)[0] >= 0.5 {
                        let ray = camera.ray_in_world(column as f32 + 0.5, row as f32 + 0.5);
                        rays.push([camera.position.coords.into(), ray]);
                        area_of_rays += (pixel * stride as f32).powi(2);
                    }
                }
            }
            outline += silhouette.segments.iter().map(|[a, b]| (a[0] - b[0]).hypot(a[1] - b[1])).sum::<f32>() * pixel;
        }
        let depth_of_ray = area_of_rays / (rays.len() as f32 * outline);
        let flipped = Silhouette::of_views(&mirrored)?;
        progress.check()?;
        let mut test = Self { cameras, silhouettes, flipped, rays, depth_of_ray, own_misfit: 0.0 };
        test.own_misfit = test.misfit_with(&[], TOLERANCE);
        Ok(test)
    }

    /// Whether the object looks symmetric about `plane`.
    fn fits(&self, plane: MirrorPlane) -> bool {
        let known = !self.rays.is_empty();
        known && self.misfit(plane, TOLERANCE) <= MOST_MISFIT + OWN_MISFIT_FACTOR * self.own_misfit
    }

    /// How deep, on the average along the outlines and in world units, the hull of the views and their mirror images cuts
    /// into the masks.
    fn misfit(&self, plane: MirrorPlane, tolerance: f32) -> f32 {
        let mirrored: Vec<Camera> = self.cameras.iter().map(|camera| plane.camera(camera)).collect();
        self.misfit_with(&mirrored, tolerance)
    }

    fn misfit_with(&self, mirrored: &[Camera], tolerance: f32) -> f32 {
        let missed =
            self.rays.par_iter().filter(|&&[origin, ray]| !self.hits_hull(mirrored, origin, ray, tolerance)).count();
        // Without masks nothing fits.
        if self.rays.is_empty() { f32::INFINITY } else { missed as f32 * self.depth_of_ray }
    }

    /// Follows a ray in steps of the distance to the hull.
    fn hits_hull(&self, mirrored: &[Camera], origin: [f32; 3], ray: [f32; 3], tolerance: f32) -> bool {
        let along = -(0..3).map(|k| origin[k] * ray[k]).sum::<f32>();
        let mut depth = along - RADIUS;
        while depth < along + RADIUS {
            let point: [f32; 3] = std::array::from_fn(|k| origin[k] + depth * ray[k]);
            let originals = self.silhouettes.iter().zip(&self.cameras);
            let outside = originals
                .chain(self.flipped.iter().zip(mirrored))
                .map(|(silhouette, camera)| hull_distance(silhouette, camera, point))
                .fold(f32::NEG_INFINITY, f32::max);
            if outside <= tolerance {
                return true;
            }
            depth += (outside - tolerance).max(5e-4);
        }
        false
    }

    /// The best of planes all around, refined.
    fn best_plane(&self, progress: &Progress) -> Result<MirrorPlane> {
        let yaws = (0..(180.0 / YAW_STEP_DEGREES) as usize).map(|k| k as f32 * YAW_STEP_DEGREES);
        let planes = yaws.flat_map(|yaw_degrees| OFFSETS.map(|offset| MirrorPlane { yaw_degrees, offset }));
        let mut best = (f32::INFINITY, MirrorPlane::FRONTAL);
        for plane in planes {
            progress.check()?;
            let misfit = self.misfit(plane, SEARCH_TOLERANCE);
            if misfit < best.0 {
                best = (misfit, plane);
            }
        }
        self.descend(best.1, YAW_STEP_DEGREES / 2.0, 0.015, progress)
    }

    /// Pattern search from `plane` with steps that halve a few times.
    fn descend(&self, plane: MirrorPlane, yaw_step: f32, offset_step: f32, progress: &Progress) -> Result<MirrorPlane> {
        const HALVINGS: i32 = 4;
        let mut best = (self.misfit(plane, SEARCH_TOLERANCE), plane);
        for halving in 0..HALVINGS {
            let share = 0.5f32.powi(halving);
            loop {
                progress.check()?;
                let (_, centre) = best;
                for (yaw, offset) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)] {
                    let plane = MirrorPlane {
                        yaw_degrees: centre.yaw_degrees + yaw * yaw_step * share,
                        offset: centre.offset + offset * offset_step * share,
                    };
                    let misfit = self.misfit(plane, SEARCH_TOLERANCE);
                    if misfit < best.0 {
                        best = (misfit, plane);
                    }
                }
                if best.1 == centre {
                    break;
                }
            }
        }
        Ok(best.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_raster::rasterize;

    use crate::remesh::shapes::sphere;

    /// Six views of a body with a nose, two ears and, on one side, a horn of the given size; turned by `yaw_degrees`.
    fn views(horn: f32, yaw_degrees: f32) -> Views {
        let mut mesh = sphere(0.25, 24);
        let mut add = |center: [f32; 3], radius: f32| {
            let ball = sphere(radius, 10);
            let first = mesh.positions.len() as u32;
            mesh.positions
                .extend(ball.positions.iter().map(|p| [p[0] + center[0], p[1] + center[1], p[2] + center[2]]));
            mesh.triangles.extend(ball.triangles.iter().map(|t| t.map(|v| v + first)));
        };
        add([0.0, 0.0, 0.25], 0.1);
        add([0.15, 0.22, 0.0], 0.08);
        add([-0.15, 0.22, 0.0], 0.08);
        if horn > 0.0 {
            add([0.27, 0.0, 0.0], horn);
        }
        let (sin, cos) = yaw_degrees.to_radians().sin_cos();
        for p in &mut mesh.positions {
            *p = [cos * p[0] + sin * p[2], p[1], cos * p[2] - sin * p[0]];
        }
        let view = |camera: Camera| {
            // Four times as many pixels, averaged: masks have soft edges.
            let large = camera.resized(camera.width * 4, camera.height * 4);
            let covered = rasterize(&mesh.positions, &mesh.triangles, &large).triangle;
            let mask = Plane {
                width: large.width,
                height: large.height,
                data: covered.iter().map(|&t| [f32::from(u8::from(t != maquette_raster::GBuffer::EMPTY))]).collect(),
            };
            View { mask: mask.resized(camera.width, camera.height), camera, color: None, normal: None }
        };
        Views { views: Camera::six_views(160).map(view).to_vec() }
    }

    #[test]
    fn symmetric_objects_are_found_at_any_yaw() {
        assert_eq!(
            find_mirror_plane(&views(0.0, 0.0), Symmetry::Auto, &Progress::new()).unwrap(),
            Some(MirrorPlane::FRONTAL)
        );
        assert_eq!(find_mirror_plane(&views(0.0, 0.0), Symmetry::Off, &Progress::new()).unwrap(), None);
        let turned =
            find_mirror_plane(&views(0.0, 40.0), Symmetry::Auto, &Progress::new()).unwrap().expect("it is symmetric");
        assert!((turned.yaw_degrees - 40.0).abs() < 1.5 && turned.offset.abs() < 0.006, "{turned:?}");
    }

    #[test]
    fn nearly_symmetric_objects_are_refused() {
        assert_eq!(find_mirror_plane(&views(0.07, 0.0), Symmetry::Auto, &Progress::new()).unwrap(), None);
        let forced = find_mirror_plane(&views(0.07, 0.0), Symmetry::On, &Progress::new()).unwrap().expect("asked for");
        assert!(forced.yaw_degrees.abs() < 6.0, "{forced:?}");
    }

    #[test]
    fn mirrored_views_show_the_mirrored_object() {
        let plane = MirrorPlane { yaw_degrees: 25.0, offset: 0.03 };
        let camera = Camera::rig(70.0, 20.0, 64);
        let mirrored = plane.camera(&camera);
        let point = Vector3::new(0.1, -0.2, 0.25);
        let image = plane.reflection() * point + plane.normal() * (2.0 * plane.offset);
        let ([x, y], depth) = camera.project(point.into());
        let ([mx, my], mirrored_depth) = mirrored.project(image.into());
        assert!((mx - (64.0 - x)).abs() < 1e-3 && (my - y).abs() < 1e-3 && (depth - mirrored_depth).abs() < 1e-5);
        let frontal = MirrorPlane::FRONTAL.camera(&camera);
        let expected = camera.mirrored_x();
        assert!((frontal.position - expected.position).norm() < 1e-6);
        assert!((frontal.world_from_camera.matrix() - expected.world_from_camera.matrix()).abs().max() < 1e-6);
        let twice = plane.view(&plane.view(&views(0.07, 0.0).views[1]));
        assert_eq!(twice.mask, views(0.07, 0.0).views[1].mask);
    }

    #[test]
    fn empty_masks_fit_nothing() {
        let mut views = views(0.0, 0.0);
        for view in &mut views.views {
            view.mask.data.fill([0.0]);
        }
        assert_eq!(find_mirror_plane(&views, Symmetry::Auto, &Progress::new()).unwrap(), None);
        assert!(find_mirror_plane(&Views::default(), Symmetry::Auto, &Progress::new()).is_err());
    }
}

//! From how high up a picture was taken: a coarse-to-fine search over elevations, the mesh rendered from each against the
//! picture's normals (as in LSS3D), or against its silhouette where it has no normals.
//!
//! The camera stands at azimuth 0 at the rig's distance. Focal length and principal point of a picture are not known
//! either; at each elevation they are those that lay the box around the mesh over the box around the object.

use maquette_core::camera::{RIG_DISTANCE, RIG_FOV_Y_DEGREES};
use maquette_core::{Camera, Mesh, Plane, Progress};
use maquette_raster::{NormalView, NormalViews, Shading};

use crate::vec3::dot;
use crate::{Error, Result};

/// Elevations in degrees that are tried first, both ends included.
const RANGE_DEGREES: (f32, f32) = (-45.0, 75.0);
/// Distance between them; 0 is one of them.
const FIRST_STEP_DEGREES: f32 = 7.5;
/// The search ends below this step.
const LAST_STEP_DEGREES: f32 = 0.25;
/// This many of the best valleys of the first search are followed down.
const VALLEYS: usize = 3;
/// Of valleys that are about as deep, the one nearer to the horizon is more likely: a degree weighs as much as this cost. It
/// moves no valley.
const COST_OF_A_DEGREE: f32 = 0.0005;
/// Longest side of the working images in pixels.
const WORKING_SIZE_PX: usize = 160;
/// Distance of the farthest vertex from the origin in the canonical frame, which the rig's distance is meant for.
const CANONICAL_RADIUS: f32 = 0.48;
/// Pixels with less coverage do not belong to the object's box.
const COVERED: f32 = 0.5;

/// Where a picture was taken from.
#[derive(Clone, Debug, PartialEq)]
pub struct Pose {
    /// Elevation in degrees, positive above.
    pub elevation_degrees: f32,
    /// The camera, for the picture's size.
    pub camera: Camera,
    /// What does not agree, 0 (all of it does) to 1 without normals, to 2 with: see [`find_elevation`].
    pub cost: f32,
}

/// Finds the elevation from which `mesh` looks most like the object of a picture, seen from azimuth 0.
///
/// `mask` is the object's coverage, 0..=1. `normal_in_camera` are its unit normals, of the same size, along the camera's
/// axes (x right, y up, z towards the camera), zero where unknown. The cost of an elevation is the mean over all pixels
/// that mesh or object cover: 1 where one of them is missing, else 1 - cos of the angle between the normals, or 0 without
/// normals. Refuses a mesh without vertices and a mask without the object.
pub fn find_elevation(
    mesh: &Mesh,
    mask: &Plane<1>,
    normal_in_camera: Option<&Plane<3>>,
    progress: &Progress,
) -> Result<Pose> {
    let search = Search::new(mesh, mask, normal_in_camera)?;
    let (low, high) = RANGE_DEGREES;
    let count = ((high - low) / FIRST_STEP_DEGREES).round() as usize + 1;
    let first: Vec<f32> = (0..count).map(|index| low + index as f32 * FIRST_STEP_DEGREES).collect();
    progress.check()?;
    let mut valleys = valleys(&search.costs(&first));
    let mut step = FIRST_STEP_DEGREES / 2.0;
    while step >= LAST_STEP_DEGREES {
        progress.check()?;
        let tried: Vec<f32> = valleys
            .iter()
            .flat_map(|(elevation, _)| [elevation - step, elevation + step])
            .map(|elevation| elevation.clamp(low, high))
            .collect();
        for (valley, tried) in valleys.iter_mut().zip(search.costs(&tried).chunks(2)) {
            for &(elevation, cost) in tried {
                if cost < valley.1 {
                    *valley = (elevation, cost);
                }
            }
        }
        step /= 2.0;
    }
    // `valleys` is never empty: some first elevation is the best one.
    let (elevation_degrees, cost) = valleys.into_iter().fold((0.0, f32::INFINITY), |best, valley| {
        if unlikeliness(valley) < unlikeliness(best) { valley } else { best }
    });
    Ok(Pose { elevation_degrees, camera: search.camera(elevation_degrees), cost })
}

/// As [`find_elevation`] without normals, where the elevation is known.
pub fn pose_at(mesh: &Mesh, mask: &Plane<1>, elevation_degrees: f32) -> Result<Pose> {
    let search = Search::new(mesh, mask, None)?;
    let cost = search.costs(&[elevation_degrees])[0].1;
    Ok(Pose { elevation_degrees, camera: search.camera(elevation_degrees), cost })
}

/// The cost of an elevation, and of being that far from the horizon.
fn unlikeliness((elevation, cost): (f32, f32)) -> f32 {
    cost + COST_OF_A_DEGREE * elevation.abs()
}

/// The most likely elevations that are no worse than those beside them, best first.
fn valleys(costs: &[(f32, f32)]) -> Vec<(f32, f32)> {
    let cost = |index: usize| costs.get(index).map_or(f32::INFINITY, |entry| entry.1);
    let mut valleys: Vec<(f32, f32)> = (0..costs.len())
        .filter(|&index| cost(index) <= cost(index.wrapping_sub(1)) && cost(index) <= cost(index + 1))
        .map(|index| costs[index])
        .collect();
    valleys.sort_by(|a, b| unlikeliness(*a).total_cmp(&unlikeliness(*b)));
    valleys.truncate(VALLEYS);
    valleys
}

/// What the camera moves around.
struct Stand {
    center: [f32; 3],
    distance: f32,
}

impl Stand {
    fn of(mesh: &Mesh) -> Result<Self> {
        let (low, high) = mesh.bounds().ok_or_else(|| Error::invalid("the mesh has no vertices; give one that has"))?;
        let center: [f32; 3] = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
        let squared = |p: &[f32; 3]| (0..3).map(|k| (p[k] - center[k]).powi(2)).sum::<f32>();
        let radius = mesh.positions.iter().map(squared).fold(f32::MIN_POSITIVE, f32::max).sqrt();
        Ok(Self { center, distance: RIG_DISTANCE * radius / CANONICAL_RADIUS })
    }
}

/// Box around the object: left, top, right and bottom in pixels.
fn bounds_of(mask: &Plane<1>) -> Result<[f32; 4]> {
    let mut bounds = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
    for row in 0..mask.height {
        for column in 0..mask.width {
            // NaN is not covered.
            if mask.at(row, column)[0] >= COVERED {
                let (x, y) = (column as f32, row as f32);
                bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x + 1.0), bounds[3].max(y + 1.0)];
            }
        }
    }
    if bounds[0] > bounds[2] {
        return Err(Error::invalid("the picture's mask is empty; give a picture with the object cut out"));
    }
    Ok(bounds)
}

struct Search<'a> {
    mesh: &'a Mesh,
    stand: Stand,
    /// Of the object in the picture, in its pixels.
    bounds: [f32; 4],
    /// Of the picture.
    size: [usize; 2],
    /// Working size.
    mask: Plane<1>,
    /// Working size, camera axes.
    normal: Option<Plane<3>>,
}

impl<'a> Search<'a> {
    fn new(mesh: &'a Mesh, mask: &Plane<1>, normal_in_camera: Option<&Plane<3>>) -> Result<Self> {
        mesh.validate()?;
        if let Some(normal) = normal_in_camera
            && (normal.width, normal.height) != (mask.width, mask.height)
        {
            return Err(Error::invalid(format!(
                "the picture's normals are {}x{} pixels, but its mask is {}x{}; give both at the same size",
                normal.width, normal.height, mask.width, mask.height
            )));
        }
        let ratio = (WORKING_SIZE_PX as f32 / mask.width.max(mask.height).max(1) as f32).min(1.0);
        let size = [mask.width, mask.height].map(|side| ((side as f32 * ratio).round() as usize).max(1));
        Ok(Self {
            mesh,
            stand: Stand::of(mesh)?,
            bounds: bounds_of(mask)?,
            size: [mask.width, mask.height],
            mask: mask.resized(size[0], size[1]),
            normal: normal_in_camera.map(|normal| normal.resized(size[0], size[1])),
        })
    }

    /// The camera at an elevation, for the picture's size.
    fn camera(&self, elevation_degrees: f32) -> Camera {
        let [width, height] = self.size;
        let orbit = Camera::orbit(0.0, elevation_degrees, self.stand.distance, RIG_FOV_Y_DEGREES, 1);
        let position: [f32; 3] = std::array::from_fn(|k| orbit.position[k] + self.stand.center[k]);
        let mut camera =
            Camera { width, height, focal_px: [1.0; 2], center_px: [0.0; 2], position: position.into(), ..orbit };
        // In units of the focal length, from the optical axis on.
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for point in &self.mesh.positions {
            let (place, _) = camera.project(*point);
            for k in 0..2 {
                low[k] = low[k].min(place[k]);
                high[k] = high[k].max(place[k]);
            }
        }
        let [left, top, right, bottom] = self.bounds;
        let scale = |pixels: f32, k: usize| pixels / (high[k] - low[k]).max(1e-6);
        // One focal length, between those that either side asks for.
        let focal = (scale(right - left, 0) * scale(bottom - top, 1)).sqrt();
        camera.focal_px = [focal; 2];
        let middle = [f32::midpoint(left, right), f32::midpoint(top, bottom)];
        camera.center_px = std::array::from_fn(|k| middle[k] - focal * f32::midpoint(low[k], high[k]));
        camera
    }

    /// Each elevation with its cost.
    fn costs(&self, elevations: &[f32]) -> Vec<(f32, f32)> {
        let cameras: Vec<Camera> = elevations
            .iter()
            .map(|&elevation| self.camera(elevation).resized(self.mask.width, self.mask.height))
            .collect();
        let mut rendered = NormalViews::new(&cameras, Shading::Smooth);
        rendered.render(&self.mesh.positions, &self.mesh.triangles);
        elevations.iter().zip(&rendered.views).map(|(&elevation, view)| (elevation, self.cost(view))).collect()
    }

    fn cost(&self, view: &NormalView) -> f32 {
        let (mut sum, mut total) = (0.0f64, 0.0f64);
        for (pixel, (&[given], &[seen])) in self.mask.data.iter().zip(&view.mask.data).enumerate() {
            let (both, either) = (given.min(seen), given.max(seen));
            let apart = self.normal.as_ref().map_or(0.0, |normal| {
                let wanted = normal.data[pixel];
                let seen = view.camera.vector_to_camera(view.normals.data[pixel]);
                let lengths = (dot(wanted, wanted) * dot(seen, seen)).sqrt();
                // Mixed normals at edges are short, unknown ones have no length at all.
                if lengths > 0.25 { 1.0 - dot(wanted, seen) / lengths } else { 0.0 }
            });
            sum += f64::from(either - both + both * apart);
            total += f64::from(either);
        }
        if total > 0.0 { (sum / total) as f32 } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_meshes::{icosphere, torus};

    /// A ball with a long nose, a low back and a flat foot: like nothing else from any side.
    fn creature() -> Mesh {
        let mut mesh = icosphere(4, 1.0);
        for p in &mut mesh.positions {
            let nose = (p[2].max(0.0)).powi(6) * 0.5;
            let hat = (p[1] - 0.3 * p[2]).max(0.0).powi(4) * 0.3;
            *p = [0.28 * p[0], (0.3 + hat) * p[1].max(-0.6), (0.25 + nose) * p[2]];
        }
        // In the canonical frame, as the rig's camera wants it.
        let stand = Stand::of(&mesh).unwrap();
        for p in &mut mesh.positions {
            *p = std::array::from_fn(|k| (p[k] - stand.center[k]) * RIG_DISTANCE / stand.distance);
        }
        mesh
    }

    /// What the rig's camera sees, and the normals along its axes.
    fn picture(mesh: &Mesh, elevation: f32, size: usize) -> (Plane<1>, Plane<3>) {
        let camera = Camera::rig(0.0, elevation, size);
        let mut rendered = NormalViews::new(&[camera], Shading::Smooth);
        rendered.render(&mesh.positions, &mesh.triangles);
        let view = &rendered.views[0];
        let data = view.normals.data.iter().map(|&n| view.camera.vector_to_camera(n)).collect();
        (view.mask.clone(), Plane { data, ..view.normals })
    }

    #[test]
    fn normals_tell_the_elevation() {
        let mesh = creature();
        for elevation in [-20.0, 0.0, 13.0, 40.0, 62.0] {
            let (mask, normal) = picture(&mesh, elevation, 256);
            let pose = find_elevation(&mesh, &mask, Some(&normal), &Progress::new()).unwrap();
            assert!((pose.elevation_degrees - elevation).abs() < 1.5, "{elevation}: {pose:?}");
        }
    }

    #[test]
    fn silhouettes_tell_the_elevation_wherever_the_object_is() {
        let mesh = creature();
        for elevation in [0.0, 20.0, 40.0] {
            let (mask, _) = picture(&mesh, elevation, 256);
            // The same object, larger, elsewhere, and in a wider picture.
            let mut moved = Plane::filled(400, 300, [0.0]);
            for row in 0..256 {
                for column in 0..256 {
                    *moved.at_mut(row + 40, column + 130) = mask.at(row, column);
                }
            }
            let mut large = mesh.clone();
            for p in &mut large.positions {
                *p = [3.0 * p[0] + 7.0, 3.0 * p[1] - 2.0, 3.0 * p[2] + 1.0];
            }
            let pose = find_elevation(&large, &moved, None, &Progress::new()).unwrap();
            assert!((pose.elevation_degrees - elevation).abs() < 3.0 && pose.cost < 0.03, "{elevation}: {pose:?}");
            assert_eq!((pose.camera.width, pose.camera.height), (400, 300));
            let known = pose_at(&large, &moved, pose.elevation_degrees).unwrap();
            assert_eq!(known, pose);
        }
    }

    #[test]
    fn what_looks_alike_from_everywhere_is_seen_from_the_front() {
        let ball = icosphere(4, 0.4);
        let (mask, normal) = picture(&ball, 30.0, 128);
        let pose = find_elevation(&ball, &mask, Some(&normal), &Progress::new()).unwrap();
        assert!(pose.cost < 0.05 && pose.elevation_degrees.abs() < 10.0, "{pose:?}");
        assert_eq!(valleys(&[(-10.0, 0.5), (0.0, 0.5), (10.0, 0.5)])[0].0, 0.0);
    }

    #[test]
    fn nonsense_is_refused_and_cancel_is_heard() {
        let mesh = torus(0.3, 0.1, 24, 12);
        let (mask, normal) = picture(&mesh, 10.0, 64);
        let progress = Progress::new();
        let find =
            |mesh: &Mesh, mask: &Plane<1>, normal: Option<&Plane<3>>| find_elevation(mesh, mask, normal, &progress);
        assert!(find(&Mesh::default(), &mask, None).unwrap_err().to_string().contains("no vertices"));
        let empty = Plane::filled(64, 64, [0.0]);
        assert!(find(&mesh, &empty, None).unwrap_err().to_string().contains("mask is empty"));
        assert!(find(&mesh, &Plane::filled(0, 0, [0.0]), None).is_err());
        let nan = Plane::filled(64, 64, [f32::NAN]);
        assert!(find(&mesh, &nan, None).is_err());
        let small = Plane::filled(8, 8, [0.0; 3]);
        assert!(find(&mesh, &mask, Some(&small)).unwrap_err().to_string().contains("same size"));
        // A mesh without extent has no best elevation, but no NaN either.
        let point = Mesh::new(vec![[1.0; 3]; 3], vec![[0, 1, 2]]).unwrap();
        assert!(find(&point, &mask, Some(&normal)).unwrap().camera.focal_px[0].is_finite());
        progress.cancel();
        assert!(matches!(
            find_elevation(&mesh, &mask, None, &progress),
            Err(Error::Core(maquette_core::Error::Cancelled))
        ));
    }
}

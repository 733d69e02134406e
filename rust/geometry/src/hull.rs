//! The visual hull as a signed distance field.
//!
//! At a point: the largest over all views of (signed distance of its projection to the mask's outline, in pixels) times
//! (depth / focal length), which is that distance measured where the point is. Laurentini 1994, "The Visual Hull Concept
//! for Silhouette-Based Image Understanding". Near the hull's surface the field is its distance up to the few per cent that
//! a ray leans against the optical axis.

use maquette_core::Camera;

use crate::sdf_grid::SdfGrid;
use crate::silhouette::Silhouette;
use crate::{Error, Result};

/// Points nearer to a camera than this lie outside of every hull.
const NEAR_DEPTH: f32 = 1e-3;

/// The hull of `silhouettes`, seen by `cameras` of the same image sizes, in world units.
pub fn hull_field(silhouettes: &[Silhouette], cameras: &[Camera], resolution: usize) -> Result<SdfGrid> {
    if silhouettes.is_empty() || silhouettes.len() != cameras.len() {
        return Err(Error::invalid(format!(
            "the hull of {} silhouettes and {} cameras was asked for; give one or more of each, as many as the other",
            silhouettes.len(),
            cameras.len()
        )));
    }
    SdfGrid::from_fn(resolution, |point| {
        silhouettes
            .iter()
            .zip(cameras)
            .map(|(silhouette, camera)| hull_distance(silhouette, camera, point))
            .fold(f32::NEG_INFINITY, f32::max)
    })
}

/// Signed distance of `point` to one silhouette's cone, in world units; positive outside.
pub fn hull_distance(silhouette: &Silhouette, camera: &Camera, point: [f32; 3]) -> f32 {
    let ([x, y], depth) = camera.project(point);
    if depth < NEAR_DEPTH {
        return 1.0;
    }
    silhouette.sample(x, y).0 * depth / camera.focal_px[0].max(camera.focal_px[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::Plane;

    /// Masks of a sphere at the origin, 4x4 samples a pixel.
    fn sphere_masks(radius: f32, size: usize) -> (Vec<Silhouette>, Vec<Camera>) {
        let cameras = Camera::six_views(size).to_vec();
        let silhouettes = cameras
            .iter()
            .map(|camera| {
                let mut mask = Plane::filled(size, size, [0.0]);
                for row in 0..size {
                    for column in 0..size {
                        let hits = (0..16)
                            .filter(|s| {
                                let x = column as f32 + (s % 4) as f32 / 4.0 + 0.125;
                                let y = row as f32 + (s / 4) as f32 / 4.0 + 0.125;
                                let ray = camera.ray_in_world(x, y);
                                let origin = camera.position;
                                let along = -(0..3).map(|k| ray[k] * origin[k]).sum::<f32>();
                                let nearest: f32 =
                                    (0..3).map(|k| (origin[k] + along * ray[k]).powi(2)).sum::<f32>().sqrt();
                                nearest < radius
                            })
                            .count();
                        mask.at_mut(row, column)[0] = hits as f32 / 16.0;
                    }
                }
                Silhouette::new(&mask)
            })
            .collect();
        (silhouettes, cameras)
    }

    #[test]
    fn hull_of_a_sphere_holds_it_closely() {
        let (silhouettes, cameras) = sphere_masks(0.3, 96);
        let hull = hull_field(&silhouettes, &cameras, 24).unwrap();
        for (value, point) in hull.values().iter().zip(SdfGrid::positions(24)) {
            let distance = point.iter().map(|x| x * x).sum::<f32>().sqrt() - 0.3;
            // Nothing of the sphere is cut, and at its top, which four views graze, the hull is tight.
            assert!(distance.abs() > 0.1 || *value < distance + 0.003, "{point:?} {value} {distance}");
        }
        let rim = hull.sample([0.0, 0.3, 0.0]);
        assert!(rim.abs() < 0.03, "{rim}");
        assert!(hull_field(&silhouettes, &cameras[1..], 8).is_err());
    }
}

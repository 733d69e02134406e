//! How much the result looks like the picture from where the picture was taken.

use maquette_core::color::srgb_from_linear;
use maquette_core::{Asset, View};
use maquette_raster::{GBuffer, rasterize};
use serde::Serialize;

use crate::turntable::base_color_seen_by;

/// Longer side at which they are compared, in pixels.
const MOST_PX: usize = 320;
/// Mean squared difference from which on nobody sees any.
const LEAST_MSE: f64 = 1e-10;

/// The result beside the picture, seen by the picture's camera.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Likeness {
    /// Where the picture is taken to have been made, degrees above the horizon.
    elevation_degrees: f64,
    /// Intersection over union of the silhouettes.
    silhouette_iou: f64,
    /// Of the colours in sRGB over white, where either is; the base colour, unlit; 100 at most. `None` where the picture has
    /// no colours.
    psnr_db: Option<f64>,
}

impl Likeness {
    /// Compares `asset` with the posed picture `view`.
    pub(crate) fn of(asset: &Asset, view: &View) -> Self {
        let view = view.at_most(MOST_PX);
        let camera = &view.camera;
        let seen = rasterize(&asset.mesh.positions, &asset.mesh.triangles, camera);
        let (drawn, _) = base_color_seen_by(asset, camera);
        let (mut both, mut either, mut squares) = (0.0, 0.0, 0.0);
        for (pixel, triangle) in seen.triangle.iter().enumerate() {
            let (ours, theirs) = (*triangle != GBuffer::EMPTY, view.mask.data[pixel][0] >= 0.5);
            if !(ours || theirs) {
                continue;
            }
            either += 1.0;
            both += f64::from(u8::from(ours && theirs));
            if let Some(color) = &view.color {
                let [r, g, b, alpha] = color.data[pixel];
                squares += (0..3)
                    .map(|k| {
                        let picture = srgb_from_linear(([r, g, b][k] * alpha + 1.0 - alpha).clamp(0.0, 1.0));
                        let result = srgb_from_linear(drawn.data[pixel][k].clamp(0.0, 1.0));
                        f64::from(picture - result).powi(2)
                    })
                    .sum::<f64>()
                    / 3.0;
            }
        }
        let backwards = camera.world_from_camera * nalgebra::Vector3::z();
        Self {
            elevation_degrees: f64::from(backwards.y.clamp(-1.0, 1.0).asin().to_degrees()),
            silhouette_iou: both / f64::max(either, 1.0),
            psnr_db: view.color.is_some().then(|| -10.0 * (squares / f64::max(either, 1.0)).max(LEAST_MSE).log10()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::{Camera, Mesh, Plane};

    /// A square before the camera, `size` wide, without colours.
    fn square(size: f32) -> Asset {
        let corner = |x: f32, y: f32| [size * x, size * y, 0.0];
        let mesh = Mesh {
            positions: vec![corner(-0.5, -0.5), corner(0.5, -0.5), corner(0.5, 0.5), corner(-0.5, 0.5)],
            triangles: vec![[0, 1, 2], [0, 2, 3]],
            ..Mesh::default()
        };
        Asset { mesh, ..Asset::default() }
    }

    #[test]
    fn the_same_is_alike_and_half_is_half() {
        let camera = Camera::rig(0.0, 0.0, 96);
        let asset = square(0.5);
        let (drawn, _) = base_color_seen_by(&asset, &camera);
        let seen = rasterize(&asset.mesh.positions, &asset.mesh.triangles, &camera);
        let mask: Vec<[f32; 1]> =
            seen.triangle.iter().map(|triangle| [f32::from(u8::from(*triangle != GBuffer::EMPTY))]).collect();
        let mut view =
            View { camera, mask: Plane { width: 96, height: 96, data: mask }, color: Some(drawn), normal: None };
        let same = Likeness::of(&asset, &view);
        assert!(same.silhouette_iou == 1.0 && same.psnr_db.unwrap() > 80.0, "{same:?}");
        assert!(same.elevation_degrees.abs() < 1e-3);
        let smaller = Likeness::of(&square(0.5 / 2.0f32.sqrt()), &view);
        // Clay of 0.55 beside white in half of the pixels.
        let expected = -10.0 * (0.5 * (1.0 - f64::from(srgb_from_linear(0.55))).powi(2)).log10();
        let near = (smaller.psnr_db.unwrap() - expected).abs() < 0.3;
        assert!((smaller.silhouette_iou - 0.5).abs() < 0.03 && near, "{smaller:?} {expected}");
        view.color = None;
        assert_eq!(Likeness::of(&asset, &view).psnr_db, None);
    }
}

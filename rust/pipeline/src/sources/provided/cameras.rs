//! Cameras of provided views: `cameras.json`, or the rig.

use std::path::Path;

use maquette_core::camera::{RIG_DISTANCE, RIG_FOV_Y_DEGREES};
use maquette_core::{Camera, Error, Image, Result, Views};
use nalgebra::Matrix4;
use serde::Deserialize;

/// Camera of the rig for an image that need not be square: the field of view is the vertical one.
pub fn rig_camera((azimuth, elevation): (f32, f32), width: usize, height: usize) -> Camera {
    let square = Camera::orbit(azimuth, elevation, RIG_DISTANCE, RIG_FOV_Y_DEGREES, height);
    Camera { width, center_px: [width as f32 / 2.0, height as f32 / 2.0], ..square }
}

/// The camera over an image of another size but the same shape.
pub(super) fn fit_camera(camera: &Camera, picture: &Image, path: &Path) -> Result<Camera> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (given, wanted) = (width as f64 / height as f64, camera.width as f64 / camera.height as f64);
    if (given / wanted - 1.0).abs() > 0.01 {
        return Err(Error::file(
            path,
            format!(
                "is {width}x{height} pixels, but its camera in cameras.json is for {}x{}; give a picture of that shape",
                camera.width, camera.height
            ),
        ));
    }
    Ok(camera.resized(width, height))
}

#[derive(Deserialize)]
struct CameraFile {
    six: Option<CameraGroup>,
}

#[derive(Deserialize)]
struct CameraGroup {
    intrinsics: Option<Intrinsics>,
    views: Vec<CameraEntry>,
}

#[derive(Deserialize)]
struct Intrinsics {
    width: usize,
    height: usize,
    fx: f32,
    fy: f32,
    cx: f32,
    cy: f32,
}

#[derive(Deserialize)]
struct CameraEntry {
    azimuth_deg: Option<f32>,
    elevation_deg: Option<f32>,
    c2w: Option<[[f32; 4]; 4]>,
    intrinsics: Option<Intrinsics>,
}

/// Cameras of the group `six`; `None` without a file.
pub(super) fn read_cameras(path: &Path) -> Result<Option<Vec<Camera>>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("reading", path, error)),
    };
    let file: CameraFile =
        serde_json::from_str(&text).map_err(|error| Error::file(path, format!("is not a camera file: {error}")))?;
    let group = file.six.ok_or_else(|| {
        Error::file(path, "has no group `six`; put the cameras of the views there, or remove the file")
    })?;
    if group.views.is_empty() || group.views.len() > Views::MAX_VIEWS {
        return Err(Error::file(
            path,
            format!("has {} cameras in its group `six`; give 1 to {}", group.views.len(), Views::MAX_VIEWS),
        ));
    }
    let rig = rig_camera((0.0, 0.0), 320, 320);
    let default = Intrinsics {
        width: rig.width,
        height: rig.height,
        fx: rig.focal_px[0],
        fy: rig.focal_px[1],
        cx: rig.center_px[0],
        cy: rig.center_px[1],
    };
    let shared = group.intrinsics.as_ref().unwrap_or(&default);
    let cameras = group
        .views
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let matrix = match (&entry.c2w, entry.azimuth_deg, entry.elevation_deg) {
                (Some(rows), ..) => Matrix4::from_fn(|i, j| rows[i][j]),
                (None, Some(azimuth), Some(elevation)) => {
                    let rows = rig_camera((azimuth, elevation), 2, 2).matrix();
                    Matrix4::from_fn(|i, j| rows[i][j])
                }
                _ => {
                    return Err(Error::file(
                        path,
                        format!(
                            "camera {index} has neither `c2w` nor `azimuth_deg` and `elevation_deg`; give one of them"
                        ),
                    ));
                }
            };
            let i = entry.intrinsics.as_ref().unwrap_or(shared);
            Camera::from_matrix(&matrix, [i.fx, i.fy], [i.cx, i.cy], i.width, i.height)
                .map_err(|error| Error::file(path, format!("camera {index}: {error}")))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(cameras))
}

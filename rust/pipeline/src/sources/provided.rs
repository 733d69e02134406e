//! The artist's own views: a folder of posed pictures.
//!
//! Numbered pictures `I_albedo.png`, else `I_lit.png`, I = 0, 1, 2, ...:
//! - `I_mask.png` (white = object), else the picture's alpha;
//! - `I_normal_cam.png` (camera axes: red right, green up, blue towards the camera), else `I_normal_world.png`, 8 or 16
//!   bits, mid-grey = unknown; optional;
//! - cameras from the group `six` of `cameras.json`, else the six-view rig ([`Camera::six_views`]).
//!
//! PNG may also be TIFF, WebP, TGA, BMP or JPEG; upper and lower case are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use maquette_core::camera::{RIG_DISTANCE, RIG_FOV_Y_DEGREES, SIX_VIEW_ANGLES};
use maquette_core::io::{read_picture, read_plane};
use maquette_core::{Camera, Error, Image, Plane, Progress, Result, View, Views};
use nalgebra::Matrix4;
use serde::Deserialize;

/// Accepted file types, lossless first: where two files differ in type alone, the earlier one is read.
const EXTENSIONS: [&str; 8] = ["png", "tif", "tiff", "webp", "tga", "bmp", "jpg", "jpeg"];
/// A decoded normal shorter than this is background grey or a mix with it.
const SHORTEST_NORMAL: f32 = 0.5;

/// Reads the views in the folder `path`.
///
/// Every error names the file that is missing or wrong.
pub fn load(path: &Path, progress: &Progress) -> Result<Views> {
    let folder = Folder::open(path)?;
    let views = numbered(&folder, progress)?;
    views.validate()?;
    Ok(views)
}

/// The pictures of a folder by lower-case name without extension.
struct Folder {
    path: PathBuf,
    pictures: BTreeMap<String, PathBuf>,
}

impl Folder {
    fn open(path: &Path) -> Result<Self> {
        let unreadable = |source| Error::io("reading the folder of views", path, source);
        let mut files = std::fs::read_dir(path)
            .map_err(unreadable)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(unreadable)?;
        files.sort();
        let mut ranked: BTreeMap<String, (usize, PathBuf)> = BTreeMap::new();
        for file in files {
            let lower = |part: Option<&std::ffi::OsStr>| part.and_then(|p| p.to_str()).map(str::to_ascii_lowercase);
            let (Some(stem), Some(extension)) = (lower(file.file_stem()), lower(file.extension())) else { continue };
            let Some(rank) = EXTENSIONS.iter().position(|known| *known == extension) else { continue };
            if ranked.get(&stem).is_none_or(|(best, _)| rank < *best) {
                ranked.insert(stem, (rank, file));
            }
        }
        let pictures = ranked.into_iter().map(|(stem, (_, file))| (stem, file)).collect();
        Ok(Self { path: path.to_owned(), pictures })
    }

    fn get(&self, stem: &str) -> Option<&Path> {
        self.pictures.get(stem).map(PathBuf::as_path)
    }
}

/// Views named by number.
fn numbered(folder: &Folder, progress: &Progress) -> Result<Views> {
    let cameras = read_cameras(&folder.path.join("cameras.json"))?;
    let count = cameras.as_ref().map_or(SIX_VIEW_ANGLES.len(), Vec::len);
    let found: BTreeSet<usize> = folder
        .pictures
        .keys()
        .filter_map(|stem| {
            let (number, kind) = stem.split_once('_')?;
            matches!(kind, "albedo" | "lit").then(|| number.parse().ok()).flatten()
        })
        .collect();
    if found.is_empty() {
        return Err(Error::file(
            &folder.path,
            "has no views; give pictures named 0_albedo.png to 5_albedo.png (or 0_lit.png to 5_lit.png)",
        ));
    }
    if let Some(missing) = (0..count).find(|index| !found.contains(index)) {
        return Err(Error::file(
            &folder.path.join(format!("{missing}_albedo.png")),
            format!(
                "is missing, and so is {missing}_lit.png; {count} views are needed, numbered 0 to {}, and {} are there",
                count - 1,
                found.len()
            ),
        ));
    }
    if let Some(extra) = found.iter().find(|index| **index >= count) {
        return Err(Error::file(
            &folder.path,
            format!(
                "has a view numbered {extra}, but there are cameras for 0 to {} only; remove it or give a cameras.json with \
                 more cameras in its group `six`",
                count - 1
            ),
        ));
    }
    let mut views = Vec::with_capacity(count);
    for index in 0..count {
        progress.step(index, count)?;
        let stem = |kind: &str| format!("{index}_{kind}");
        let Some(color_path) = folder.get(&stem("albedo")).or_else(|| folder.get(&stem("lit"))) else { continue };
        let picture = read_picture(color_path)?;
        let camera = match &cameras {
            Some(cameras) => fit_camera(&cameras[index], &picture, color_path)?,
            None => rig_camera(SIX_VIEW_ANGLES[index], picture.width() as usize, picture.height() as usize),
        };
        let mask = folder.get(&stem("mask")).map(|path| read_mask(path, &picture, color_path)).transpose()?;
        let normal = if let Some(path) = folder.get(&stem("normal_cam")) {
            Some(read_normal(path, &picture, color_path, Some(&camera))?)
        } else if let Some(path) = folder.get(&stem("normal_world")) {
            Some(read_normal(path, &picture, color_path, None)?)
        } else {
            None
        };
        views.push(assemble(camera, &picture, mask, normal));
    }
    Ok(Views { views })
}

/// Camera of the rig for an image that need not be square: the field of view is the vertical one.
pub fn rig_camera((azimuth, elevation): (f32, f32), width: usize, height: usize) -> Camera {
    let square = Camera::orbit(azimuth, elevation, RIG_DISTANCE, RIG_FOV_Y_DEGREES, height);
    Camera { width, center_px: [width as f32 / 2.0, height as f32 / 2.0], ..square }
}

/// The camera over an image of another size but the same shape.
fn fit_camera(camera: &Camera, picture: &Image, path: &Path) -> Result<Camera> {
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

/// One view from decoded planes, all of the camera's size.
pub(super) fn assemble(camera: Camera, picture: &Image, mask: Option<Plane<1>>, normal: Option<Plane<3>>) -> View {
    let mut color = picture.to_linear();
    let mask = if let Some(mask) = mask {
        if picture.has_transparency() {
            // The alpha of the picture knows the edge pixels better; what the mask takes away is taken away.
            let near = grow(&mask);
            for (pixel, near) in color.data.iter_mut().zip(near) {
                pixel[3] = pixel[3].min(near);
            }
        } else {
            for (pixel, mask) in color.data.iter_mut().zip(&mask.data) {
                pixel[3] = mask[0];
            }
        }
        mask
    } else {
        Plane { width: color.width, height: color.height, data: color.data.iter().map(|pixel| [pixel[3]]).collect() }
    };
    let normal = normal.map(|mut normal| {
        for (normal, mask) in normal.data.iter_mut().zip(&mask.data) {
            if mask[0] <= 0.0 {
                *normal = [0.0; 3];
            }
        }
        normal
    });
    View { camera, mask, color: Some(color), normal }
}

/// Largest mask value in the 3x3 pixels around each pixel.
fn grow(mask: &Plane<1>) -> Vec<f32> {
    let (width, height) = (mask.width, mask.height);
    let mut grown = Vec::with_capacity(width * height);
    for row in 0..height {
        for column in 0..width {
            let mut largest = 0.0f32;
            for r in row.saturating_sub(1)..(row + 2).min(height) {
                for c in column.saturating_sub(1)..(column + 2).min(width) {
                    largest = largest.max(mask.at(r, c)[0]);
                }
            }
            grown.push(largest);
        }
    }
    grown
}

fn read_mask(path: &Path, picture: &Image, picture_path: &Path) -> Result<Plane<1>> {
    let plane = read_plane(path)?;
    check_same_size(path, &plane, picture, picture_path)?;
    // White on transparent and white on black mean the same.
    let data = plane.data.iter().map(|pixel| [pixel[0].max(pixel[1]).max(pixel[2]) * pixel[3]]).collect();
    Ok(Plane { width: plane.width, height: plane.height, data })
}

/// Unit normals in world space from a normal map in camera space (`camera` given) or world space.
fn read_normal(path: &Path, picture: &Image, picture_path: &Path, camera: Option<&Camera>) -> Result<Plane<3>> {
    let plane = read_plane(path)?;
    check_same_size(path, &plane, picture, picture_path)?;
    Ok(decode_normals(&plane, camera))
}

pub(super) fn decode_normals(plane: &Plane<4>, camera: Option<&Camera>) -> Plane<3> {
    let data = plane
        .data
        .iter()
        .map(|&[r, g, b, alpha]| {
            let n = [r, g, b].map(|value| value * 2.0 - 1.0);
            let length = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]).sqrt();
            if length < SHORTEST_NORMAL || alpha < 0.5 {
                return [0.0; 3];
            }
            let unit = n.map(|x| x / length);
            camera.map_or(unit, |camera| camera.vector_to_world(unit))
        })
        .collect();
    Plane { width: plane.width, height: plane.height, data }
}

fn check_same_size(path: &Path, plane: &Plane<4>, picture: &Image, picture_path: &Path) -> Result<()> {
    let size = (picture.width() as usize, picture.height() as usize);
    if (plane.width, plane.height) == size {
        return Ok(());
    }
    Err(Error::file(
        path,
        format!(
            "is {}x{} pixels, but {} is {}x{}; give both at the same size",
            plane.width,
            plane.height,
            picture_path.file_name().unwrap_or_default().display(),
            size.0,
            size.1
        ),
    ))
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
fn read_cameras(path: &Path) -> Result<Option<Vec<Camera>>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The shared evaluation data, or `None` where it is absent.
    fn shared() -> Option<PathBuf> {
        let root = std::env::var_os("MAQUETTE_SHARED")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
        let found = root.join("eval").is_dir().then_some(root);
        if found.is_none() {
            eprintln!("skipped: needs ../shared");
        }
        found
    }

    #[test]
    fn evaluation_views_agree_with_their_world_normals() {
        let Some(shared) = shared() else { return };
        let folder = shared.join("eval/objects/spot/six");
        let views = load(&folder, &Progress::new()).unwrap();
        assert_eq!(views.views.len(), 6);
        for (index, view) in views.views.iter().enumerate() {
            let world = decode_normals(&read_plane(&folder.join(format!("{index}_normal_world.png"))).unwrap(), None);
            let (mut covered, mut worst) = (0, 1.0f32);
            for (a, b) in view.normal.as_ref().unwrap().data.iter().zip(&world.data) {
                if *b != [0.0; 3] {
                    covered += 1;
                    worst = worst.min(a[0] * b[0] + a[1] * b[1] + a[2] * b[2]);
                }
            }
            assert!(covered > 10_000 && worst > 0.9999, "{index}: {covered} {worst}");
        }
    }
}

//! The artist's own views: a folder of pictures, or one grid of six.
//!
//! A folder of **numbered** pictures, `I_albedo.png`, else `I_lit.png`, I = 0, 1, 2, ...:
//! - `I_mask.png` (white = object), else the picture's alpha, else the object is cut out by the colour of the border
//!   ([`crate::segment`]);
//! - `I_normal_cam.png` (camera axes: red right, green up, blue towards the camera), else `I_normal_world.png`, 8 or 16
//!   bits, mid-grey = unknown; optional;
//! - cameras from the group `six` of `cameras.json`, else the six-view rig ([`Camera::six_views`]).
//!
//! A folder of **named** pictures, `front.png`, `left.png`, `back.png`, ...: see [`named`].
//!
//! A **grid** picture of six views, as view diffusion models make it, or a folder with `grid_rgb.png`: see [`grid`].
//!
//! PNG may also be TIFF, WebP, TGA, BMP or JPEG; upper and lower case are the same.

mod cameras;
pub mod grid;
pub mod named;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use maquette_core::camera::SIX_VIEW_ANGLES;
use maquette_core::io::{read_picture, read_plane};
use maquette_core::recipe::Segment;
use maquette_core::{Camera, Error, Image, Plane, Progress, Result, View, Views};

pub use self::cameras::rig_camera;
use self::cameras::{fit_camera, read_cameras};
use crate::segment;

/// Accepted file types, lossless first: where two files differ in type alone, the earlier one is read.
const EXTENSIONS: [&str; 8] = ["png", "tif", "tiff", "webp", "tga", "bmp", "jpg", "jpeg"];
/// A decoded normal shorter than this is background grey or a mix with it.
const SHORTEST_NORMAL: f32 = 0.5;

/// Reads the views in the folder `path`, or in the grid picture `path`.
///
/// Where a picture has neither mask nor alpha and its cut-out is unsure, `progress` gets a warning. Every error names the
/// file that is missing or wrong.
pub fn load(path: &Path, progress: &Progress) -> Result<Views> {
    let views = if path.is_file() {
        grid::load(path, progress)?
    } else {
        let folder = Folder::open(path)?;
        if folder.pictures.keys().any(|stem| number_of(stem).is_some()) {
            numbered(&folder, progress)?
        } else if named::DIRECTIONS.iter().any(|(name, ..)| folder.get(name).is_some()) {
            named::load(&folder, progress)?
        } else if let Some(picture) = folder.get("grid_rgb").or_else(|| folder.get("grid")) {
            grid::load(picture, progress)?
        } else {
            return Err(Error::file(
                path,
                "has no views; give pictures named 0_albedo.png to 5_albedo.png (or 0_lit.png to 5_lit.png), or front.png, \
                 left.png, back.png, right.png, or a grid of six views named grid_rgb.png",
            ));
        }
    };
    views.validate()?;
    Ok(views)
}

/// I of `I_albedo` and `I_lit`.
fn number_of(stem: &str) -> Option<usize> {
    let (number, kind) = stem.split_once('_')?;
    matches!(kind, "albedo" | "lit").then(|| number.parse().ok()).flatten()
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

    /// A view from its picture and, if they are there, `NAME_mask` and `NAME_normal_cam` or `NAME_normal_world`.
    fn view(&self, name: &str, camera: Camera, picture: Image, path: &Path, progress: &Progress) -> Result<View> {
        let of_kind = |kind: &str| self.get(&format!("{name}_{kind}"));
        let mask = of_kind("mask").map(|mask| read_mask(mask, &picture, path)).transpose()?;
        let normal = if let Some(normal) = of_kind("normal_cam") {
            Some(read_normal(normal, &picture, path, Some(&camera))?)
        } else if let Some(normal) = of_kind("normal_world") {
            Some(read_normal(normal, &picture, path, None)?)
        } else {
            None
        };
        let picture = if mask.is_none() { cut_out(picture, path, progress)? } else { picture };
        Ok(assemble(camera, &picture, mask, normal))
    }
}

/// Views named by number.
fn numbered(folder: &Folder, progress: &Progress) -> Result<Views> {
    let cameras = read_cameras(&folder.path.join("cameras.json"))?;
    let count = cameras.as_ref().map_or(SIX_VIEW_ANGLES.len(), Vec::len);
    let found: BTreeSet<usize> = folder.pictures.keys().filter_map(|stem| number_of(stem)).collect();
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
        let color = [format!("{index}_albedo"), format!("{index}_lit")];
        let Some(color_path) = color.iter().find_map(|stem| folder.get(stem)) else { continue };
        let picture = read_picture(color_path)?;
        let camera = match &cameras {
            Some(cameras) => fit_camera(&cameras[index], &picture, color_path)?,
            None => rig_camera(SIX_VIEW_ANGLES[index], picture.width() as usize, picture.height() as usize),
        };
        views.push(folder.view(&index.to_string(), camera, picture, color_path, progress)?);
    }
    Ok(Views { views })
}

/// The picture with the object as its alpha: its own alpha, else cut out.
fn cut_out(picture: Image, path: &Path, progress: &Progress) -> Result<Image> {
    if picture.has_transparency() {
        return Ok(picture);
    }
    let cutout = segment::segment(&picture, &Segment::default(), progress).map_err(|error| match error {
        Error::Cancelled => error,
        error => Error::file(path, format!("has neither a mask nor transparency, and {error}")),
    })?;
    if let Some(warning) = cutout.warning {
        progress.warn(format!("{}: {warning}", path.display()));
    }
    Ok(cutout.rgba)
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

    fn overlap(a: &Plane<1>, b: &Plane<1>) -> f32 {
        let (mut both, mut either) = (0, 0);
        for (a, b) in a.data.iter().zip(&b.data) {
            both += i32::from(a[0] >= 0.5 && b[0] >= 0.5);
            either += i32::from(a[0] >= 0.5 || b[0] >= 0.5);
        }
        both as f32 / either as f32
    }

    #[test]
    fn grids_agree_with_numbered_views() {
        let Some(shared) = shared() else { return };
        for object in ["spot", "bob", "fox", "milk_truck", "featuretype", "scorpion"] {
            let folder = shared.join("eval/objects").join(object).join("six_inconsistent");
            let numbered = load(&folder, &Progress::new()).unwrap();
            let with_normals = load(&folder.join("grid_rgb.png"), &Progress::new()).unwrap();
            let alone = tempfile::tempdir().unwrap();
            std::fs::copy(folder.join("grid_rgb.png"), alone.path().join("GRID_RGB.PNG")).unwrap();
            let colour_alone = load(alone.path(), &Progress::new()).unwrap();
            for index in 0..6 {
                let (a, b, c) = (&numbered.views[index], &with_normals.views[index], &colour_alone.views[index]);
                assert_eq!(a.camera, b.camera);
                assert!(overlap(&a.mask, &b.mask) > 0.99, "{object} {index}: {}", overlap(&a.mask, &b.mask));
                assert!(overlap(&a.mask, &c.mask) > 0.9, "{object} {index}: {}", overlap(&a.mask, &c.mask));
                let (n, m) = (a.normal.as_ref().unwrap(), b.normal.as_ref().unwrap());
                let off = n.data.iter().zip(&m.data).filter(|(n, m)| {
                    **n != [0.0; 3] && **m != [0.0; 3] && (0..3).map(|k| n[k] * m[k]).sum::<f32>() < 0.999
                });
                assert_eq!(off.count(), 0);
            }
        }
    }

    /// A folder of six views: a red square on transparent, 12x8 pixels.
    fn folder_of_six() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..6 {
            square(&folder.path().join(format!("{index}_albedo.png")), 12, 8);
        }
        folder
    }

    fn square(path: &Path, width: u32, height: u32) {
        let mut picture = Image::filled(width, height, [0; 4]).unwrap();
        for row in height / 4..height * 3 / 4 {
            for column in width / 4..width * 3 / 4 {
                picture.pixels_mut()[(row * width + column) as usize] = [255, 0, 0, 255];
            }
        }
        maquette_core::io::write_png(path, &picture).unwrap();
    }

    fn refusal(path: &Path) -> String {
        load(path, &Progress::new()).unwrap_err().to_string()
    }

    #[test]
    fn plain_folders_use_the_rig_and_alpha() {
        let folder = folder_of_six();
        let views = load(folder.path(), &Progress::new()).unwrap().views;
        assert_eq!((views[0].camera.width, views[0].camera.height), (12, 8));
        // The field of view is the vertical one.
        let wanted = 4.0 / 15f32.to_radians().tan();
        assert!(views.iter().all(|view| view.camera.focal_px.iter().all(|f| (f - wanted).abs() < 1e-3)));
        assert_eq!((views[3].mask.at(4, 6), views[3].mask.at(0, 0)), ([1.0], [0.0]));
        assert!(views[3].normal.is_none());
    }

    #[test]
    fn masks_take_away_and_normals_are_turned_and_cleaned() {
        let folder = folder_of_six();
        let mut mask = Image::filled(12, 8, [0, 0, 0, 255]).unwrap();
        mask.pixels_mut()[4 * 12 + 5] = [255; 4];
        maquette_core::io::write_png(&folder.path().join("1_mask.png"), &mask).unwrap();
        // Towards the camera, but for one pixel of grey.
        let mut normal = Image::filled(12, 8, [127, 128, 255, 255]).unwrap();
        normal.pixels_mut()[4 * 12 + 6] = [127, 128, 127, 255];
        maquette_core::io::write_png(&folder.path().join("0_normal_cam.png"), &normal).unwrap();
        let views = load(folder.path(), &Progress::new()).unwrap().views;
        assert_eq!(views[1].mask.data.iter().filter(|mask| mask[0] > 0.0).count(), 1);
        assert_eq!(views[1].color.as_ref().unwrap().at(4, 9)[3], 0.0);
        let (normal, camera) = (views[0].normal.as_ref().unwrap(), &views[0].camera);
        let towards = camera.vector_to_world([0.0, 0.0, 1.0]);
        assert!((0..3).all(|k| (normal.at(4, 5)[k] - towards[k]).abs() < 0.01));
        assert_eq!((normal.at(4, 6), normal.at(0, 0)), ([0.0; 3], [0.0; 3]));
    }

    #[test]
    fn wrong_folders_are_named() {
        let folder = folder_of_six();
        let path = |name: &str| folder.path().join(name);
        std::fs::rename(path("4_albedo.png"), path("6_lit.png")).unwrap();
        let missing = refusal(folder.path());
        assert!(missing.contains("4_albedo.png") && missing.contains("4_lit.png"), "{missing}");
        square(&path("4_lit.PNG"), 12, 8);
        assert!(refusal(folder.path()).contains("a view numbered 6"));
        std::fs::remove_file(path("6_lit.png")).unwrap();
        load(folder.path(), &Progress::new()).unwrap();

        square(&path("2_mask.png"), 12, 12);
        let size = refusal(folder.path());
        assert!(size.contains("2_mask.png") && size.contains("12x12") && size.contains("12x8"), "{size}");
        std::fs::write(path("2_mask.png"), b"no picture").unwrap();
        assert!(refusal(folder.path()).contains("2_mask.png"));
        std::fs::remove_file(path("2_mask.png")).unwrap();

        for (text, wanted) in [
            ("{", "not a camera file"),
            ("{}", "no group `six`"),
            (r#"{"six": {"views": []}}"#, "0 cameras"),
            (r#"{"six": {"views": [{}]}}"#, "camera 0"),
            (r#"{"six": {"views": [{"azimuth_deg": 0, "elevation_deg": NaN}]}}"#, "not a camera file"),
            (r#"{"six": {"views": [{"azimuth_deg": 0, "elevation_deg": 5}]}}"#, "numbered 1"),
            (r#"{"six": {"views": [{"c2w": [[1,1,0,0],[0,1,0,0],[0,0,1,2],[0,0,0,1]]}]}}"#, "not a rotation"),
        ] {
            std::fs::write(path("cameras.json"), text).unwrap();
            let error = refusal(folder.path());
            assert!(error.contains(wanted), "{text}: {error}");
        }

        let empty = tempfile::tempdir().unwrap();
        assert!(refusal(empty.path()).contains("has no views"));
        assert!(refusal(&empty.path().join("nowhere")).contains("nowhere"));
        square(&empty.path().join("one.png"), 30, 30);
        assert!(refusal(&empty.path().join("one.png")).contains("2 columns and 3 rows"));
    }

    #[test]
    fn cancel_is_heard() {
        let progress = Progress::new();
        progress.cancel();
        assert!(matches!(load(folder_of_six().path(), &progress), Err(Error::Cancelled)));
    }

    #[test]
    fn saved_views_come_back() {
        let folder = folder_of_six();
        let views = load(folder.path(), &Progress::new()).unwrap();
        let again = tempfile::tempdir().unwrap();
        crate::sources::save_views(again.path(), &views).unwrap();
        let back = load(again.path(), &Progress::new()).unwrap();
        for (a, b) in views.views.iter().zip(&back.views) {
            assert_eq!((&a.mask, &a.color), (&b.mask, &b.color));
            assert!((a.camera.position - b.camera.position).norm() < 1e-6);
        }
    }

    #[test]
    fn named_views_of_any_framing_fit_one_box() {
        // A box 2 wide, 3 tall and 1 deep, drawn at three scales on canvases of three shapes, off-centre.
        let folder = tempfile::tempdir().unwrap();
        let draw = |name: &str, size: [u32; 2], at: [u32; 2], extent: [u32; 2]| {
            let mut picture = Image::filled(size[0], size[1], [0; 4]).unwrap();
            for row in at[1]..at[1] + extent[1] {
                for column in at[0]..at[0] + extent[0] {
                    picture.pixels_mut()[(row * size[0] + column) as usize] = [9, 200, 9, 255];
                }
            }
            maquette_core::io::write_png(&folder.path().join(name), &picture).unwrap();
        };
        draw("Front.png", [300, 200], [30, 20], [100, 150]);
        assert!(refusal(folder.path()).contains("front.png alone"));
        draw("left.png", [80, 200], [11, 40], [40, 120]);
        draw("top.png", [100, 100], [10, 10], [60, 30]);
        let views = load(folder.path(), &Progress::new()).unwrap().views;
        // In the canonical frame, from the centre: the front's corner is farthest.
        let unit = 0.48 / 1f32.hypot(1.5);
        let corners = [[1.0, 1.5, 0.0], [0.0, 1.5, 0.5], [1.0, 0.0, 0.5]];
        let edges = [[130.0, 20.0], [11.0, 40.0], [70.0, 40.0]];
        for ((view, corner), edge) in views.iter().zip(corners).zip(edges) {
            let (pixel, _) = view.camera.project(corner.map(|x| x * unit));
            assert!((pixel[0] - edge[0]).abs() < 1.5 && (pixel[1] - edge[1]).abs() < 1.5, "{pixel:?} {edge:?}");
        }
        // The left view stands on the object's left, +X.
        assert!(views[1].camera.position.x > 1.8);
        std::fs::remove_file(folder.path().join("Front.png")).unwrap();
        assert!(refusal(folder.path()).contains("the front is needed"));
    }

    #[test]
    fn named_views_made_with_the_rig_keep_its_cameras() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["front", "back"] {
            let mut picture = Image::filled(64, 64, [0; 4]).unwrap();
            for (index, pixel) in picture.pixels_mut().iter_mut().enumerate() {
                let (x, y) = ((index % 64) as f32 - 31.5, (index / 64) as f32 - 31.5);
                if x.hypot(y) < 30.0 {
                    *pixel = [9, 9, 200, 255];
                }
            }
            maquette_core::io::write_png(&folder.path().join(format!("{name}.png")), &picture).unwrap();
        }
        let views = load(folder.path(), &Progress::new()).unwrap().views;
        assert_eq!(views[1].camera, Camera::rig(180.0, 0.0, 64));
    }
}

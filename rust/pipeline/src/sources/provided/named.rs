//! Views named by direction: `front.png`, `left.png`, `back.png`, `right.png`, `top.png`, ...
//!
//! The names are the object's own sides: `left.png` shows the side that is the object's left hand, when the object looks
//! at the viewer of `front.png` (so a car's `left.png` shows its front pointing to the left of the picture). In numbers,
//! azimuth growing towards the right of the viewer of `front.png`, elevation above:
//!
//! | name | azimuth | elevation | | name | azimuth | elevation |
//! |---|---|---|---|---|---|---|
//! | `front` | 0 | 0 | | `front_left` | 45 | 0 |
//! | `left` | 90 | 0 | | `back_left` | 135 | 0 |
//! | `back` | 180 | 0 | | `back_right` | 225 | 0 |
//! | `right` | 270 | 0 | | `front_right` | 315 | 0 |
//! | `top` | 0 | 90 | | `bottom` | 0 | -90 |
//!
//! In `top.png` the front is at the bottom of the picture, in `bottom.png` at its top. (3D programs that name views by
//! the axis the camera stands on may call `left` "right".) `front` and one more are needed. `NAME_mask.png`,
//! `NAME_normal_cam.png` and `NAME_normal_world.png` work as for numbered views.
//!
//! Such pictures come in any size and framing. They are left as they are; each camera's focal length and centre are
//! fitted so that the object is as tall in all of them (in `top` and `bottom`: as wide as in `front`) and fits the
//! canonical frame. Square pictures of one size whose framing is already that of the rig are taken to be made with it.

use maquette_core::camera::{RIG_DISTANCE, RIG_FOV_Y_DEGREES};
use maquette_core::io::read_picture;
use maquette_core::{Camera, Error, Progress, Result, View, Views};

use super::{Folder, rig_camera};

/// Name, azimuth and elevation in degrees.
pub const DIRECTIONS: [(&str, f32, f32); 10] = [
    ("front", 0.0, 0.0),
    ("front_left", 45.0, 0.0),
    ("left", 90.0, 0.0),
    ("back_left", 135.0, 0.0),
    ("back", 180.0, 0.0),
    ("back_right", 225.0, 0.0),
    ("right", 270.0, 0.0),
    ("front_right", 315.0, 0.0),
    ("top", 0.0, 90.0),
    ("bottom", 0.0, -90.0),
];

/// Distance of the outermost silhouette point from the origin in the canonical frame.
const CANONICAL_RADIUS: f32 = 0.48;
/// Relative difference of focal length, and of the centre as a share of the picture, up to which pictures count as made
/// with the rig.
const RIG_TOLERANCE: f32 = 0.08;

/// Reads the named views of a folder.
pub(super) fn load(folder: &Folder, progress: &Progress) -> Result<Views> {
    let found: Vec<_> =
        DIRECTIONS.into_iter().filter_map(|direction| Some((direction, folder.get(direction.0)?))).collect();
    if folder.get("front").is_none() {
        return Err(Error::file(
            &folder.path.join("front.png"),
            format!("is missing; {}.png is there, but the front is needed to place the others", found[0].0.0),
        ));
    }
    if found.len() < 2 {
        return Err(Error::file(
            &folder.path,
            "has front.png alone; give at least one more side (left.png, back.png, right.png, top.png, ...), or use the \
             front as the one picture",
        ));
    }
    let mut views = Vec::with_capacity(found.len());
    for (index, &((name, azimuth, elevation), path)) in found.iter().enumerate() {
        progress.step(index, found.len())?;
        let picture = read_picture(path)?;
        let camera = rig_camera((azimuth, elevation), picture.width() as usize, picture.height() as usize);
        let view = folder.view(name, camera, picture, path, progress)?;
        let outline =
            Outline::of(&view).ok_or_else(|| Error::file(path, "shows no object: its mask or alpha is empty"))?;
        views.push((view, outline, elevation != 0.0));
    }
    fit_cameras(&mut views);
    Ok(Views { views: views.into_iter().map(|(view, ..)| view).collect() })
}

/// Where the object is in a picture, in pixels.
struct Outline {
    center: [f32; 2],
    size: [f32; 2],
    /// Farthest covered pixel from the centre of the box.
    radius: f32,
}

impl Outline {
    fn of(view: &View) -> Option<Self> {
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        let covered = || {
            let width = view.mask.width;
            (0..view.mask.data.len())
                .filter(|&index| view.mask.data[index][0] >= 0.5)
                .map(move |index| [(index % width) as f32, (index / width) as f32])
        };
        for corner in covered() {
            for k in 0..2 {
                low[k] = low[k].min(corner[k]);
                high[k] = high[k].max(corner[k] + 1.0);
            }
        }
        if low[0] > high[0] {
            return None;
        }
        let center = [f32::midpoint(low[0], high[0]), f32::midpoint(low[1], high[1])];
        let radius = covered().map(|[x, y]| (x + 0.5 - center[0]).hypot(y + 0.5 - center[1])).fold(0.5, f32::max);
        Some(Self { center, size: [high[0] - low[0], high[1] - low[1]], radius })
    }
}

/// Fits focal lengths and centres; `views` are (view, outline, from above or below), the front first.
fn fit_cameras(views: &mut [(View, Outline, bool)]) {
    // Pixels for one unit, the unit being the object's height; then the unit's length in the canonical frame.
    let front = &views[0].1;
    let front_width = front.size[0] / front.size[1];
    let pixels_per_unit = |outline: &Outline, vertical: bool| {
        if vertical { outline.size[0] / front_width } else { outline.size[1] }
    };
    let farthest = views
        .iter()
        .map(|(_, outline, vertical)| outline.radius / pixels_per_unit(outline, *vertical))
        .fold(0.0, f32::max);
    let unit = CANONICAL_RADIUS / farthest;
    let fitted: Vec<Camera> = views
        .iter()
        .map(|(view, outline, vertical)| Camera {
            focal_px: [pixels_per_unit(outline, *vertical) / unit * RIG_DISTANCE; 2],
            center_px: outline.center,
            ..view.camera.clone()
        })
        .collect();
    let size = |camera: &Camera| (camera.width, camera.height);
    let made_with_the_rig = views.iter().zip(&fitted).all(|((view, ..), fitted)| {
        let side = view.camera.width as f32;
        let rig_focal = side / 2.0 / (RIG_FOV_Y_DEGREES.to_radians() / 2.0).tan();
        size(&view.camera) == size(&views[0].0.camera)
            && view.camera.width == view.camera.height
            && (fitted.focal_px[0] / rig_focal - 1.0).abs() < RIG_TOLERANCE
            && fitted.center_px.iter().all(|center| (center / side - 0.5).abs() < RIG_TOLERANCE)
    });
    if !made_with_the_rig {
        for ((view, ..), camera) in views.iter_mut().zip(fitted) {
            view.camera = camera;
        }
    }
}

//! Views of a mesh that is there already, from one picture of its front.

use maquette_core::camera::SIX_VIEW_ANGLES;
use maquette_core::{Camera, Image, Mesh, Plane, Progress, Result, View, Views};
use maquette_geometry::elevation::{Pose, find_elevation, pose_at};

use super::inflate::painted_views;
use super::provided::assemble;
use crate::segment::{Cutout, frame};

/// Distance of the farthest vertex from the origin in the canonical frame.
const CANONICAL_RADIUS: f32 = 0.48;
/// Share of the view that the object's longer side fills.
const FRAME_SHARE: f32 = 0.9;
/// Largest side of the view in pixels.
const MAX_FRAME_PX: f32 = 1024.0;

/// `cutout` on a square of its own size, as far as that is sensible.
fn framed(cutout: &Cutout) -> Result<Image> {
    let longest = cutout.bounds.width().max(cutout.bounds.height()) as f32;
    let side = (longest / FRAME_SHARE).ceil().clamp(64.0, MAX_FRAME_PX);
    frame(cutout, side as u32, FRAME_SHARE)
}

/// `cutout` as a view of `mesh` from azimuth 0, and from the elevation where both look most alike if it is not known.
pub fn posed_front(
    cutout: &Cutout,
    mesh: &Mesh,
    elevation_degrees: Option<f64>,
    progress: &Progress,
) -> crate::Result<(View, Pose)> {
    let picture = framed(cutout)?;
    let data = picture.pixels().iter().map(|pixel| [f32::from(pixel[3]) / 255.0]).collect();
    let mask = Plane { width: picture.width() as usize, height: picture.height() as usize, data };
    let pose = match elevation_degrees {
        Some(degrees) => pose_at(mesh, &mask, degrees as f32)?,
        None => find_elevation(mesh, &mask, None, progress)?,
    };
    Ok((assemble(pose.camera.clone(), &picture, None, None), pose))
}

/// Six views of `mesh`, which must be in the canonical frame, of `size_px`: its own outlines and normals, and the colours of
/// `front`, continued over all of it.
pub fn six_views_of(mesh: &Mesh, front: &View, size_px: u32, progress: &Progress) -> Result<Views> {
    let picture = match &front.color {
        Some(color) => Image::from_linear(color)?,
        None => Image::filled(front.mask.width as u32, front.mask.height as u32, [255; 4])?,
    };
    let six = Camera::six_views(size_px as usize);
    Ok(Views { views: painted_views(mesh, &picture, &front.camera, six, |index| progress.step(index, 6))? })
}

/// `cutout` as the front view of `mesh`, seen from `elevation_degrees` above, and after it six views of `size_px` in which
/// the picture is continued over sides and back.
///
/// Where the front's camera stood is not known, so focal lengths and centre are those that lay the box around the cut-out
/// over the box around the mesh.
pub fn views_from_front(
    cutout: &Cutout,
    mesh: &Mesh,
    elevation_degrees: f32,
    size_px: u32,
    progress: &Progress,
) -> Result<Views> {
    let size = [cutout.bounds.width() as f32, cutout.bounds.height() as f32];
    let longest = size[0].max(size[1]);
    let picture = framed(cutout)?;
    let side = picture.width() as f32;

    let (low, high) = mesh.bounds().unwrap_or_default();
    let center: [f32; 3] = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
    let radius = mesh
        .positions
        .iter()
        .map(|p| (0..3).map(|k| (p[k] - center[k]).powi(2)).sum::<f32>())
        .fold(f32::MIN_POSITIVE, f32::max)
        .sqrt();
    // The rig around the mesh instead of around the canonical frame.
    let rig = |azimuth: f32, elevation: f32, size: usize| {
        let camera = Camera::rig(azimuth, elevation, size);
        let offset = camera.position.coords * (radius / CANONICAL_RADIUS);
        Camera { position: [center[0] + offset.x, center[1] + offset.y, center[2] + offset.z].into(), ..camera }
    };
    let mut camera = Camera { focal_px: [1.0; 2], center_px: [0.0; 2], ..rig(0.0, elevation_degrees, side as usize) };

    // In units of the focal length, from the optical axis on.
    let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    for point in &mesh.positions {
        let (place, _) = camera.project(*point);
        for k in 0..2 {
            low[k] = low[k].min(place[k]);
            high[k] = high[k].max(place[k]);
        }
    }
    for k in 0..2 {
        let pixels = size[k] / longest * FRAME_SHARE * side;
        camera.focal_px[k] = (pixels / (high[k] - low[k]).max(1e-6)).max(f32::MIN_POSITIVE);
        camera.center_px[k] = side / 2.0 - camera.focal_px[k] * f32::midpoint(low[k], high[k]);
    }
    let six = SIX_VIEW_ANGLES.map(|(azimuth, elevation)| rig(azimuth, elevation, size_px as usize));
    let painted = painted_views(mesh, &picture, &camera, six, |index| progress.step(1 + index, 7))?;
    let front = assemble(camera, &picture, None, None);
    Ok(Views { views: std::iter::once(front).chain(painted).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::segment;
    use maquette_core::Image;
    use maquette_core::recipe::Segment;

    /// The object of the picture, 40 wide and 80 tall, off its centre; a mesh of the same shape away from the origin.
    #[test]
    fn boxes_of_picture_and_mesh_coincide() {
        let mut picture = Image::filled(200, 160, [0; 4]).unwrap();
        for row in 20..100 {
            for column in 110..150 {
                picture.pixels_mut()[row * 200 + column] = [200, row as u8, 90, 255];
            }
        }
        let cutout = segment(&picture, &Segment::default(), &Progress::new()).unwrap();
        let corners: Vec<[f32; 3]> =
            (0..4).map(|k| [5.0 + 2.0 * (k & 1) as f32, 1.0 + 4.0 * (k >> 1) as f32, -3.0]).collect();
        let mesh = Mesh::new(corners, vec![[0, 1, 3], [0, 3, 2]]).unwrap();
        let look = |mesh: &Mesh, elevation| {
            let views = views_from_front(&cutout, mesh, elevation, 64, &Progress::new()).unwrap();
            views.validate().unwrap();
            assert_eq!(views.views.len(), 7);
            views.views
        };
        let views = look(&mesh, 0.0);
        let view = &views[0];
        // The mesh's lower right corner is that of the object in the picture.
        let ([x, y], depth) = view.camera.project([7.0, 1.0, -3.0]);
        let side = view.camera.width as f32;
        assert!(depth > 0.0 && (x - (side / 2.0 + 0.225 * side)).abs() < 0.5, "{x} of {side}");
        assert!((y - (side / 2.0 + 0.45 * side)).abs() < 0.5, "{y} of {side}");
        assert!((view.camera.focal_px[0] / view.camera.focal_px[1] - 1.0).abs() < 1e-3);
        assert!(view.mask.at(side as usize / 2, side as usize / 2)[0] > 0.9);
        // From behind the colours go on.
        let back = &views[3];
        let middle = back.color.as_ref().unwrap().at(32, 32);
        assert!(back.mask.at(32, 32)[0] > 0.9 && middle[0] > 3.0 * middle[2], "{middle:?}");
        // From above it still fits, and a mesh without extent gives no NaN.
        look(&mesh, 60.0);
        let point = Mesh::new(vec![[1.0; 3]; 3], vec![[0, 1, 2]]).unwrap();
        look(&point, 0.0);
    }
}

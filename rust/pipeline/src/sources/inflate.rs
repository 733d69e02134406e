//! The silhouette inflated into a rounded solid: no weights, no learning, always works.
//!
//! [`balls`] fills the silhouette with the balls that just fit into it and takes their union, [`tetrahedra`] makes a
//! closed mesh of it, [`paint`] continues the picture over its sides and back; the result is seen from the six cameras.

mod balls;
mod paint;
mod tetrahedra;

use maquette_core::recipe::ViewSource;
use maquette_core::{Camera, Error, Image, Mesh, Plane, Progress, Result, View, Views};
use maquette_raster::{GBuffer, interpolate, rasterize};
use rayon::prelude::*;

use self::paint::Paint;
use super::SourceResult;
use crate::segment::{Cutout, frame};

/// Share of the input camera's frame that the object's longer side fills.
const FRAME_SHARE: f32 = 0.9;
/// Largest side of the framed picture in pixels.
pub(super) const MAX_FRAME_PX: u32 = 1024;
/// Distance of the farthest vertex from the origin in the canonical frame.
pub(super) const CANONICAL_RADIUS: f32 = 0.48;
/// Samples a pixel and axis.
pub(crate) const SUPERSAMPLING: usize = 3;

/// Inflates `cutout` and looks at the solid from the six cameras.
///
/// The input view's camera stands at azimuth 0 and the recipe's elevation. The solid is closed and in the canonical
/// frame; from the input camera its outline is that of the cut-out.
pub fn inflate(cutout: &Cutout, settings: &ViewSource, progress: &Progress) -> Result<SourceResult> {
    const STEPS: usize = 10;
    progress.step(0, STEPS)?;
    let longest = cutout.bounds.width().max(cutout.bounds.height()) as f32;
    let side = ((longest / FRAME_SHARE).ceil() as u32).clamp(settings.size_px.min(MAX_FRAME_PX), MAX_FRAME_PX);
    let picture = frame(cutout, side, FRAME_SHARE)?;
    let input_camera = Camera::rig(0.0, settings.elevation_degrees as f32, side as usize);

    progress.step(1, STEPS)?;
    let field = balls::HeightField::of_silhouette(&picture, &input_camera, progress)?
        .ok_or_else(|| Error::invalid("the cut-out is fully transparent; nothing can be inflated"))?;
    progress.step(2, STEPS)?;
    let mesh = tetrahedra::surface(&field, settings.inflate_depth as f32);
    progress.step(3, STEPS)?;
    let (mesh, input_camera) = canonical(mesh, input_camera);
    mesh.validate()?;
    progress.set_preview(mesh.clone());

    let cameras = Camera::six_views(settings.size_px as usize);
    let views = painted_views(&mesh, &picture, &input_camera, cameras, |index| progress.step(4 + index, STEPS))?;
    progress.step(STEPS, STEPS)?;
    Ok(SourceResult {
        views: Views { views },
        shape: Some(mesh),
        input_view: Some(picture_as_view(&picture, input_camera)),
    })
}

/// What `cameras` see of `mesh` when the picture that `input_camera` took is continued over all of it. Calls `step` before
/// each view.
pub(super) fn painted_views(
    mesh: &Mesh,
    picture: &Image,
    input_camera: &Camera,
    cameras: impl IntoIterator<Item = Camera>,
    step: impl Fn(usize) -> Result<()>,
) -> Result<Vec<View>> {
    let paint = Paint::new(picture, input_camera.clone(), mesh);
    let normals = mesh.vertex_normals();
    let view = |(index, camera)| {
        step(index)?;
        Ok(look(mesh, &normals, &paint, camera))
    };
    cameras.into_iter().enumerate().map(view).collect()
}

/// Centres the bounding box and scales the farthest vertex to the canonical radius; the camera moves along, so that it
/// sees the same picture.
pub(super) fn canonical(mut mesh: Mesh, mut camera: Camera) -> (Mesh, Camera) {
    let Some((low, high)) = mesh.bounds() else { return (mesh, camera) };
    let center: [f32; 3] = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
    let radius = mesh
        .positions
        .iter()
        .map(|p| (0..3).map(|k| (p[k] - center[k]).powi(2)).sum::<f32>())
        .fold(0.0, f32::max)
        .sqrt();
    let scale = CANONICAL_RADIUS / radius.max(1e-6);
    let place = |p: [f32; 3]| std::array::from_fn(|k| (p[k] - center[k]) * scale);
    for position in &mut mesh.positions {
        *position = place(*position);
    }
    camera.position = place([camera.position.x, camera.position.y, camera.position.z]).into();
    (mesh, camera)
}

/// The painted solid seen by one camera, box-filtered over sub-pixels.
fn look(mesh: &Mesh, normals: &[[f32; 3]], paint: &Paint, camera: Camera) -> View {
    let (width, height) = (camera.width, camera.height);
    let fine = camera.resized(width * SUPERSAMPLING, height * SUPERSAMPLING);
    let seen = rasterize(&mesh.positions, &mesh.triangles, &fine);
    let positions = interpolate(&seen, &mesh.triangles, &mesh.positions);
    let normals = interpolate(&seen, &mesh.triangles, normals);
    let rows: Vec<Vec<([f32; 4], [f32; 3])>> = (0..height)
        .into_par_iter()
        .map(|row| {
            (0..width)
                .map(|column| {
                    let (mut color, mut normal) = ([0.0f32; 4], [0.0f32; 3]);
                    for sub in 0..SUPERSAMPLING * SUPERSAMPLING {
                        let r = row * SUPERSAMPLING + sub / SUPERSAMPLING;
                        let c = column * SUPERSAMPLING + sub % SUPERSAMPLING;
                        let index = r * fine.width + c;
                        if seen.triangle[index] == GBuffer::EMPTY {
                            continue;
                        }
                        let n = unit(normals.data[index]);
                        let sample = paint.color(positions.data[index], n);
                        for k in 0..3 {
                            color[k] += sample[k];
                            normal[k] += n[k];
                        }
                        color[3] += 1.0;
                    }
                    if color[3] > 0.0 {
                        for k in 0..3 {
                            color[k] /= color[3];
                        }
                    }
                    color[3] /= (SUPERSAMPLING * SUPERSAMPLING) as f32;
                    (color, unit(normal))
                })
                .collect()
        })
        .collect();
    let (color, normal): (Vec<_>, Vec<_>) = rows.into_iter().flatten().unzip();
    let mask = Plane { width, height, data: color.iter().map(|pixel: &[f32; 4]| [pixel[3]]).collect() };
    View {
        camera,
        mask,
        color: Some(Plane { width, height, data: color }),
        normal: Some(Plane { width, height, data: normal }),
    }
}

/// The picture itself as a posed view without normals.
pub(super) fn picture_as_view(picture: &Image, camera: Camera) -> View {
    let color = picture.to_linear();
    let mask = Plane { width: color.width, height: color.height, data: color.data.iter().map(|p| [p[3]]).collect() };
    View { camera, mask, color: Some(color), normal: None }
}

/// Unit vector, or zero.
fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    if length > 1e-12 { v.map(|x| x / length) } else { [0.0; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::segment;
    use maquette_core::recipe::Segment;
    use maquette_geometry::health::MeshHealth;

    /// A cut-out whose alpha is 4x4 coverage of `inside(x, y)`, x and y in 0..1.
    fn cutout(side: usize, inside: impl Fn(f32, f32) -> bool) -> Cutout {
        let pixels = (0..side * side)
            .map(|index| {
                let at = |whole: usize, k: usize| (whole as f32 + (k as f32 + 0.5) / 4.0) / side as f32;
                let hits = (0..16).filter(|sub| inside(at(index % side, sub % 4), at(index / side, sub / 4))).count();
                [200, (index % side * 255 / side) as u8, 40, (hits * 255 / 16) as u8]
            })
            .collect();
        segment(&Image::new(side as u32, side as u32, pixels).unwrap(), &Segment::default(), &Progress::new()).unwrap()
    }

    fn inflated(cutout: &Cutout, elevation: f64) -> SourceResult {
        let settings = ViewSource { size_px: 128, elevation_degrees: elevation, ..ViewSource::default() };
        let result = inflate(cutout, &settings, &Progress::new()).unwrap();
        result.views.validate().unwrap();
        result
    }

    fn health(result: &SourceResult) -> MeshHealth {
        let health = MeshHealth::of(result.shape.as_ref().unwrap()).unwrap();
        assert!(health.watertight && health.nonmanifold_edges == 0 && health.nonmanifold_vertices == 0, "{health:?}");
        assert!(health.flipped_edges == 0 && health.degenerate_triangles == 0 && health.volume > 0.0, "{health:?}");
        health
    }

    fn disc(x: f32, y: f32) -> bool {
        (x - 0.5).hypot(y - 0.5) < 0.4
    }

    #[test]
    fn disc_becomes_a_sphere() {
        let result = inflated(&cutout(256, disc), 0.0);
        assert_eq!(health(&result).genus, Some(0));
        for position in &result.shape.as_ref().unwrap().positions {
            let radius = position.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!((radius - 0.47).abs() < 0.011, "{radius}");
        }
    }

    #[test]
    fn ring_keeps_its_hole() {
        let ring = |x: f32, y: f32| (0.18..0.4).contains(&(x - 0.5).hypot(y - 0.5));
        let result = inflated(&cutout(256, ring), 0.0);
        let health = health(&result);
        assert_eq!((health.genus, health.components), (Some(1), 1));
    }

    #[test]
    fn legs_are_as_deep_as_wide() {
        let table = |x: f32, y: f32| {
            (0.1..0.9).contains(&x) && (0.2..0.4).contains(&y)
                || (0.4..0.9).contains(&y) && [0.2, 0.5, 0.8].iter().any(|leg| (x - leg).abs() < 0.03)
        };
        let result = inflated(&cutout(256, table), 0.0);
        let mesh = result.shape.as_ref().unwrap();
        // A slice through the left leg, half way down.
        let slice: Vec<[f32; 3]> =
            mesh.positions.iter().copied().filter(|p| p[0] < -0.15 && (p[1] + 0.2).abs() < 0.02).collect();
        let extent = |axis: usize| {
            let (low, high) = slice.iter().fold((f32::MAX, f32::MIN), |(l, h), p| (l.min(p[axis]), h.max(p[axis])));
            high - low
        };
        let ratio = extent(2) / extent(0);
        assert!(slice.len() > 20 && (0.8..1.25).contains(&ratio), "{} {ratio}", slice.len());
    }

    #[test]
    fn outline_is_that_of_the_picture_at_any_elevation() {
        let blob = |x: f32, y: f32| {
            disc(x * 1.4 - 0.2, y * 1.4 - 0.35) || (0.45..0.53).contains(&x) && (0.5..0.95).contains(&y)
        };
        for elevation in [0.0, 20.0, 40.0] {
            let result = inflated(&cutout(256, blob), elevation);
            let overlap = result.outline_iou();
            assert!(overlap > 0.95, "{elevation}: {overlap}");
        }
    }

    #[test]
    fn same_input_same_result() {
        let (a, b) = (inflated(&cutout(96, disc), 10.0), inflated(&cutout(96, disc), 10.0));
        assert_eq!(a.shape, b.shape);
        for (a, b) in a.views.views.iter().zip(&b.views.views) {
            assert_eq!((&a.color, &a.normal, &a.mask), (&b.color, &b.normal, &b.mask));
        }
    }

    #[test]
    fn wires_stay_and_nothing_is_refused() {
        let line = inflated(&cutout(256, |x, y| (0.1..0.9).contains(&y) && (x - 0.5).abs() < 0.002), 0.0);
        assert_eq!(health(&line).components, 1);
        let all = inflated(&cutout(64, |x, _| x > 0.05), 0.0);
        assert!(health(&all).genus == Some(0));

        let mut empty = cutout(64, disc);
        for pixel in empty.rgba.pixels_mut() {
            pixel[3] = 0;
        }
        let refused = inflate(&empty, &ViewSource::default(), &Progress::new()).unwrap_err().to_string();
        assert!(refused.contains("fully transparent"), "{refused}");
    }

    #[test]
    fn cancel_is_heard_at_every_step() {
        let cutout = cutout(96, disc);
        for stop in 0..10 {
            let settings = ViewSource { size_px: 64, ..ViewSource::default() };
            let cell = std::sync::Arc::new(std::sync::OnceLock::<Progress>::new());
            let inner = cell.clone();
            let progress = Progress::observed(move |snapshot| {
                if snapshot.step == stop
                    && let Some(progress) = inner.get()
                {
                    progress.cancel();
                }
            });
            let _ = cell.set(progress.clone());
            assert!(matches!(inflate(&cutout, &settings, &progress), Err(Error::Cancelled)), "{stop}");
        }
    }
}

//! The whole shape that a silhouette is most likely to be of, by the network that is built into the library.
//!
//! The network fills the picture's frustum at 64 pixels; the outline is cut at the picture's own resolution. The shape is
//! then seen from the six cameras, with the picture continued over what it does not show.

use maquette_core::recipe::ViewSource;
use maquette_core::{Camera, Error, Image, Mesh, Plane, Progress, Result, Views};
use maquette_geometry::flexicubes::{Field, FlexiCubes, Grid, Mode, Positions};
use maquette_geometry::parts::{without_cavities, without_small_parts};
use maquette_geometry::sdf_grid::SdfGrid;
use maquette_geometry::silhouette::Silhouette;
use maquette_prior::draft::{Draft, DraftShape};
use maquette_prior::frustum::{PICTURE_PX, TIGHT_SHARE};

use super::SourceResult;
use super::inflate::{CANONICAL_RADIUS, MAX_FRAME_PX, canonical, painted_views, picture_as_view};
use crate::segment::{Cutout, Method, frame};

/// Cells an axis of the grid that the surface is taken from.
const RESOLUTION: usize = 96;
/// Side at which the outline is cut, in pixels.
const OUTLINE_PX: usize = 256;
/// Distance, in units of the visible width, that one logit is worth where the surface is uncertain.
const LOGIT_WIDTH: f32 = 0.01;
/// Logits beyond this say no more.
const MOST_LOGIT: f32 = 4.0;
/// Parts below this share of the whole area are dropped.
const SMALLEST_PART: f64 = 0.01;

/// Guesses the shape of `cutout` and looks at it from the six cameras.
///
/// The input view's camera stands at azimuth 0; its elevation is the recipe's if the artist has said it, else the
/// network's estimate. The shape is closed and in the canonical frame.
pub fn draft(cutout: &Cutout, settings: &ViewSource, progress: &Progress) -> crate::Result<SourceResult> {
    const STEPS: usize = 10;
    progress.step(0, STEPS)?;
    let framing = Framing::of(cutout);
    let picture = framing.picture(cutout, settings.size_px)?;
    let small = picture.to_linear().resized(PICTURE_PX, PICTURE_PX);
    let mask: Vec<f32> = small.data.iter().map(|pixel| pixel[3]).collect();
    if mask.iter().all(|coverage| *coverage < 0.05) {
        return Err(Error::invalid("the cut-out is fully transparent; no shape can be guessed from it").into());
    }
    let rgb = srgb_planes(&picture);
    progress.step(1, STEPS)?;
    let elevation = settings.known_elevation_degrees().map(|degrees| degrees as f32);
    let guess = Draft::embedded()?.predict(&mask, &rgb, framing == Framing::Tight, elevation, progress)?;
    progress.step(2, STEPS)?;
    let (mesh, camera) = surface(&guess, &picture, progress)?;
    progress.step(3, STEPS)?;
    mesh.validate()?;
    progress.set_preview(mesh.clone());
    let cameras = Camera::six_views(settings.size_px as usize);
    let views = painted_views(&mesh, &picture, &camera, cameras, |index| progress.step(4 + index, STEPS))?;
    progress.step(STEPS, STEPS)?;
    Ok(SourceResult { views: Views { views }, shape: Some(mesh), input_view: Some(picture_as_view(&picture, camera)) })
}

/// How the network is to take the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// A rendering that frames the object as the six-view rig does: the size of the silhouette tells of the depth.
    Rig,
    /// Any other picture: cropped to the object.
    Tight,
}

impl Framing {
    /// A square picture with alpha whose object is centred and has room around it is taken for a rendering.
    fn of(cutout: &Cutout) -> Self {
        let (width, height, bounds) = (cutout.rgba.width(), cutout.rgba.height(), cutout.bounds);
        if cutout.method != Method::Alpha || width != height {
            return Self::Tight;
        }
        let side = width as f32;
        let off = |low: usize, high: usize| ((low + high) as f32 / side - 1.0).abs() / 2.0;
        let centred = off(bounds.left, bounds.right).max(off(bounds.top, bounds.bottom)) < 0.1;
        let inside = bounds.left > 0 && bounds.top > 0 && bounds.right < side as usize && bounds.bottom < side as usize;
        let share = bounds.width().max(bounds.height()) as f32 / side;
        if centred && inside && share > 0.4 { Self::Rig } else { Self::Tight }
    }

    /// The picture as a square, no smaller than `least_px` and no larger than [`MAX_FRAME_PX`].
    fn picture(self, cutout: &Cutout, least_px: u32) -> Result<Image> {
        let least = least_px.min(MAX_FRAME_PX);
        match self {
            Self::Tight => {
                let longest = cutout.bounds.width().max(cutout.bounds.height()) as f32;
                let side = ((longest / TIGHT_SHARE).ceil() as u32).clamp(least, MAX_FRAME_PX);
                frame(cutout, side, TIGHT_SHARE)
            }
            Self::Rig => {
                let side = cutout.rgba.width().clamp(least, MAX_FRAME_PX) as usize;
                if side == cutout.rgba.width() as usize {
                    return Ok(cutout.rgba.clone());
                }
                Image::from_linear(&cutout.rgba.to_linear().premultiplied().resized(side, side).straight())
            }
        }
    }
}

/// Three sRGB planes of the network's size, 0 where the picture is transparent.
fn srgb_planes(picture: &Image) -> Vec<f32> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let data = picture.pixels().iter().map(|pixel| pixel.map(|value| f32::from(value) / 255.0)).collect();
    let small = Plane { width, height, data }.premultiplied().resized(PICTURE_PX, PICTURE_PX).straight();
    (0..3).flat_map(|k| small.data.iter().map(move |pixel| pixel[k])).collect()
}

/// The guess as a closed mesh in the canonical frame, and the picture's camera there.
fn surface(guess: &DraftShape, picture: &Image, progress: &Progress) -> crate::Result<(Mesh, Camera)> {
    let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    for point in guess.inside() {
        for k in 0..3 {
            low[k] = low[k].min(point[k]);
            high[k] = high[k].max(point[k]);
        }
    }
    let center: [f32; 3] = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
    let radius = guess
        .inside()
        .map(|point| (0..3).map(|k| (point[k] - center[k]).powi(2)).sum::<f32>())
        .fold(0.0, f32::max)
        .sqrt();
    // Half a cell of the network around every centre is inside as well.
    let scale = CANONICAL_RADIUS / (radius + 0.5 * guess.frustum.width / PICTURE_PX as f32).max(1e-3);
    let mut camera = guess.frustum.camera(OUTLINE_PX);
    for k in 0..3 {
        camera.position[k] = (camera.position[k] - center[k]) * scale;
    }
    let alpha = Plane {
        width: picture.width() as usize,
        height: picture.height() as usize,
        data: picture.pixels().iter().map(|pixel| [f32::from(pixel[3]) / 255.0]).collect(),
    };
    let outline = Silhouette::new(&alpha.resized(OUTLINE_PX, OUTLINE_PX));
    progress.check()?;
    let pixel = guess.frustum.width * scale / OUTLINE_PX as f32;
    let logit_width = LOGIT_WIDTH * guess.frustum.width * scale;
    let mut field = SdfGrid::from_fn(RESOLUTION, |point| {
        let ([x, y], depth) = camera.project(point);
        if depth <= 0.0 {
            return MOST_LOGIT * logit_width;
        }
        let (inwards, _) = outline.sample(x, y);
        let logit = guess.logit(std::array::from_fn(|k| point[k] / scale + center[k]));
        let uncut = -logit.clamp(-MOST_LOGIT, MOST_LOGIT) * logit_width;
        uncut.max(inwards * pixel)
    })?;
    field.close_border(0.5 / RESOLUTION as f32);
    progress.check()?;
    let grid = Grid::new([RESOLUTION; 3])?;
    let mut flexicubes = FlexiCubes::new(grid);
    let extracted = flexicubes.extract(Field::new(Positions::unit_cube(&grid), field.values()), Mode::Evaluation)?;
    let mesh = Mesh { positions: extracted.vertices.to_vec(), triangles: extracted.faces.to_vec(), ..Mesh::default() };
    let mesh = without_cavities(&without_small_parts(&mesh, SMALLEST_PART));
    if mesh.triangles.is_empty() {
        return Err(Error::invalid(
            "the cut-out is too thin to guess a shape from; crop the picture to the object or use the view source inflate",
        )
        .into());
    }
    Ok(canonical(mesh, camera.resized(alpha.width, alpha.height)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::segment;
    use maquette_core::recipe::{Elevation, Segment};
    use maquette_geometry::health::MeshHealth;

    /// A cut-out whose alpha is that of `inside(x, y)`, x and y in 0..1.
    fn cutout(width: usize, height: usize, inside: impl Fn(f32, f32) -> bool) -> Cutout {
        let pixel = |index: usize| {
            let (x, y) = ((index % width) as f32 + 0.5, (index / width) as f32 + 0.5);
            [200, 90, 40, if inside(x / width as f32, y / height as f32) { 255 } else { 0 }]
        };
        let pixels = (0..width * height).map(pixel).collect();
        let picture = Image::new(width as u32, height as u32, pixels).unwrap();
        segment(&picture, &Segment::default(), &Progress::new()).unwrap()
    }

    /// A body on two legs.
    fn figure(x: f32, y: f32) -> bool {
        (x - 0.5).hypot((y - 0.4) * 1.2) < 0.25
            || (0.5..0.85).contains(&y) && [0.38, 0.62].iter().any(|leg| (x - leg).abs() < 0.06)
    }

    #[test]
    fn the_shape_is_closed_canonical_and_has_the_pictures_outline() {
        for (width, height) in [(256, 256), (200, 120)] {
            let cutout = cutout(width, height, figure);
            let expected = if width == height { Framing::Rig } else { Framing::Tight };
            assert_eq!(Framing::of(&cutout), expected);
            let settings = ViewSource { size_px: 96, ..ViewSource::default() };
            let result = draft(&cutout, &settings, &Progress::new()).unwrap();
            result.views.validate().unwrap();
            let mesh = result.shape.as_ref().unwrap();
            let health = MeshHealth::of(mesh).unwrap();
            assert!(health.watertight && health.volume > 0.0, "{health:?}");
            let farthest = mesh.positions.iter().map(|p| p.iter().map(|x| x * x).sum::<f32>()).fold(0.0, f32::max);
            assert!((farthest.sqrt() - CANONICAL_RADIUS).abs() < 1e-3);
            assert!(result.outline_iou() > 0.93, "{}", result.outline_iou());
            let again = draft(&cutout, &settings, &Progress::new()).unwrap();
            assert_eq!(result.shape, again.shape);
        }
    }

    #[test]
    fn the_artists_elevation_is_the_cameras() {
        let cutout = cutout(128, 128, figure);
        for degrees in [0.0, 25.0] {
            let elevation = Elevation::Given;
            let settings = ViewSource { size_px: 64, elevation, elevation_degrees: degrees, ..ViewSource::default() };
            let result = draft(&cutout, &settings, &Progress::new()).unwrap();
            let back = result.input_view.unwrap().camera.world_from_camera * nalgebra::Vector3::z();
            assert!((back.y.asin().to_degrees() - degrees as f32).abs() < 0.01, "{back:?}");
        }
    }

    #[test]
    fn nothing_is_refused_but_emptiness() {
        let settings = ViewSource { size_px: 64, ..ViewSource::default() };
        let line = cutout(256, 256, |x, y| (0.1..0.9).contains(&y) && (x - 0.5).abs() < 0.004);
        assert!(draft(&line, &settings, &Progress::new()).is_ok());
        let all = cutout(64, 64, |x, _| x > 0.05);
        assert!(draft(&all, &settings, &Progress::new()).is_ok());
        let mut empty = cutout(64, 64, figure);
        empty.rgba.pixels_mut().iter_mut().for_each(|pixel| pixel[3] = 0);
        let refused = draft(&empty, &settings, &Progress::new()).unwrap_err().to_string();
        assert!(refused.contains("fully transparent"), "{refused}");
    }

    #[test]
    fn cancel_is_heard_at_every_step() {
        let cutout = cutout(96, 96, figure);
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
            assert!(draft(&cutout, &settings, &progress).unwrap_err().is_cancelled(), "{stop}");
        }
    }
}

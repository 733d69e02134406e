//! Contact sheets of training samples, to be looked at.
//!
//! Each sample is a row of pictures: as the network sees it, its mask, and its occupancy from the front, from the side and
//! from above, lit.

use image::RgbImage;
use maquette_prior::frustum::{DEPTH_BINS, PICTURE_PX};

use crate::data::DraftSample;
use crate::data::views::{VIEW_CHANNELS, VIEWS, ViewsSample};

/// Pixels of one picture on the sheet.
const TILE_PX: usize = 96;
/// Pictures of one sample.
const PICTURES: usize = 4;

/// Samples side by side, `columns` in a row.
pub fn sheet(samples: &[DraftSample], columns: usize) -> RgbImage {
    let columns = columns.max(1);
    let rows = samples.len().div_ceil(columns);
    let mut sheet = RgbImage::from_pixel(
        (columns * (PICTURES * TILE_PX + 6)) as u32,
        (rows * (TILE_PX + 4)) as u32,
        image::Rgb([255, 255, 255]),
    );
    for (index, sample) in samples.iter().enumerate() {
        let left = index % columns * (PICTURES * TILE_PX + 6);
        let top = index / columns * (TILE_PX + 4);
        for row in 0..TILE_PX {
            for column in 0..PICTURES * TILE_PX {
                let (x, y) = ((column % TILE_PX) as f32 + 0.5, row as f32 + 0.5);
                let (x, y) = (x / TILE_PX as f32, y / TILE_PX as f32);
                let color = match column / TILE_PX {
                    0 => seen(sample, x, y),
                    1 => [sample.mask[pixel(x, y)]; 3],
                    2 => side(sample, x, y, 50.0),
                    _ => side(sample, x, y, 130.0),
                };
                let color = color.map(|value| (value * 255.0 + 0.5) as u8);
                sheet.put_pixel((left + column) as u32, (top + row) as u32, image::Rgb(color));
            }
        }
    }
    sheet
}

/// Random shapes, two rows each: their six views and the spoilt copies, normals as colours over the coverage.
pub fn views_sheet(samples: &[ViewsSample]) -> RgbImage {
    let size = samples.first().map_or(0, |sample| sample.size_px);
    let area = size * size;
    let mut sheet = RgbImage::new((VIEWS * size) as u32, (2 * samples.len() * size) as u32);
    for (index, planes) in samples.iter().flat_map(|sample| [&sample.clean, &sample.spoilt]).enumerate() {
        for row in 0..size {
            for column in 0..VIEWS * size {
                let at = |channel: usize| {
                    planes[(column / size * VIEW_CHANNELS + channel) * area + row * size + column % size]
                };
                let color = [0, 1, 2].map(|k| ((at(k) * 0.5 + 0.5) * at(3) * 255.0) as u8);
                sheet.put_pixel(column as u32, (index * size + row) as u32, image::Rgb(color));
            }
        }
    }
    sheet
}

fn pixel(x: f32, y: f32) -> usize {
    let index = |t: f32| ((t * PICTURE_PX as f32) as usize).min(PICTURE_PX - 1);
    index(y) * PICTURE_PX + index(x)
}

fn seen(sample: &DraftSample, x: f32, y: f32) -> [f32; 3] {
    let at = pixel(x, y);
    let mask = sample.mask[at];
    [0, 1, 2].map(|k| sample.rgb[k * PICTURE_PX * PICTURE_PX + at] * mask + 0.93 * (1.0 - mask))
}

/// The filled voxels from a camera turned by `degrees` about the vertical and raised a little, lit by their own slope.
fn side(sample: &DraftSample, x: f32, y: f32, degrees: f32) -> [f32; 3] {
    let depth = if sample.tight { maquette_prior::frustum::TIGHT_DEPTH } else { 1.0 };
    let filled = |p: [f32; 3]| -> f32 {
        let q = [p[0] + 0.5, 0.5 - p[1], 0.5 - p[2] / depth];
        if q.iter().any(|t| !(0.0..1.0).contains(t)) {
            return 0.0;
        }
        let at = ((q[2] * DEPTH_BINS as f32) as usize * PICTURE_PX + (q[1] * PICTURE_PX as f32) as usize) * PICTURE_PX;
        f32::from(sample.occupancy[at + (q[0] * PICTURE_PX as f32) as usize])
    };
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (rise, level) = 20f32.to_radians().sin_cos();
    let turned = |p: [f32; 3]| {
        let (up, out) = (p[1] * level + p[2] * rise, p[2] * level - p[1] * rise);
        [p[0] * cos + out * sin, up, out * cos - p[0] * sin]
    };
    for step in 0..180 {
        let p = turned([(x - 0.5) * 1.5, (0.5 - y) * 1.5, 0.9 - step as f32 * 0.01]);
        if filled(p) == 0.0 {
            continue;
        }
        // The slope of the filled share around the place.
        let mut normal = [1e-6f32; 3];
        for dx in -2..=2 {
            for dy in -2..=2 {
                for dz in -2..=2 {
                    let d = [dx as f32, dy as f32, dz as f32];
                    let value = filled([0, 1, 2].map(|k| p[k] + d[k] * 0.02));
                    for k in 0..3 {
                        normal[k] -= value * d[k];
                    }
                }
            }
        }
        let light = turned([-0.4, 0.6, 0.7]);
        let length = |v: [f32; 3]| (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
        let cosine = (0..3).map(|k| normal[k] * light[k]).sum::<f32>() / (length(normal) * length(light));
        return [0.25 + 0.7 * cosine.max(0.0); 3];
    }
    [0.93; 3]
}

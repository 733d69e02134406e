//! From the tile of six pictures to posed views.

use maquette_core::{Camera, Image, Plane, Progress, View, Views, color};
use rayon::prelude::*;

use crate::matting::{self, Known};
use crate::{Error, Result};

/// Rows and columns of the tile, in the order of views.
pub const ROWS: usize = 3;
/// See [`ROWS`].
pub const COLUMNS: usize = 2;

/// The cameras that a version of the model was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rig {
    /// Elevation 30, -20 alternating, field of view 49.1 degrees.
    V1_1,
    /// Elevation 20, -10 alternating, field of view 30 degrees: the six views of [`Camera::six_views`].
    V1_2,
}

impl Rig {
    /// Its six cameras over square pictures, around an object in a sphere of radius 0.5 that just fits the field of view.
    ///
    /// That the object fits the view this way is published for v1.2; for v1.1 it is assumed.
    pub fn cameras(self, size_px: usize) -> [Camera; 6] {
        match self {
            Self::V1_2 => Camera::six_views(size_px),
            Self::V1_1 => {
                let fov = 2.0 * (16.0f32 / 35.0).atan();
                std::array::from_fn(|index| {
                    let azimuth = 30.0 + 60.0 * index as f32;
                    let elevation = if index % 2 == 0 { 30.0 } else { -20.0 };
                    Camera::orbit(azimuth, elevation, 0.5 / (fov / 2.0).tan(), fov.to_degrees(), size_px)
                })
            }
        }
    }
}

/// Cuts a tile into views. With `normals`, a tile of the same layout from the normal ControlNet, views have normals and
/// their mattes start from them; without, from the grey of the background.
pub fn to_views(colors: &Image, normals: Option<&Image>, rig: Rig, progress: &Progress) -> Result<Views> {
    let (width, height) = (colors.width() as usize / COLUMNS, colors.height() as usize / ROWS);
    if width != height
        || width == 0
        || normals.is_some_and(|n| (n.width(), n.height()) != (colors.width(), colors.height()))
    {
        return Err(Error::invalid(format!(
            "a tile of {}x{} pixels is not {COLUMNS} by {ROWS} square pictures; give multiples of 2 and 3 of one size",
            colors.width(),
            colors.height()
        )));
    }
    let cameras = rig.cameras(width);
    let views: Vec<View> = cameras
        .into_par_iter()
        .enumerate()
        .map(|(index, camera)| {
            let (left, top) = (index % COLUMNS * width, index / COLUMNS * height);
            let crop = |tile: &Image| -> Plane<3> {
                let data = (0..width * height)
                    .map(|k| {
                        let [r, g, b, _] = tile.at(top + k / width, left + k % width);
                        [r, g, b].map(|c| f32::from(c) / 255.0)
                    })
                    .collect();
                Plane { width, height, data }
            };
            one_view(camera, &crop(colors), normals.map(crop).as_ref(), progress)
        })
        .collect::<Result<_>>()?;
    Ok(Views { views })
}

fn one_view(camera: Camera, srgb: &Plane<3>, normals: Option<&Plane<3>>, progress: &Progress) -> Result<View> {
    let (width, height) = (srgb.width, srgb.height);
    let known = match normals {
        Some(normals) => known_from_normals(normals),
        None => known_from_grey(srgb),
    };
    let mask = matting::alpha(srgb, &known, progress)?;
    let fore = matting::foreground(srgb, &mask);
    let data = fore
        .data
        .iter()
        .zip(&mask.data)
        .map(|(srgb, &[alpha])| {
            let [r, g, b] = srgb.map(color::linear_from_srgb);
            [r, g, b, alpha]
        })
        .collect();
    let color = Some(Plane { width, height, data });
    let normal = normals.map(|normals| {
        let data = normals
            .data
            .iter()
            .zip(&mask.data)
            .map(|(encoded, &[alpha])| {
                let n = decode(*encoded);
                let length = length(n);
                // Below, the direction is noise.
                if alpha < 0.05 || length < 0.1 { [0.0; 3] } else { camera.vector_to_world(n.map(|x| x / length)) }
            })
            .collect();
        Plane { width, height, data }
    });
    Ok(View { camera, mask, color, normal })
}

/// Camera-space normal (x right, y up, z towards the camera) of a colour; short where there is no surface.
fn decode(encoded: [f32; 3]) -> [f32; 3] {
    encoded.map(|c| 2.0 * c - 1.0)
}

fn length(n: [f32; 3]) -> f32 {
    (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]).sqrt()
}

fn known(inside: &[bool], outside: &[bool], width: usize, height: usize) -> Vec<Known> {
    let inside = matting::erode(inside, width, height, false);
    let outside = matting::erode(outside, width, height, true);
    inside
        .into_iter()
        .zip(outside)
        .map(|(inside, outside)| match (inside, outside) {
            (true, _) => Known::Foreground,
            (_, true) => Known::Background,
            _ => Known::Unknown,
        })
        .collect()
}

/// The authors' thresholds: surfaces have normals of length 1, the background of length 0.
fn known_from_normals(normals: &Plane<3>) -> Vec<Known> {
    let lengths: Vec<f32> = normals.data.iter().map(|&n| length(decode(n))).collect();
    let inside: Vec<bool> = lengths.iter().map(|&l| l > 0.6).collect();
    let outside: Vec<bool> = lengths.iter().map(|&l| l < 0.2).collect();
    known(&inside, &outside, normals.width, normals.height)
}

/// Background is what is as grey as the background and joined to the border by such pixels.
fn known_from_grey(srgb: &Plane<3>) -> Vec<Known> {
    const GREY: f32 = 127.0 / 255.0;
    const NEAR: f32 = 0.03;
    const FAR: f32 = 0.08;
    let (width, height) = (srgb.width, srgb.height);
    let off: Vec<f32> = srgb.data.iter().map(|c| c.iter().map(|c| (c - GREY).abs()).fold(0.0, f32::max)).collect();
    let joined = |limit: f32| {
        let mut reached = vec![false; width * height];
        let mut open: Vec<usize> = (0..width * height)
            .filter(|&k| k < width || k >= width * (height - 1) || k % width == 0 || k % width == width - 1)
            .filter(|&k| off[k] < limit)
            .collect();
        for &k in &open {
            reached[k] = true;
        }
        while let Some(k) = open.pop() {
            let (row, column) = (k / width, k % width);
            let around = [
                (row > 0).then(|| k - width),
                (row + 1 < height).then(|| k + width),
                (column > 0).then(|| k - 1),
                (column + 1 < width).then(|| k + 1),
            ];
            for next in around.into_iter().flatten() {
                if !reached[next] && off[next] < limit {
                    reached[next] = true;
                    open.push(next);
                }
            }
        }
        reached
    };
    let inside: Vec<bool> = joined(FAR).into_iter().map(|outside| !outside).collect();
    known(&inside, &joined(NEAR), width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiles of a lit sphere of radius 0.4, seen by the rig.
    fn sphere(size: usize, rig: Rig) -> (Image, Image, Vec<f32>) {
        let samples = 4;
        let (tile_width, tile_height) = (size * COLUMNS, size * ROWS);
        let mut colors = vec![[0u8; 4]; tile_width * tile_height];
        let mut normals = colors.clone();
        let mut alphas = vec![0.0f32; tile_width * tile_height];
        for (index, camera) in rig.cameras(size).iter().enumerate() {
            for row in 0..size {
                for column in 0..size {
                    let (mut cover, mut color, mut normal) = (0.0f32, [0.0f32; 3], [0.0f32; 3]);
                    for sub in 0..samples * samples {
                        let x = column as f32 + ((sub % samples) as f32 + 0.5) / samples as f32;
                        let y = row as f32 + ((sub / samples) as f32 + 0.5) / samples as f32;
                        let (o, d) = (camera.position, camera.ray_in_world(x, y));
                        let b: f32 = (0..3).map(|k| o[k] * d[k]).sum();
                        let c: f32 = (0..3).map(|k| o[k] * o[k]).sum::<f32>() - 0.16;
                        let discriminant = b * b - c;
                        if discriminant <= 0.0 {
                            continue;
                        }
                        let t = -b - discriminant.sqrt();
                        let world: [f32; 3] = std::array::from_fn(|k| (o[k] + t * d[k]) / 0.4);
                        let n = camera.vector_to_camera(world);
                        cover += 1.0;
                        for k in 0..3 {
                            color[k] += 0.2 + 0.6 * (0.5 + 0.5 * world[k]);
                            normal[k] += n[k];
                        }
                    }
                    let count = (samples * samples) as f32;
                    let at = (index / COLUMNS * size + row) * tile_width + index % COLUMNS * size + column;
                    let alpha = cover / count;
                    alphas[at] = alpha;
                    let byte = |value: f32| (value * 255.0).round().clamp(0.0, 255.0) as u8;
                    let over = |sum: f32| byte(sum / count + (1.0 - alpha) * 127.0 / 255.0);
                    let encoded = |sum: f32| byte((sum / count) * 0.5 + alpha * 0.5 + (1.0 - alpha) * 127.0 / 255.0);
                    colors[at] = [over(color[0]), over(color[1]), over(color[2]), 255];
                    normals[at] = [encoded(normal[0]), encoded(normal[1]), encoded(normal[2]), 255];
                }
            }
        }
        let image = |pixels| Image::new(tile_width as u32, tile_height as u32, pixels).unwrap();
        (image(colors), image(normals), alphas)
    }

    fn check(rig: Rig, with_normals: bool, least_iou: f32) {
        let size = 96;
        let (colors, normals, alphas) = sphere(size, rig);
        let views = to_views(&colors, with_normals.then_some(&normals), rig, &Progress::new()).unwrap();
        views.validate().unwrap();
        for (index, view) in views.views.iter().enumerate() {
            let truth = |k: usize| {
                alphas[(index / COLUMNS * size + k / size) * size * COLUMNS + index % COLUMNS * size + k % size]
            };
            let (mut both, mut either, mut angle, mut count) = (0.0f32, 0.0f32, 0.0f32, 0usize);
            for k in 0..size * size {
                let (ours, wanted) = (view.mask.data[k][0], truth(k));
                both += f32::from(u8::from(ours > 0.5 && wanted > 0.5));
                either += f32::from(u8::from(ours > 0.5 || wanted > 0.5));
                if let (Some(normal), true) = (&view.normal, wanted == 1.0) {
                    let (x, y) = ((k % size) as f32 + 0.5, (k / size) as f32 + 0.5);
                    let (o, d) = (view.camera.position, view.camera.ray_in_world(x, y));
                    let b: f32 = (0..3).map(|k| o[k] * d[k]).sum();
                    let c: f32 = (0..3).map(|k| o[k] * o[k]).sum::<f32>() - 0.16;
                    let t = -b - (b * b - c).max(0.0).sqrt();
                    let dot: f32 = (0..3).map(|i| normal.data[k][i] * (o[i] + t * d[i]) / 0.4).sum();
                    angle += dot.clamp(-1.0, 1.0).acos().to_degrees();
                    count += 1;
                }
            }
            assert!(both / either > least_iou, "{rig:?} view {index}: IoU {}", both / either);
            if with_normals {
                assert!(angle / (count as f32) < 1.0, "view {index}: {} degrees off", angle / count as f32);
            } else {
                assert!(view.normal.is_none());
            }
        }
    }

    #[test]
    fn a_sphere_is_seen_by_the_rig_it_was_made_with() {
        check(Rig::V1_2, true, 0.99);
        check(Rig::V1_1, true, 0.99);
        check(Rig::V1_2, false, 0.98);
    }

    #[test]
    fn version_1_1_looks_from_above_and_below() {
        let cameras = Rig::V1_1.cameras(320);
        let elevation = |camera: &Camera| (camera.position.y / camera.position.coords.norm()).asin().to_degrees();
        assert!((elevation(&cameras[0]) - 30.0).abs() < 1e-3 && (elevation(&cameras[1]) + 20.0).abs() < 1e-3);
        // 49.134 degrees.
        assert!((cameras[0].focal_px[0] - 160.0 * 35.0 / 16.0).abs() < 1e-2);
    }

    #[test]
    fn odd_tiles_are_refused() {
        let tile = Image::filled(64, 90, [127, 127, 127, 255]).unwrap();
        assert!(to_views(&tile, None, Rig::V1_2, &Progress::new()).is_err());
    }
}

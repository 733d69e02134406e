//! Visibility: which surface points each source pixel is the mean of.
//!
//! A pixel is no point sample but the box filter of everything behind it, in linear light. Rasterising at a multiple of
//! the view's size gives the surface point behind every sub-ray; the nearest surface wins, so what a view cannot see
//! gets no equation from it.

use maquette_core::{Mesh, Plane, Views};
use maquette_raster::{GBuffer, rasterize};
use rayon::prelude::*;

use crate::Result;
use crate::part::Part;
use crate::vector::{dot, unit};

/// Pixels with less coverage than this say more about the background than about the surface.
const LEAST_ALPHA: f32 = 0.3;
/// Steeper than this a pixel is smeared over too much surface to say anything.
const LEAST_COSINE: f32 = 1e-3;
/// Most sub-rays of all views together; beyond, fewer are cast for each pixel.
const MOST_SUB_RAYS: usize = 48_000_000;

/// A point on the surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SurfacePoint {
    pub(crate) triangle: u32,
    /// Weights of the triangle's second and third corner.
    pub(crate) barycentric: [f32; 2],
}

/// One equation for each usable pixel of the views: the mean colour of its surface points is the pixel's colour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Footprints {
    /// Where each pixel's points start; one more than pixels.
    starts: Vec<u32>,
    points: Vec<SurfacePoint>,
    /// Linear colour of each pixel; the last number is 0.
    pub(crate) colors: Vec<[f32; 4]>,
    /// Mean |cos| between the ray and the surface.
    pub(crate) cosines: Vec<f32>,
}

impl Footprints {
    #[cfg(test)]
    pub(crate) fn from_parts(
        starts: Vec<u32>,
        points: Vec<SurfacePoint>,
        colors: Vec<[f32; 4]>,
        cosines: Vec<f32>,
    ) -> Self {
        Self { starts, points, colors, cosines }
    }

    /// Number of usable pixels.
    pub(crate) fn len(&self) -> usize {
        self.cosines.len()
    }

    pub(crate) fn points(&self, pixel: usize) -> &[SurfacePoint] {
        &self.points[self.starts[pixel] as usize..self.starts[pixel + 1] as usize]
    }

    /// Mean colour of all pixels; grey without any.
    pub(crate) fn mean_color(&self) -> [f32; 4] {
        let mut sum = [0.0f64; 4];
        for color in &self.colors {
            for k in 0..3 {
                sum[k] += f64::from(color[k]);
            }
        }
        if self.colors.is_empty() { [0.5, 0.5, 0.5, 0.0] } else { sum.map(|x| (x / self.colors.len() as f64) as f32) }
    }

    /// Casts `samples` x `samples` sub-rays through every pixel that shows the object.
    ///
    /// `shifts` moves each view's pixels before they are cast, in pixels; empty: no shifts.
    pub(crate) fn cast(mesh: &Mesh, views: &Views, samples: usize, shifts: &[Plane<2>], part: Part) -> Result<Self> {
        let pixels: usize = views.views.iter().map(|view| view.camera.width * view.camera.height).sum();
        let mut samples = samples.max(1);
        while samples > 1 && pixels * samples * samples > MOST_SUB_RAYS {
            samples -= 1;
        }
        let normals: Vec<[f32; 3]> =
            mesh.triangles.par_iter().map(|&triangle| unit(mesh.area_vector(triangle))).collect();
        let mut all = Self { starts: vec![0], ..Self::default() };
        for (index, view) in views.views.iter().enumerate() {
            part.at(index as f32 / views.views.len() as f32)?;
            let Some(color) = &view.color else { continue };
            let camera = &view.camera;
            let fine = camera.resized(camera.width * samples, camera.height * samples);
            let gbuffer = rasterize(&mesh.positions, &mesh.triangles, &fine);
            let shift = shifts.get(index);
            let rows: Vec<Self> = (0..camera.height)
                .into_par_iter()
                .map(|row| {
                    let mut rows = Self::default();
                    for column in 0..camera.width {
                        let [red, green, blue, alpha] = color.at(row, column);
                        if alpha.min(view.mask.at(row, column)[0]) < LEAST_ALPHA {
                            continue;
                        }
                        let first = rows.points.len();
                        let ray = camera.ray_in_world(column as f32 + 0.5, row as f32 + 0.5);
                        let [dx, dy] = shift.map_or([0; 2], |shift| {
                            shift.at(row, column).map(|pixels| (pixels * samples as f32).round() as i64)
                        });
                        let mut cosine = 0.0;
                        for sub_row in 0..samples {
                            for sub_column in 0..samples {
                                let y = (row * samples + sub_row) as i64 + dy;
                                let x = (column * samples + sub_column) as i64 + dx;
                                if x < 0 || y < 0 || x >= fine.width as i64 || y >= fine.height as i64 {
                                    continue;
                                }
                                let at = y as usize * fine.width + x as usize;
                                let triangle = gbuffer.triangle[at];
                                if triangle != GBuffer::EMPTY {
                                    rows.points.push(SurfacePoint { triangle, barycentric: gbuffer.barycentric[at] });
                                    cosine += dot(normals[triangle as usize], ray).abs();
                                }
                            }
                        }
                        let hits = rows.points.len() - first;
                        let cosine = cosine / hits.max(1) as f32;
                        if 2 * hits < samples * samples || cosine < LEAST_COSINE {
                            rows.points.truncate(first);
                            continue;
                        }
                        rows.starts.push(rows.points.len() as u32);
                        rows.colors.push([red, green, blue, 0.0]);
                        rows.cosines.push(cosine);
                    }
                    rows
                })
                .collect();
            for rows in rows {
                let offset = all.points.len() as u32;
                all.starts.extend(rows.starts.iter().map(|start| start + offset));
                all.points.extend(rows.points);
                all.colors.extend(rows.colors);
                all.cosines.extend(rows.cosines);
            }
        }
        part.at(1.0)?;
        Ok(all)
    }
}

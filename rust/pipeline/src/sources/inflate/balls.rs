//! Union of the balls that fit into a silhouette.
//!
//! Every pixel of the silhouette carries a ball whose centre lies on the plane through the origin that is parallel to the
//! picture, and which, seen by the input camera, just touches the outline. Over the plane, the union of all balls is a
//! height field whose square is the upper envelope of paraboloids, r^2 - |p - c|^2, which a generalised distance
//! transform gives in linear time (Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, 2012). Limbs
//! come out as round as they are wide, holes stay open, and noise along the outline changes nothing much.

use maquette_core::{Camera, Image, Plane, Progress, Result};
use rayon::prelude::*;

/// Cells across the input camera's frame.
pub(super) const CELLS: usize = 96;
/// Side in pixels up to which the outline is refined.
const OUTLINE_SIDE: usize = 1536;
/// Smallest radius of a ball in cells: even a line of pixels becomes a closed wire.
const SMALLEST_RADIUS: f32 = 0.75;
/// The envelope is taken on a grid this many times finer, so that middle lines lie close to nodes.
const FINER: usize = 4;
/// Standard deviations, in cells, of the smoothing that rounds steps and the creases between balls.
const SMOOTHINGS: [f32; 3] = [1.0, 2.0, 4.0];
/// Cells around the silhouette: as far as the widest smoothing reaches.
const MARGIN: f32 = 14.0;
/// Standard deviation, in cells, of the neighbourhood that says how large the balls are.
const RADIUS_BLUR: f32 = 5.0;
/// Stands for "no ball here".
const NONE: f32 = 1e20;

/// Squared half-thickness over a grid of nodes on a plane, negative outside of the silhouette.
pub(super) struct HeightField {
    /// Nodes along `axis_x` (columns) and `axis_y` (rows).
    pub(super) squared: Plane<1>,
    /// World position of the first node.
    pub(super) origin: [f32; 3],
    /// Distance between nodes.
    pub(super) cell: f32,
    /// Unit vectors in the plane, and its normal towards the input camera.
    pub(super) axes: [[f32; 3]; 3],
}

impl HeightField {
    /// `None` when the picture is fully transparent.
    pub(super) fn of_silhouette(picture: &Image, camera: &Camera, progress: &Progress) -> Result<Option<Self>> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let most = picture.pixels().iter().map(|pixel| pixel[3]).max().unwrap_or(0);
        if most == 0 {
            return Ok(None);
        }
        // Half covered; glass and hairlines may be less than that everywhere.
        let threshold = f32::from(most) / 510.0;
        let clearance = clearance_in_radians(picture, camera, threshold);
        progress.check()?;
        // Parallel to the picture. An upright plane would keep a raised camera's object from leaning back, but what is
        // seen from above is rather longer than it is tall: measured, parallel is the better guess.
        let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|axis| camera.vector_to_world(axis));
        let [axis_x, axis_y, normal] = axes;
        let position = [camera.position.x, camera.position.y, camera.position.z];
        let cell = 1.0 / (CELLS * FINER) as f32;
        let mut ridge: Vec<[f32; 3]> = Vec::new();
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for row in 0..height {
            for column in 0..width {
                if clearance.at(row, column)[0] <= 0.0 {
                    continue;
                }
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                let ray = camera.ray_in_world(x, y);
                let along = -dot(position, normal) / dot(ray, normal);
                if along.is_nan() || along <= 0.0 {
                    continue;
                }
                let center: [f32; 3] = std::array::from_fn(|k| position[k] + along * ray[k]);
                let place = [dot(center, axis_x), dot(center, axis_y)];
                let ball = along * clearance.at(row, column)[0].sin();
                for k in 0..2 {
                    low[k] = low[k].min(place[k] - ball);
                    high[k] = high[k].max(place[k] + ball);
                }
                if is_ridge(&clearance, camera.focal_px[0], row, column) {
                    ridge.push([place[0], place[1], ball]);
                }
            }
        }
        if low[0] > high[0] {
            return Ok(None);
        }
        progress.check()?;
        let margin = MARGIN * FINER as f32 * cell;
        let nodes = |k: usize| ((high[k] - low[k] + 2.0 * margin) / cell).ceil() as usize + 1;
        let low = low.map(|x| x - margin);
        let point = |x: f32, y: f32| -> [f32; 3] { std::array::from_fn(|k| x * axis_x[k] + y * axis_y[k]) };
        // In units of the finer cells from here on.
        let mut squared = Plane::filled(nodes(0), nodes(1), [NONE]);
        for row in 0..squared.height {
            for column in 0..squared.width {
                let at = point(low[0] + column as f32 * cell, low[1] + row as f32 * cell);
                let (pixel, depth) = camera.project(at);
                let clearance = clearance.bilinear(pixel[0], pixel[1])[0];
                if depth > 0.0 && clearance > 0.0 {
                    let along = (0..3).map(|k| (at[k] - position[k]).powi(2)).sum::<f32>().sqrt();
                    *squared.at_mut(row, column) = [-(along * clearance.sin() / cell).powi(2)];
                }
            }
        }
        // What is thinner than a cell would fall between the nodes: its balls are made large enough not to.
        let thinnest = SMALLEST_RADIUS * FINER as f32;
        for [x, y, radius] in ridge {
            let radius = (radius / cell).max(thinnest);
            let (column, row) = (((x - low[0]) / cell).round() as usize, ((y - low[1]) / cell).round() as usize);
            if radius <= thinnest {
                let node = &mut squared.at_mut(row, column)[0];
                *node = node.min(-radius * radius);
            }
        }
        let radii = squared.data.iter().map(|value| (-value[0]).max(0.0).sqrt()).collect::<Vec<_>>();
        progress.check()?;
        let winners = lower_envelope(&mut squared);
        progress.check()?;
        for value in &mut squared.data {
            value[0] = -value[0];
        }
        let mut radii = Plane {
            width: squared.width,
            height: squared.height,
            data: winners.into_iter().map(|winner| [radii[winner]]).collect(),
        };
        continue_outside(&mut squared, &mut radii);
        progress.check()?;
        round_creases(&mut squared, &gaussian(&radii, RADIUS_BLUR * FINER as f32), progress)?;
        let (columns, rows) = (squared.width.div_ceil(FINER), squared.height.div_ceil(FINER));
        let coarse = (0..rows * columns)
            .map(|node| [squared.at(node / columns * FINER, node % columns * FINER)[0] * cell * cell])
            .collect();
        Ok(Some(Self {
            squared: Plane { width: columns, height: rows, data: coarse },
            origin: point(low[0], low[1]),
            cell: cell * FINER as f32,
            axes,
        }))
    }
}

/// Angle at the camera between each pixel and the nearest point of the outline; zero and less outside, where it is not
/// exact. The ball around a point at distance d that just touches the outline has the radius d sin(angle).
fn clearance_in_radians(picture: &Image, camera: &Camera, threshold: f32) -> Plane<1> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let alpha = Plane { width, height, data: picture.pixels().iter().map(|p| [f32::from(p[3]) / 255.0]).collect() };
    // Soft alpha places the outline between pixels; a mask of whole pixels would make steps of it.
    let finer = (OUTLINE_SIDE / width.max(height)).clamp(1, 4);
    let fine_width = width * finer;
    let place =
        |index: usize| [(index % fine_width) as f32 + 0.5, (index / fine_width) as f32 + 0.5].map(|x| x / finer as f32);
    let data = (0..fine_width * height * finer)
        .map(|index| {
            let [x, y] = place(index);
            [if alpha.bilinear(x, y)[0] >= threshold { NONE } else { 0.0 }]
        })
        .collect();
    let mut plane = Plane { width: fine_width, height: height * finer, data };
    let nearest = lower_envelope(&mut plane);
    for (index, value) in plane.data.iter_mut().enumerate() {
        let steps = value[0].sqrt();
        if steps == 0.0 {
            value[0] = -0.5 / finer as f32 / camera.focal_px[0];
            continue;
        }
        let (here, there) = (place(index), place(nearest[index]));
        // The outline runs between the sample inside and the one outside.
        let share = (steps - 0.5) / steps;
        let outline: [f32; 2] = std::array::from_fn(|k| here[k] + share * (there[k] - here[k]));
        let (a, b) = (camera.ray_in_world(here[0], here[1]), camera.ray_in_world(outline[0], outline[1]));
        let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
        value[0] = dot(cross, cross).sqrt().atan2(dot(a, b));
    }
    // The mean of the samples in a pixel stands for its centre, whether or not one lies there.
    plane.resized(width, height)
}

/// True where no neighbour has more clearance by a good part of its distance: the middle line of the silhouette.
fn is_ridge(clearance: &Plane<1>, focal_px: f32, row: usize, column: usize) -> bool {
    let here = clearance.at(row, column)[0];
    let rows = row.saturating_sub(1)..(row + 2).min(clearance.height);
    rows.into_iter().all(|r| {
        (column.saturating_sub(1)..(column + 2).min(clearance.width)).all(|c| {
            let step = ((r.abs_diff(row) + c.abs_diff(column)) as f32).sqrt();
            clearance.at(r, c)[0] <= here + 0.6 * step / focal_px
        })
    })
}

/// Replaces f(p) by min over q of f(q) + |p - q|^2, distances in nodes; which q it was, for each p.
fn lower_envelope(plane: &mut Plane<1>) -> Vec<usize> {
    let (width, height) = (plane.width, plane.height);
    let mut line = Envelope::default();
    let mut nearest_column = vec![0; width * height];
    for row in 0..height {
        let span = row * width..(row + 1) * width;
        let values = &mut plane.data[span.clone()];
        line.solve(width, |k| values[k][0]);
        for (value, result) in values.iter_mut().zip(&line.result) {
            value[0] = *result;
        }
        nearest_column[span].copy_from_slice(&line.nearest);
    }
    let mut nearest = vec![0; width * height];
    for column in 0..width {
        line.solve(height, |k| plane.data[k * width + column][0]);
        for row in 0..height {
            let node = row * width + column;
            plane.data[node][0] = line.result[row];
            let from = line.nearest[row];
            nearest[node] = from * width + nearest_column[from * width + column];
        }
    }
    nearest
}

/// Lower envelope of parabolas over one line; keeps its buffers.
#[derive(Default)]
struct Envelope {
    values: Vec<f64>,
    vertices: Vec<usize>,
    starts: Vec<f64>,
    result: Vec<f32>,
    nearest: Vec<usize>,
}

impl Envelope {
    fn solve(&mut self, count: usize, value: impl Fn(usize) -> f32) {
        self.values.clear();
        self.values.extend((0..count).map(|k| f64::from(value(k))));
        self.vertices.clear();
        self.starts.clear();
        for q in 0..count {
            if self.values[q] >= f64::from(NONE) {
                continue;
            }
            let mut start = f64::NEG_INFINITY;
            while let Some(&last) = self.vertices.last() {
                let (a, b) = (last as f64, q as f64);
                start = ((self.values[q] + b * b) - (self.values[last] + a * a)) / (2.0 * (b - a));
                if self.starts.last().is_some_and(|&previous| start <= previous) {
                    self.vertices.pop();
                    self.starts.pop();
                    start = f64::NEG_INFINITY;
                } else {
                    break;
                }
            }
            self.vertices.push(q);
            self.starts.push(start);
        }
        self.result.clear();
        self.nearest.clear();
        if self.vertices.is_empty() {
            self.result.resize(count, NONE);
            self.nearest.extend(0..count);
            return;
        }
        let mut current = 0;
        for p in 0..count {
            while current + 1 < self.starts.len() && self.starts[current + 1] <= p as f64 {
                current += 1;
            }
            let q = self.vertices[current];
            let off = p as f64 - q as f64;
            self.result.push((self.values[q] + off * off) as f32);
            self.nearest.push(q);
        }
    }
}

/// Continues the squared heights smoothly beyond the outline.
///
/// Outside, the envelope belongs to the smallest balls along the outline and has a kink there, which smoothing would
/// move outwards. A ball of radius r has 2 r s - s^2 at a distance s inside of its rim, and -2 r s - s^2 outside.
fn continue_outside(squared: &mut Plane<1>, radii: &mut Plane<1>) {
    let (width, height) = (squared.width, squared.height);
    let mut distance = squared.clone();
    for value in &mut distance.data {
        value[0] = if value[0] > 0.0 { 0.0 } else { NONE };
    }
    let nearest = lower_envelope(&mut distance);
    let inside = squared.clone();
    for row in 0..height {
        for column in 0..width {
            let node = row * width + column;
            if inside.data[node][0] > 0.0 {
                continue;
            }
            let (to_row, to_column) = (nearest[node] / width, nearest[node] % width);
            // As far inside of the outline as this node is outside.
            let mirror = (
                (2 * to_row).checked_sub(row).filter(|r| *r < height),
                (2 * to_column).checked_sub(column).filter(|c| *c < width),
            );
            let mirrored = if let (Some(r), Some(c)) = mirror { inside.at(r, c)[0].max(0.0) } else { 0.0 };
            squared.data[node][0] = -mirrored - 2.0 * distance.data[node][0];
            radii.data[node] = radii.data[nearest[node]];
        }
    }
}

/// Smooths as much as the balls are large; thin parts stay as they are.
///
/// At the rim the surface runs along the line of sight, where half a pixel in the outline is a deep groove in the side.
fn round_creases(squared: &mut Plane<1>, radii: &Plane<1>, progress: &Progress) -> Result<()> {
    for sigma in SMOOTHINGS.map(|cells| cells * FINER as f32) {
        progress.check()?;
        let smooth = gaussian(squared, sigma);
        for ((value, smooth), radius) in squared.data.iter_mut().zip(&smooth.data).zip(&radii.data) {
            let share = ((radius[0] / sigma - 2.5) / 4.0).clamp(0.0, 1.0);
            // Blurring lowers r^2 - x^2 by sigma^2, and r^2 - x^2 - y^2 by twice that.
            value[0] += share * (smooth[0] + 1.5 * sigma * sigma - value[0]);
        }
    }
    Ok(())
}

/// Separable Gaussian blur, clamped at the border.
fn gaussian(plane: &Plane<1>, sigma: f32) -> Plane<1> {
    let reach = (3.0 * sigma).ceil() as isize;
    let weights: Vec<f32> = (-reach..=reach).map(|k| (-0.5 * (k as f32 / sigma).powi(2)).exp()).collect();
    let total: f32 = weights.iter().sum();
    let pass = |source: &Plane<1>, along_rows: bool| {
        let mut result = source.clone();
        result.data.par_chunks_mut(source.width).enumerate().for_each(|(row, values)| {
            for (column, value) in values.iter_mut().enumerate() {
                let mut sum = 0.0;
                for (weight, k) in weights.iter().zip(-reach..) {
                    let clamp = |at: usize, size: usize| (at as isize + k).clamp(0, size as isize - 1) as usize;
                    let value = if along_rows {
                        source.at(row, clamp(column, source.width))
                    } else {
                        source.at(clamp(row, source.height), column)
                    };
                    sum += weight * value[0];
                }
                value[0] = sum / total;
            }
        });
        result
    };
    pass(&pass(plane, true), false)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_is_the_minimum_over_all_parabolas() {
        let (width, height) = (13, 9);
        let mut plane = Plane::filled(width, height, [NONE]);
        for (row, column, value) in [(1, 2, -9.0), (7, 11, -20.0), (4, 4, 3.0), (4, 5, -1.0)] {
            *plane.at_mut(row, column) = [value];
        }
        let given = plane.clone();
        lower_envelope(&mut plane);
        for row in 0..height {
            for column in 0..width {
                let mut wanted = f32::INFINITY;
                for r in 0..height {
                    for c in 0..width {
                        let off = (row as f32 - r as f32).powi(2) + (column as f32 - c as f32).powi(2);
                        wanted = wanted.min(given.at(r, c)[0] + off);
                    }
                }
                assert_eq!(plane.at(row, column)[0], wanted, "{row} {column}");
            }
        }
    }
}

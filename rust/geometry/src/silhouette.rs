//! A soft mask's outline to a fraction of a pixel: contour segments and the signed distance to them.
//!
//! Marching squares over pixel centres; where the outline crosses between two centres is read from their coverage, see
//! [`crossing_fraction`]. Beyond the picture the mask is empty. Nothing here looks at a binary mask: that alone would
//! cost half a pixel.
//!
//! Distances: for every row of pixels the squared distances to all outline points are parabolas, whose lower envelope is
//! found in linear time (Felzenszwalb and Huttenlocher 2012, "Distance Transforms of Sampled Functions", here with seeds
//! anywhere); then the distance to the nearest point's own segment is taken.

use maquette_core::{Image, Plane, View};
use rayon::prelude::*;

use crate::{Error, Result};

/// Coverage that counts as inside.
const LEVEL: f32 = 0.5;
/// Corners of a square of pixel centres, clockwise in the picture from the top left.
const CORNERS: [[f32; 2]; 4] = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
/// Sample points of a segment that compete for the nearest one; the segments are at most 1.5 pixels long.
const SEEDS_PER_SEGMENT: usize = 6;

/// Outline and signed distance of one mask, in pixels.
#[derive(Clone, Debug)]
pub struct Silhouette {
    /// Segments of the outline; the inside lies to the right of the way from the first to the second point as seen in
    /// the picture (x right, y down).
    pub segments: Vec<[[f32; 2]; 2]>,
    /// Signed distance of every pixel centre to the outline, negative inside; [`Silhouette::FAR`] everywhere when the
    /// mask is empty.
    pub distance: Plane<1>,
}

impl Silhouette {
    /// Distance where there is no outline at all.
    pub const FAR: f32 = 1e4;

    /// The outline of `mask`, coverage in 0..=1.
    pub fn new(mask: &Plane<1>) -> Self {
        let segments = outline(mask);
        let distance = signed_distance(mask, &segments);
        Self { segments, distance }
    }

    /// Silhouettes of all masks, in parallel. Masks must not be empty of pixels or have NaN.
    pub fn of_views(views: &[View]) -> Result<Vec<Self>> {
        for (index, view) in views.iter().enumerate() {
            let mask = &view.mask;
            let side = Image::MAX_SIDE as usize;
            if mask.width == 0 || mask.height == 0 || mask.width > side || mask.height > side {
                return Err(Error::invalid(format!(
                    "the mask of view {index} is {}x{} pixels; give 1 to {side} a side",
                    mask.width, mask.height
                )));
            }
            let needed = mask.width * mask.height;
            Error::check_length("mask", mask.data.len(), needed, "one coverage for each pixel")?;
            if let Some(index) = mask.data.iter().position(|pixel| !pixel[0].is_finite()) {
                return Err(Error::NotFinite { what: "mask pixel", index, remedy: "write the mask again" });
            }
        }
        Ok(views.par_iter().map(|view| Self::new(&view.mask)).collect())
    }

    /// True when the mask has no outline: nothing, or everything beyond its border included, is covered.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Signed distance at continuous pixel position (x, y) and its gradient. Bilinear between pixel centres; beyond the
    /// outermost centres the distance to the picture is added.
    pub fn sample(&self, x: f32, y: f32) -> (f32, [f32; 2]) {
        let (width, height) = (self.distance.width, self.distance.height);
        let (fx, column, dx) = clamped(x, width);
        let (fy, row, dy) = clamped(y, height);
        let right = (column + 1).min(width - 1);
        let below = (row + 1).min(height - 1);
        let at = |row: usize, column: usize| self.distance.data[row * width + column][0];
        let (a, b, c, d) = (at(row, column), at(row, right), at(below, column), at(below, right));
        let top = a + (b - a) * fx;
        let bottom = c + (d - c) * fx;
        let inside = top + (bottom - top) * fy;
        let beyond = (dx * dx + dy * dy).sqrt();
        if beyond > 0.0 {
            // Far outside only the way back matters; along the border the interpolated slope still counts.
            let mut gradient = [dx / beyond, dy / beyond];
            if dx == 0.0 {
                gradient[0] = (b - a) + ((d - c) - (b - a)) * fy;
            }
            if dy == 0.0 {
                gradient[1] = bottom - top;
            }
            return (inside + beyond, gradient);
        }
        (inside, [(b - a) + ((d - c) - (b - a)) * fy, bottom - top])
    }
}

/// Fraction and index of the pixel centre below `x`, and how far `x` lies beyond the outermost centres.
fn clamped(x: f32, size: usize) -> (f32, usize, f32) {
    let wanted = x - 0.5;
    let inside = wanted.clamp(0.0, (size - 1) as f32);
    let index = inside as usize;
    (inside - index as f32, index, wanted - inside)
}

/// How far on the way from a pixel centre of coverage `inside >= 0.5` to its neighbour's of `outside < 0.5` the outline
/// lies.
///
/// Where coverage is the exact area (steep steps), a straight edge of any direction lies where the two areas add up:
/// `inside + outside - 0.5`; linear interpolation to one half is up to 0.12 pixels off there, and right on soft ramps.
fn crossing_fraction(inside: f32, outside: f32) -> f32 {
    let step = inside - outside;
    let linear = (inside - LEVEL) / step;
    let area = (inside + outside - LEVEL).clamp(0.0, 1.0);
    let steep = ((step - 0.3) / 0.2).clamp(0.0, 1.0);
    linear + steep * (area - linear)
}

/// Marching squares at [`LEVEL`] over pixel centres, with a rim of empty pixels around the picture.
fn outline(mask: &Plane<1>) -> Vec<[[f32; 2]; 2]> {
    let (width, height) = (mask.width as isize, mask.height as isize);
    let at = |row: isize, column: isize| {
        if row < 0 || column < 0 || row >= height || column >= width {
            0.0
        } else {
            mask.data[(row * width + column) as usize][0]
        }
    };
    let mut segments = Vec::new();
    for row in -1..height {
        for column in -1..width {
            let values = [at(row, column), at(row, column + 1), at(row + 1, column + 1), at(row + 1, column)];
            let inside = values.map(|value| value >= LEVEL);
            if inside == [true; 4] || inside == [false; 4] {
                continue;
            }
            let crossing = |edge: usize| {
                let (a, b) = (edge, (edge + 1) % 4);
                let t = if values[a] > values[b] {
                    crossing_fraction(values[a], values[b])
                } else {
                    1.0 - crossing_fraction(values[b], values[a])
                };
                let point = |axis: usize| CORNERS[a][axis] + t * (CORNERS[b][axis] - CORNERS[a][axis]);
                [column as f32 + 0.5 + point(0), row as f32 + 0.5 + point(1)]
            };
            // Walking clockwise, an edge that leaves the inside starts a segment and one that enters it ends one.
            let leaves: Vec<usize> = (0..4).filter(|&e| inside[e] && !inside[(e + 1) % 4]).collect();
            let enters: Vec<usize> = (0..4).filter(|&e| !inside[e] && inside[(e + 1) % 4]).collect();
            if leaves.len() == 1 {
                segments.push([crossing(leaves[0]), crossing(enters[0])]);
            } else {
                // Two opposite corners inside: joined when the middle is inside, else apart.
                let joined = values.iter().sum::<f32>() / 4.0 >= LEVEL;
                for &leave in &leaves {
                    let enter = if joined { (leave + 1) % 4 } else { (leave + 3) % 4 };
                    segments.push([crossing(leave), crossing(enter)]);
                }
            }
        }
    }
    segments.retain(|[a, b]| a != b);
    segments
}

fn signed_distance(mask: &Plane<1>, segments: &[[[f32; 2]; 2]]) -> Plane<1> {
    let mut distance = Plane::filled(mask.width, mask.height, [Silhouette::FAR]);
    // (x, y, segment), sorted by x.
    let mut seeds: Vec<(f32, f32, u32)> = Vec::with_capacity(segments.len() * SEEDS_PER_SEGMENT);
    for (index, [a, b]) in segments.iter().enumerate() {
        for sample in 0..SEEDS_PER_SEGMENT {
            let t = (sample as f32 + 0.5) / SEEDS_PER_SEGMENT as f32;
            seeds.push((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), index as u32));
        }
    }
    if seeds.is_empty() {
        return distance;
    }
    seeds.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    let width = mask.width;
    distance.data.par_chunks_mut(width).enumerate().for_each_init(
        || Vec::<(f32, f32, u32, f32)>::with_capacity(seeds.len()),
        |envelope, (row, out)| {
            let y = row as f32 + 0.5;
            envelope.clear();
            for &(seed_x, seed_y, segment) in &seeds {
                let height = (y - seed_y) * (y - seed_y);
                let mut from = f32::NEG_INFINITY;
                while let Some(&(x, h, _, start)) = envelope.last() {
                    if seed_x - x < 1e-6 {
                        if height >= h {
                            from = f32::INFINITY;
                            break;
                        }
                    } else {
                        // Where the new parabola falls below the last one.
                        from = f32::midpoint(seed_x, x) + (height - h) / (2.0 * (seed_x - x));
                        if from > start {
                            break;
                        }
                    }
                    from = f32::NEG_INFINITY;
                    envelope.pop();
                }
                if from < f32::INFINITY {
                    envelope.push((seed_x, height, segment, from));
                }
            }
            let mut nearest = 0;
            for (column, out) in out.iter_mut().enumerate() {
                let x = column as f32 + 0.5;
                while nearest + 1 < envelope.len() && envelope[nearest + 1].3 <= x {
                    nearest += 1;
                }
                let unsigned = segment_distance([x, y], segments[envelope[nearest].2 as usize]);
                let inside = mask.data[row * width + column][0] >= LEVEL;
                out[0] = if inside { -unsigned } else { unsigned };
            }
        },
    );
    distance
}

fn segment_distance(p: [f32; 2], [a, b]: [[f32; 2]; 2]) -> f32 {
    let (ab, ap) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length_squared = ab[0] * ab[0] + ab[1] * ab[1];
    let t = if length_squared > 0.0 { ((ap[0] * ab[0] + ap[1] * ab[1]) / length_squared).clamp(0.0, 1.0) } else { 0.0 };
    (ap[0] - t * ab[0]).hypot(ap[1] - t * ab[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Coverage of a disc, by 8x8 samples a pixel.
    fn disc(size: usize, center: [f32; 2], radius: f32) -> Plane<1> {
        let mut mask = Plane::filled(size, size, [0.0]);
        for row in 0..size {
            for column in 0..size {
                let hits = (0..64)
                    .filter(|s| {
                        let x = column as f32 + (s % 8) as f32 / 8.0 + 1.0 / 16.0 - center[0];
                        let y = row as f32 + (s / 8) as f32 / 8.0 + 1.0 / 16.0 - center[1];
                        x.hypot(y) < radius
                    })
                    .count();
                mask.at_mut(row, column)[0] = hits as f32 / 64.0;
            }
        }
        mask
    }

    #[test]
    fn distance_of_a_disc_is_sub_pixel_exact() {
        let (center, radius) = ([31.3, 28.8], 17.4);
        let silhouette = Silhouette::new(&disc(64, center, radius));
        for row in 0..64 {
            for column in 0..64 {
                let expected = (column as f32 + 0.5 - center[0]).hypot(row as f32 + 0.5 - center[1]) - radius;
                let given = silhouette.distance.at(row, column)[0];
                assert!((given - expected).abs() < 0.06, "{row} {column}: {given} {expected}");
            }
        }
        let length: f32 = silhouette.segments.iter().map(|[a, b]| (a[0] - b[0]).hypot(a[1] - b[1])).sum();
        assert!((length / (std::f32::consts::TAU * radius) - 1.0).abs() < 0.01);
        // The inside lies to the right of every segment.
        for [a, b] in &silhouette.segments {
            let right = [-(b[1] - a[1]), b[0] - a[0]];
            let inward = [center[0] - a[0], center[1] - a[1]];
            assert!(right[0] * inward[0] + right[1] * inward[1] > 0.0);
        }
    }

    #[test]
    fn nearest_segment_agrees_with_brute_force() {
        let mut mask = disc(40, [12.0, 14.0], 8.3);
        for (pixel, other) in mask.data.iter_mut().zip(&disc(40, [29.0, 25.0], 6.1).data) {
            pixel[0] = pixel[0].max(other[0]);
        }
        let silhouette = Silhouette::new(&mask);
        for row in 0..40 {
            for column in 0..40 {
                let p = [column as f32 + 0.5, row as f32 + 0.5];
                let brute = silhouette.segments.iter().map(|&s| segment_distance(p, s)).fold(f32::INFINITY, f32::min);
                assert!((silhouette.distance.at(row, column)[0].abs() - brute).abs() < 0.02);
            }
        }
    }

    #[test]
    fn sample_gradient_matches_central_differences() {
        let silhouette = Silhouette::new(&disc(32, [15.0, 17.0], 9.0));
        for [x, y] in [[10.2, 11.3], [20.7, 5.2], [-3.4, 12.2], [40.1, 36.7], [15.3, 17.8]] {
            let (_, gradient) = silhouette.sample(x, y);
            let h = 1e-2;
            let numeric = [
                (silhouette.sample(x + h, y).0 - silhouette.sample(x - h, y).0) / (2.0 * h),
                (silhouette.sample(x, y + h).0 - silhouette.sample(x, y - h).0) / (2.0 * h),
            ];
            for k in 0..2 {
                assert!((gradient[k] - numeric[k]).abs() < 1e-3, "{x} {y}: {gradient:?} {numeric:?}");
            }
        }
    }

    #[test]
    fn the_picture_border_ends_a_mask_and_empty_masks_are_far() {
        let full = Silhouette::new(&Plane::filled(5, 4, [1.0]));
        assert!(!full.is_empty());
        assert!((full.distance.at(0, 2)[0] + 0.5).abs() < 1e-5);
        assert!(full.sample(-3.0, 2.0).0 > 2.5);
        let empty = Silhouette::new(&Plane::filled(5, 4, [0.0]));
        assert!(empty.is_empty());
        assert_eq!(empty.sample(2.0, 2.0).0, Silhouette::FAR);
    }
}

//! The picture continued over the whole solid.
//!
//! What the input camera sees has the picture's colours. Towards the rim the picture would be stretched into streaks,
//! and on the back every eye would appear again: there the picture gives way to its large areas of colour. They come
//! from clustering its colours (k-means) and letting each neighbourhood take the cluster that most of it has, with
//! shading added back. On the back what reaches the outline counts more, and neighbourhoods are larger: an eye or a window in
//! the middle is the front's own.

use maquette_core::{Camera, Image, Mesh, Plane};
use maquette_raster::rasterize;

/// Cosines between normal and ray from which the picture gives way, and at which it is gone.
const RIM_COSINES: [f32; 2] = [0.45, 0.15];
/// Longest side at which areas of colour are found, in pixels.
const AREA_SIDE: usize = 192;
/// Clusters of colours at most.
const CLUSTERS: usize = 8;
/// Rounds of k-means.
const ROUNDS: usize = 12;
/// Standard deviation of a neighbourhood, as a share of the picture's side: smaller features vanish.
const NEIGHBOURHOOD: f32 = 0.04;
/// The same for the back, and a wider one of little weight for where nothing of the outline is near.
const BACK_NEIGHBOURHOODS: [f32; 2] = [0.08, 0.2];
const WIDE_WEIGHT: f32 = 0.01;
/// Weight of lightness against hue when colours are compared.
const LIGHTNESS_WEIGHT: f32 = 0.5;
/// Squared difference below which colours share a cluster.
const SAME_COLOR: f32 = 0.01;
/// Exponent that makes the majority win: large means hard borders between areas.
const MAJORITY: i32 = 6;
/// Share of covered neighbourhood below which a pixel lies at the outline.
const AT_OUTLINE: f32 = 0.9;
/// What other pixels count on the back: marks at the outline do not become areas.
const INNER_WEIGHT: f32 = 0.15;
/// Cosine between normal and ray at which the surface belongs to the back.
const BACK_COSINE: f32 = -0.6;

/// How far a surface may lie behind the nearest one that a pixel sees, in world units, and still be what it sees.
const DEPTH_SLACK: f32 = 0.02;

pub(super) struct Paint {
    camera: Camera,
    /// Depth of what the camera sees at each pixel, 0 where it sees nothing.
    depth: Vec<f32>,
    /// Linear colour, straight alpha.
    picture: Plane<4>,
    /// Linear colour of the large areas, continued beyond the outline.
    areas: Plane<3>,
    /// The same of the back.
    back: Plane<3>,
}

impl Paint {
    /// `camera` took the picture, which has its size, of `mesh`.
    pub(super) fn new(picture: &Image, camera: Camera, mesh: &Mesh) -> Self {
        let picture = picture.to_linear();
        let [areas, back] = areas_of_color(&picture);
        let depth = rasterize(&mesh.positions, &mesh.triangles, &camera).depth;
        Self { camera, depth, picture, areas, back }
    }

    /// True where nothing lies before what is at `depth` on pixel position `(x, y)`, or beside it.
    fn is_seen(&self, x: f32, y: f32, depth: f32) -> bool {
        let (width, height) = (self.camera.width, self.camera.height);
        let first = |at: f32| (at - 1.0).floor().max(0.0) as usize;
        let mut hidden = false;
        for row in first(y)..(first(y) + 3).min(height) {
            for column in first(x)..(first(x) + 3).min(width) {
                let nearest = self.depth[row * width + column];
                if nearest > 0.0 && depth <= nearest + DEPTH_SLACK {
                    return true;
                }
                hidden |= nearest > 0.0;
            }
        }
        !hidden
    }

    /// Linear colour of the surface at `position` with unit normal `normal`.
    pub(super) fn color(&self, position: [f32; 3], normal: [f32; 3]) -> [f32; 3] {
        let ([x, y], depth) = self.camera.project(position);
        let eye = self.camera.position;
        let to_eye = [eye.x - position[0], eye.y - position[1], eye.z - position[2]];
        let length = (to_eye[0] * to_eye[0] + to_eye[1] * to_eye[1] + to_eye[2] * to_eye[2]).sqrt().max(1e-9);
        let cosine = (0..3).map(|k| normal[k] * to_eye[k]).sum::<f32>() / length;
        let facing = smoothstep((cosine - RIM_COSINES[1]) / (RIM_COSINES[0] - RIM_COSINES[1]));
        let scale = [
            self.areas.width as f32 / self.picture.width as f32,
            self.areas.height as f32 / self.picture.height as f32,
        ];
        let mut area = self.areas.bilinear(x * scale[0], y * scale[1]);
        if cosine < 0.0 {
            let back = self.back.bilinear(x * scale[0], y * scale[1]);
            let share = smoothstep(cosine / BACK_COSINE);
            area = std::array::from_fn(|k| area[k] + share * (back[k] - area[k]));
        }
        if facing == 0.0 || !self.is_seen(x, y, depth) {
            return area;
        }
        let seen = self.picture.bilinear(x, y);
        let share = facing * seen[3];
        std::array::from_fn(|k| area[k] + share * (seen[k] - area[k]))
    }
}

/// Large areas of colour of a picture with straight alpha, of its front and of its back; defined everywhere.
fn areas_of_color(picture: &Plane<4>) -> [Plane<3>; 2] {
    let scale = (AREA_SIDE as f64 / picture.width.max(picture.height) as f64).min(1.0);
    let side = |x: usize| ((x as f64 * scale).round() as usize).max(1);
    let small = picture.clone().premultiplied().resized(side(picture.width), side(picture.height));
    let clusters = cluster(&small);
    let members: Vec<Option<Member>> = small
        .data
        .iter()
        .map(|pixel| {
            let color = std::array::from_fn(|k| pixel[k] / pixel[3].max(1e-6));
            (pixel[3] > 0.5).then(|| (nearest(&clusters, color), 1.0))
        })
        .collect();
    let front = majority(&small, &members, clusters.len(), &[(NEIGHBOURHOOD, 1.0)]);
    let around = blurred(&small, NEIGHBOURHOOD * small.width as f32);
    let of_back = |(member, around): (&Option<Member>, &[f32; 4])| {
        member.map(|(cluster, _)| (cluster, if around[3] < AT_OUTLINE { 1.0 } else { INNER_WEIGHT }))
    };
    let of_back: Vec<Option<Member>> = members.iter().zip(&around.data).map(of_back).collect();
    let [near, wide] = BACK_NEIGHBOURHOODS;
    let back = majority(&small, &of_back, clusters.len(), &[(near, 1.0), (wide, WIDE_WEIGHT)]);
    [front, back]
}

/// The cluster of a pixel, and how much the pixel counts.
type Member = (usize, f32);

/// Colour of the cluster that most of each neighbourhood has, among pixels that are `members` of one. Neighbourhoods are given
/// as shares of the width, with weights. Where no member is near the nearest colours are continued.
fn majority(small: &Plane<4>, members: &[Option<Member>], clusters: usize, scales: &[(f32, f32)]) -> Plane<3> {
    let (width, height) = (small.width, small.height);
    let near: Vec<Plane<4>> = (0..clusters)
        .map(|index| {
            let own = small.data.iter().zip(members);
            let data = own.map(|(pixel, member)| match member {
                Some((cluster, weight)) if *cluster == index => pixel.map(|x| x * weight),
                _ => [0.0; 4],
            });
            let data = data.collect();
            let own = Plane { width, height, data };
            let mut sum = Plane { width, height, data: vec![[0.0; 4]; width * height] };
            for &(neighbourhood, weight) in scales {
                for (sum, near) in sum.data.iter_mut().zip(blurred(&own, neighbourhood * width as f32).data) {
                    *sum = std::array::from_fn(|k| sum[k] + weight * near[k]);
                }
            }
            sum
        })
        .collect();
    let mut areas = vec![[0.0f32; 3]; width * height];
    let mut known = vec![false; width * height];
    for (pixel, area) in areas.iter_mut().enumerate() {
        let all: f32 = near.iter().map(|cluster| cluster.data[pixel][3]).sum();
        if all < 1e-5 {
            continue;
        }
        let mut total = 0.0;
        for cluster in &near {
            // The colour an area has here is the mean of its own pixels nearby, which keeps its shading.
            let here = cluster.data[pixel];
            let weight = (here[3] / all).powi(MAJORITY);
            if weight > 1e-12 {
                total += weight;
                for k in 0..3 {
                    area[k] += weight * here[k] / here[3];
                }
            }
        }
        *area = area.map(|x| x / total);
        known[pixel] = true;
    }
    let mut areas = Plane { width, height, data: areas };
    extend(&mut areas, known);
    areas
}

/// Colours of the clusters; k-means from a farthest-point start, the same every time.
fn cluster(picture: &Plane<4>) -> Vec<[f32; 3]> {
    let colors: Vec<[f32; 3]> = picture
        .data
        .iter()
        .filter(|pixel| pixel[3] > 0.5)
        .map(|pixel| std::array::from_fn(|k| pixel[k] / pixel[3]))
        .collect();
    let Some(&first) = colors.first() else { return vec![[0.5; 3]] };
    let mut centers = vec![first];
    while centers.len() < CLUSTERS {
        let far = |color: &[f32; 3]| difference(*color, centers[nearest(&centers, *color)]);
        let Some(farthest) = colors.iter().max_by(|a, b| far(a).total_cmp(&far(b))) else { break };
        if far(farthest) < SAME_COLOR {
            break;
        }
        let farthest = *farthest;
        centers.push(farthest);
    }
    for _ in 0..ROUNDS {
        let mut sums = vec![[0.0f64; 4]; centers.len()];
        for color in &colors {
            let sum = &mut sums[nearest(&centers, *color)];
            for k in 0..3 {
                sum[k] += f64::from(color[k]);
            }
            sum[3] += 1.0;
        }
        for (center, sum) in centers.iter_mut().zip(&sums) {
            if sum[3] > 0.0 {
                *center = std::array::from_fn(|k| (sum[k] / sum[3]) as f32);
            }
        }
    }
    centers
}

fn nearest(centers: &[[f32; 3]], color: [f32; 3]) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (index, center) in centers.iter().enumerate() {
        let off = difference(*center, color);
        if off < best.0 {
            best = (off, index);
        }
    }
    best.1
}

/// Squared difference of linear colours, about as they are seen (on square roots); light and dark of the same hue count
/// as close, since they are often one colour in light and shade.
fn difference(a: [f32; 3], b: [f32; 3]) -> f32 {
    let off: [f32; 3] = std::array::from_fn(|k| a[k].max(0.0).sqrt() - b[k].max(0.0).sqrt());
    let grey = (off[0] + off[1] + off[2]) / 3.0;
    off.iter().map(|x| (x - grey).powi(2)).sum::<f32>() + LIGHTNESS_WEIGHT * grey * grey
}

/// Fills unknown pixels with the mean of known neighbours, ring by ring.
fn extend(plane: &mut Plane<3>, mut known: Vec<bool>) {
    let (width, height) = (plane.width, plane.height);
    let mut missing: Vec<usize> = (0..known.len()).filter(|&index| !known[index]).collect();
    while !missing.is_empty() {
        let mut found = Vec::new();
        for &index in &missing {
            let (row, column) = (index / width, index % width);
            let (mut sum, mut count) = ([0.0f32; 3], 0.0f32);
            for r in row.saturating_sub(1)..(row + 2).min(height) {
                for c in column.saturating_sub(1)..(column + 2).min(width) {
                    if known[r * width + c] {
                        let color = plane.at(r, c);
                        for k in 0..3 {
                            sum[k] += color[k];
                        }
                        count += 1.0;
                    }
                }
            }
            if count > 0.0 {
                found.push((index, sum.map(|x| x / count)));
            }
        }
        if found.is_empty() {
            return;
        }
        for (index, color) in found {
            plane.data[index] = color;
            known[index] = true;
        }
        missing.retain(|&index| !known[index]);
    }
}

fn smoothstep(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Three box blurs, nearly a Gaussian of standard deviation `sigma` pixels; nothing outside.
fn blurred(plane: &Plane<4>, sigma: f32) -> Plane<4> {
    // A box of radius r has variance r (r + 1) / 3.
    let radius = ((0.25 + sigma * sigma).sqrt() - 0.5).round().max(1.0) as usize;
    let mut result = plane.clone();
    let (width, height) = (plane.width, plane.height);
    let mut line = vec![[0.0; 4]; height];
    for _ in 0..3 {
        for row in 0..height {
            box_blur(&mut result.data[row * width..(row + 1) * width], radius);
        }
        for column in 0..width {
            for row in 0..height {
                line[row] = result.at(row, column);
            }
            box_blur(&mut line, radius);
            for row in 0..height {
                *result.at_mut(row, column) = line[row];
            }
        }
    }
    result
}

/// Mean over `2 radius + 1` pixels.
fn box_blur(line: &mut [[f32; 4]], radius: usize) {
    let mut sums = vec![[0.0f64; 4]; line.len() + 1];
    for (index, pixel) in line.iter().enumerate() {
        sums[index + 1] = std::array::from_fn(|k| sums[index][k] + f64::from(pixel[k]));
    }
    let count = (2 * radius + 1) as f64;
    for index in 0..line.len() {
        let (from, to) = (index.saturating_sub(radius), (index + radius + 1).min(line.len()));
        line[index] = std::array::from_fn(|k| ((sums[to][k] - sums[from][k]) / count) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_things_in_the_middle_are_not_on_the_back() {
        let (red, blue) = ([200, 20, 10, 255], [10, 20, 200, 255]);
        let pixel = |index: u32| {
            let [x, y] = [index % 128, index / 128].map(|at| (at as f32 + 0.5) / 128.0 - 0.5);
            match x.hypot(y) {
                r if r < 0.07 => blue,
                r if r < 0.45 => red,
                _ => [0; 4],
            }
        };
        let picture = Image::new(128, 128, (0..128 * 128).map(pixel).collect()).unwrap();
        let [front, back] = areas_of_color(&picture.to_linear());
        let is_red = |plane: &Plane<3>, row: usize, column: usize| {
            let [r, _, b] = plane.at(row, column);
            r > 5.0 * b
        };
        assert!(!is_red(&front, 64, 64) && is_red(&front, 64, 12));
        assert!((0..128 * 128).all(|pixel| is_red(&back, pixel / 128, pixel % 128)));
    }
}

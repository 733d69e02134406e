//! Which triangle each pixel centre sees.
//!
//! Vertices are rounded to a fixed sub-pixel grid and coverage is decided by integer edge functions (Pineda 1988, "A
//! Parallel Algorithm for Polygon Rasterization") with the top-left rule, so triangles that share an edge neither overlap
//! nor leave a gap. Triangles that reach behind the near plane or far out of the picture are clipped first.
//!
//! The depth buffer keeps one 64-bit key for each pixel, inverse depth over inverted triangle index; the largest key
//! wins, in whatever order triangles arrive. That makes the result independent of threads.

use maquette_core::Camera;
use rayon::prelude::*;

use crate::GBuffer;
use crate::projection::{NEAR_DEPTH, Projection, perspective_weights, perspective_weights_backward};
use crate::scatter::{add, scatter};

/// Fractional bits of fixed-point pixel coordinates.
const SUBPIXEL_BITS: u32 = 12;
const SUBPIXEL: i64 = 1 << SUBPIXEL_BITS;
const HALF: i32 = 1 << (SUBPIXEL_BITS - 1);
/// Triangles are clipped to this many pixels about the image corner. Edge functions of coordinates twice as large still
/// fit 64 bits: 2 * (18 + 12) + 1 bits.
const GUARD_BAND: f64 = 131_072.0;
/// Fixed-point coordinate of a vertex that only the clipper can handle.
const UNPROJECTED: i32 = i32::MIN;
/// Triangles one task sets up.
const TRIANGLES_PER_TASK: usize = 8192;
/// Pixels of one band: its depth keys stay in the second-level cache.
const PIXELS_PER_BAND: usize = 32_768;
/// Spans wider than this are solved for their ends instead of being tested pixel by pixel.
const TESTED_SPAN: i32 = 12;

/// What `camera` sees of a mesh: nearest triangle, perspective-correct barycentrics and depth at every pixel centre.
///
/// Both sides of a triangle are seen. Of surfaces at the same depth the lowest triangle index wins. Triangles without
/// area, with a vertex that is not finite, or naming a vertex that does not exist are skipped; what lies nearer than
/// [`crate::NEAR_DEPTH`] is cut away. Pixels further than 131072 from the image corner stay empty.
pub fn rasterize(positions: &[[f32; 3]], triangles: &[[u32; 3]], camera: &Camera) -> GBuffer {
    let (width, height) = (camera.width, camera.height);
    let pixels = width * height;
    let mut gbuffer = GBuffer {
        width,
        height,
        triangle: vec![GBuffer::EMPTY; pixels],
        barycentric: vec![[0.0; 2]; pixels],
        depth: vec![0.0; pixels],
    };
    if pixels == 0 {
        return gbuffer;
    }
    let projection = Projection::new(camera);
    let vertices: Vec<Vertex> =
        positions.par_iter().with_min_len(4096).map(|&position| Vertex::new(&projection, position)).collect();
    let window =
        Window { columns: width.min(GUARD_BAND as usize) as i32, rows: height.min(GUARD_BAND as usize) as i32 };
    let setups: Vec<Vec<Setup>> = triangles
        .par_chunks(TRIANGLES_PER_TASK)
        .enumerate()
        .map(|(chunk, triangles)| set_up_chunk(&vertices, triangles, chunk * TRIANGLES_PER_TASK, &projection, window))
        .collect();

    let rows_per_band = (PIXELS_PER_BAND / width).max(4);
    let band = rows_per_band * width;
    gbuffer
        .triangle
        .par_chunks_mut(band)
        .zip(gbuffer.barycentric.par_chunks_mut(band))
        .zip(gbuffer.depth.par_chunks_mut(band))
        .enumerate()
        .for_each(|(index, ((triangle, barycentric), depth))| {
            let first_row = index * rows_per_band;
            let mut keys = vec![0u64; triangle.len()];
            let rows = (first_row as i32, (first_row + triangle.len() / width) as i32 - 1);
            for setup in setups.iter().flatten() {
                if setup.last_row >= rows.0 && setup.first_row <= rows.1 {
                    setup.fill(&mut keys, width, rows);
                }
            }
            for (row, keys) in keys.chunks_exact(width).enumerate() {
                let y = (first_row + row) as f32 + 0.5 - projection.center[1];
                for (column, &key) in keys.iter().enumerate() {
                    if key == 0 {
                        continue;
                    }
                    let index = row * width + column;
                    let id = !(key as u32);
                    let corners = triangles[id as usize].map(|vertex| vertices[vertex as usize].homogeneous);
                    let x = column as f32 + 0.5 - projection.center[0];
                    let weights = perspective_weights(corners, [x, y]);
                    triangle[index] = id;
                    barycentric[index] = [weights[1], weights[2]];
                    let z = weights[0] * corners[0][2] + weights[1] * corners[1][2] + weights[2] * corners[2][2];
                    depth[index] = z.max(NEAR_DEPTH);
                }
            }
        });
    gbuffer
}

/// [`rasterize`] for several cameras at once.
pub fn rasterize_views(positions: &[[f32; 3]], triangles: &[[u32; 3]], cameras: &[Camera]) -> Vec<GBuffer> {
    cameras.par_iter().map(|camera| rasterize(positions, triangles, camera)).collect()
}

/// Adds the gradient to `position_gradients` of what [`rasterize`] found: barycentrics and depth as functions of the
/// vertices of the triangle that each pixel sees. Which triangle that is has no gradient; see [`crate::Silhouettes`].
///
/// `barycentric_gradients` and `depth_gradients` have one entry for each pixel; an empty `depth_gradients` stands for zeros.
pub fn rasterize_backward(
    gbuffer: &GBuffer,
    positions: &[[f32; 3]],
    triangles: &[[u32; 3]],
    camera: &Camera,
    barycentric_gradients: &[[f32; 2]],
    depth_gradients: &[f32],
    position_gradients: &mut [[f32; 3]],
) {
    let projection = Projection::new(camera);
    scatter(gbuffer.triangle.len(), position_gradients, |range, sums| {
        for index in range {
            if gbuffer.triangle[index] == GBuffer::EMPTY {
                continue;
            }
            let mut to_weights = barycentric_gradients[index];
            let to_depth = depth_gradients.get(index).copied().unwrap_or(0.0);
            if to_weights == [0.0; 2] && to_depth == 0.0 {
                continue;
            }
            let triangle = triangles[gbuffer.triangle[index] as usize];
            let corners = triangle.map(|vertex| projection.project(positions[vertex as usize]));
            to_weights[0] += to_depth * (corners[1][2] - corners[0][2]);
            to_weights[1] += to_depth * (corners[2][2] - corners[0][2]);
            let (column, row) = (index % gbuffer.width, index / gbuffer.width);
            let offset = [column as f32 + 0.5 - projection.center[0], row as f32 + 0.5 - projection.center[1]];
            let to_corners = perspective_weights_backward(corners, offset, to_weights);
            let weights = gbuffer.weights(index);
            for k in 0..3 {
                let [x, y, z] = to_corners[k];
                let gradient = projection.project_backward([x, y, z + to_depth * weights[k]]);
                add(&mut sums[triangle[k] as usize], gradient);
            }
        }
    });
}

/// A projected vertex.
#[derive(Clone, Copy)]
struct Vertex {
    homogeneous: [f32; 3],
    /// Fixed-point pixel position, or [`UNPROJECTED`].
    fixed: [i32; 2],
    inverse_depth: f32,
}

impl Vertex {
    #[inline]
    fn new(projection: &Projection, position: [f32; 3]) -> Self {
        let homogeneous = projection.project(position);
        let inverse_depth = 1.0 / homogeneous[2];
        let x = homogeneous[0] * inverse_depth + projection.center[0];
        let y = homogeneous[1] * inverse_depth + projection.center[1];
        // Written so that NaN and infinite depth fail.
        let simple = homogeneous[2] >= NEAR_DEPTH
            && inverse_depth > 0.0
            && x.abs() < GUARD_BAND as f32
            && y.abs() < GUARD_BAND as f32;
        let fixed = if simple { [to_fixed(x), to_fixed(y)] } else { [UNPROJECTED; 2] };
        Self { homogeneous, fixed, inverse_depth }
    }
}

/// Nearest point of the sub-pixel grid. Adding 1.5 * 2^52 rounds to an integer in the low bits, without a library call.
#[inline]
fn to_fixed(pixels: f32) -> i32 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    (f64::from(pixels) * SUBPIXEL as f64 + ROUND).to_bits() as u32 as i32
}

/// Size of the picture in pixels.
#[derive(Clone, Copy)]
struct Window {
    columns: i32,
    rows: i32,
}

/// A triangle ready to fill, wound so that its edge functions are positive inside.
struct Setup {
    corners: [[i32; 2]; 3],
    /// Inverse depth at the first corner, and its slope per pixel.
    inverse_depth: f32,
    slope: [f32; 2],
    /// Inverse depth never leaves this range, however thin the triangle.
    range: [f32; 2],
    triangle: u32,
    first_row: i32,
    last_row: i32,
    first_column: i32,
    last_column: i32,
}

fn set_up_chunk(
    vertices: &[Vertex],
    triangles: &[[u32; 3]],
    first_index: usize,
    projection: &Projection,
    window: Window,
) -> Vec<Setup> {
    let mut setups = Vec::with_capacity(triangles.len());
    for (offset, triangle) in triangles.iter().enumerate() {
        let [Some(a), Some(b), Some(c)] = triangle.map(|vertex| vertices.get(vertex as usize)) else {
            continue;
        };
        let index = (first_index + offset) as u32;
        let fixed = [a.fixed, b.fixed, c.fixed];
        if fixed[0][0] != UNPROJECTED && fixed[1][0] != UNPROJECTED && fixed[2][0] != UNPROJECTED {
            setups.extend(Setup::new(fixed, [a.inverse_depth, b.inverse_depth, c.inverse_depth], index, window));
        } else {
            clip(&[*a, *b, *c], projection.center, |corners, inverse_depths| {
                setups.extend(Setup::new(corners, inverse_depths, index, window));
            });
        }
    }
    setups
}

impl Setup {
    /// `None` where the triangle covers no pixel centre for want of area or size.
    #[inline]
    fn new(mut corners: [[i32; 2]; 3], mut inverse_depths: [f32; 3], triangle: u32, window: Window) -> Option<Self> {
        let [a, b, c] = corners;
        let low = [a[0].min(b[0]).min(c[0]), a[1].min(b[1]).min(c[1])];
        let high = [a[0].max(b[0]).max(c[0]), a[1].max(b[1]).max(c[1])];
        // First centre at or after `low`, last one at or before `high`.
        let first_column = ((low[0] + HALF - 1) >> SUBPIXEL_BITS).max(0);
        let first_row = ((low[1] + HALF - 1) >> SUBPIXEL_BITS).max(0);
        let last_column = ((high[0] - HALF) >> SUBPIXEL_BITS).min(window.columns - 1);
        let last_row = ((high[1] - HALF) >> SUBPIXEL_BITS).min(window.rows - 1);
        if first_column > last_column || first_row > last_row {
            return None;
        }
        let area = edge_function(a, b, c[0].into(), c[1].into());
        if area == 0 {
            return None;
        }
        if area < 0 {
            corners.swap(1, 2);
            inverse_depths.swap(1, 2);
        }
        let [a, b, c] = corners;
        let delta = |to: [i32; 2]| [(to[0] - a[0]) as f32, (to[1] - a[1]) as f32];
        let ([bx, by], [cx, cy]) = (delta(b), delta(c));
        let (db, dc) = (inverse_depths[1] - inverse_depths[0], inverse_depths[2] - inverse_depths[0]);
        let scale = SUBPIXEL as f32 / area.unsigned_abs() as f32;
        Some(Self {
            corners,
            inverse_depth: inverse_depths[0],
            slope: [(db * cy - dc * by) * scale, (dc * bx - db * cx) * scale],
            range: [
                inverse_depths[0].min(inverse_depths[1]).min(inverse_depths[2]),
                inverse_depths[0].max(inverse_depths[1]).max(inverse_depths[2]),
            ],
            triangle,
            first_row,
            last_row,
            first_column,
            last_column,
        })
    }

    /// Offers the triangle to every pixel centre it covers in `rows` (first and last); `keys` starts at the first row.
    #[inline]
    fn fill(&self, keys: &mut [u64], width: usize, rows: (i32, i32)) {
        let [a, b, c] = self.corners;
        let (first_row, last_row) = (self.first_row.max(rows.0), self.last_row.min(rows.1));
        let center = |pixel: i32| i64::from(pixel) * SUBPIXEL + SUBPIXEL / 2;
        let (x, y) = (center(self.first_column), center(first_row));
        // Non-negative where covered: edges that are not top or left give away the pixels exactly on them.
        let start = |from: [i32; 2], to: [i32; 2]| {
            let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
            let top_left = dy < 0 || (dy == 0 && dx > 0);
            edge_function(from, to, x, y) - i64::from(!top_left)
        };
        let mut row_edges = [start(a, b), start(b, c), start(c, a)];
        let step = |from: [i32; 2], to: [i32; 2], axis: usize| i64::from(to[axis] - from[axis]) << SUBPIXEL_BITS;
        let step_x = [-step(a, b, 1), -step(b, c, 1), -step(c, a, 1)];
        let step_y = [step(a, b, 0), step(b, c, 0), step(c, a, 0)];

        // Relative to the first corner and never to the band, so that bands cannot change a bit of it.
        let from_corner = |pixel: i32, corner: i32| (center(pixel) - i64::from(corner)) as f32 / SUBPIXEL as f32;
        let left = self.inverse_depth + from_corner(self.first_column, a[0]) * self.slope[0];
        let low_bits = u64::from(!self.triangle);
        let columns = self.last_column - self.first_column + 1;
        for row in first_row..=last_row {
            let base = left + from_corner(row, a[1]) * self.slope[1];
            let at = (row - rows.0) as usize * width + self.first_column as usize;
            let offer = |key: &mut u64, column: i32| {
                let inverse_depth = (base + column as f32 * self.slope[0]).max(self.range[0]).min(self.range[1]);
                *key = (*key).max(u64::from(inverse_depth.to_bits()) << 32 | low_bits);
            };
            if columns <= TESTED_SPAN {
                let mut edges = row_edges;
                for (column, key) in keys[at..at + columns as usize].iter_mut().enumerate() {
                    if edges[0] | edges[1] | edges[2] >= 0 {
                        offer(key, column as i32);
                    }
                    for k in 0..3 {
                        edges[k] += step_x[k];
                    }
                }
            } else {
                let (mut first, mut last) = (0i64, i64::from(columns - 1));
                for k in 0..3 {
                    match step_x[k] {
                        0 if row_edges[k] < 0 => last = -1,
                        0 => {}
                        up if up > 0 => first = first.max(-row_edges[k].div_euclid(up)),
                        down => last = last.min(row_edges[k].div_euclid(-down)),
                    }
                }
                for column in first..=last {
                    offer(&mut keys[at + column as usize], column as i32);
                }
            }
            for k in 0..3 {
                row_edges[k] += step_y[k];
            }
        }
    }
}

/// Twice the signed area of (from, to, point), in sub-pixel units.
#[inline]
fn edge_function(from: [i32; 2], to: [i32; 2], x: i64, y: i64) -> i64 {
    let (dx, dy) = (i64::from(to[0]) - i64::from(from[0]), i64::from(to[1]) - i64::from(from[1]));
    dx * (y - i64::from(from[1])) - dy * (x - i64::from(from[0]))
}

/// Corner of a polygon that is being clipped, as a homogeneous pixel about the image corner.
#[derive(Clone, Copy)]
struct ClipCorner {
    point: [f64; 3],
    /// Fixed-point position of an original vertex; clipped corners compute theirs.
    fixed: Option<[i32; 2]>,
}

/// Cuts a triangle at the near plane and the guard band and emits what is left as a fan (Sutherland and Hodgman 1974,
/// "Reentrant Polygon Clipping").
///
/// Cuts are computed from the inner to the outer end of an edge, so both triangles at a shared edge get the same corner.
fn clip(vertices: &[Vertex; 3], center: [f32; 2], mut emit: impl FnMut([[i32; 2]; 3], [f32; 3])) {
    if !vertices.iter().flat_map(|vertex| vertex.homogeneous).all(f32::is_finite) {
        return;
    }
    let mut polygon: Vec<ClipCorner> = vertices
        .iter()
        .map(|vertex| {
            let [x, y, z] = vertex.homogeneous.map(f64::from);
            let point = [x + f64::from(center[0]) * z, y + f64::from(center[1]) * z, z];
            ClipCorner { point, fixed: (vertex.fixed[0] != UNPROJECTED).then_some(vertex.fixed) }
        })
        .collect();
    let planes: [fn([f64; 3]) -> f64; 5] = [
        |p| p[2] - f64::from(NEAR_DEPTH),
        |p| GUARD_BAND * p[2] - p[0],
        |p| GUARD_BAND * p[2] + p[0],
        |p| GUARD_BAND * p[2] - p[1],
        |p| GUARD_BAND * p[2] + p[1],
    ];
    for distance in planes {
        let mut inside = Vec::with_capacity(polygon.len() + 1);
        for (index, &from) in polygon.iter().enumerate() {
            let to = polygon[(index + 1) % polygon.len()];
            let (d_from, d_to) = (distance(from.point), distance(to.point));
            if d_from >= 0.0 {
                inside.push(from);
            }
            if (d_from >= 0.0) != (d_to >= 0.0) {
                let (inner, outer, d_inner, d_outer) =
                    if d_from >= 0.0 { (from, to, d_from, d_to) } else { (to, from, d_to, d_from) };
                let t = d_inner / (d_inner - d_outer);
                let point = std::array::from_fn(|k| inner.point[k] + t * (outer.point[k] - inner.point[k]));
                inside.push(ClipCorner { point, fixed: None });
            }
        }
        polygon = inside;
    }
    if polygon.len() < 3 {
        return;
    }
    let corners: Vec<([i32; 2], f32)> = polygon
        .iter()
        .map(|corner| {
            let z = corner.point[2].max(f64::from(NEAR_DEPTH));
            let fixed = corner.fixed.unwrap_or_else(|| {
                [0, 1].map(|k| to_fixed((corner.point[k] / z).clamp(-GUARD_BAND, GUARD_BAND) as f32))
            });
            (fixed, (1.0 / z) as f32)
        })
        .collect();
    for pair in corners[1..].windows(2) {
        emit([corners[0].0, pair[0].0, pair[1].0], [corners[0].1, pair[0].1, pair[1].1]);
    }
}

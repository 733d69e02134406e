//! Which triangle each pixel centre sees.
//!
//! Vertices are rounded to a fixed sub-pixel grid and coverage is decided by integer edge functions (Pineda 1988, "A
//! Parallel Algorithm for Polygon Rasterization") with the top-left rule, so triangles that share an edge neither overlap
//! nor leave a gap. Triangles that reach behind the near plane or far out of the picture are clipped first.
//!
//! The picture is cut into bands of rows, one task each. A band draws every triangle that reaches it in the order of their
//! indices, with arithmetic that does not depend on the band, so the result does not depend on how many there are.

use maquette_core::Camera;
use rayon::prelude::*;
use wide::{f32x4, i32x4, u32x4};

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
/// Bands for each thread, over all views: enough to even out their loads.
const BANDS_PER_THREAD: usize = 4;
/// Fewest rows of a band: every band looks at every triangle.
const ROWS_PER_BAND: usize = 16;
/// Pixels tested at once.
const LANES: usize = 4;
/// Triangles of so few columns have every pixel of their bounding box tested; wider rows are solved for their ends.
const BLOCKED_COLUMNS: usize = 16;
/// Largest extent, in pixels, for which edge functions over a block's pixels fit 32 bits: 2 * 2^12 * 256^2 and some.
const BLOCKED_EXTENT: i32 = 256;

/// What `camera` sees of a mesh: nearest triangle, perspective-correct barycentrics and depth at every pixel centre.
///
/// Both sides of a triangle are seen. Of surfaces at the same depth the lowest triangle index wins. Triangles without
/// area, with a vertex that is not finite, or naming a vertex that does not exist are skipped; what lies nearer than
/// [`crate::NEAR_DEPTH`] is cut away. Pixels further than 131072 from the image corner stay empty.
pub fn rasterize(positions: &[[f32; 3]], triangles: &[[u32; 3]], camera: &Camera) -> GBuffer {
    let mut gbuffer = GBuffer::default();
    rasterize_bands(positions, triangles, camera, bands_for_views(1), &mut gbuffer);
    gbuffer
}

/// [`rasterize`] for several cameras at once.
pub fn rasterize_views(positions: &[[f32; 3]], triangles: &[[u32; 3]], cameras: &[Camera]) -> Vec<GBuffer> {
    let mut gbuffers = Vec::new();
    rasterize_views_into(positions, triangles, cameras, &mut gbuffers);
    gbuffers
}

/// [`rasterize_views`] into the memory of views rendered before, which is faster where many steps follow each other.
pub fn rasterize_views_into(
    positions: &[[f32; 3]],
    triangles: &[[u32; 3]],
    cameras: &[Camera],
    gbuffers: &mut Vec<GBuffer>,
) {
    gbuffers.resize_with(cameras.len(), GBuffer::default);
    let bands = bands_for_views(cameras.len());
    gbuffers
        .par_iter_mut()
        .zip(cameras)
        .for_each(|(gbuffer, camera)| rasterize_bands(positions, triangles, camera, bands, gbuffer));
}

/// Bands of each view, where `views` of them are drawn at the same time.
pub(crate) fn bands_for_views(views: usize) -> usize {
    (BANDS_PER_THREAD * rayon::current_num_threads()).div_ceil(views.max(1))
}

/// [`rasterize`] in `bands` tasks, into the memory of `gbuffer`.
pub(crate) fn rasterize_bands(
    positions: &[[f32; 3]],
    triangles: &[[u32; 3]],
    camera: &Camera,
    bands: usize,
    gbuffer: &mut GBuffer,
) {
    let (width, height) = (camera.width, camera.height);
    let pixels = width * height;
    (gbuffer.width, gbuffer.height) = (width, height);
    gbuffer.triangle.clear();
    gbuffer.triangle.resize(pixels, GBuffer::EMPTY);
    gbuffer.barycentric.clear();
    gbuffer.barycentric.resize(pixels, [0.0; 2]);
    gbuffer.depth.clear();
    gbuffer.depth.resize(pixels, 0.0);
    if pixels == 0 {
        return;
    }
    let projection = Projection::new(camera);
    let vertices: Vec<Vertex> =
        positions.par_iter().with_min_len(4096).map(|&position| Vertex::new(&projection, position)).collect();
    let rows_per_band = height.div_ceil(bands).max(ROWS_PER_BAND);
    let chunk = rows_per_band * width;
    gbuffer
        .triangle
        .par_chunks_mut(chunk)
        .zip(gbuffer.barycentric.par_chunks_mut(chunk))
        .zip(gbuffer.depth.par_chunks_mut(chunk))
        .enumerate()
        .for_each(|(index, ((triangle, barycentric), depth))| {
            let first_row = index * rows_per_band;
            let mut band = Band { width, first_row, rows: triangle.len() / width, triangle, depth };
            band.draw(&vertices, triangles, &projection);
            band.resolve(&vertices, triangles, &projection, barycentric);
        });
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
    let corners_of = |triangle: [u32; 3]| triangle.map(|vertex| projection.project(positions[vertex as usize]));
    let mut to_homogeneous = vec![[0.0; 3]; positions.len()];
    scatter(gbuffer.triangle.len(), &mut to_homogeneous, |range, sums| {
        // Neighbours mostly see the same triangle: add their gradients up before they are handed to its vertices.
        let mut run = Run { triangle: [0; 3], corners: [[0.0; 3]; 3], gradients: [[0.0; 3]; 3] };
        let mut last = GBuffer::EMPTY;
        for index in range {
            let seen = gbuffer.triangle[index];
            if seen == GBuffer::EMPTY {
                continue;
            }
            let mut to_weights = barycentric_gradients[index];
            let to_depth = depth_gradients.get(index).copied().unwrap_or(0.0);
            if to_weights == [0.0; 2] && to_depth == 0.0 {
                continue;
            }
            if seen != last {
                run.hand_over(sums);
                let triangle = triangles[seen as usize];
                run = Run { triangle, corners: corners_of(triangle), gradients: [[0.0; 3]; 3] };
                last = seen;
            }
            let corners = run.corners;
            to_weights[0] += to_depth * (corners[1][2] - corners[0][2]);
            to_weights[1] += to_depth * (corners[2][2] - corners[0][2]);
            let (column, row) = (index % gbuffer.width, index / gbuffer.width);
            let offset = [column as f32 + 0.5 - projection.center[0], row as f32 + 0.5 - projection.center[1]];
            let to_corners = perspective_weights_backward(corners, offset, to_weights);
            let weights = gbuffer.weights(index);
            for k in 0..3 {
                let [x, y, z] = to_corners[k];
                add(&mut run.gradients[k], [x, y, z + to_depth * weights[k]]);
            }
        }
        run.hand_over(sums);
    });
    position_gradients.par_iter_mut().with_min_len(4096).zip(&to_homogeneous).for_each(|(sum, &gradient)| {
        if gradient != [0.0; 3] {
            add(sum, projection.project_backward(gradient));
        }
    });
}

/// Gradients to the corners of one triangle, from pixels side by side.
struct Run {
    triangle: [u32; 3],
    corners: [[f32; 3]; 3],
    gradients: [[f32; 3]; 3],
}

impl Run {
    fn hand_over(&self, sums: &mut [[f32; 3]]) {
        if self.gradients != [[0.0; 3]; 3] {
            for (vertex, gradient) in self.triangle.into_iter().zip(self.gradients) {
                add(&mut sums[vertex as usize], gradient);
            }
        }
    }
}

/// A projected vertex.
#[derive(Clone, Copy)]
struct Vertex {
    homogeneous: [f32; 3],
    inverse_depth: f32,
    /// Fixed-point pixel position, or [`UNPROJECTED`].
    fixed: [i32; 2],
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
        Self { homogeneous, inverse_depth, fixed }
    }
}

/// Nearest point of the sub-pixel grid. Adding 1.5 * 2^52 rounds to an integer in the low bits, without a library call.
#[inline]
fn to_fixed(pixels: f32) -> i32 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    (f64::from(pixels) * SUBPIXEL as f64 + ROUND).to_bits() as u32 as i32
}

/// Rows of the picture, from `first_row` on.
struct Band<'a> {
    width: usize,
    first_row: usize,
    rows: usize,
    triangle: &'a mut [u32],
    /// While drawing, the inverse of depth.
    depth: &'a mut [f32],
}

impl Band<'_> {
    fn draw(&mut self, vertices: &[Vertex], triangles: &[[u32; 3]], projection: &Projection) {
        for (index, triangle) in triangles.iter().enumerate() {
            let [Some(a), Some(b), Some(c)] = triangle.map(|vertex| vertices.get(vertex as usize)) else {
                continue;
            };
            if a.fixed[0] != UNPROJECTED && b.fixed[0] != UNPROJECTED && c.fixed[0] != UNPROJECTED {
                let inverse_depths = [a.inverse_depth, b.inverse_depth, c.inverse_depth];
                self.draw_triangle([a.fixed, b.fixed, c.fixed], inverse_depths, index as u32);
            } else {
                clip(&[*a, *b, *c], projection.center, |corners, inverse_depths| {
                    self.draw_triangle(corners, inverse_depths, index as u32);
                });
            }
        }
    }

    /// Offers the triangle to every pixel centre it covers.
    #[inline]
    fn draw_triangle(&mut self, mut corners: [[i32; 2]; 3], mut inverse_depths: [f32; 3], triangle: u32) {
        let [a, b, c] = corners;
        let low = [a[0].min(b[0]).min(c[0]), a[1].min(b[1]).min(c[1])];
        let high = [a[0].max(b[0]).max(c[0]), a[1].max(b[1]).max(c[1])];
        // First centre at or after `low`, last one at or before `high`. Pictures are cut off at the guard band.
        let end_row = (self.first_row + self.rows).min(GUARD_BAND as usize) as i32;
        let end_column = self.width.min(GUARD_BAND as usize) as i32;
        let first_row = ((low[1] + HALF - 1) >> SUBPIXEL_BITS).max(self.first_row.min(GUARD_BAND as usize) as i32);
        let last_row = ((high[1] - HALF) >> SUBPIXEL_BITS).min(end_row - 1);
        let first_column = ((low[0] + HALF - 1) >> SUBPIXEL_BITS).max(0);
        let last_column = ((high[0] - HALF) >> SUBPIXEL_BITS).min(end_column - 1);
        if first_row > last_row || first_column > last_column {
            return;
        }
        let area = edge_function(a, b, c[0].into(), c[1].into());
        if area == 0 {
            return;
        }
        // Wound so that edge functions are positive inside.
        if area < 0 {
            corners.swap(1, 2);
            inverse_depths.swap(1, 2);
        }
        let [a, b, c] = corners;

        // Non-negative where covered: edges that are not top or left give away the pixels exactly on them.
        let (x, y) = (pixel_center(first_column), pixel_center(first_row));
        let start = |from: [i32; 2], to: [i32; 2]| {
            let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
            let top_left = dy < 0 || (dy == 0 && dx > 0);
            edge_function(from, to, x, y) - i64::from(!top_left)
        };
        let step = |from: [i32; 2], to: [i32; 2]| [i64::from(from[1] - to[1]), i64::from(to[0] - from[0])];
        let spread = Spread {
            triangle,
            first_row: first_row as usize,
            rows: (last_row - first_row + 1) as usize,
            first_column: first_column as usize,
            columns: (last_column - first_column + 1) as usize,
            edges: [start(a, b), start(b, c), start(c, a)],
            steps: [step(a, b), step(b, c), step(c, a)],
            depth: DepthPlane::new(corners, inverse_depths, area.unsigned_abs(), first_column),
        };
        let extent = (high[0] - low[0]).max(high[1] - low[1]) >> SUBPIXEL_BITS;
        if spread.columns <= BLOCKED_COLUMNS && extent < BLOCKED_EXTENT && self.width >= LANES {
            self.fill_blocks(&spread);
        } else {
            self.fill_spans(&spread);
        }
    }

    /// Tests every pixel of a small triangle's bounding box, some at once and without branches.
    #[inline]
    fn fill_blocks(&mut self, spread: &Spread) {
        // A pixel's step is a multiple of `SUBPIXEL`, so the bits below decide no sign, and the rest fits 32 bits.
        let mut row_edges = spread.edges.map(|edge| (edge >> SUBPIXEL_BITS) as i32);
        let steps = spread.steps.map(|step| step.map(|step| step as i32));
        let lane_steps = steps.map(|[step, _]| i32x4::new([0, step, 2 * step, 3 * step]));
        let triangle = u32x4::splat(spread.triangle);
        for row in spread.first_row..spread.first_row + spread.rows {
            let base = spread.depth.at_row(row);
            let line = (row - self.first_row) * self.width;
            let mut column = spread.first_column;
            while column < spread.first_column + spread.columns {
                // At the right border blocks overlap: pixels met twice or outside of the box change nothing.
                let start = column.min(self.width - LANES);
                column += LANES;
                let shift = start as i32 - spread.first_column as i32;
                let edge = |k: usize| i32x4::splat(row_edges[k] + shift * steps[k][0]) + lane_steps[k];
                let outside = (edge(0) | edge(1) | edge(2)).simd_lt(i32x4::ZERO);
                if outside.all() {
                    continue;
                }
                let at = line + start;
                let depths: &mut [f32; LANES] = (&mut self.depth[at..at + LANES]).try_into().expect("a block");
                let owners: &mut [u32; LANES] = (&mut self.triangle[at..at + LANES]).try_into().expect("a block");
                let (old_depths, old_owners) = (f32x4::new(*depths), u32x4::new(*owners));
                let inverse_depths = spread.depth.at_offsets(base, shift);
                let nearer = inverse_depths.simd_gt(old_depths).to_bits() & !outside.cast_unsigned();
                *depths = f32x4::from_bits(nearer).select(inverse_depths, old_depths).to_array();
                *owners = nearer.select(triangle, old_owners).to_array();
            }
            for k in 0..3 {
                row_edges[k] += steps[k][1];
            }
        }
    }

    /// Solves for the first and last covered pixel of each row.
    fn fill_spans(&mut self, spread: &Spread) {
        let mut edges = spread.edges;
        for row in spread.first_row..spread.first_row + spread.rows {
            let (mut first, mut last) = (0, spread.columns as i64 - 1);
            for k in 0..3 {
                match spread.steps[k][0] << SUBPIXEL_BITS {
                    0 if edges[k] < 0 => last = -1,
                    0 => {}
                    up if up > 0 => first = first.max(-edges[k].div_euclid(up)),
                    down => last = last.min(edges[k].div_euclid(-down)),
                }
                edges[k] += spread.steps[k][1] << SUBPIXEL_BITS;
            }
            let base = spread.depth.at_row(row);
            let line = (row - self.first_row) * self.width + spread.first_column;
            for column in first..=last {
                let at = line + column as usize;
                let inverse_depth = spread.depth.at_offset(base, column as i32);
                if inverse_depth > self.depth[at] {
                    self.depth[at] = inverse_depth;
                    self.triangle[at] = spread.triangle;
                }
            }
        }
    }

    /// Barycentrics and depth of what was drawn.
    fn resolve(
        &mut self,
        vertices: &[Vertex],
        triangles: &[[u32; 3]],
        projection: &Projection,
        barycentric: &mut [[f32; 2]],
    ) {
        for row in 0..self.rows {
            let y = (self.first_row + row) as f32 + 0.5 - projection.center[1];
            let mut last = GBuffer::EMPTY;
            let mut corners = [[0.0; 3]; 3];
            for column in 0..self.width {
                let index = row * self.width + column;
                let triangle = self.triangle[index];
                if triangle == GBuffer::EMPTY {
                    continue;
                }
                if triangle != last {
                    corners = triangles[triangle as usize].map(|vertex| vertices[vertex as usize].homogeneous);
                    last = triangle;
                }
                let x = column as f32 + 0.5 - projection.center[0];
                let [a, b, c] = perspective_weights(corners, [x, y]);
                barycentric[index] = [b, c];
                let depth = a * corners[0][2] + b * corners[1][2] + c * corners[2][2];
                self.depth[index] = depth.max(NEAR_DEPTH);
            }
        }
    }
}

/// A triangle over the pixels of its bounding box.
struct Spread {
    triangle: u32,
    first_row: usize,
    rows: usize,
    first_column: usize,
    columns: usize,
    /// Edge functions at the first pixel centre, and their steps to the right and down in units of `SUBPIXEL`.
    edges: [i64; 3],
    steps: [[i64; 2]; 3],
    depth: DepthPlane,
}

/// Inverse depth, which is linear in the picture. It hangs on the triangle and never on the band, so that bands cannot change
/// a bit of it.
struct DepthPlane {
    /// At the first column, at the height of the first corner.
    left: f32,
    first_corner_y: i32,
    /// Per pixel.
    slope: [f32; 2],
    /// That of the corners, which it never leaves, however thin the triangle.
    range: [f32; 2],
}

impl DepthPlane {
    #[inline]
    fn new([a, b, c]: [[i32; 2]; 3], inverse_depths: [f32; 3], area: u64, first_column: i32) -> Self {
        let delta = |to: [i32; 2]| [(to[0] - a[0]) as f32, (to[1] - a[1]) as f32];
        let ([bx, by], [cx, cy]) = (delta(b), delta(c));
        let (db, dc) = (inverse_depths[1] - inverse_depths[0], inverse_depths[2] - inverse_depths[0]);
        let scale = SUBPIXEL as f32 / area as f32;
        let slope = [(db * cy - dc * by) * scale, (dc * bx - db * cx) * scale];
        let from_corner = (pixel_center(first_column) - i64::from(a[0])) as f32 / SUBPIXEL as f32;
        Self {
            left: inverse_depths[0] + from_corner * slope[0],
            first_corner_y: a[1],
            slope,
            range: [
                inverse_depths[0].min(inverse_depths[1]).min(inverse_depths[2]),
                inverse_depths[0].max(inverse_depths[1]).max(inverse_depths[2]),
            ],
        }
    }

    #[inline]
    fn at_row(&self, row: usize) -> f32 {
        let from_corner = (pixel_center(row as i32) - i64::from(self.first_corner_y)) as f32 / SUBPIXEL as f32;
        self.left + from_corner * self.slope[1]
    }

    #[inline]
    fn at_offset(&self, at_row: f32, columns: i32) -> f32 {
        (at_row + columns as f32 * self.slope[0]).max(self.range[0]).min(self.range[1])
    }

    /// [`DepthPlane::at_offset`] of `columns` and the next three, to the same bits.
    #[inline]
    fn at_offsets(&self, at_row: f32, columns: i32) -> f32x4 {
        let columns = f32x4::splat(columns as f32) + f32x4::new([0.0, 1.0, 2.0, 3.0]);
        let depths = f32x4::splat(at_row) + columns * f32x4::splat(self.slope[0]);
        depths.fast_max(f32x4::splat(self.range[0])).fast_min(f32x4::splat(self.range[1]))
    }
}

/// Fixed-point position of a pixel's centre.
#[inline]
fn pixel_center(pixel: i32) -> i64 {
    i64::from(pixel) * SUBPIXEL + i64::from(HALF)
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

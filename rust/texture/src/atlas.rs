//! Texels of a texture and the surface points behind each: the way from texture space to the surface and back.

use rayon::prelude::*;

use crate::footprint::SurfacePoint;
use crate::space::NONE;
use crate::vector::interpolate;

/// Points on each axis that sample a texel's footprint.
const SAMPLES: usize = 2;
/// Texels this far outside of a chart still take part in bilinear look-ups inside of it.
const REACH: f32 = 1.0;
/// Texels' centres this far inside of a triangle count as its own, in texels: edges shared by two never count twice.
const INSIDE: f32 = 1e-2;
/// Rows of the texture that one task fills.
const BAND: usize = 32;
/// Texture coordinates beyond this many repetitions mean nothing.
const MOST_REPEATS: f32 = 64.0;

/// The texels that a mesh's texture coordinates use.
#[derive(Clone, Debug)]
pub(crate) struct Atlas {
    /// Side of the square texture.
    pub(crate) size: usize,
    /// Number of each texel among the used ones, or [`NONE`].
    index: Vec<u32>,
    /// The used texels, in row order.
    pub(crate) texels: Vec<u32>,
    /// Where each used texel's points start.
    starts: Vec<u32>,
    points: Vec<SurfacePoint>,
    /// Texels that more than one layer of surface shares.
    pub(crate) shared: usize,
}

/// The used texels of some rows.
#[derive(Default)]
struct Band {
    texels: Vec<u32>,
    /// Where the points of each texel end.
    ends: Vec<u32>,
    points: Vec<SurfacePoint>,
    shared: usize,
}

/// The surface nearest to a texel.
#[derive(Clone, Copy)]
struct Nearest {
    /// Texels from the texel's centre to the triangle.
    distance: f32,
    point: SurfacePoint,
}

impl Atlas {
    /// Finds the texels of the `size` x `size` texture that `corner_uvs` (origin bottom-left, repeating) reach.
    pub(crate) fn new(corner_uvs: &[[[f32; 2]; 3]], size: usize) -> Self {
        // Triangles in texel coordinates, one copy for each repetition they reach, sorted into bands.
        let bands = size.div_ceil(BAND);
        let mut bins: Vec<Vec<(u32, [[f32; 2]; 3])>> = vec![Vec::new(); bands];
        for (triangle, corners) in corner_uvs.iter().enumerate() {
            for_each_copy(to_texels(*corners, size), size, |corners| {
                let (low, high) = bounds(corners, 1);
                let first = ((low - REACH).max(0.0) as usize) / BAND;
                let last = (((high + REACH).max(0.0) as usize) / BAND).min(bands - 1);
                for bin in &mut bins[first..=last.max(first).min(bands - 1)] {
                    bin.push((triangle as u32, corners));
                }
            });
        }
        let bands: Vec<Band> =
            bins.par_iter().enumerate().map(|(band, triangles)| fill_band(band, triangles, size)).collect();
        let mut atlas =
            Self { size, index: vec![NONE; size * size], texels: vec![], starts: vec![0], points: vec![], shared: 0 };
        for band in bands {
            let offset = atlas.points.len() as u32;
            for &texel in &band.texels {
                atlas.index[texel as usize] = atlas.texels.len() as u32;
                atlas.texels.push(texel);
            }
            atlas.starts.extend(band.ends.iter().map(|end| end + offset));
            atlas.points.extend(band.points);
            atlas.shared += band.shared;
        }
        atlas
    }

    /// Surface points that a used texel is the mean of.
    pub(crate) fn points(&self, number: usize) -> &[SurfacePoint] {
        &self.points[self.starts[number] as usize..self.starts[number + 1] as usize]
    }

    /// Used texels and weights of the bilinear look-up at texture coordinates.
    pub(crate) fn corners(&self, uv: [f32; 2]) -> ([u32; 4], [f32; 4]) {
        let size = self.size as f32;
        let (x, y) = (uv[0] * size - 0.5, (1.0 - uv[1]) * size - 0.5);
        let (column, row) = (x.floor(), y.floor());
        let (fx, fy) = (x - column, y - row);
        let wrap = |k: f32| (k as i64).rem_euclid(self.size as i64) as usize;
        let (left, right, top, bottom) = (wrap(column), wrap(column + 1.0), wrap(row), wrap(row + 1.0));
        let at = |row: usize, column: usize| self.index[row * self.size + column];
        (
            [at(top, left), at(top, right), at(bottom, left), at(bottom, right)],
            [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy],
        )
    }

    /// The used texels left, right, above and below each; a missing one is the texel itself.
    pub(crate) fn neighbours(&self) -> Vec<[u32; 6]> {
        self.texels
            .par_iter()
            .enumerate()
            .map(|(number, &texel)| {
                let (row, column) = (texel as usize / self.size, texel as usize % self.size);
                let at = |row: usize, column: usize| {
                    if row >= self.size || column >= self.size {
                        return number as u32;
                    }
                    let other = self.index[row * self.size + column];
                    if other == NONE { number as u32 } else { other }
                };
                [
                    at(row, column.wrapping_sub(1)),
                    at(row, column + 1),
                    at(row.wrapping_sub(1), column),
                    at(row + 1, column),
                    number as u32,
                    number as u32,
                ]
            })
            .collect()
    }
}

/// Texture coordinates of a surface point.
pub(crate) fn uv_of(corner_uvs: &[[[f32; 2]; 3]], point: SurfacePoint) -> [f32; 2] {
    interpolate(corner_uvs[point.triangle as usize], point.barycentric)
}

/// Texel coordinates, row 0 on top; texel (i, j) covers [j, j+1] x [i, i+1].
fn to_texels(corners: [[f32; 2]; 3], size: usize) -> [[f32; 2]; 3] {
    corners.map(|[u, v]| [u * size as f32, (1.0 - v) * size as f32])
}

fn bounds(corners: [[f32; 2]; 3], axis: usize) -> (f32, f32) {
    let values = corners.map(|corner| corner[axis]);
    (values[0].min(values[1]).min(values[2]), values[0].max(values[1]).max(values[2]))
}

/// The triangle moved by whole textures so that every part of it, and of its border, falls into the texture once.
fn for_each_copy(corners: [[f32; 2]; 3], size: usize, mut visit: impl FnMut([[f32; 2]; 3])) {
    let side = size as f32;
    let (x, y) = (bounds(corners, 0), bounds(corners, 1));
    // A point within half a texel of the border also reads the texel on the other side.
    let tiles = |(low, high): (f32, f32)| (((low - 0.5) / side).floor(), ((high + 0.5) / side).floor());
    let ((x0, x1), (y0, y1)) = (tiles(x), tiles(y));
    // Written so that NaN fails.
    if !(x0 > -MOST_REPEATS && x1 < MOST_REPEATS && y0 > -MOST_REPEATS && y1 < MOST_REPEATS) {
        return;
    }
    for ty in y0 as i32..=y1 as i32 {
        for tx in x0 as i32..=x1 as i32 {
            visit(corners.map(|[x, y]| [x - tx as f32 * side, y - ty as f32 * side]));
        }
    }
}

fn fill_band(band: usize, triangles: &[(u32, [[f32; 2]; 3])], size: usize) -> Band {
    let rows = band * BAND..((band + 1) * BAND).min(size);
    let texels = rows.len() * size;
    let mut inside: Vec<(u32, SurfacePoint)> = Vec::new();
    let mut nearest: Vec<Option<Nearest>> = vec![None; texels];
    let mut layers = vec![0u16; texels];
    for &(triangle, corners) in triangles {
        let Some(edges) = Edges::new(corners) else { continue };
        let (x, y) = (bounds(corners, 0), bounds(corners, 1));
        let first_row = ((y.0 - REACH).floor().max(rows.start as f32)) as usize;
        let last_row = ((y.1 + REACH).ceil().min(rows.end as f32)).max(0.0) as usize;
        let first_column = (x.0 - REACH).floor().max(0.0) as usize;
        let last_column = ((x.1 + REACH).ceil().min(size as f32)).max(0.0) as usize;
        for row in first_row..last_row {
            for column in first_column..last_column {
                let center = [column as f32 + 0.5, row as f32 + 0.5];
                let distance = edges.distance(center);
                // Along a thin corner the edges' distance says too little; the box above bounds it.
                if distance > REACH * 1.5 {
                    continue;
                }
                let texel = (row - rows.start) * size + column;
                layers[texel] = layers[texel].saturating_add(u16::from(distance < -INSIDE));
                if distance < std::f32::consts::FRAC_1_SQRT_2 {
                    for sample in 0..SAMPLES * SAMPLES {
                        let offset = |k: usize| (k as f32 + 0.5) / SAMPLES as f32;
                        let at = [column as f32 + offset(sample % SAMPLES), row as f32 + offset(sample / SAMPLES)];
                        if edges.covers(at) {
                            let point = SurfacePoint { triangle, barycentric: edges.barycentric(at) };
                            inside.push((texel as u32, point));
                        }
                    }
                }
                let slot = &mut nearest[texel];
                if slot.is_none_or(|slot| distance < slot.distance) {
                    let point = SurfacePoint { triangle, barycentric: edges.barycentric(center) };
                    *slot = Some(Nearest { distance, point });
                }
            }
        }
    }
    // Stable: points of one texel stay in triangle order.
    inside.sort_by_key(|entry| entry.0);
    let mut next = inside.iter().peekable();
    let mut band = Band { shared: layers.iter().filter(|&&count| count > 1).count(), ..Band::default() };
    for (texel, nearest) in nearest.iter().enumerate() {
        let before = band.points.len();
        while let Some(&(_, point)) = next.next_if(|entry| entry.0 == texel as u32) {
            band.points.push(point);
        }
        if let (true, Some(nearest)) = (band.points.len() == before, nearest) {
            band.points.push(nearest.point);
        }
        if band.points.len() > before {
            band.texels.push((rows.start * size + texel) as u32);
            band.ends.push(band.points.len() as u32);
        }
    }
    band
}

/// A triangle in the plane, ready to be asked about points.
struct Edges {
    corners: [[f32; 2]; 3],
    /// Outward unit normal of each edge; edge k starts at corner k.
    normals: [[f32; 2]; 3],
    inverse_area: f32,
}

impl Edges {
    /// `None` for a triangle without area.
    fn new(corners: [[f32; 2]; 3]) -> Option<Self> {
        let [a, b, c] = corners;
        let area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        if area.is_nan() || area.abs() < 1e-9 {
            return None;
        }
        let normals = std::array::from_fn(|k| {
            let (p, q) = (corners[k], corners[(k + 1) % 3]);
            let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
            let scale = area.signum() / (dx * dx + dy * dy).sqrt().max(1e-12);
            [dy * scale, -dx * scale]
        });
        Some(Self { corners, normals, inverse_area: 1.0 / area })
    }

    /// Largest signed distance to an edge's line: negative inside.
    fn distance(&self, at: [f32; 2]) -> f32 {
        (0..3)
            .map(|k| {
                let (normal, corner) = (self.normals[k], self.corners[k]);
                normal[0] * (at[0] - corner[0]) + normal[1] * (at[1] - corner[1])
            })
            .fold(f32::NEG_INFINITY, f32::max)
    }

    /// True inside; on an edge for exactly one of the two triangles that share it.
    fn covers(&self, at: [f32; 2]) -> bool {
        (0..3).all(|k| {
            let (normal, corner) = (self.normals[k], self.corners[k]);
            let distance = normal[0] * (at[0] - corner[0]) + normal[1] * (at[1] - corner[1]);
            distance < 0.0 || (distance == 0.0 && (normal[0] < 0.0 || (normal[0] == 0.0 && normal[1] < 0.0)))
        })
    }

    /// Weights of the second and third corner at `at`, moved onto the triangle.
    fn barycentric(&self, at: [f32; 2]) -> [f32; 2] {
        let [a, b, c] = self.corners;
        let u = ((at[0] - a[0]) * (c[1] - a[1]) - (at[1] - a[1]) * (c[0] - a[0])) * self.inverse_area;
        let v = ((b[0] - a[0]) * (at[1] - a[1]) - (b[1] - a[1]) * (at[0] - a[0])) * self.inverse_area;
        let weights = [1.0 - u - v, u, v].map(|w| w.max(0.0));
        let sum: f32 = weights.iter().sum();
        [weights[1] / sum, weights[2] / sum]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(low: f32, high: f32) -> Vec<[[f32; 2]; 3]> {
        vec![[[low, low], [high, low], [high, high]], [[low, low], [high, high], [low, high]]]
    }

    #[test]
    fn a_square_uses_its_texels_and_one_around() {
        let uvs = square(0.25, 0.75);
        let atlas = Atlas::new(&uvs, 16);
        assert_eq!(atlas.texels.len(), 10 * 10);
        assert_eq!(atlas.shared, 0, "the diagonal belongs to one triangle");
        let inside = (0..atlas.texels.len()).filter(|&number| atlas.points(number).len() == 4).count();
        assert_eq!(inside, 8 * 8);
        for (number, &texel) in atlas.texels.iter().enumerate() {
            for &point in atlas.points(number) {
                let [u, v] = uv_of(&uvs, point);
                let (x, y) = (u * 16.0, (1.0 - v) * 16.0);
                let (column, row) = ((texel % 16) as f32 + 0.5, (texel / 16) as f32 + 0.5);
                assert!((x - column).abs() <= 1.5 && (y - row).abs() <= 1.5, "{x} {y} is not near {column} {row}");
            }
        }
    }

    #[test]
    fn look_ups_inside_of_charts_find_every_texel() {
        let uvs = vec![[[0.11, 0.2], [0.83, 0.31], [0.4, 0.9]], [[0.9, 0.1], [0.99, 0.11], [0.95, 0.6]]];
        let atlas = Atlas::new(&uvs, 37);
        for triangle in 0..2 {
            for k in 0..1000u32 {
                let u = (k % 40) as f32 / 40.0;
                let v = (1.0 - u) * (k / 40) as f32 / 25.0;
                let (texels, weights) = atlas.corners(uv_of(&uvs, SurfacePoint { triangle, barycentric: [u, v] }));
                for (texel, weight) in texels.into_iter().zip(weights) {
                    assert!(
                        texel != NONE || weight < 1e-5,
                        "a bilinear look-up reads an unused texel {texels:?} {weights:?} {u} {v} {triangle}"
                    );
                }
                assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn coordinates_repeat() {
        let inside = Atlas::new(&square(0.25, 0.75), 16);
        let moved = Atlas::new(
            &square(0.25, 0.75).into_iter().map(|t| t.map(|[u, v]| [u + 3.0, v - 2.0])).collect::<Vec<_>>(),
            16,
        );
        assert_eq!(inside.texels, moved.texels);
        // Across the border.
        let across = Atlas::new(&square(0.75, 1.25), 16);
        assert_eq!(across.texels.len(), 10 * 10);
    }

    #[test]
    fn bad_coordinates_are_left_out() {
        let uvs = vec![[[0.0; 2]; 3], [[1e30, 0.0], [0.0, 1e30], [-1e30, 5.0]], [[f32::NAN; 2]; 3]];
        assert!(Atlas::new(&uvs, 32).texels.is_empty());
    }

    #[test]
    fn shared_texels_are_counted() {
        let mut uvs = square(0.25, 0.75);
        uvs.extend(square(0.25, 0.5));
        // Texels on the diagonal belong to neither triangle for sure.
        assert_eq!(Atlas::new(&uvs, 16).shared, 4 * 4 - 4);
    }
}

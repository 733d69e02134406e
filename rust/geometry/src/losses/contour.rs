//! Pulling the surface out to every silhouette: weight / 4 * sum over outline points c of |v - c|^2, in world units,
//! with v the projection of the nearest silhouette vertex (one that touches a front and a back face). Without it a
//! normal loss prefers an object that is too small. Which vertex is nearest has no gradient.

use super::{MeshLosses, Projected, Target};
use crate::vec3::{Vec3, accumulate, dot, sub};

/// Outline points count by length, in pixels of a 160-pixel view of the six-view rig.
const UNIT_LENGTH: f32 = 0.006_25;
/// Vertices further than this from an outline point, in world units, do not belong to it.
const REACH: f32 = 0.125;
/// Cells of the search grid an axis.
const CELLS: usize = 64;

/// Silhouette vertices of one view, in a grid over the picture.
#[derive(Default)]
pub(super) struct Scratch {
    /// Bit 0: touches a front face, bit 1: a back face.
    sides: Vec<u8>,
    /// Start of each cell in `sorted`.
    starts: Vec<u32>,
    sorted: Vec<u32>,
}

/// The weighted loss; adds dL/dposition to `gradient`.
pub(super) fn contour_pull(
    target: &Target,
    vertices: &[Projected],
    positions: &[Vec3],
    triangles: &[[u32; 3]],
    areas: &[Vec3],
    weight: f32,
    scratch: &mut Scratch,
    gradient: &mut [Vec3],
) -> f64 {
    if weight <= 0.0 {
        return 0.0;
    }
    let eye: Vec3 = target.camera.position.coords.into();
    scratch.sides.clear();
    scratch.sides.resize(vertices.len(), 0);
    for (triangle, &area) in triangles.iter().zip(areas) {
        let side = dot(area, sub(eye, positions[triangle[0] as usize]));
        let bit = if side > 0.0 { 1 } else { 2 };
        for &vertex in triangle {
            scratch.sides[vertex as usize] |= bit;
        }
    }
    let grid = Grid::new(target);
    scratch.sort(&grid, vertices);

    let scale = weight / 4.0 * target.pixel * target.pixel * target.pixel / UNIT_LENGTH;
    let reach = REACH / target.pixel;
    let mut loss = 0.0f64;
    for &[a, b] in &target.silhouette.segments {
        let point = [f32::midpoint(a[0], b[0]), f32::midpoint(a[1], b[1])];
        let Some(nearest) = scratch.nearest(&grid, vertices, point, reach) else { continue };
        let vertex = &vertices[nearest as usize];
        let scale = scale * (a[0] - b[0]).hypot(a[1] - b[1]);
        let offset = [vertex.pixel[0] - point[0], vertex.pixel[1] - point[1]];
        loss += f64::from(scale * (offset[0] * offset[0] + offset[1] * offset[1]));
        let slope = offset.map(|x| 2.0 * scale * x);
        accumulate(&mut gradient[nearest as usize], vertex.pull_back(&target.camera, slope));
    }
    loss
}

/// Square cells over the picture and a rim around it.
struct Grid {
    low: f32,
    cell: f32,
}

impl Grid {
    fn new(target: &Target) -> Self {
        let size = target.camera.width.max(target.camera.height) as f32;
        let rim = size / 16.0;
        Self { low: -rim, cell: (size + 2.0 * rim) / CELLS as f32 }
    }

    /// Cell of a coordinate; beyond the rim the outermost.
    fn cell(&self, x: f32) -> usize {
        (((x - self.low) / self.cell) as isize).clamp(0, CELLS as isize - 1) as usize
    }
}

impl Scratch {
    /// Counting sort of the silhouette vertices by cell, stable.
    fn sort(&mut self, grid: &Grid, vertices: &[Projected]) {
        self.starts.clear();
        self.starts.resize(CELLS * CELLS + 1, 0);
        let cell_of = |vertex: &Projected| grid.cell(vertex.pixel[1]) * CELLS + grid.cell(vertex.pixel[0]);
        let members = || {
            let sides = &self.sides;
            vertices
                .iter()
                .enumerate()
                .filter(move |&(index, vertex)| sides[index] == 3 && vertex.depth >= MeshLosses::NEAR_DEPTH)
        };
        for (_, vertex) in members() {
            self.starts[cell_of(vertex) + 1] += 1;
        }
        for cell in 0..CELLS * CELLS {
            self.starts[cell + 1] += self.starts[cell];
        }
        self.sorted.clear();
        self.sorted.resize(self.starts[CELLS * CELLS] as usize, 0);
        let mut next = self.starts.clone();
        for (index, vertex) in members() {
            let slot = &mut next[cell_of(vertex)];
            self.sorted[*slot as usize] = index as u32;
            *slot += 1;
        }
    }

    /// The silhouette vertex nearest to `point` within `reach` pixels; of several the lowest.
    fn nearest(&self, grid: &Grid, vertices: &[Projected], point: [f32; 2], reach: f32) -> Option<u32> {
        let (column, row) = (grid.cell(point[0]) as isize, grid.cell(point[1]) as isize);
        let mut best = (reach * reach, u32::MAX);
        let rings = (reach / grid.cell) as isize + 2;
        for ring in 0..=rings {
            // Whatever lies in this ring is at least `ring - 1` whole cells away.
            let least = (ring - 1).max(0) as f32 * grid.cell;
            if least * least > best.0 {
                break;
            }
            for y in (row - ring).max(0)..=(row + ring).min(CELLS as isize - 1) {
                let whole_row = (y - row).abs() == ring;
                let step = if whole_row { 1 } else { (2 * ring).max(1) };
                let mut x = column - ring;
                while x <= column + ring {
                    if (0..CELLS as isize).contains(&x) {
                        let cell = y as usize * CELLS + x as usize;
                        for &index in &self.sorted[self.starts[cell] as usize..self.starts[cell + 1] as usize] {
                            let pixel = vertices[index as usize].pixel;
                            let offset = [pixel[0] - point[0], pixel[1] - point[1]];
                            let squared = offset[0] * offset[0] + offset[1] * offset[1];
                            if squared < best.0 || (squared == best.0 && index < best.1) {
                                best = (squared, index);
                            }
                        }
                    }
                    x += step;
                }
            }
        }
        (best.1 != u32::MAX).then_some(best.1)
    }
}

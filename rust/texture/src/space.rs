//! The sparse 3D texture space: colours at the corners of the grid cells that the surface passes through.
//!
//! LatentDreamer's global texture space, kept only near the surface. Nodes live in blocks of 8x8x8, each with a bit mask;
//! their order is that of the blocks and bits, so it depends on nothing but the mesh and the cell size.

use maquette_core::Mesh;
use rayon::prelude::*;

use crate::vector::{Point, cross, interpolate, sub};

/// Node number where there is no node.
pub(crate) const NONE: u32 = u32::MAX;
/// Nodes of a block along each axis, as a power of two.
const BLOCK_BITS: u32 = 3;
/// Cells by which the marked shell is wider than the surface, so that rounding never leaves it.
const MARGIN: f32 = 1e-3;

/// Where the nodes of a grid near a surface are.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    /// World position of node (0, 0, 0).
    origin: Point,
    /// Edge of a cell in world units.
    pub(crate) cell: f32,
    /// Blocks along each axis.
    blocks: [usize; 3],
    /// Block number for each place of the block grid, or [`NONE`].
    table: Vec<u32>,
    /// For each block: node masks of its eight layers, and the number of its first node.
    masks: Vec<[u64; 8]>,
    first: Vec<u32>,
    /// Grid coordinates of each node.
    nodes: Vec<[u32; 3]>,
}

impl Space {
    /// The space around the surface of `mesh` with cells of edge `cell`.
    pub(crate) fn around(mesh: &Mesh, cell: f32) -> Self {
        let (low, high) = mesh.bounds().unwrap_or(([0.0; 3], [0.0; 3]));
        // Two cells of air, so that no look-up ever leaves the block grid.
        let origin = low.map(|x| x - 2.0 * cell);
        let blocks = [0, 1, 2].map(|k| ((((high[k] - low[k]) / cell) as usize + 6) >> BLOCK_BITS) + 1);
        let mut space = Self {
            origin,
            cell,
            blocks,
            table: vec![NONE; blocks.iter().product()],
            masks: Vec::new(),
            first: Vec::new(),
            nodes: Vec::new(),
        };
        // Cells are found in parallel, nodes are marked one after the other.
        for chunk in mesh.triangles.chunks(4096) {
            let cells: Vec<Vec<[u32; 3]>> = chunk
                .par_iter()
                .with_min_len(64)
                .map(|triangle| {
                    let mut cells = Vec::new();
                    let corners = triangle.map(|vertex| space.to_grid(mesh.positions[vertex as usize]));
                    for_each_cell(corners, |cell| cells.push(cell));
                    cells
                })
                .collect();
            for [x, y, z] in cells.into_iter().flatten() {
                for corner in 0..8 {
                    space.mark([x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2)]);
                }
            }
        }
        space.number();
        space
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// World position of a node.
    pub(crate) fn position(&self, node: usize) -> Point {
        std::array::from_fn(|k| self.origin[k] + self.nodes[node][k] as f32 * self.cell)
    }

    fn to_grid(&self, point: Point) -> Point {
        std::array::from_fn(|k| (point[k] - self.origin[k]) / self.cell)
    }

    fn block_of(&self, node: [u32; 3]) -> usize {
        let [x, y, z] = node.map(|k| (k >> BLOCK_BITS) as usize);
        (z * self.blocks[1] + y) * self.blocks[0] + x
    }

    fn mark(&mut self, node: [u32; 3]) {
        let place = self.block_of(node);
        if self.table[place] == NONE {
            self.table[place] = self.masks.len() as u32;
            self.masks.push([0; 8]);
        }
        let [x, y, z] = node.map(|k| k & 7);
        self.masks[self.table[place] as usize][z as usize] |= 1 << (y << 3 | x);
    }

    /// Numbers the marked nodes by block position, then by bit.
    fn number(&mut self) {
        let mut masks = Vec::with_capacity(self.masks.len());
        for (place, entry) in self.table.iter_mut().enumerate() {
            if *entry == NONE {
                continue;
            }
            let mask = self.masks[*entry as usize];
            *entry = masks.len() as u32;
            masks.push(mask);
            self.first.push(self.nodes.len() as u32);
            let corner = [
                place % self.blocks[0],
                place / self.blocks[0] % self.blocks[1],
                place / self.blocks[0] / self.blocks[1],
            ]
            .map(|block| (block << BLOCK_BITS) as u32);
            for (z, &layer) in mask.iter().enumerate() {
                let mut bits = layer;
                while bits != 0 {
                    let bit = bits.trailing_zeros();
                    self.nodes.push([corner[0] + (bit & 7), corner[1] + (bit >> 3), corner[2] + z as u32]);
                    bits &= bits - 1;
                }
            }
        }
        self.masks = masks;
    }

    /// Number of the node at grid coordinates, or [`NONE`].
    fn node(&self, at: [u32; 3]) -> u32 {
        if (0..3).any(|k| (at[k] >> BLOCK_BITS) as usize >= self.blocks[k]) {
            return NONE;
        }
        let block = self.table[self.block_of(at)];
        if block == NONE {
            return NONE;
        }
        let [x, y, z] = at.map(|k| k & 7);
        let mask = &self.masks[block as usize];
        let bit = y << 3 | x;
        if mask[z as usize] >> bit & 1 == 0 {
            return NONE;
        }
        let before: u32 = mask[..z as usize].iter().map(|layer| layer.count_ones()).sum();
        self.first[block as usize] + before + (mask[z as usize] & ((1 << bit) - 1)).count_ones()
    }

    /// Nodes and weights of the trilinear look-up at a world point; missing nodes are [`NONE`] with weight 0.
    pub(crate) fn corners(&self, point: Point) -> ([u32; 8], [f32; 8]) {
        let grid = self.to_grid(point).map(|x| x.max(0.0));
        let low = grid.map(|x| x as u32);
        let f: Point = std::array::from_fn(|k| grid[k] - low[k] as f32);
        let mut nodes = [NONE; 8];
        let mut weights = [0.0f32; 8];
        let mut sum = 0.0;
        for corner in 0..8u32 {
            let bits = [corner & 1, corner >> 1 & 1, corner >> 2];
            let node = self.node(std::array::from_fn(|k| low[k] + bits[k]));
            if node != NONE {
                let weight: f32 = (0..3).map(|k| if bits[k] == 1 { f[k] } else { 1.0 - f[k] }).product();
                nodes[corner as usize] = node;
                weights[corner as usize] = weight;
                sum += weight;
            }
        }
        // On the surface all eight are there; next to it the others stand in for the missing.
        if sum > 1e-6 && sum < 0.999 {
            for weight in &mut weights {
                *weight /= sum;
            }
        }
        (nodes, weights)
    }

    /// Trilinear look-up of node values; `None` away from the surface.
    pub(crate) fn look_up(&self, values: &[[f32; 4]], point: Point) -> Option<[f32; 4]> {
        let (nodes, weights) = self.corners(point);
        let mut sum = [0.0; 4];
        let mut found = 0.0;
        for (node, weight) in nodes.into_iter().zip(weights) {
            if node != NONE {
                found += weight;
                for k in 0..4 {
                    sum[k] += weight * values[node as usize][k];
                }
            }
        }
        (found > 1e-6).then_some(sum)
    }

    /// The six neighbours of each node; a missing one is the node itself, which makes the difference 0.
    pub(crate) fn neighbours(&self) -> Vec<[u32; 6]> {
        self.nodes
            .par_iter()
            .enumerate()
            .map(|(index, &node)| {
                std::array::from_fn(|side| {
                    let mut at = node;
                    let axis = side / 2;
                    at[axis] = if side % 2 == 0 { at[axis].wrapping_sub(1) } else { at[axis] + 1 };
                    let other = self.node(at);
                    if other == NONE { index as u32 } else { other }
                })
            })
            .collect()
    }
}

/// Calls `visit` for every cell that a triangle, in grid coordinates, passes through. Conservative: a few more may come.
///
/// Walks the columns of the triangle's projection along its dominant axis, where the plane is at most one cell steep.
fn for_each_cell(corners: [Point; 3], mut visit: impl FnMut([u32; 3])) {
    let normal = cross(sub(corners[1], corners[0]), sub(corners[2], corners[0]));
    let axis = (0..3).max_by(|&a, &b| normal[a].abs().total_cmp(&normal[b].abs())).unwrap_or(2);
    let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
    let bound = |k: usize| {
        let low = corners.iter().map(|p| p[k]).fold(f32::INFINITY, f32::min) - MARGIN;
        let high = corners.iter().map(|p| p[k]).fold(f32::NEG_INFINITY, f32::max) + MARGIN;
        (low.max(0.0), high)
    };
    let (range_a, range_b, range_c) = (bound(a), bound(b), bound(axis));
    let area = normal[axis];
    // Nothing sees a triangle without area, and no texel lies on it.
    if area.abs() < 1e-12 {
        return;
    }
    let slope = [-normal[a] / area, -normal[b] / area];
    for i in range_a.0 as u32..=range_a.1 as u32 {
        for j in range_b.0 as u32..=range_b.1 as u32 {
            let center = [i as f32 + 0.5, j as f32 + 0.5];
            let outside = (0..3).any(|k| {
                let (p, q) = (corners[k], corners[(k + 1) % 3]);
                let edge = [q[a] - p[a], q[b] - p[b]];
                let value = (edge[0] * (center[1] - p[b]) - edge[1] * (center[0] - p[a])) * area.signum();
                value < -(0.5 + MARGIN) * (edge[0].abs() + edge[1].abs())
            });
            let middle =
                corners[0][axis] + slope[0] * (center[0] - corners[0][a]) + slope[1] * (center[1] - corners[0][b]);
            let half = (0.5 + MARGIN) * (slope[0].abs() + slope[1].abs()) + MARGIN;
            let (low, high) = ((middle - half).max(range_c.0), (middle + half).min(range_c.1));
            if outside || high < low {
                continue;
            }
            for c in low as u32..=high as u32 {
                let mut cell = [0; 3];
                cell[a] = i;
                cell[b] = j;
                cell[axis] = c;
                visit(cell);
            }
        }
    }
}

/// World position of a point of a triangle.
pub(crate) fn on_triangle(mesh: &Mesh, triangle: u32, barycentric: [f32; 2]) -> Point {
    interpolate(mesh.triangles[triangle as usize].map(|vertex| mesh.positions[vertex as usize]), barycentric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::sphere;

    #[test]
    fn linear_colour_is_read_back_exactly_on_the_surface() {
        let mesh = sphere(24);
        let space = Space::around(&mesh, 0.02);
        let colors: Vec<[f32; 4]> = (0..space.len())
            .map(|node| {
                let [x, y, z] = space.position(node);
                [x + 0.5, y - z, 2.0 * z, 0.0]
            })
            .collect();
        for triangle in 0..mesh.triangles.len() as u32 {
            for uv in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.3, 0.3], [0.5, 0.5]] {
                let point = on_triangle(&mesh, triangle, uv);
                let (nodes, _) = space.corners(point);
                assert!(!nodes.contains(&NONE), "the shell has a hole at {point:?}");
                let color = space.look_up(&colors, point).unwrap();
                let wanted = [point[0] + 0.5, point[1] - point[2], 2.0 * point[2]];
                assert!((0..3).all(|k| (color[k] - wanted[k]).abs() < 1e-5), "{color:?} {wanted:?}");
            }
        }
        assert_eq!(space.look_up(&colors, [0.0; 3]), None);
    }

    #[test]
    fn the_shell_is_thin_and_neighbours_are_mutual() {
        let mesh = sphere(32);
        let (coarse, fine) = (Space::around(&mesh, 0.02), Space::around(&mesh, 0.01));
        let ratio = fine.len() as f32 / coarse.len() as f32;
        assert!((3.0..5.0).contains(&ratio), "nodes must grow with the area, not the volume: {ratio}");
        let neighbours = coarse.neighbours();
        for (node, others) in neighbours.iter().enumerate() {
            for (side, &other) in others.iter().enumerate() {
                if other as usize != node {
                    assert_eq!(neighbours[other as usize][side ^ 1] as usize, node);
                }
            }
        }
    }

    #[test]
    fn large_and_degenerate_triangles() {
        let positions = vec![[-0.4, -0.4, -0.4], [0.4, 0.3, 0.2], [0.1, 0.4, -0.3], [0.0; 3], [1e-9, 0.0, 0.0]];
        let mesh = Mesh::new(positions, vec![[0, 1, 2], [0, 0, 1], [3, 4, 3], [3, 4, 0]]).unwrap();
        let space = Space::around(&mesh, 0.01);
        // Twice the area is about 0.6; a shell holds a few nodes for each cell.
        assert!(space.len() > 3000 && space.len() < 20_000, "{}", space.len());
        for k in 0..100u32 {
            let u = (k % 10) as f32 / 10.0;
            let v = (1.0 - u) * (k / 10) as f32 / 10.0;
            assert!(!space.corners(on_triangle(&mesh, 0, [u, v])).0.contains(&NONE));
        }
    }
}

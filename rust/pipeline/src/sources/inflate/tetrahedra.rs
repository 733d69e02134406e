//! Closed surface of a height field and its mirror image, by marching tetrahedra.
//!
//! Each cell of a grid is split into six tetrahedra around its main diagonal (Freudenthal). Neighbouring cells split
//! their common face alike, so the surface is closed and manifold whatever the field.

use std::collections::HashMap;

use maquette_core::Mesh;

use super::balls::HeightField;

/// Corners of the six tetrahedra, as bits x = 1, y = 2, z = 4.
const TETRAHEDRA: [[usize; 4]; 6] =
    [[0, 1, 3, 7], [0, 3, 2, 7], [0, 2, 6, 7], [0, 6, 4, 7], [0, 4, 5, 7], [0, 5, 1, 7]];
/// Vertices stay this share of an edge away from its ends, so that no triangle is without area.
const CLEARANCE: f32 = 0.02;

/// The solid |z| < depth * height(x, y), as a mesh in world space.
pub(super) fn surface(field: &HeightField, depth: f32) -> Mesh {
    let (width, height) = (field.squared.width, field.squared.height);
    let squared: Vec<f32> = field.squared.data.iter().map(|value| depth * depth * value[0]).collect();
    let highest = squared.iter().copied().fold(0.0, f32::max).sqrt();
    let half = (highest / field.cell).ceil() as usize + 1;
    let z_of = |layer: usize| (layer as f32 - half as f32) * field.cell;
    let mut builder = Builder { field, squared: &squared, half, vertices: HashMap::new(), mesh: Mesh::default() };
    for row in 0..height - 1 {
        for column in 0..width - 1 {
            let corner = row * width + column;
            let corners = [corner, corner + 1, corner + width, corner + width + 1].map(|index| squared[index]);
            let top = corners.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if top <= 0.0 {
                continue;
            }
            let bottom = corners.iter().copied().fold(f32::INFINITY, f32::min).max(0.0).sqrt();
            let top = top.sqrt();
            for layer in 0..2 * half {
                let (low, high) = (z_of(layer), z_of(layer + 1));
                let (near, far) = if low >= 0.0 { (low, high) } else { (-high, -low) };
                // Rounding must not leave a cell out; one too many finds nothing to cut.
                let slack = 0.01 * field.cell;
                if near <= top + slack && far >= bottom - slack {
                    builder.cell(column, row, layer);
                }
            }
        }
    }
    builder.mesh
}

struct Builder<'a> {
    field: &'a HeightField,
    squared: &'a [f32],
    half: usize,
    /// Vertex on each cut edge, by the edge's first node and direction. Only looked up, never walked.
    vertices: HashMap<(usize, usize), u32>,
    mesh: Mesh,
}

impl Builder<'_> {
    fn cell(&mut self, column: usize, row: usize, layer: usize) {
        let (width, height) = (self.field.squared.width, self.field.squared.height);
        let node = |corner: usize| {
            let (c, r, l) = (column + (corner & 1), row + (corner >> 1 & 1), layer + (corner >> 2));
            (l * height + r) * width + c
        };
        for tetrahedron in TETRAHEDRA {
            let (mut inside, mut outside) = (Vec::with_capacity(4), Vec::with_capacity(4));
            for corner in tetrahedron {
                if self.value(node(corner)) > 0.0 { inside.push(corner) } else { outside.push(corner) }
            }
            let mut cut = |a: usize, b: usize| {
                let (a, b) = (a.min(b), a.max(b));
                self.vertex(node(a), node(b), b - a)
            };
            let faces: &[[u32; 3]] = match (&inside[..], &outside[..]) {
                (&[a], &[b, c, d]) | (&[b, c, d], &[a]) => &[[cut(a, b), cut(a, c), cut(a, d)]],
                (&[a, b], &[c, d]) => {
                    let [ac, ad, bd, bc] = [cut(a, c), cut(a, d), cut(b, d), cut(b, c)];
                    &[[ac, ad, bd], [ac, bd, bc]]
                }
                _ => continue,
            };
            // The solid's side of the tetrahedron tells which way is out.
            let mean = |corners: &[usize]| -> [f32; 3] {
                let mut sum = [0.0; 3];
                for &corner in corners {
                    let p = self.position(node(corner));
                    for k in 0..3 {
                        sum[k] += p[k] / corners.len() as f32;
                    }
                }
                sum
            };
            let (from, to) = (mean(&inside), mean(&outside));
            let out: [f32; 3] = std::array::from_fn(|k| to[k] - from[k]);
            for &[a, b, c] in faces {
                let area = self.mesh.area_vector([a, b, c]);
                let outward = (0..3).map(|k| area[k] * out[k]).sum::<f32>() > 0.0;
                self.mesh.triangles.push(if outward { [a, b, c] } else { [a, c, b] });
            }
        }
    }

    /// Squared height above and signed height of a node.
    fn heights(&self, node: usize) -> (f32, f32) {
        let (layer, column_index) = (node / self.squared.len(), node % self.squared.len());
        (self.squared[column_index], (layer as f32 - self.half as f32) * self.field.cell)
    }

    /// Positive inside.
    fn value(&self, node: usize) -> f32 {
        let (squared, z) = self.heights(node);
        squared - z * z
    }

    fn position(&self, node: usize) -> [f32; 3] {
        let (width, cell) = (self.field.squared.width, self.field.cell);
        let index = node % self.squared.len();
        let (x, y) = ((index % width) as f32 * cell, (index / width) as f32 * cell);
        let (_, z) = self.heights(node);
        let [u, v, n] = self.field.axes;
        std::array::from_fn(|k| self.field.origin[k] + x * u[k] + y * v[k] + z * n[k])
    }

    fn vertex(&mut self, a: usize, b: usize, direction: usize) -> u32 {
        if let Some(&vertex) = self.vertices.get(&(a, direction)) {
            return vertex;
        }
        let ((squared_a, z_a), (squared_b, z_b)) = (self.heights(a), self.heights(b));
        // Along the edge, the squared height is linear and so is z: squared(t) - z(t)^2 = 0 is a quadratic.
        let dz = z_b - z_a;
        let (p, q, r) = (-dz * dz, squared_b - squared_a - 2.0 * z_a * dz, squared_a - z_a * z_a);
        let t = root_in_unit(p, q, r).clamp(CLEARANCE, 1.0 - CLEARANCE);
        let (from, to) = (self.position(a), self.position(b));
        let vertex = self.mesh.positions.len() as u32;
        self.mesh.positions.push(std::array::from_fn(|k| from[k] + t * (to[k] - from[k])));
        self.vertices.insert((a, direction), vertex);
        vertex
    }
}

/// The root in 0..=1 of p t^2 + q t + r, whose signs at 0 and 1 differ.
fn root_in_unit(p: f32, q: f32, r: f32) -> f32 {
    let (p, q, r) = (f64::from(p), f64::from(q), f64::from(r));
    let disc = (q * q - 4.0 * p * r).max(0.0).sqrt();
    // The numerically stable pair of roots.
    let s = -0.5 * (q + if q >= 0.0 { disc } else { -disc });
    let candidates = [if p == 0.0 { f64::NAN } else { s / p }, if s == 0.0 { f64::NAN } else { r / s }];
    candidates
        .into_iter()
        .filter(|t| t.is_finite())
        .min_by(|a, b| (a - 0.5).abs().total_cmp(&(b - 0.5).abs()))
        .unwrap_or(0.5) as f32
}

//! 2D and 3D shifting: per-view maps that make views which disagree agree with one mesh (LSS3D).
//!
//! A view's 2D map S says where to read it: X'(p) = X(p + S(p)). Its 3D map turns the normals that were read:
//! N' = normalise(N + T x N) with a small rotation vector T, which on a flat piece is LSS3D's additive 3D shifting. Both are
//! smooth by construction, bilinear on coarse grids with second-order smoothness, and are found by Gauss-Newton steps
//! against the rendered mesh, at a quarter, half and full size, while the mesh stands still; mesh and maps take turns.

use maquette_core::{Plane, View};
use maquette_raster::NormalView;

use crate::banded::BandedSystem;
use crate::silhouette::Silhouette;
use crate::vec3::{Vec3, cross, dot, norm, scale, sub};
use crate::{Error, Result};

/// Cells of the 2D map along each side of the picture.
const SHIFT_CELLS: usize = 16;
/// Cells of the 3D map along each side of the picture.
const TILT_CELLS: usize = 8;

/// How strongly maps are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShiftSettings {
    /// Weight of second differences of the 2D map between neighbouring cells.
    pub smoothness: f32,
    /// Weight of the 2D map's size.
    pub size: f32,
    /// Weight of distances between outlines, in pixels, against normals.
    pub outline: f32,
    /// Weight of second differences of the 3D map.
    pub tilt_smoothness: f32,
    /// Weight of the 3D map's size.
    pub tilt_size: f32,
    /// Gauss-Newton steps at each size.
    pub steps: usize,
}

impl Default for ShiftSettings {
    fn default() -> Self {
        Self { smoothness: 1.0, size: 0.01, outline: 0.1, tilt_smoothness: 100.0, tilt_size: 10.0, steps: 2 }
    }
}

/// A smooth map over a picture: vectors at the corners of a grid of cells, bilinear between them.
#[derive(Clone, Debug, PartialEq)]
struct Lattice<const C: usize> {
    cells: usize,
    width: usize,
    height: usize,
    nodes: Vec<[f32; C]>,
}

impl<const C: usize> Lattice<C> {
    fn new(cells: usize, width: usize, height: usize) -> Self {
        Self { cells, width, height, nodes: vec![[0.0; C]; (cells + 1) * (cells + 1)] }
    }

    /// The four nodes around pixel position (x, y) and their weights.
    fn around(&self, x: f32, y: f32) -> [(usize, f32); 4] {
        let cells = self.cells as f32;
        let u = (x / self.width as f32 * cells).clamp(0.0, cells);
        let v = (y / self.height as f32 * cells).clamp(0.0, cells);
        let (column, row) = ((u as usize).min(self.cells - 1), (v as usize).min(self.cells - 1));
        let (fu, fv) = (u - column as f32, v - row as f32);
        let first = row * (self.cells + 1) + column;
        [
            (first, (1.0 - fu) * (1.0 - fv)),
            (first + 1, fu * (1.0 - fv)),
            (first + self.cells + 1, (1.0 - fu) * fv),
            (first + self.cells + 2, fu * fv),
        ]
    }

    fn at(&self, x: f32, y: f32) -> [f32; C] {
        let mut sum = [0.0; C];
        for (node, weight) in self.around(x, y) {
            for k in 0..C {
                sum[k] += weight * self.nodes[node][k];
            }
        }
        sum
    }

    /// A system for all nodes, with room for data and second differences.
    fn system(&self) -> BandedSystem {
        BandedSystem::new(C * self.nodes.len(), C * (2 * self.cells + 3))
    }

    /// Adds, for a pixel at (x, y), the quadratic (1/2) xᵀ H x - bᵀ x in the map's value there.
    fn add_data(&self, system: &mut BandedSystem, x: f32, y: f32, hessian: [[f32; C]; C], pull: [f32; C]) {
        let around = self.around(x, y);
        for (i, &(node, weight)) in around.iter().enumerate() {
            for a in 0..C {
                system.vector[C * node + a] += f64::from(weight * pull[a]);
            }
            for &(other, other_weight) in &around[..=i] {
                for a in 0..C {
                    for b in 0..C {
                        // Within one node only the lower half counts.
                        if node != other || b <= a {
                            system.add(C * node + a, C * other + b, f64::from(weight * other_weight * hessian[a][b]));
                        }
                    }
                }
            }
        }
    }

    /// Adds weights of the whole map's size and second differences; the unknowns are changes of the nodes.
    fn add_priors(&self, system: &mut BandedSystem, size: f32, smoothness: f32) {
        let side = self.cells + 1;
        // Each stencil: nodes and coefficients of a value that should be 0.
        let mut penalise = |stencil: &[(usize, f32)], weight: f32| {
            for k in 0..C {
                let value: f32 = stencil.iter().map(|&(node, c)| c * self.nodes[node][k]).sum();
                for (i, &(node, c)) in stencil.iter().enumerate() {
                    system.vector[C * node + k] -= f64::from(weight * c * value);
                    for &(other, d) in &stencil[..=i] {
                        system.add(C * node + k, C * other + k, f64::from(weight * c * d));
                    }
                }
            }
        };
        for row in 0..side {
            for column in 0..side {
                let node = row * side + column;
                penalise(&[(node, 1.0)], size);
                if column + 2 < side {
                    penalise(&[(node, 1.0), (node + 1, -2.0), (node + 2, 1.0)], smoothness);
                }
                if row + 2 < side {
                    penalise(&[(node, 1.0), (node + side, -2.0), (node + 2 * side, 1.0)], smoothness);
                }
                if row + 1 < side && column + 1 < side {
                    // The mixed difference counts twice, as in the thin plate's energy.
                    let corners = [(node, 1.0), (node + 1, -1.0), (node + side, -1.0), (node + side + 1, 1.0)];
                    penalise(&corners, 2.0 * smoothness);
                }
            }
        }
    }

    fn move_by(&mut self, system: &BandedSystem) {
        for (node, value) in self.nodes.iter_mut().enumerate() {
            for k in 0..C {
                value[k] += system.vector[C * node + k] as f32;
            }
        }
    }
}

/// The maps of one view.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    plane: Lattice<2>,
    tilt: Lattice<3>,
}

impl Shift {
    /// Maps of zeros for a view of this size.
    pub fn new(width: usize, height: usize) -> Self {
        Self { plane: Lattice::new(SHIFT_CELLS, width, height), tilt: Lattice::new(TILT_CELLS, width, height) }
    }

    /// The 2D map at pixel position (x, y), in pixels.
    pub fn shift_px(&self, x: f32, y: f32) -> [f32; 2] {
        self.plane.at(x, y)
    }

    /// The 3D map at pixel position (x, y): a rotation vector in world space, radians.
    pub fn tilt(&self, x: f32, y: f32) -> [f32; 3] {
        self.tilt.at(x, y)
    }

    /// Forgets the 3D map.
    pub fn reset_tilt(&mut self) {
        self.tilt.nodes.fill([0.0; 3]);
    }

    /// The view as the maps read it.
    pub fn apply(&self, view: &View) -> View {
        let (width, height) = (view.camera.width, view.camera.height);
        let mut shifted = view.clone();
        for row in 0..height {
            for column in 0..width {
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                let [dx, dy] = self.plane.at(x, y);
                *shifted.mask.at_mut(row, column) = view.mask.bilinear(x + dx, y + dy);
                if let (Some(color), Some(source)) = (&mut shifted.color, &view.color) {
                    *color.at_mut(row, column) = source.bilinear(x + dx, y + dy);
                }
                if let (Some(normal), Some(source)) = (&mut shifted.normal, &view.normal) {
                    let read = source.bilinear(x + dx, y + dy);
                    let length = norm(read);
                    *normal.at_mut(row, column) = if length > 0.5 {
                        let unit = scale(read, 1.0 / length);
                        let turned = turn(self.tilt.at(x, y), unit);
                        scale(turned, 1.0 / norm(turned))
                    } else {
                        [0.0; 3]
                    };
                }
            }
        }
        shifted
    }

    /// Moves the 2D map so that `view` agrees better with what `target` shows of the mesh.
    pub fn align(&mut self, view: &AlignedView, target: &AlignedView, settings: &ShiftSettings) {
        for level in (0..AlignedView::LEVELS).rev() {
            for _ in 0..settings.steps {
                self.align_step(&view.levels[level], &target.levels[level], settings);
            }
        }
    }

    fn align_step(&mut self, view: &Level, target: &Level, settings: &ShiftSettings) {
        let (width, height) = (target.distance.width, target.distance.height);
        // Full-size pixels a pixel of this level, and how much of the picture one stands for.
        let ratio = self.plane.width as f32 / width as f32;
        let area = ratio * ratio;
        let mut system = self.plane.system();
        for row in 0..height {
            for column in 0..width {
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                let [dx, dy] = self.plane.at(x * ratio, y * ratio).map(|d| d / ratio);
                let (px, py) = (x + dx, y + dy);
                let mut hessian = [[0.0; 2]; 2];
                let mut pull = [0.0; 2];
                let mut add = |residual: f32, slope: [f32; 2], weight: f32| {
                    for a in 0..2 {
                        pull[a] -= weight * slope[a] * residual;
                        for b in 0..2 {
                            hessian[a][b] += weight * slope[a] * slope[b];
                        }
                    }
                };
                // Distances to the outline, in full pixels, where either is near.
                let (wanted, (given, slope)) = (target.distance.at(row, column)[0], sample(&view.distance, px, py));
                let reach = REACH_PX.max(2.0 * ratio);
                if wanted.abs().min(given[0].abs()) < reach && (wanted - given[0]).abs() < 3.0 * reach {
                    let residual = given[0] - wanted;
                    let robust = 1.0 / (1.0 + (residual / reach).powi(2));
                    add(residual, [slope[0][0] / ratio, slope[1][0] / ratio], settings.outline * area * robust);
                }
                let wanted = target.normal.at(row, column);
                if norm(wanted) > 0.9 {
                    let (given, slope) = sample(&view.normal, px, py);
                    if norm(given) > 0.7 {
                        let residual = sub(given, wanted);
                        // Normals that differ by half a radian are of something else.
                        let robust = 1.0 / (1.0 + dot(residual, residual) / (0.3 * 0.3)).powi(2);
                        for k in 0..3 {
                            add(residual[k], [slope[0][k] / ratio, slope[1][k] / ratio], area * robust);
                        }
                    }
                }
                if hessian[0][0] + hessian[1][1] > 0.0 {
                    self.plane.add_data(&mut system, x * ratio, y * ratio, hessian, pull);
                }
            }
        }
        self.plane.add_priors(&mut system, settings.size, settings.smoothness);
        if system.solve() {
            self.plane.move_by(&system);
        }
    }

    /// Finds the 3D map anew: the smooth turn of the view's normals, read by the 2D map, towards the target's.
    pub fn align_tilt(&mut self, view: &AlignedView, target: &AlignedView, settings: &ShiftSettings) {
        const LEVEL: usize = 1;
        self.reset_tilt();
        let (view, target) = (&view.levels[LEVEL], &target.levels[LEVEL]);
        let (width, height) = (target.normal.width, target.normal.height);
        let ratio = self.plane.width as f32 / width as f32;
        let mut system = self.tilt.system();
        for row in 0..height {
            for column in 0..width {
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                let [dx, dy] = self.plane.at(x * ratio, y * ratio).map(|d| d / ratio);
                let wanted = target.normal.at(row, column);
                let given = sample(&view.normal, x + dx, y + dy).0;
                if norm(wanted) < 0.9 || norm(given) < 0.7 {
                    continue;
                }
                let residual = sub(given, wanted);
                let weight = ratio * ratio / (1.0 + dot(residual, residual) / (0.3 * 0.3)).powi(2);
                // wanted = given + T x given: the matrix of T is 1 - g gᵀ, its pull g x wanted.
                let pull = scale(cross(given, wanted), weight);
                let square = dot(given, given);
                let hessian = std::array::from_fn(|a| {
                    std::array::from_fn(|b| weight * (if a == b { square } else { 0.0 } - given[a] * given[b]))
                });
                self.tilt.add_data(&mut system, x * ratio, y * ratio, hessian, pull);
            }
        }
        self.tilt.add_priors(&mut system, settings.tilt_size, settings.tilt_smoothness);
        if system.solve() {
            self.tilt.move_by(&system);
        }
    }
}

/// n + t x n.
fn turn(t: Vec3, n: Vec3) -> Vec3 {
    let moved = cross(t, n);
    [n[0] + moved[0], n[1] + moved[1], n[2] + moved[2]]
}

/// Outlines further away than this do not belong together, in pixels.
const REACH_PX: f32 = 4.0;

/// Bilinear value and its slopes along x and y.
fn sample<const C: usize>(plane: &Plane<C>, x: f32, y: f32) -> ([f32; C], [[f32; C]; 2]) {
    let x = (x - 0.5).clamp(0.0, (plane.width - 1) as f32);
    let y = (y - 0.5).clamp(0.0, (plane.height - 1) as f32);
    let (column, row) = (x as usize, y as usize);
    let (right, below) = ((column + 1).min(plane.width - 1), (row + 1).min(plane.height - 1));
    let (fx, fy) = (x - column as f32, y - row as f32);
    let (a, b, c, d) = (plane.at(row, column), plane.at(row, right), plane.at(below, column), plane.at(below, right));
    let value = std::array::from_fn(|k| {
        let (top, bottom) = (a[k] + (b[k] - a[k]) * fx, c[k] + (d[k] - c[k]) * fx);
        top + (bottom - top) * fy
    });
    let along_x = std::array::from_fn(|k| (b[k] - a[k]) * (1.0 - fy) + (d[k] - c[k]) * fy);
    let along_y = std::array::from_fn(|k| (c[k] - a[k]) * (1.0 - fx) + (d[k] - b[k]) * fx);
    (value, [along_x, along_y])
}

/// Normals and outline distances of one view, given or rendered, at three sizes.
pub struct AlignedView {
    /// Full, half and quarter size.
    levels: Vec<Level>,
}

struct Level {
    /// Unit where known, shorter at edges, zero elsewhere.
    normal: Plane<3>,
    /// Signed distance to the outline in full-size pixels.
    distance: Plane<1>,
}

impl AlignedView {
    const LEVELS: usize = 3;

    /// A given view, which needs normals.
    pub fn given(view: &View) -> Result<Self> {
        let normal = view.normal.as_ref().ok_or_else(|| {
            Error::invalid("a view without normals cannot be shifted; give normal maps or leave shifting out")
        })?;
        Ok(Self::new(normal, &view.mask))
    }

    /// What the mesh looks like in a view.
    pub fn rendered(view: &NormalView) -> Self {
        Self::new(&view.normals, &view.mask)
    }

    fn new(normal: &Plane<3>, mask: &Plane<1>) -> Self {
        let distance = Silhouette::new(mask).distance;
        let (width, height) = (mask.width, mask.height);
        let levels = (0..Self::LEVELS)
            .map(|level| {
                let (width, height) = ((width >> level).max(1), (height >> level).max(1));
                Level { normal: normal.resized(width, height), distance: distance.resized(width, height) }
            })
            .collect();
        Self { levels }
    }
}

//! 2D and 3D shifting: per-view maps that make views which disagree agree with one mesh (LSS3D).
//!
//! A view's 2D map S says where to read it: X'(p) = X(p + S(p)). Its 3D map turns the normals that were read:
//! N' = normalise(N + T x N) with a small rotation vector T, which on a flat piece is LSS3D's additive 3D shifting. Both are
//! smooth by construction, bilinear on a coarse lattice with second-order smoothness, and are found together by
//! Gauss-Newton steps against the rendered mesh, at a quarter, half and full size, while the mesh stands still; mesh and
//! maps take turns. Found apart, each map would explain what belongs to the other.

use borsh::{BorshDeserialize, BorshSerialize};
use maquette_core::recipe::Shifting;
use maquette_core::{Camera, Mesh, Plane, Progress, View, Views};
use maquette_raster::{NormalView, NormalViews, Shading};
use rayon::prelude::*;

use crate::banded::BandedSystem;
use crate::mirror::silhouette_disagreement;
use crate::reprojection::reproject;
use crate::silhouette::Silhouette;
use crate::vec3::{Vec3, cross, dot, norm, scale};
use crate::{Error, Result};

/// Cells of the lattice along each side of the picture.
const CELLS: usize = 12;
/// Numbers at a node: the 2D map in pixels, then the 3D map in radians.
pub(crate) const WIDTH: usize = 5;
/// Weight that keeps a map where it is.
const HELD: f32 = 1e9;
/// Silhouettes that cut deeper than this into one another, in world units, are of views that disagree.
const DISAGREEMENT: f32 = 0.0002;
/// Outlines further away than this do not belong together, in pixels.
const REACH_PX: f32 = 4.0;
/// Normals, in radians, and colours, in linear light, that differ by much more than this are of something else.
const OUTLIER: f32 = 0.3;

/// How strongly maps are pulled and held: inverse squares of what counts as a usual deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShiftSettings {
    /// Which maps may move.
    pub shifting: Shifting,
    /// Weight of a pixel's normal.
    pub normal: f32,
    /// Weight of a pixel's colour.
    pub color: f32,
    /// Weight of a pixel's distance to the outline, in pixels.
    pub outline: f32,
    /// Weight of second differences of the 2D map between neighbouring nodes, in pixels.
    pub smoothness: f32,
    /// Weight of the 2D map's size at a node.
    pub size: f32,
    /// Weight of second differences of the 3D map.
    pub turn_smoothness: f32,
    /// Weight of the 3D map's size at a node.
    pub turn_size: f32,
    /// Gauss-Newton steps at full, half and quarter size.
    pub steps: [usize; AlignedView::LEVELS],
}

impl Default for ShiftSettings {
    fn default() -> Self {
        Self {
            shifting: Shifting::Auto,
            normal: 400.0,
            color: 1000.0,
            outline: 0.1,
            smoothness: 4.0,
            size: 0.01,
            turn_smoothness: 2500.0,
            turn_size: 10.0,
            steps: [1, 2, 2],
        }
    }
}

impl ShiftSettings {
    /// Whether `views` are to be shifted at all.
    pub fn wanted(&self, views: &Views, progress: &Progress) -> Result<bool> {
        Ok(match self.shifting {
            Shifting::Off => false,
            Shifting::Auto => silhouette_disagreement(views, progress)? > DISAGREEMENT,
            Shifting::Plane | Shifting::Turn | Shifting::Both => true,
        })
    }
}

/// The maps of one view: values at the corners of a lattice of cells, bilinear between them.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Shift {
    width: usize,
    height: usize,
    nodes: Vec<[f32; WIDTH]>,
}

impl Shift {
    /// Maps of zeros for a view of this size.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, nodes: vec![[0.0; WIDTH]; (CELLS + 1) * (CELLS + 1)] }
    }

    /// Maps of zeros for all views.
    pub fn of_views(views: &Views) -> Vec<Self> {
        views.views.iter().map(|view| Self::new(view.camera.width, view.camera.height)).collect()
    }

    /// The four nodes around pixel position (x, y) and their weights.
    pub(crate) fn around(&self, x: f32, y: f32) -> [(usize, f32); 4] {
        let cells = CELLS as f32;
        let u = (x / self.width as f32 * cells).clamp(0.0, cells);
        let v = (y / self.height as f32 * cells).clamp(0.0, cells);
        let (column, row) = ((u as usize).min(CELLS - 1), (v as usize).min(CELLS - 1));
        let (fu, fv) = (u - column as f32, v - row as f32);
        let first = row * (CELLS + 1) + column;
        [
            (first, (1.0 - fu) * (1.0 - fv)),
            (first + 1, fu * (1.0 - fv)),
            (first + CELLS + 1, (1.0 - fu) * fv),
            (first + CELLS + 2, fu * fv),
        ]
    }

    fn at(&self, x: f32, y: f32) -> [f32; WIDTH] {
        let mut sum = [0.0; WIDTH];
        for (node, weight) in self.around(x, y) {
            for k in 0..WIDTH {
                sum[k] += weight * self.nodes[node][k];
            }
        }
        sum
    }

    /// The 2D map at pixel position (x, y), in pixels.
    pub fn shift_px(&self, x: f32, y: f32) -> [f32; 2] {
        let [dx, dy, ..] = self.at(x, y);
        [dx, dy]
    }

    /// The 3D map at pixel position (x, y): a rotation vector in world space, radians.
    pub fn turn(&self, x: f32, y: f32) -> [f32; 3] {
        let [.., a, b, c] = self.at(x, y);
        [a, b, c]
    }

    /// Where every pixel of the view comes to lie, as an offset from it in pixels: the 2D map backwards.
    pub fn pushed_px(&self) -> Plane<2> {
        let mut pushed = Plane::filled(self.width, self.height, [0.0; 2]);
        for row in 0..self.height {
            for column in 0..self.width {
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                // p with p + S(p) = (x, y); the map is smooth, so that the iteration shrinks quickly.
                let mut offset = [0.0; 2];
                for _ in 0..4 {
                    let [dx, dy] = self.shift_px(x + offset[0], y + offset[1]);
                    offset = [-dx, -dy];
                }
                *pushed.at_mut(row, column) = offset;
            }
        }
        pushed
    }

    /// Forgets the 3D map.
    pub fn reset_turn(&mut self) {
        for node in &mut self.nodes {
            node[2..].fill(0.0);
        }
    }

    /// The view as the maps read it.
    pub fn apply(&self, view: &View) -> View {
        let mut shifted = view.clone();
        for row in 0..self.height {
            for column in 0..self.width {
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                let [dx, dy, turn @ ..] = self.at(x, y);
                *shifted.mask.at_mut(row, column) = view.mask.bilinear(x + dx, y + dy);
                if let (Some(color), Some(source)) = (&mut shifted.color, &view.color) {
                    *color.at_mut(row, column) = source.bilinear(x + dx, y + dy);
                }
                if let (Some(normal), Some(source)) = (&mut shifted.normal, &view.normal) {
                    let read = source.bilinear(x + dx, y + dy);
                    let length = norm(read);
                    *normal.at_mut(row, column) =
                        if length > 0.5 { turned(turn, scale(read, 1.0 / length)) } else { [0.0; 3] };
                }
            }
        }
        shifted
    }

    /// Moves the maps so that `view` agrees better with `target`; the 3D map is found anew.
    pub fn align(&mut self, view: &AlignedView, target: &AlignedView, settings: &ShiftSettings) {
        self.reset_turn();
        for level in (0..AlignedView::LEVELS).rev() {
            for _ in 0..settings.steps[level] {
                self.step(&view.levels[level], &target.levels[level], settings);
            }
        }
    }

    /// One Gauss-Newton step.
    fn step(&mut self, view: &Level, target: &Level, settings: &ShiftSettings) {
        let mut system = self.new_system();
        self.linearise(view, target, settings, |x, y, data| self.add_data(&mut system, x, y, data));
        self.add_priors(&mut system, settings);
        if system.solve() {
            self.add(&system.vector);
        }
    }

    /// A system for changes of all nodes.
    pub(crate) fn new_system(&self) -> BandedSystem {
        BandedSystem::new(WIDTH * self.nodes.len(), WIDTH * (2 * CELLS + 3))
    }

    /// Changes the nodes.
    pub(crate) fn add(&mut self, change: &[f64]) {
        for (node, change) in self.nodes.iter_mut().zip(change.chunks(WIDTH)) {
            for (value, change) in node.iter_mut().zip(change) {
                *value += *change as f32;
            }
        }
    }

    /// Calls `visit` with the full-size position of every pixel that tells something of the maps, and what it tells.
    pub(crate) fn linearise(
        &self,
        view: &Level,
        target: &Level,
        settings: &ShiftSettings,
        mut visit: impl FnMut(f32, f32, &Data),
    ) {
        let (width, height) = (target.distance.width, target.distance.height);
        // Full-size pixels a pixel of this level, and how much of the picture one stands for.
        let ratio = self.width as f32 / width as f32;
        // Neighbouring pixels of full size tell the same; every second row and column is enough.
        let stride = if ratio < 1.5 { 2 } else { 1 };
        let area = ratio * ratio * (stride * stride) as f32;
        for row in (0..height).step_by(stride) {
            for column in (0..width).step_by(stride) {
                let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                let [dx, dy, turn @ ..] = self.at(x * ratio, y * ratio);
                let (px, py) = (x + dx / ratio, y + dy / ratio);
                let mut data = Data::default();
                // Distances to the outline, in full pixels, where either is near.
                let (wanted, (given, slope)) = (target.distance.at(row, column)[0], sample(&view.distance, px, py));
                let reach = REACH_PX.max(2.0 * ratio);
                if wanted.abs().min(given[0].abs()) < reach && (wanted - given[0]).abs() < 3.0 * reach {
                    let residual = given[0] - wanted;
                    let robust = 1.0 / (1.0 + (residual / reach).powi(2));
                    let slope = [slope[0][0] / ratio, slope[1][0] / ratio, 0.0, 0.0, 0.0];
                    data.add(residual, slope, settings.outline * area * robust);
                }
                let wanted = target.normal.at(row, column);
                let (given, slope) = sample(&view.normal, px, py);
                if norm(wanted) > 0.9 && norm(given) > 0.7 {
                    let read = turned(turn, given);
                    let residual: Vec3 = std::array::from_fn(|k| read[k] - wanted[k]);
                    let weight = settings.normal * area * outlier_weight(residual);
                    for k in 0..3 {
                        // T x N changes by the unit vectors times N.
                        let [a, b, c] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|e| cross(e, read)[k]);
                        data.add(residual[k], [slope[0][k] / ratio, slope[1][k] / ratio, a, b, c], weight);
                    }
                }
                if let (Some(wanted), Some(given)) = (&target.color, &view.color) {
                    let wanted = wanted.at(row, column);
                    let (given, slope) = sample(given, px, py);
                    if wanted[3] > 0.99 && given[3] > 0.99 {
                        let residual: Vec3 = std::array::from_fn(|k| given[k] - wanted[k]);
                        let weight = settings.color * area * outlier_weight(residual);
                        for k in 0..3 {
                            let slope = [slope[0][k] / ratio, slope[1][k] / ratio, 0.0, 0.0, 0.0];
                            data.add(residual[k], slope, weight);
                        }
                    }
                }
                if data.used {
                    visit(x * ratio, y * ratio, &data);
                }
            }
        }
    }

    pub(crate) fn add_data(&self, system: &mut BandedSystem, x: f32, y: f32, data: &Data) {
        let around = self.around(x, y);
        for (i, &(node, weight)) in around.iter().enumerate() {
            for a in 0..WIDTH {
                system.vector[WIDTH * node + a] += f64::from(weight * data.pull[a]);
            }
            for &(other, other_weight) in &around[..=i] {
                for a in 0..WIDTH {
                    // Within one node only the lower half counts.
                    let end = if node == other { a + 1 } else { WIDTH };
                    for b in 0..end {
                        let value = weight * other_weight * data.hessian[a][b];
                        system.add(WIDTH * node + a, WIDTH * other + b, f64::from(value));
                    }
                }
            }
        }
    }

    /// Adds weights of the maps' size and second differences; the unknowns are changes of the nodes.
    pub(crate) fn add_priors(&self, system: &mut BandedSystem, settings: &ShiftSettings) {
        const SIDE: usize = CELLS + 1;
        let size = |k: usize| match (settings.shifting, k < 2) {
            (Shifting::Off, _) | (Shifting::Turn, true) | (Shifting::Plane, false) => HELD,
            (_, true) => settings.size,
            (_, false) => settings.turn_size,
        };
        let smoothness = |k: usize| if k < 2 { settings.smoothness } else { settings.turn_smoothness };
        // Each stencil: nodes and coefficients of a value that should be 0.
        let mut penalise = |stencil: &[(usize, f32)], weight: &dyn Fn(usize) -> f32| {
            for k in 0..WIDTH {
                let value: f32 = stencil.iter().map(|&(node, c)| c * self.nodes[node][k]).sum();
                for (i, &(node, c)) in stencil.iter().enumerate() {
                    system.vector[WIDTH * node + k] -= f64::from(weight(k) * c * value);
                    for &(other, d) in &stencil[..=i] {
                        system.add(WIDTH * node + k, WIDTH * other + k, f64::from(weight(k) * c * d));
                    }
                }
            }
        };
        for row in 0..SIDE {
            for column in 0..SIDE {
                let node = row * SIDE + column;
                penalise(&[(node, 1.0)], &size);
                if column + 2 < SIDE {
                    penalise(&[(node, 1.0), (node + 1, -2.0), (node + 2, 1.0)], &smoothness);
                }
                if row + 2 < SIDE {
                    penalise(&[(node, 1.0), (node + SIDE, -2.0), (node + 2 * SIDE, 1.0)], &smoothness);
                }
                if row + 1 < SIDE && column + 1 < SIDE {
                    // The mixed difference counts twice, as in the thin plate's energy.
                    let corners = [(node, 1.0), (node + 1, -1.0), (node + SIDE, -1.0), (node + SIDE + 1, 1.0)];
                    penalise(&corners, &|k| 2.0 * smoothness(k));
                }
            }
        }
    }
}

/// The quadratic (1/2) xᵀ H x - pullᵀ x of one pixel in the maps' values there.
#[derive(Default)]
pub(crate) struct Data {
    pub(crate) hessian: [[f32; WIDTH]; WIDTH],
    pub(crate) pull: [f32; WIDTH],
    used: bool,
}

impl Data {
    pub(crate) fn scaled(&self, share: f32) -> Self {
        let hessian = self.hessian.map(|row| row.map(|value| share * value));
        Self { hessian, pull: self.pull.map(|value| share * value), used: self.used }
    }

    fn add(&mut self, residual: f32, slope: [f32; WIDTH], weight: f32) {
        self.used = true;
        for a in 0..WIDTH {
            self.pull[a] -= weight * slope[a] * residual;
            for b in 0..WIDTH {
                self.hessian[a][b] += weight * slope[a] * slope[b];
            }
        }
    }
}

/// n + t x n, as long as n.
fn turned(t: Vec3, n: Vec3) -> Vec3 {
    let moved = cross(t, n);
    let sum = [n[0] + moved[0], n[1] + moved[1], n[2] + moved[2]];
    scale(sum, norm(n) / norm(sum).max(1e-12))
}

fn outlier_weight(residual: Vec3) -> f32 {
    1.0 / (1.0 + dot(residual, residual) / (OUTLIER * OUTLIER)).powi(2)
}

pub(crate) fn premultiplied(color: &Plane<4>) -> Plane<4> {
    let data = color.data.iter().map(|&[r, g, b, a]| [r * a, g * a, b * a, a]).collect();
    Plane { data, ..*color }
}

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

/// What one view shows, given or rendered, at three sizes.
pub struct AlignedView {
    /// Full, half and quarter size.
    pub(crate) levels: Vec<Level>,
}

pub(crate) struct Level {
    /// Unit where known, shorter at edges, zero elsewhere.
    normal: Plane<3>,
    /// Signed distance to the outline in full-size pixels.
    distance: Plane<1>,
    /// Linear colour, premultiplied by its last number: 1 where known.
    color: Option<Plane<4>>,
}

impl AlignedView {
    pub(crate) const LEVELS: usize = 3;

    /// A given view; one without normals has its outline and colours alone.
    pub fn given(view: &View) -> Self {
        let empty = || Plane::filled(view.camera.width, view.camera.height, [0.0; 3]);
        Self::new(&view.normal.clone().unwrap_or_else(empty), &view.mask)
    }

    /// What the mesh looks like in a view.
    pub fn rendered(view: &NormalView) -> Self {
        Self::new(&view.normals, &view.mask)
    }

    /// With colours, see [`AlignedView::set_color`].
    #[must_use]
    pub fn with_color(mut self, color: &Plane<4>) -> Self {
        self.set_color(color);
        self
    }

    /// Sets colours, linear and premultiplied by the last number, which is 1 where they are known.
    pub fn set_color(&mut self, color: &Plane<4>) {
        for level in &mut self.levels {
            level.color = Some(color.resized(level.normal.width, level.normal.height));
        }
    }

    pub(crate) fn has_color(&self) -> bool {
        self.levels.iter().any(|level| level.color.is_some())
    }

    fn new(normal: &Plane<3>, mask: &Plane<1>) -> Self {
        let distance = Silhouette::new(mask).distance;
        let (width, height) = (mask.width, mask.height);
        let levels = (0..Self::LEVELS)
            .map(|level| {
                let (width, height) = ((width >> level).max(1), (height >> level).max(1));
                let (normal, distance) = (normal.resized(width, height), distance.resized(width, height));
                Level { normal, distance, color: None }
            })
            .collect();
        Self { levels }
    }
}

/// Views that are aligned to one mesh after another.
pub struct Alignment {
    pub(crate) given: Vec<AlignedView>,
    pub(crate) rendered: NormalViews,
    /// The maps of every view.
    pub shifts: Vec<Shift>,
    /// A view that the others follow: its maps stay as they are. The input picture, as a rule.
    pub anchor: Option<usize>,
}

impl Alignment {
    /// No shifts yet.
    pub fn new(views: &Views) -> Result<Self> {
        views.validate()?;
        let cameras: Vec<Camera> = views.views.iter().map(|view| view.camera.clone()).collect();
        let given = views.views.par_iter().map(AlignedView::given).collect();
        let rendered = NormalViews::new(&cameras, Shading::Flat);
        Ok(Self { given, rendered, shifts: Shift::of_views(views), anchor: None })
    }

    /// Moves the maps so that the views agree better with `mesh`, which must be valid.
    pub fn align(&mut self, mesh: &Mesh, settings: &ShiftSettings) {
        self.rendered.render(&mesh.positions, &mesh.triangles);
        let (rendered, anchor) = (&self.rendered.views, self.anchor);
        let views = self.shifts.par_iter_mut().zip(&self.given).zip(rendered).enumerate();
        views.filter(|(index, _)| Some(*index) != anchor).for_each(|(_, ((shift, given), rendered))| {
            shift.align(given, &AlignedView::rendered(rendered), settings);
        });
    }

    /// Moves the maps so that the colours of `views`, those given to [`Alignment::new`], agree on `mesh`: one view after the
    /// other is aligned to what the others show there, and to the mesh itself, `rounds` times.
    pub fn align_colors(
        &mut self,
        mesh: &Mesh,
        views: &Views,
        settings: &ShiftSettings,
        rounds: usize,
        progress: &Progress,
    ) -> Result<()> {
        Error::check_length("views", views.views.len(), self.shifts.len(), "align the views that were given")?;
        self.rendered.render(&mesh.positions, &mesh.triangles);
        let rendered = &self.rendered.views;
        let mut targets: Vec<AlignedView> = rendered.par_iter().map(AlignedView::rendered).collect();
        for (given, view) in self.given.iter_mut().zip(&views.views) {
            if let Some(color) = &view.color {
                *given = AlignedView::given(view).with_color(&premultiplied(color));
            }
        }
        let count = views.views.len();
        for step in 0..rounds * count {
            progress.step(step, rounds * count)?;
            let index = step % count;
            if Some(index) == self.anchor {
                continue;
            }
            let others: Vec<usize> = (0..count).filter(|&other| other != index).collect();
            let color = reproject(views, rendered, &self.shifts, index, &others);
            targets[index].set_color(&color);
            self.shifts[index].align(&self.given[index], &targets[index], settings);
        }
        Ok(())
    }

    /// Mean length of the 2D maps over the objects in `views`, those given to [`Alignment::new`], in world units at the
    /// distance of the origin.
    pub fn mean_shift(&self, views: &Views) -> f32 {
        let (mut sum, mut count) = (0.0, 0);
        for (shift, View { camera, mask, .. }) in self.shifts.iter().zip(&views.views) {
            let pixel = camera.position.coords.norm() / camera.focal_px[0].max(camera.focal_px[1]);
            for row in (0..mask.height).step_by(2) {
                for column in (0..mask.width).step_by(2) {
                    if mask.at(row, column)[0] > 0.5 {
                        let [dx, dy] = shift.shift_px(column as f32 + 0.5, row as f32 + 0.5);
                        sum += f64::from(dx.hypot(dy) * pixel);
                        count += 1;
                    }
                }
            }
        }
        (sum / f64::from(count.max(1))) as f32
    }

    /// `views`, those given to [`Alignment::new`], as the maps read them.
    pub fn apply(&self, views: &Views) -> Result<Views> {
        Error::check_length("shifts", self.shifts.len(), views.views.len(), "align the views that are to be shifted")?;
        let shifted = self.shifts.par_iter().zip(&views.views).map(|(shift, view)| shift.apply(view));
        Ok(Views { views: shifted.collect() })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    use crate::consistency::{consistency, consistency_into};
    use crate::remesh::shapes::sphere;

    /// A lumpy ball and six views of it, with stripes for colours.
    pub(crate) fn scene() -> (Mesh, Views) {
        let mut mesh = sphere(1.0, 40);
        for p in &mut mesh.positions {
            let lumps = 0.3 + 0.03 * (9.0 * p[0]).sin() + 0.03 * (8.0 * p[1]).sin() + 0.03 * (7.0 * p[2]).cos();
            *p = scale(*p, lumps);
        }
        let cameras = Camera::six_views(96);
        let mut rendered = NormalViews::new(&cameras, Shading::Smooth);
        rendered.render(&mesh.positions, &mesh.triangles);
        let views = rendered.views.into_iter().map(|view| {
            let mut color = Plane::filled(96, 96, [0.0; 4]);
            for row in 0..96 {
                for column in 0..96 {
                    let depth = view.gbuffer.depth[row * 96 + column];
                    if depth > 0.0 {
                        let p = view.camera.unproject(column as f32 + 0.5, row as f32 + 0.5, depth);
                        let [r, g, b] = p.map(|x| 0.5 + 0.4 * (25.0 * x).sin());
                        *color.at_mut(row, column) = [r, g, b, 1.0];
                    }
                }
            }
            View { camera: view.camera, mask: view.mask, color: Some(color), normal: Some(view.normals) }
        });
        (mesh, Views { views: views.collect() })
    }

    /// The maps of a smooth warp, another one for every view.
    pub(crate) fn warp(index: usize) -> Shift {
        let mut shift = Shift::new(96, 96);
        let side = CELLS + 1;
        for (node, value) in shift.nodes.iter_mut().enumerate() {
            let (x, y) = ((node % side) as f32 / CELLS as f32, (node / side) as f32 / CELLS as f32);
            let phase = index as f32;
            *value = [1.5 * (2.0 * x + phase).sin(), 1.5 * (2.0 * y + 2.0 * phase).cos(), 0.0, 0.0, 0.0];
        }
        shift
    }

    /// Mean distance inside of the object between the maps that were found and the inverse of the warp.
    pub(crate) fn error(shift: &Shift, warp: &Shift, view: &View) -> f32 {
        let truth = warp.pushed_px();
        let (mut sum, mut count) = (0.0, 0.0);
        for row in 0..96 {
            for column in 0..96 {
                if view.mask.at(row, column)[0] > 0.5 {
                    let ([a, b], [c, d]) =
                        (shift.shift_px(column as f32 + 0.5, row as f32 + 0.5), truth.at(row, column));
                    sum += (a - c).hypot(b - d);
                    count += 1.0;
                }
            }
        }
        sum / count
    }

    #[test]
    fn the_anchor_stays_and_the_others_come_to_it() {
        let (mesh, views) = scene();
        let shifted = |(index, view): (usize, &View)| if index == 5 { view.clone() } else { warp(index).apply(view) };
        let warped = Views { views: views.views.iter().enumerate().map(shifted).collect() };
        let mut alignment = Alignment::new(&warped).unwrap();
        alignment.anchor = Some(5);
        let settings = ShiftSettings { shifting: Shifting::Both, ..ShiftSettings::default() };
        let before = consistency_into(&mesh, &warped, &alignment.shifts, 5).unwrap();
        alignment.align(&mesh, &settings);
        alignment.align_colors(&mesh, &warped, &settings, 1, &Progress::new()).unwrap();
        let after = consistency_into(&mesh, &warped, &alignment.shifts, 5).unwrap();
        assert_eq!(alignment.shifts[5], Shift::new(96, 96));
        assert!(alignment.shifts[..5].iter().all(|shift| *shift != Shift::new(96, 96)));
        assert!(after.reprojection_mse < 0.5 * before.reprojection_mse, "{before:?} {after:?}");
        assert!(after.flow_error_px < 0.8 * before.flow_error_px && after.pixels > 1000, "{before:?} {after:?}");
        assert!(consistency_into(&mesh, &warped, &alignment.shifts, 6).is_err());
    }

    #[test]
    fn warped_views_come_back_to_the_mesh() {
        let (mesh, views) = scene();
        let warped =
            Views { views: views.views.iter().enumerate().map(|(index, view)| warp(index).apply(view)).collect() };
        let mut alignment = Alignment::new(&warped).unwrap();
        let settings = ShiftSettings { shifting: Shifting::Plane, ..ShiftSettings::default() };
        let mean = |alignment: &Alignment| {
            let errors = alignment.shifts.iter().enumerate().map(|(k, shift)| error(shift, &warp(k), &views.views[k]));
            errors.sum::<f32>() / 6.0
        };
        let before = mean(&alignment);
        alignment.align(&mesh, &settings);
        let aligned = mean(&alignment);
        assert!(aligned < 0.25 * before, "{before} {aligned}");
        alignment.align_colors(&mesh, &warped, &settings, 1, &Progress::new()).unwrap();
        let colored = mean(&alignment);
        assert!(colored < aligned, "{aligned} {colored}");
        let measure = |shifts: &[Shift]| consistency(&mesh, &warped, shifts).unwrap();
        let (naive, shifted) = (measure(&Shift::of_views(&warped)), measure(&alignment.shifts));
        assert!(
            naive.pixels > 1000 && shifted.reprojection_mse < 0.3 * naive.reprojection_mse,
            "{naive:?} {shifted:?}"
        );
        assert!(shifted.flow_error_px < 0.5 * naive.flow_error_px, "{naive:?} {shifted:?}");
        // Views that agree stay, and maps that are held do, too.
        let mut still = Alignment::new(&views).unwrap();
        still.align(&mesh, &settings);
        let none = Shift::new(96, 96);
        let stayed =
            still.shifts.iter().zip(&views.views).map(|(shift, view)| error(shift, &none, view)).sum::<f32>() / 6.0;
        assert!(stayed < 0.3 * before, "{before} {stayed}");
        let held = ShiftSettings { shifting: Shifting::Off, ..settings };
        let mut off = Alignment::new(&warped).unwrap();
        off.align(&mesh, &held);
        assert!(off.shifts.iter().all(|shift| shift.at(48.0, 48.0).iter().all(|x| x.abs() < 1e-3)));
    }

    #[test]
    fn turned_normals_are_turned_back() {
        let (mesh, views) = scene();
        let mut turned_views = views.clone();
        let turn = [0.05, -0.08, 0.03];
        for view in &mut turned_views.views {
            for normal in &mut view.normal.as_mut().unwrap().data {
                *normal = if norm(*normal) > 0.0 { turned(turn, *normal) } else { *normal };
            }
        }
        let mut alignment = Alignment::new(&turned_views).unwrap();
        alignment.align(&mesh, &ShiftSettings::default());
        let found = alignment.shifts[0].turn(48.0, 48.0);
        for k in 0..3 {
            assert!((found[k] + turn[k]).abs() < 0.025, "{found:?}");
        }
    }

    #[test]
    fn pushing_undoes_reading() {
        let shift = warp(1);
        let pushed = shift.pushed_px();
        let [dx, dy] = pushed.at(40, 30);
        let [sx, sy] = shift.shift_px(30.5 + dx, 40.5 + dy);
        assert!((dx + sx).abs() < 0.02 && (dy + sy).abs() < 0.02);
        assert!(Alignment::new(&Views::default()).is_err());
    }
}

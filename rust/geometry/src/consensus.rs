//! Mesh and shifting maps found together: what of the views' disagreement belongs to the mesh, and what to the views.
//!
//! [`Alignment::align`] explains all by the maps. But a mesh that is bent makes all views look shifted, and which of both it
//! is only shows in all views at once. Here the mesh is bent, too, by a smooth field on a coarse lattice in space, and
//! field and maps share one system of normal equations, as bundle adjustment has it (Triggs et al. 2000, "Bundle
//! Adjustment - A Modern Synthesis"): each view's maps are eliminated (Schur's complement), the field is solved for, then
//! the maps. Of all splits that fit the views alike the one with the smallest and smoothest maps is chosen.

use maquette_core::{Camera, Mesh, Progress, Views};
use maquette_raster::{GBuffer, NormalView};
use nalgebra::{Cholesky, DMatrix, DVector};
use rayon::prelude::*;

use crate::banded::BandedSystem;
use crate::reprojection::reproject;
use crate::shifting::{AlignedView, Alignment, Data, Level, Shift, ShiftSettings, WIDTH, premultiplied};
use crate::vec3::Vec3;
use crate::{Error, Result};

/// Cells of the field along each side of the box around the mesh.
const CELLS: usize = 4;
const SIDE: usize = CELLS + 1;
/// Unknowns of the field: three numbers a node, in pixels.
const UNKNOWNS: usize = 3 * SIDE * SIDE * SIDE;
/// Weight of second differences of the field between neighbouring nodes, in pixels.
const SMOOTHNESS: f64 = 0.05;
/// Weight of the field's size at a node: decides only where nothing else does.
const SIZE: f64 = 1e-3;
/// What a pixel tells here over what it tells the maps alone. Neighbouring pixels err alike, and no map can follow every
/// bend of the mesh; counted in full, such errors would drive mesh and maps against one another.
const PIXEL_WEIGHT: f32 = 0.01;

/// A smooth field of moves, trilinear on a lattice over a box.
struct Bend {
    low: Vec3,
    cell: Vec3,
    /// World units that an unknown of 1 stands for.
    unit: f32,
}

impl Bend {
    /// Over the box around a mesh; the unit is what a pixel covers at the distance of the origin.
    fn over(mesh: &Mesh, camera: &Camera) -> Option<Self> {
        let (low, high) = mesh.bounds()?;
        let unit = camera.position.coords.norm() / camera.focal_px[0].max(camera.focal_px[1]);
        let cell = std::array::from_fn(|k| ((high[k] - low[k]) / CELLS as f32).max(1e-6));
        Some(Self { low, cell, unit })
    }

    /// The eight nodes around a point, held inside of the box, and their weights.
    fn around(&self, point: Vec3) -> [(usize, f32); 8] {
        let mut first = [0; 3];
        let mut share = [0.0; 3];
        for k in 0..3 {
            let place = ((point[k] - self.low[k]) / self.cell[k]).clamp(0.0, CELLS as f32);
            first[k] = (place as usize).min(CELLS - 1);
            share[k] = place - first[k] as f32;
        }
        std::array::from_fn(|corner| {
            let (mut node, mut weight) = (0, 1.0);
            for k in (0..3).rev() {
                let far = corner >> k & 1;
                node = node * SIDE + first[k] + far;
                weight *= if far == 1 { share[k] } else { 1.0 - share[k] };
            }
            (node, weight)
        })
    }

    /// How a point moves.
    fn at(&self, moves: &DVector<f64>, point: Vec3) -> Vec3 {
        let mut sum = [0.0; 3];
        for (node, weight) in self.around(point) {
            for (k, sum) in sum.iter_mut().enumerate() {
                *sum += weight * moves[3 * node + k] as f32 * self.unit;
            }
        }
        sum
    }

    /// How its smoothness and size are weighed.
    fn priors() -> DMatrix<f64> {
        let mut matrix = DMatrix::zeros(UNKNOWNS, UNKNOWNS);
        let mut penalise = |stencil: &[(usize, f64)], weight: f64| {
            for k in 0..3 {
                for &(a, x) in stencil {
                    for &(b, y) in stencil {
                        matrix[(3 * a + k, 3 * b + k)] += weight * x * y;
                    }
                }
            }
        };
        for node in 0..SIDE * SIDE * SIDE {
            penalise(&[(node, 1.0)], SIZE);
            let place = [node % SIDE, node / SIDE % SIDE, node / (SIDE * SIDE)];
            let step = [1, SIDE, SIDE * SIDE];
            for k in 0..3 {
                if place[k] + 2 < SIDE {
                    penalise(&[(node, 1.0), (node + step[k], -2.0), (node + 2 * step[k], 1.0)], SMOOTHNESS);
                }
                for j in 0..k {
                    if place[k] + 1 < SIDE && place[j] + 1 < SIDE {
                        let corners = [
                            (node, 1.0),
                            (node + step[k], -1.0),
                            (node + step[j], -1.0),
                            (node + step[k] + step[j], 1.0),
                        ];
                        penalise(&corners, 2.0 * SMOOTHNESS);
                    }
                }
            }
        }
        matrix
    }
}

/// One view's normal equations.
struct Reduced {
    /// Of the field: Schur's complement and its right side.
    matrix: DMatrix<f64>,
    pull: DVector<f64>,
    /// What the maps follow from; `None` for a view whose maps stay.
    maps: Option<Maps>,
}

struct Maps {
    /// Its factor is L.
    system: BandedSystem,
    /// L⁻¹ times the coupling of maps and field, `[maps][UNKNOWNS]`.
    coupling: Vec<f64>,
    /// L⁻¹ times the right side.
    pull: Vec<f64>,
}

impl Alignment {
    /// Bends `mesh`, which must be valid, and moves the maps so that views and mesh agree better and the maps are small: one
    /// step at each of `levels`, 0 being full size, 1 half and 2 a quarter of it. Colours of `views`, those given to
    /// [`Alignment::new`], take part; they are compared with the mean of what all views show of a place.
    pub fn settle(
        &mut self,
        mesh: &mut Mesh,
        views: &Views,
        settings: &ShiftSettings,
        levels: &[usize],
        progress: &Progress,
    ) -> Result<()> {
        Error::check_length("views", views.views.len(), self.shifts.len(), "settle the views that were given")?;
        let all: Vec<usize> = (0..views.views.len()).collect();
        for (given, view) in self.given.iter_mut().zip(&views.views) {
            if let (Some(color), false) = (&view.color, given.has_color()) {
                given.set_color(&premultiplied(color));
            }
        }
        for &level in levels {
            progress.check()?;
            let Some(bend) = Bend::over(mesh, &views.views[0].camera) else { return Ok(()) };
            self.rendered.render(&mesh.positions, &mesh.triangles);
            progress.check()?;
            let (rendered, given, shifts, anchor) = (&self.rendered.views, &self.given, &self.shifts, self.anchor);
            let reduced: Vec<Option<Reduced>> = all
                .par_iter()
                .map(|&index| {
                    let mut target = AlignedView::rendered(&rendered[index]);
                    if views.views[index].color.is_some() {
                        target.set_color(&reproject(views, rendered, shifts, index, &all));
                    }
                    if progress.is_cancelled() {
                        return None;
                    }
                    let place = Place { rendered: &rendered[index], bend: &bend };
                    let pair = (&given[index].levels[level], &target.levels[level]);
                    place.reduce(&shifts[index], pair, settings, anchor == Some(index))
                })
                .collect();
            progress.check()?;
            let mut matrix = Bend::priors();
            let mut pull = DVector::zeros(UNKNOWNS);
            for reduced in reduced.iter().flatten() {
                matrix += &reduced.matrix;
                pull += &reduced.pull;
            }
            let Some(factor) = Cholesky::new(matrix) else { return Ok(()) };
            let moves = factor.solve(&pull);
            for (shift, reduced) in self.shifts.iter_mut().zip(reduced) {
                if let Some(maps) = reduced.and_then(|reduced| reduced.maps) {
                    shift.add(&maps.change(&moves));
                }
            }
            for p in &mut mesh.positions {
                let moved = bend.at(&moves, *p);
                *p = std::array::from_fn(|k| p[k] + moved[k]);
            }
        }
        Ok(())
    }
}

impl Maps {
    /// How they change when the mesh is bent.
    fn change(self, moves: &DVector<f64>) -> Vec<f64> {
        let Self { system, coupling, mut pull } = self;
        for (value, row) in pull.iter_mut().zip(coupling.chunks(UNKNOWNS)) {
            *value -= row.iter().zip(moves.iter()).map(|(a, b)| a * b).sum::<f64>();
        }
        system.backward(&mut pull);
        pull
    }
}

/// One view of the mesh that is bent.
struct Place<'a> {
    rendered: &'a NormalView,
    bend: &'a Bend,
}

impl Place<'_> {
    /// The normal equations of `shift` and the field, the given view and its target being `pair`; `None` where they have no
    /// solution. `held` maps stay as they are.
    fn reduce(&self, shift: &Shift, pair: (&Level, &Level), settings: &ShiftSettings, held: bool) -> Option<Reduced> {
        let depth = spread_depth(&self.rendered.gbuffer);
        let mut system = shift.new_system();
        let size = system.vector.len();
        let mut coupling = vec![0.0; size * UNKNOWNS];
        let mut matrix = DMatrix::zeros(UNKNOWNS, UNKNOWNS);
        let mut pull = DVector::zeros(UNKNOWNS);
        shift.linearise(pair.0, pair.1, settings, |x, y, data| {
            let data = &data.scaled(PIXEL_WEIGHT);
            shift.add_data(&mut system, x, y, data);
            if let Some(point) = self.point(&depth, x, y) {
                let bent = Bent::new(data, self.slopes(x, y, &point), self.bend.around(point.position));
                bent.add(&mut matrix, &mut pull);
                bent.add_coupling(shift.around(x, y), &mut coupling);
            }
        });
        if held {
            return Some(Reduced { matrix, pull, maps: None });
        }
        shift.add_priors(&mut system, settings);
        if !system.factor() {
            return None;
        }
        let mut vector = std::mem::take(&mut system.vector);
        system.forward(&mut vector, 1);
        system.forward(&mut coupling, UNKNOWNS);
        // Rows of one are columns of the other.
        let transposed = DMatrix::from_column_slice(UNKNOWNS, size, &coupling);
        matrix.gemm(-1.0, &transposed, &transposed.transpose(), 1.0);
        pull.gemv(-1.0, &transposed, &DVector::from_column_slice(&vector), 1.0);
        Some(Reduced { matrix, pull, maps: Some(Maps { system, coupling, pull: vector }) })
    }

    /// What is seen at (x, y), beside the object its outline nearby.
    fn point(&self, depth: &[f32], x: f32, y: f32) -> Option<Point> {
        let camera = &self.rendered.camera;
        let pixel = (y as usize).min(camera.height - 1) * camera.width + (x as usize).min(camera.width - 1);
        let depth = depth[pixel];
        (depth > 0.0).then(|| Point { position: camera.unproject(x, y, depth), depth })
    }

    /// How the point moves along x and y of the picture, in pixels, for each unknown of the field.
    fn slopes(&self, x: f32, y: f32, point: &Point) -> [Vec3; 2] {
        let camera = &self.rendered.camera;
        let [fx, fy] = camera.focal_px;
        let (across, down) = ((x - camera.center_px[0]) / fx, (y - camera.center_px[1]) / fy);
        let pixels = [fx, fy].map(|focal| focal / point.depth * self.bend.unit);
        [
            camera.vector_to_world([pixels[0], 0.0, pixels[0] * across]),
            camera.vector_to_world([0.0, -pixels[1], pixels[1] * down]),
        ]
    }
}

/// A place on the surface.
struct Point {
    position: Vec3,
    depth: f32,
}

/// What a pixel tells of the field: that moves the place where a view is read just as the 2D map does.
struct Bent {
    /// Hessian of maps and field, of the field, and the pull, for a field of one node.
    mixed: [Vec3; WIDTH],
    square: [Vec3; 3],
    pull: Vec3,
    nodes: [(usize, f32); 8],
}

impl Bent {
    fn new(data: &Data, [along_x, along_y]: [Vec3; 2], nodes: [(usize, f32); 8]) -> Self {
        let mixed = data.hessian.map(|row| std::array::from_fn(|k| row[0] * along_x[k] + row[1] * along_y[k]));
        let square =
            std::array::from_fn(|j| std::array::from_fn(|k| along_x[j] * mixed[0][k] + along_y[j] * mixed[1][k]));
        let pull = std::array::from_fn(|k| along_x[k] * data.pull[0] + along_y[k] * data.pull[1]);
        Self { mixed, square, pull, nodes }
    }

    fn add(&self, matrix: &mut DMatrix<f64>, pull: &mut DVector<f64>) {
        for (node, weight) in self.nodes {
            for j in 0..3 {
                pull[3 * node + j] += f64::from(weight * self.pull[j]);
                for (other, other_weight) in self.nodes {
                    for k in 0..3 {
                        matrix[(3 * node + j, 3 * other + k)] += f64::from(weight * other_weight * self.square[j][k]);
                    }
                }
            }
        }
    }

    fn add_coupling(&self, around: [(usize, f32); 4], coupling: &mut [f64]) {
        for (node, weight) in around {
            for a in 0..WIDTH {
                let row = &mut coupling[(WIDTH * node + a) * UNKNOWNS..][..UNKNOWNS];
                for (other, other_weight) in self.nodes {
                    for k in 0..3 {
                        row[3 * other + k] += f64::from(weight * other_weight * self.mixed[a][k]);
                    }
                }
            }
        }
    }
}

/// Depth of every pixel; beside the object, that of its outline nearby.
fn spread_depth(gbuffer: &GBuffer) -> Vec<f32> {
    let (width, height) = (gbuffer.width, gbuffer.height);
    let mut depth = gbuffer.depth.clone();
    for (depth, &triangle) in depth.iter_mut().zip(&gbuffer.triangle) {
        if triangle == GBuffer::EMPTY {
            *depth = 0.0;
        }
    }
    let mut take = |to: usize, from: usize| {
        if depth[to] <= 0.0 {
            depth[to] = depth[from];
        }
    };
    for row in 0..height {
        for column in 1..width {
            take(row * width + column, row * width + column - 1);
        }
        for column in (1..width).rev() {
            take(row * width + column - 1, row * width + column);
        }
    }
    for column in 0..width {
        for row in 1..height {
            take(row * width + column, (row - 1) * width + column);
        }
        for row in (1..height).rev() {
            take((row - 1) * width + column, row * width + column);
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shifting::tests::{error, scene, warp};

    /// A mesh bent by a smooth field of up to 0.02.
    fn bent(mesh: &Mesh) -> Mesh {
        let mut bent = mesh.clone();
        for p in &mut bent.positions {
            let [x, y, z] = *p;
            *p = [x + 0.02 * (4.0 * y).sin(), y + 0.015 * (5.0 * z).cos(), z + 0.02 * (4.0 * x + 1.0).sin()];
        }
        bent
    }

    fn distance(a: &Mesh, b: &Mesh) -> f32 {
        let apart = |(p, q): (&Vec3, &Vec3)| (0..3).map(|k| (p[k] - q[k]).powi(2)).sum::<f32>().sqrt();
        a.positions.iter().zip(&b.positions).map(apart).sum::<f32>() / a.positions.len() as f32
    }

    fn mean_error(alignment: &Alignment, views: &Views) -> f32 {
        let of_view = |(k, shift): (usize, &Shift)| error(shift, &warp(k), &views.views[k]);
        alignment.shifts.iter().enumerate().map(of_view).sum::<f32>() / 6.0
    }

    const ALL: [usize; 3] = [2, 1, 0];

    #[test]
    fn what_all_views_tell_is_the_meshs_and_the_rest_the_views() {
        let (truth, views) = scene();
        let warped = Views { views: views.views.iter().enumerate().map(|(k, view)| warp(k).apply(view)).collect() };
        let mut mesh = bent(&truth);
        let mut alignment = Alignment::new(&warped).unwrap();
        let (settings, progress) = (ShiftSettings::default(), Progress::new());
        alignment.align(&mesh, &settings);
        let (aligned, before) = (mean_error(&alignment, &views), distance(&mesh, &truth));
        for _ in 0..3 {
            alignment.settle(&mut mesh, &warped, &settings, &ALL, &progress).unwrap();
        }
        let (settled, after) = (mean_error(&alignment, &views), distance(&mesh, &truth));
        assert!(settled < 0.6 * aligned, "maps: {aligned} {settled}");
        assert!(after < 0.6 * before, "mesh: {before} {after}");
    }

    #[test]
    fn what_agrees_stays() {
        let (truth, views) = scene();
        let mut mesh = truth.clone();
        let mut alignment = Alignment::new(&views).unwrap();
        alignment.anchor = Some(2);
        let progress = Progress::new();
        alignment.settle(&mut mesh, &views, &ShiftSettings::default(), &ALL, &progress).unwrap();
        assert!(alignment.mean_shift(&views) < 0.0005, "{}", alignment.mean_shift(&views));
        assert!(distance(&mesh, &truth) < 0.001, "{}", distance(&mesh, &truth));
        let size = views.views[2].camera.width;
        assert_eq!(alignment.shifts[2], Shift::new(size, size));
        let same = {
            let (mut mesh, mut alignment) = (truth.clone(), Alignment::new(&views).unwrap());
            alignment.anchor = Some(2);
            alignment.settle(&mut mesh, &views, &ShiftSettings::default(), &ALL, &progress).unwrap();
            (mesh, alignment.shifts)
        };
        assert_eq!(same, (mesh, alignment.shifts), "the same call gives the same");
    }

    #[test]
    fn nothing_to_see_is_no_error() {
        let (mesh, views) = scene();
        let settings = ShiftSettings::default();
        let mut alignment = Alignment::new(&views).unwrap();
        alignment.settle(&mut Mesh::default(), &views, &settings, &ALL, &Progress::new()).unwrap();
        let mut point = Mesh::new(vec![[0.0; 3]; 3], vec![[0, 1, 2]]).unwrap();
        alignment.settle(&mut point, &views, &settings, &ALL, &Progress::new()).unwrap();
        assert!(point.validate().is_ok());
        let fewer = Views { views: views.views[..5].to_vec() };
        assert!(alignment.settle(&mut mesh.clone(), &fewer, &settings, &ALL, &Progress::new()).is_err());
        let cancelled = Progress::new();
        cancelled.cancel();
        assert!(alignment.settle(&mut mesh.clone(), &views, &settings, &ALL, &cancelled).is_err());
    }
}

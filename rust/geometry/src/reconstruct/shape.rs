//! The parameters of a shape, and one step of gradient descent on them.

use maquette_core::Mesh;
use rayon::prelude::*;

use crate::Result;
use crate::adam::{Adam, AdamSettings};
use crate::flexicubes::{Field, FlexiCubes, Gradients, Grid, Mode, Positions, Weights};
use crate::losses::field::{deviation_loss, sign_change_loss, smoothness_loss};
use crate::losses::{LossWeights, MeshLosses};
use crate::sdf_grid::{LearnedGrids, SdfGrid, for_each_border_vertex, vertex_count};

/// Grids of 1, 1/2, 1/4 and 1/8 of the resolution.
const LEVELS: usize = 4;
/// Least value on the border of the cube, in cells: the surface never meets it and stays closed.
const BORDER: f32 = 0.5;
/// How far grid vertices move at most, in cells: at one half they would meet.
const DEFORMATION: f32 = 0.5;

const ADAM: AdamSettings =
    AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, second_moment: crate::adam::SecondMoment::Own };

/// A signed distance field on a deformable grid with FlexiCubes weights.
pub(super) struct Shape {
    flexicubes: FlexiCubes<f32>,
    resolution: usize,
    /// The fixed part of the field, in cells.
    base: Vec<f32>,
    /// The learned part of the field, in cells.
    learned: LearnedGrids,
    learned_adam: Vec<Adam>,
    /// Deformation before tanh.
    deformation: Vec<[f32; 3]>,
    deformation_adam: Adam,
    /// Raw weights; none until the refine stage.
    weights: Option<CubeWeights>,
    buffers: Buffers,
}

struct CubeWeights {
    alpha: Vec<[f32; 8]>,
    beta: Vec<[f32; 12]>,
    gamma: Vec<f32>,
    adam: [Adam; 3],
}

#[derive(Default)]
struct Buffers {
    sdf: Vec<f32>,
    offset: Vec<[f32; 3]>,
    sdf_gradient: Vec<f32>,
    offset_gradient: Vec<[f32; 3]>,
    vertex_gradient: Vec<[f32; 3]>,
    deviation_gradient: Vec<f32>,
    /// Grid vertices of surface cubes.
    rows: Vec<u32>,
    seen: Vec<bool>,
}

/// What moves in a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moving {
    /// The learned grids and the deformation (coarse).
    Field,
    /// FlexiCubes' weights and the deformation (refine).
    Weights,
    /// All of them.
    Everything,
}

impl Moving {
    fn field(self) -> bool {
        matches!(self, Self::Field | Self::Everything)
    }

    fn weights(self) -> bool {
        matches!(self, Self::Weights | Self::Everything)
    }
}

/// Everything that a step depends on apart from the shape.
pub(super) struct StepSettings {
    pub(super) weights: LossWeights,
    /// FlexiCubes' own regulariser.
    pub(super) deviation_weight: f32,
    /// Regularisers of the field; they read the whole grid, so they cost time when not 0.
    pub(super) sign_change_weight: f32,
    pub(super) smoothness_weight: f32,
    pub(super) learning_rate: f32,
    pub(super) phase: usize,
}

impl Shape {
    /// A shape whose field is `base`, in world units.
    pub(super) fn new(base: &SdfGrid) -> Result<Self> {
        let resolution = base.resolution();
        let learned = LearnedGrids::new(resolution, LEVELS)?;
        let learned_adam = learned.levels.iter().map(|level| Adam::new(level.len(), ADAM)).collect::<Result<_>>()?;
        let vertices = vertex_count(resolution);
        Ok(Self {
            flexicubes: FlexiCubes::new(Grid::new([resolution; 3])?),
            resolution,
            base: base.values().iter().map(|value| value * resolution as f32).collect(),
            learned,
            learned_adam,
            deformation: vec![[0.0; 3]; vertices],
            deformation_adam: Adam::new(3 * vertices, ADAM)?,
            weights: None,
            buffers: Buffers::default(),
        })
    }

    /// Fills the buffers of field and deformation.
    fn assemble(&mut self) {
        let Buffers { sdf, offset, .. } = &mut self.buffers;
        sdf.clear();
        sdf.extend_from_slice(&self.base);
        self.learned.forward(sdf);
        for_each_border_vertex(self.resolution, |index| sdf[index] = sdf[index].max(BORDER));
        offset.resize(self.deformation.len(), [0.0; 3]);
        let scale = DEFORMATION / self.resolution as f32;
        offset.par_iter_mut().zip(&self.deformation).with_min_len(1 << 13).for_each(|(offset, raw)| {
            *offset = if *raw == [0.0; 3] { [0.0; 3] } else { raw.map(|x| scale * x.tanh()) };
        });
    }

    /// The surface as it is.
    pub(super) fn mesh(&mut self) -> Result<Mesh> {
        self.assemble();
        let Self { flexicubes, buffers, weights, .. } = self;
        let field = field(&flexicubes.grid(), buffers, weights.as_ref());
        let surface = flexicubes.extract(field, Mode::Evaluation)?;
        Ok(Mesh { positions: surface.vertices.to_vec(), triangles: surface.faces.to_vec(), ..Mesh::default() })
    }

    /// One step; false when there is no surface to move.
    pub(super) fn step(&mut self, losses: &mut MeshLosses, moving: Moving, settings: &StepSettings) -> Result<bool> {
        self.assemble();
        if moving.weights() && self.weights.is_none() {
            self.weights = Some(CubeWeights::new(self.resolution.pow(3))?);
        }
        let Self { flexicubes, buffers, weights, .. } = self;
        let Buffers { sdf, offset, sdf_gradient, offset_gradient, vertex_gradient, deviation_gradient, rows, seen } =
            buffers;
        let grid = flexicubes.grid();
        let positions = Positions::Regular {
            origin: [-0.5; 3],
            spacing: [1.0 / self.resolution as f32; 3],
            offset: Some(offset.as_slice()),
        };
        let cube_weights = weights.as_ref().map_or_else(Weights::default, |weights| Weights {
            alpha: Some(&weights.alpha),
            beta: Some(&weights.beta),
            gamma: Some(&weights.gamma),
        });
        let mode = if moving.weights() { Mode::Training } else { Mode::Evaluation };
        let mut surface = flexicubes.extract(Field { positions, sdf: sdf.as_slice(), weights: cube_weights }, mode)?;
        if surface.faces.is_empty() {
            return Ok(false);
        }
        losses.evaluate(surface.vertices, surface.faces, &settings.weights, settings.phase, vertex_gradient);
        deviation_loss(surface.deviation, settings.deviation_weight, deviation_gradient);

        sdf_gradient.resize(sdf.len(), 0.0);
        offset_gradient.resize(offset.len(), [0.0; 3]);
        // Only rows of the surface before were touched; clear those alone.
        for &row in rows.iter() {
            sdf_gradient[row as usize] = 0.0;
            offset_gradient[row as usize] = [0.0; 3];
        }
        rows.clear();
        seen.resize(sdf.len(), false);
        for &cube in surface.cubes() {
            let (n, cube) = (self.resolution, cube as usize);
            let first = grid.vertex(cube / (n * n), cube / n % n, cube % n);
            for corner in 0..8 {
                let vertex = first + grid.vertex(corner & 1, corner >> 1 & 1, corner >> 2);
                if !seen[vertex] {
                    seen[vertex] = true;
                    rows.push(vertex as u32);
                }
            }
        }
        for &row in rows.iter() {
            seen[row as usize] = false;
        }
        rows.sort_unstable();

        let gradients = Gradients {
            positions: Some(offset_gradient.as_mut_slice()),
            sdf: moving.field().then_some(sdf_gradient.as_mut_slice()),
            ..Gradients::default()
        };
        let d_deviation = (settings.deviation_weight > 0.0).then_some(deviation_gradient.as_slice());
        let (mut alpha, mut beta, mut gamma) = (Vec::new(), Vec::new(), Vec::new());
        if moving.weights() {
            let cubes = self.resolution.pow(3);
            alpha.resize(cubes, [0.0; 8]);
            beta.resize(cubes, [0.0; 12]);
            gamma.resize(cubes, 0.0);
            let gradients =
                Gradients { alpha: Some(&mut alpha), beta: Some(&mut beta), gamma: Some(&mut gamma), ..gradients };
            surface.backward(vertex_gradient, d_deviation, gradients)?;
        } else {
            surface.backward(vertex_gradient, d_deviation, gradients)?;
        }
        let cubes = surface.cubes().to_vec();

        // Through the deformation's tanh.
        let scale = DEFORMATION / self.resolution as f32;
        for &row in rows.iter() {
            let gradient = &mut offset_gradient[row as usize];
            for (gradient, raw) in gradient.iter_mut().zip(self.deformation[row as usize]) {
                let tanh = raw.tanh();
                *gradient *= scale * (1.0 - tanh * tanh);
            }
        }
        self.deformation_adam.step_rows(
            self.deformation.as_flattened_mut(),
            offset_gradient.as_flattened(),
            settings.learning_rate,
            rows,
            3,
        )?;
        if moving.field() {
            if settings.sign_change_weight > 0.0 || settings.smoothness_weight > 0.0 {
                // The losses take a grid in world units; the learned values are in cells, as they scale anyway.
                let grid = SdfGrid::new(self.resolution, sdf.clone())?;
                sign_change_loss(&grid, settings.sign_change_weight, sdf_gradient);
                smoothness_loss(&grid, settings.smoothness_weight, sdf_gradient);
                // These gradients do not lie in the rows alone.
                rows.clear();
                rows.extend(0..sdf.len() as u32);
            }
            for_each_border_vertex(self.resolution, |index| sdf_gradient[index] = 0.0);
            self.learned.backward(sdf_gradient);
            for ((level, gradient), adam) in self.learned.levels_and_gradients().zip(&mut self.learned_adam) {
                adam.step(level, gradient, settings.learning_rate)?;
            }
        }
        if let (true, Some(weights)) = (moving.weights(), &mut self.weights) {
            let rate = settings.learning_rate;
            let CubeWeights { alpha: raw_alpha, beta: raw_beta, gamma: raw_gamma, adam } = weights;
            adam[0].step_rows(raw_alpha.as_flattened_mut(), alpha.as_flattened(), rate, &cubes, 8)?;
            adam[1].step_rows(raw_beta.as_flattened_mut(), beta.as_flattened(), rate, &cubes, 12)?;
            adam[2].step_rows(raw_gamma, &gamma, rate, &cubes, 1)?;
        }
        Ok(true)
    }
}

fn field<'a>(grid: &Grid, buffers: &'a Buffers, weights: Option<&'a CubeWeights>) -> Field<'a, f32> {
    let spacing = grid.resolution().map(|r| 1.0 / r as f32);
    Field {
        positions: Positions::Regular { origin: [-0.5; 3], spacing, offset: Some(&buffers.offset) },
        sdf: &buffers.sdf,
        weights: weights.map_or_else(Weights::default, |weights| Weights {
            alpha: Some(&weights.alpha),
            beta: Some(&weights.beta),
            gamma: Some(&weights.gamma),
        }),
    }
}

impl CubeWeights {
    fn new(cubes: usize) -> Result<Self> {
        Ok(Self {
            alpha: vec![[0.0; 8]; cubes],
            beta: vec![[0.0; 12]; cubes],
            gamma: vec![0.0; cubes],
            adam: [Adam::new(8 * cubes, ADAM)?, Adam::new(12 * cubes, ADAM)?, Adam::new(cubes, ADAM)?],
        })
    }
}

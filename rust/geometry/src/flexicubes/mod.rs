//! FlexiCubes: differentiable iso-surface extraction.
//!
//! Shen et al. 2023, "Flexible Isosurface Extraction for Gradient-Based Mesh Optimization" (SIGGRAPH; arXiv 2308.05371),
//! triangle meshes. Order and values of the output agree with the authors' implementation, except that a quad at an
//! exact zero of the field is wound like its neighbours.
//!
//! ```
//! use maquette_geometry::flexicubes::{Field, FlexiCubes, Gradients, Grid, Mode, Positions};
//!
//! # fn main() -> maquette_geometry::Result<()> {
//! let grid = Grid::new([16; 3])?;
//! let positions = Positions::unit_cube(&grid);
//! let sdf: Vec<f32> = (0..grid.num_vertices())
//!     .map(|vertex| positions.at(&grid, vertex).iter().map(|x| x * x).sum::<f32>().sqrt() - 0.4)
//!     .collect();
//!
//! let mut flexicubes = FlexiCubes::new(grid);
//! let mut surface = flexicubes.extract(Field::new(positions, &sdf), Mode::Training)?;
//! let d_vertices: Vec<[f32; 3]> = surface.vertices.iter().map(|v| v.map(|x| 2.0 * x)).collect();
//! let mut d_sdf = vec![0.0; sdf.len()];
//! surface.backward(&d_vertices, None, Gradients { sdf: Some(&mut d_sdf), ..Gradients::default() })?;
//! # Ok(())
//! # }
//! ```

mod dual;
mod quad;
mod tables;
mod topology;

use rayon::prelude::*;

use self::dual::{CubeGradient, CubeInput, activate, activate_gamma, activation_slope, gamma_slope};
use self::quad::CenterGradient;
use self::topology::{Cube, Dual, Quad, Topology, split};
use crate::real::Real;
use crate::{Error, Result};

/// Cubes, dual vertices or quads that one parallel task handles.
const TASK: usize = 512;
/// Cubes that are loaded or stored together.
const BLOCK: usize = 32;

/// A regular grid of cubes.
///
/// Vertex `(i, j, k)` has index `(i * (ry + 1) + j) * (rz + 1) + k`, cube `(i, j, k)` index `(i * ry + j) * rz + k`: z runs
/// fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    resolution: [usize; 3],
}

impl Default for Grid {
    fn default() -> Self {
        Self { resolution: [1; 3] }
    }
}

impl Grid {
    /// Most vertices of a grid.
    pub const MAX_VERTICES: usize = 1 << 28;

    /// Grid of `resolution` cubes along x, y and z; at least one each, at most [`Grid::MAX_VERTICES`] vertices together.
    pub fn new(resolution: [usize; 3]) -> Result<Self> {
        let vertices = resolution.iter().try_fold(1usize, |product, r| product.checked_mul(r.checked_add(1)?));
        let fits = vertices.is_some_and(|vertices| vertices <= Self::MAX_VERTICES);
        if !fits || resolution.iter().any(|&r| r == 0 || r > usize::from(u16::MAX)) {
            return Err(Error::invalid(format!(
                "grid resolution is {resolution:?}; give 1 to 65535 cubes an axis and at most {} vertices",
                Self::MAX_VERTICES
            )));
        }
        Ok(Self { resolution })
    }

    /// Cubes along x, y and z.
    pub fn resolution(&self) -> [usize; 3] {
        self.resolution
    }

    /// Number of grid vertices.
    pub fn num_vertices(&self) -> usize {
        self.resolution.iter().map(|r| r + 1).product()
    }

    /// Number of cubes.
    pub fn num_cubes(&self) -> usize {
        self.resolution.iter().product()
    }

    /// Index of vertex `(i, j, k)`.
    pub fn vertex(&self, i: usize, j: usize, k: usize) -> usize {
        (i * (self.resolution[1] + 1) + j) * (self.resolution[2] + 1) + k
    }

    /// Index of cube `(i, j, k)`.
    pub fn cube(&self, i: usize, j: usize, k: usize) -> usize {
        (i * self.resolution[1] + j) * self.resolution[2] + k
    }

    /// `(i, j, k)` of a vertex.
    pub fn place_of_vertex(&self, vertex: usize) -> [usize; 3] {
        let [_, ry, rz] = self.resolution;
        [vertex / ((ry + 1) * (rz + 1)), vertex / (rz + 1) % (ry + 1), vertex % (rz + 1)]
    }

    fn vertices_of(&self, [i, j, k]: [usize; 3]) -> [usize; 8] {
        std::array::from_fn(|corner| self.vertex(i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2 & 1)))
    }
}

/// Where the grid vertices are.
#[derive(Clone, Copy, Debug)]
pub enum Positions<'a, T> {
    /// One position a grid vertex.
    Explicit(&'a [[T; 3]]),
    /// `origin + spacing * (i, j, k)`, plus one offset a grid vertex where given. Gradients by positions are those by
    /// offsets.
    Regular {
        /// Position of vertex (0, 0, 0).
        origin: [T; 3],
        /// Size of a cube.
        spacing: [T; 3],
        /// Deformation.
        offset: Option<&'a [[T; 3]]>,
    },
}

impl<T: Real> Positions<'_, T> {
    /// An undeformed grid that fills `-0.5..=0.5` on each axis.
    pub fn unit_cube(grid: &Grid) -> Self {
        let spacing = grid.resolution.map(|r| T::of(1.0 / r as f64));
        Self::Regular { origin: [T::of(-0.5); 3], spacing, offset: None }
    }

    /// Position of a grid vertex. Panics where an explicit position or offset is missing.
    pub fn at(&self, grid: &Grid, vertex: usize) -> [T; 3] {
        self.at_place(grid.place_of_vertex(vertex), vertex)
    }

    fn at_place(&self, place: [usize; 3], vertex: usize) -> [T; 3] {
        match self {
            Self::Explicit(positions) => positions[vertex],
            Self::Regular { origin, spacing, offset } => {
                let offset = offset.map_or([T::ZERO; 3], |offset| offset[vertex]);
                std::array::from_fn(|axis| origin[axis] + spacing[axis] * T::of(place[axis] as f64) + offset[axis])
            }
        }
    }
}

/// Flexible weights, raw: any finite number, 0 is neutral. Missing ones are neutral too.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T> {
    /// By cube and corner: where along an edge the cube sees the crossing. Corner `c` lies at offset
    /// `(c & 1, c >> 1 & 1, c >> 2 & 1)`.
    pub alpha: Option<&'a [[T; 8]]>,
    /// By cube and edge: how much a crossing draws the dual vertex. Edges join the corners 0-1, 1-5, 4-5, 0-4, 2-3, 3-7,
    /// 6-7, 2-6, 2-0, 3-1, 7-5, 6-4.
    pub beta: Option<&'a [[T; 12]]>,
    /// By cube: how quads are split.
    pub gamma: Option<&'a [T]>,
}

impl<T> Default for Weights<'_, T> {
    fn default() -> Self {
        Self { alpha: None, beta: None, gamma: None }
    }
}

/// A scalar field on a grid, and all else that shapes the surface.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a, T> {
    /// Where the grid vertices are.
    pub positions: Positions<'a, T>,
    /// One finite value a grid vertex; below 0 is inside.
    pub sdf: &'a [T],
    /// Flexible weights.
    pub weights: Weights<'a, T>,
}

impl<'a, T: Real> Field<'a, T> {
    /// A field with neutral weights.
    pub fn new(positions: Positions<'a, T>, sdf: &'a [T]) -> Self {
        Self { positions, sdf, weights: Weights::default() }
    }

    fn check(&self, grid: &Grid) -> Result<()> {
        let (vertices, cubes) = (grid.num_vertices(), grid.num_cubes());
        Error::check_length("sdf", self.sdf.len(), vertices, "one value a grid vertex")?;
        match self.positions {
            Positions::Explicit(positions) => {
                Error::check_length("positions", positions.len(), vertices, "one position a grid vertex")?;
            }
            Positions::Regular { offset: Some(offset), .. } => {
                Error::check_length("offset", offset.len(), vertices, "one offset a grid vertex")?;
            }
            Positions::Regular { offset: None, .. } => {}
        }
        let Weights { alpha, beta, gamma } = self.weights;
        let lengths =
            [("alpha", alpha.map(<[_]>::len)), ("beta", beta.map(<[_]>::len)), ("gamma", gamma.map(<[_]>::len))];
        for (name, length) in lengths {
            Error::check_length(name, length.unwrap_or(cubes), cubes, "one entry a cube")?;
        }
        Ok(())
    }

    /// Copies what a cube takes from the field, weights still raw.
    fn load(&self, grid: &Grid, cube: &Cube) -> CubeInput<T> {
        let at = cube.at.map(usize::from);
        let vertices = grid.vertices_of(at);
        let id = grid.cube(at[0], at[1], at[2]);
        CubeInput {
            sdf: vertices.map(|vertex| self.sdf[vertex]),
            position: std::array::from_fn(|corner| {
                let place = [at[0] + (corner & 1), at[1] + (corner >> 1 & 1), at[2] + (corner >> 2 & 1)];
                self.positions.at_place(place, vertices[corner])
            }),
            alpha: self.weights.alpha.map_or([T::ZERO; 8], |alpha| alpha[id]),
            beta: self.weights.beta.map_or([T::ZERO; 12], |beta| beta[id]),
        }
    }
}

/// How quads become triangles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Two triangles a quad.
    Evaluation,
    /// Four triangles around a centre vertex, so that gamma gets a gradient.
    Training,
}

/// Extracts surfaces from fields on one grid. Keeps its buffers between extractions.
pub struct FlexiCubes<T> {
    grid: Grid,
    topology: Topology,
    /// What each surface cube takes from the field, weights activated.
    inputs: Vec<CubeInput<T>>,
    /// Activated gamma by surface cube; empty without gamma.
    gamma: Vec<T>,
    vertices: Vec<[T; 3]>,
    faces: Vec<[u32; 3]>,
    deviation: Vec<T>,
    /// Dual vertices of every quad; training only.
    quads: Vec<[u32; 4]>,
    center_gradients: Vec<CenterGradient<T>>,
}

impl<T: Real> FlexiCubes<T> {
    /// Extractor for fields on `grid`.
    pub fn new(grid: Grid) -> Self {
        Self {
            grid,
            topology: Topology::new(grid),
            inputs: Vec::new(),
            gamma: Vec::new(),
            vertices: Vec::new(),
            faces: Vec::new(),
            deviation: Vec::new(),
            quads: Vec::new(),
            center_gradients: Vec::new(),
        }
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The surface where the field changes sign; empty where it does not. The mesh is open where it meets the border of
    /// the grid, and dual vertices there may belong to no face.
    ///
    /// Refuses buffers that do not fit the grid, and numbers that are not finite: all of `sdf`, and those of positions and
    /// weights that the surface needs.
    pub fn extract(&mut self, field: Field<'_, T>, mode: Mode) -> Result<Surface<'_, T>> {
        field.check(&self.grid)?;
        let training = mode == Mode::Training;
        // One way onto the pool's threads instead of one a step.
        rayon::scope(|_| {
            self.topology.update(field.sdf, training)?;
            self.load_cubes(&field);
            self.place_duals()?;
            self.activate_gammas(&field)?;
            self.make_faces(training);
            Ok::<(), Error>(())
        })?;
        Ok(Surface {
            num_dual: self.topology.duals.len(),
            vertices: &self.vertices,
            faces: &self.faces,
            deviation: &self.deviation,
            grid: self.grid,
            topology: &self.topology,
            inputs: &self.inputs,
            gamma: &self.gamma,
            quads: &self.quads,
            center_gradients: &mut self.center_gradients,
        })
    }

    fn load_cubes(&mut self, field: &Field<T>) {
        let Self { grid, topology, inputs, .. } = self;
        inputs.resize(topology.cubes.len(), CubeInput::default());
        let Weights { alpha, beta, .. } = field.weights;
        let blocks = inputs.par_chunks_mut(BLOCK).zip(topology.cubes.par_chunks(BLOCK));
        blocks.with_min_len(TASK / BLOCK).for_each(|(inputs, cubes)| {
            // Surface cubes are far apart in memory. A loop that only copies keeps many of them on their way at once.
            for (input, cube) in inputs.iter_mut().zip(cubes) {
                *input = field.load(grid, cube);
            }
            for input in inputs {
                input.alpha = if alpha.is_some() { activate(input.alpha) } else { [T::ONE; 8] };
                input.beta = if beta.is_some() { activate(input.beta) } else { [T::ONE; 12] };
            }
        });
    }

    fn place_duals(&mut self) -> Result<()> {
        let Self { topology, inputs, vertices, deviation, .. } = self;
        let duals = &topology.duals;
        vertices.resize(duals.len(), [T::ZERO; 3]);
        deviation.resize(topology.deviations, T::ZERO);
        let mut starts: Vec<usize> = duals.iter().step_by(TASK).map(|dual| dual.first_deviation as usize).collect();
        starts.push(topology.deviations);
        let tasks: Vec<_> = vertices.chunks_mut(TASK).zip(split(deviation, &starts)).collect();
        let broken = tasks
            .into_par_iter()
            .zip(duals.par_chunks(TASK))
            .map(|((vertices, mut deviation), duals)| {
                let mut broken = None;
                for (dual, vertex) in duals.iter().zip(vertices) {
                    let input = &inputs[dual.cube as usize];
                    *vertex = input.dual_vertex(dual.edges);
                    let (of_dual, rest) = deviation.split_at_mut(dual.edges.count_ones() as usize);
                    input.deviation(dual.edges, *vertex, of_dual);
                    deviation = rest;
                    if !vertex.iter().chain(&*of_dual).all(|x| x.is_finite()) {
                        broken = broken.or(Some(dual.cube));
                    }
                }
                broken
            })
            .find_first(Option::is_some)
            .flatten();
        match broken {
            None => Ok(()),
            Some(cube) => Err(Error::NotFinite {
                what: "vertex in cube",
                index: topology.ids[cube as usize] as usize,
                remedy: "give finite positions, alpha and beta, and a field neither tiny nor huge",
            }),
        }
    }

    fn activate_gammas(&mut self, field: &Field<T>) -> Result<()> {
        let Self { topology, gamma, .. } = self;
        gamma.clear();
        if let Some(raw) = field.weights.gamma {
            gamma.extend(topology.ids.iter().map(|&id| activate_gamma(raw[id as usize])));
            if let Some(cube) = gamma.iter().position(|gamma| !gamma.is_finite()) {
                let index = topology.ids[cube] as usize;
                return Err(Error::NotFinite { what: "gamma of cube", index, remedy: "give a finite value" });
            }
        }
        Ok(())
    }

    fn make_faces(&mut self, training: bool) {
        let Self { topology, gamma, vertices, faces, quads, .. } = self;
        let (duals, starts) = (topology.duals.len(), &topology.quad_start);
        let count = topology.quads();
        let in_training = |count: usize| if training { count } else { 0 };
        let triangles = if training { 4 } else { 2 };
        faces.resize(triangles * count, [0; 3]);
        quads.resize(in_training(count), [0; 4]);
        vertices.resize(duals + in_training(count), [T::ZERO; 3]);

        let (vertices, centers) = vertices.split_at_mut(duals);
        let face_starts: Vec<_> = starts.iter().map(|start| start * triangles).collect();
        let center_starts: Vec<_> = starts.iter().map(|&start| in_training(start)).collect();
        let planes = split(faces, &face_starts).zip(split(centers, &center_starts)).zip(split(quads, &center_starts));
        let planes: Vec<_> = planes.enumerate().filter(|(_, ((faces, _), _))| !faces.is_empty()).collect();
        planes.into_par_iter().for_each(|(i, ((faces, centers), quads))| {
            let mut index = 0;
            topology.for_quads_of_plane(i, |quad: Quad| {
                let weights = quad::diagonal_weights(if gamma.is_empty() {
                    [T::ONE; 4]
                } else {
                    quad.cubes.map(|cube| gamma[cube as usize])
                });
                if training {
                    let center = starts[i] + index;
                    let corners = quad.duals.map(|dual| vertices[dual as usize]);
                    topology.remember_quad(center, &quad);
                    quads[index] = quad.duals;
                    centers[index] = quad::center(corners, weights);
                    faces[4 * index..][..4].copy_from_slice(&quad::fan(quad.duals, (duals + center) as u32));
                } else {
                    faces[2 * index..][..2].copy_from_slice(&quad::split_quad(quad.duals, weights));
                }
                index += 1;
            });
        });
    }
}

/// An extracted surface, and what its backward pass needs. The field is free to change meanwhile.
pub struct Surface<'a, T> {
    /// `[num_dual]` dual vertices, then in training one centre a quad.
    ///
    /// Dual vertices are ordered by the number of dual vertices of their cube, then by cube.
    pub vertices: &'a [[T; 3]],
    /// Triangles, counter-clockwise seen from outside; two or four consecutive ones a quad.
    pub faces: &'a [[u32; 3]],
    /// For every dual vertex and every crossing edge of its patch: how far the distance of the vertex to the zero crossing
    /// is from the mean of these distances. The mean of all is FlexiCubes' regulariser.
    pub deviation: &'a [T],
    /// Number of dual vertices.
    pub num_dual: usize,
    grid: Grid,
    topology: &'a Topology,
    inputs: &'a [CubeInput<T>],
    gamma: &'a [T],
    quads: &'a [[u32; 4]],
    center_gradients: &'a mut Vec<CenterGradient<T>>,
}

/// Buffers that [`Surface::backward`] adds to, where given. Only entries of surface cubes and their corners change.
#[derive(Debug)]
pub struct Gradients<'a, T> {
    /// By grid vertex.
    pub positions: Option<&'a mut [[T; 3]]>,
    /// By grid vertex.
    pub sdf: Option<&'a mut [T]>,
    /// By cube and corner.
    pub alpha: Option<&'a mut [[T; 8]]>,
    /// By cube and edge.
    pub beta: Option<&'a mut [[T; 12]]>,
    /// By cube; changes in training only.
    pub gamma: Option<&'a mut [T]>,
}

impl<T> Default for Gradients<'_, T> {
    fn default() -> Self {
        Self { positions: None, sdf: None, alpha: None, beta: None, gamma: None }
    }
}

/// The part of [`Gradients`] that the cubes of one layer touch.
struct LayerGradients<'a, T> {
    positions: Option<&'a mut [[T; 3]]>,
    sdf: Option<&'a mut [T]>,
    alpha: Option<&'a mut [[T; 8]]>,
    beta: Option<&'a mut [[T; 12]]>,
    gamma: Option<&'a mut [T]>,
}

impl<T: Real> Surface<'_, T> {
    /// Ids of the cubes that the surface passes through, ascending. They and their corners are all that has gradients.
    pub fn cubes(&self) -> &[u32] {
        &self.topology.ids
    }

    /// Adds the gradients of a loss, given its gradients by [`Surface::vertices`] and by [`Surface::deviation`] (all 0
    /// where `None`), to `gradients`. The result does not depend on the number of threads.
    ///
    /// Where the deviation or a distance is exactly 0, its gradient is taken as 0.
    pub fn backward(
        &mut self,
        d_vertices: &[[T; 3]],
        d_deviation: Option<&[T]>,
        gradients: Gradients<'_, T>,
    ) -> Result<()> {
        Error::check_length("d_vertices", d_vertices.len(), self.vertices.len(), "one gradient a vertex")?;
        if let Some(d_deviation) = d_deviation {
            Error::check_length("d_deviation", d_deviation.len(), self.deviation.len(), "one gradient a deviation")?;
        }
        gradients.check(&self.grid)?;
        rayon::scope(|_| {
            self.centers_backward(d_vertices);
            self.cubes_backward(d_vertices, d_deviation, gradients);
        });
        Ok(())
    }

    fn cubes_backward(&self, d_vertices: &[[T; 3]], d_deviation: Option<&[T]>, gradients: Gradients<'_, T>) {
        // A layer of cubes touches two planes of vertices; even layers share none, and neither do odd ones.
        let Gradients { mut positions, mut sdf, mut alpha, mut beta, mut gamma } = gradients;
        let [rx, ry, rz] = self.grid.resolution;
        let plane = (ry + 1) * (rz + 1);
        for parity in 0..2 {
            let mut positions = layers_of_planes(positions.as_deref_mut(), parity, plane);
            let mut sdf = layers_of_planes(sdf.as_deref_mut(), parity, plane);
            let mut alpha = layers_of_cubes(alpha.as_deref_mut(), parity, ry * rz);
            let mut beta = layers_of_cubes(beta.as_deref_mut(), parity, ry * rz);
            let mut gamma = layers_of_cubes(gamma.as_deref_mut(), parity, ry * rz);
            let layers: Vec<_> = (parity..rx)
                .step_by(2)
                .map(|i| {
                    let layer = LayerGradients {
                        positions: positions.next(),
                        sdf: sdf.next(),
                        alpha: alpha.next(),
                        beta: beta.next(),
                        gamma: gamma.next(),
                    };
                    (i, layer)
                })
                .collect();
            layers.into_par_iter().for_each(|(i, mut layer)| {
                let starts = &self.topology.layer_start;
                let mut gradients = [CubeGradient::default(); BLOCK];
                for start in (starts[i]..starts[i + 1]).step_by(BLOCK) {
                    let cubes = start..starts[i + 1].min(start + BLOCK);
                    for (index, gradient) in cubes.clone().zip(&mut gradients) {
                        *gradient = self.cube_backward(index, d_vertices, d_deviation);
                    }
                    // As in the forward pass, a loop that only adds waits less for memory.
                    for (index, gradient) in cubes.zip(&gradients) {
                        let [_, j, k] = self.topology.cubes[index].at.map(usize::from);
                        layer.add(&self.grid, [j, k], gradient);
                    }
                }
            });
        }
    }

    fn centers_backward(&mut self, d_vertices: &[[T; 3]]) {
        let Self { center_gradients, quads, topology, gamma, vertices, num_dual, .. } = self;
        center_gradients.resize(quads.len(), CenterGradient::default());
        let tasks = center_gradients.par_iter_mut().zip(quads.par_iter()).zip(&d_vertices[*num_dual..]);
        tasks.with_min_len(TASK).for_each(|((gradient, quad), &d_center)| {
            let gamma = quad.map(|dual| match gamma.get(topology.duals[dual as usize].cube as usize) {
                Some(&gamma) => gamma,
                None => T::ONE,
            });
            *gradient = quad::center_backward(quad.map(|dual| vertices[dual as usize]), gamma, d_center);
        });
    }

    /// Gradients by what one surface cube takes from the field, by raw weights.
    fn cube_backward(&self, index: usize, d_vertices: &[[T; 3]], d_deviation: Option<&[T]>) -> CubeGradient<T> {
        let input = &self.inputs[index];
        let cube = &self.topology.cubes[index];
        let mut gradient = CubeGradient::default();
        let first = cube.first_dual as usize;
        let count = tables::CASES[cube.case as usize].count as usize;
        for (index, dual) in (first..).zip(&self.topology.duals[first..first + count]) {
            let mut d_vertex = d_vertices[index];
            self.gather_from_quads(dual, d_vertices, &mut d_vertex, &mut gradient.gamma);
            if let Some(d_deviation) = d_deviation {
                let d_deviation = &d_deviation[dual.first_deviation as usize..];
                input.deviation_backward(dual.edges, self.vertices[index], d_deviation, &mut d_vertex, &mut gradient);
            }
            input.dual_vertex_backward(dual.edges, self.vertices[index], d_vertex, &mut gradient);
        }
        for (gradient, activated) in gradient.alpha.iter_mut().zip(input.alpha) {
            *gradient = *gradient * activation_slope(activated);
        }
        for (gradient, activated) in gradient.beta.iter_mut().zip(input.beta) {
            *gradient = *gradient * activation_slope(activated);
        }
        gradient.gamma = self.gamma.get(index).map_or(T::ZERO, |&activated| gradient.gamma * gamma_slope(activated));
        gradient
    }

    /// Adds what the centres of its quads hand to a dual vertex and to its cube's gamma.
    fn gather_from_quads(&self, dual: &Dual, d_vertices: &[[T; 3]], d_vertex: &mut [T; 3], d_gamma: &mut T) {
        for (quad, corner) in self.topology.quads_of(dual) {
            let gradient = &self.center_gradients[quad];
            dual::add_scaled(d_vertex, gradient.share[corner % 2], d_vertices[self.num_dual + quad]);
            *d_gamma += gradient.gamma[corner];
        }
    }
}

impl<T: Real> LayerGradients<'_, T> {
    /// Adds the gradient of the cube at `(j, k)` of the layer.
    fn add(&mut self, grid: &Grid, [j, k]: [usize; 2], gradient: &CubeGradient<T>) {
        let vertices = grid.vertices_of([0, j, k]);
        let cube = grid.cube(0, j, k);
        if let Some(positions) = &mut self.positions {
            for (vertex, d_position) in vertices.into_iter().zip(gradient.position) {
                dual::add_scaled(&mut positions[vertex], T::ONE, d_position);
            }
        }
        if let Some(sdf) = &mut self.sdf {
            for (vertex, d_sdf) in vertices.into_iter().zip(gradient.sdf) {
                sdf[vertex] += d_sdf;
            }
        }
        if let Some(alpha) = &mut self.alpha {
            for (sum, d_alpha) in alpha[cube].iter_mut().zip(gradient.alpha) {
                *sum += d_alpha;
            }
        }
        if let Some(beta) = &mut self.beta {
            for (sum, d_beta) in beta[cube].iter_mut().zip(gradient.beta) {
                *sum += d_beta;
            }
        }
        if let Some(gamma) = &mut self.gamma {
            gamma[cube] += gradient.gamma;
        }
    }
}

impl<T> Gradients<'_, T> {
    fn check(&self, grid: &Grid) -> Result<()> {
        let (vertices, cubes) = (grid.num_vertices(), grid.num_cubes());
        let lengths = [
            ("gradient by positions", self.positions.as_ref().map(|buffer| buffer.len()), vertices),
            ("gradient by sdf", self.sdf.as_ref().map(|buffer| buffer.len()), vertices),
            ("gradient by alpha", self.alpha.as_ref().map(|buffer| buffer.len()), cubes),
            ("gradient by beta", self.beta.as_ref().map(|buffer| buffer.len()), cubes),
            ("gradient by gamma", self.gamma.as_ref().map(|buffer| buffer.len()), cubes),
        ];
        for (name, given, needed) in lengths {
            Error::check_length(name, given.unwrap_or(needed), needed, "one entry a grid vertex or cube")?;
        }
        Ok(())
    }
}

/// The two planes of vertices of every second layer of cubes; nothing without a buffer.
fn layers_of_planes<X>(buffer: Option<&mut [X]>, parity: usize, plane: usize) -> impl Iterator<Item = &mut [X]> {
    let buffer = buffer.unwrap_or_default();
    let skipped = buffer.len().min(parity * plane);
    buffer[skipped..].chunks_exact_mut(2 * plane)
}

/// Every second layer of cubes; nothing without a buffer.
fn layers_of_cubes<X>(buffer: Option<&mut [X]>, parity: usize, layer: usize) -> impl Iterator<Item = &mut [X]> {
    buffer.unwrap_or_default().chunks_exact_mut(layer).skip(parity).step_by(2)
}

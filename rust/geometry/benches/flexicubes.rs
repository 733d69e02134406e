//! FlexiCubes on a wavy sphere with random weights and a jittered grid, all five inputs differentiated.
//!
//! `tests/flexicubes_vs_skimage.py` measures the same against marching cubes in one run.

use divan::Bencher;
use divan::counter::ItemsCount;
use maquette_core::random;
use maquette_geometry::flexicubes::{Field, FlexiCubes, Gradients, Grid, Mode, Positions, Weights};
use rand::RngExt as _;

fn main() {
    divan::main();
}

struct Scene {
    grid: Grid,
    positions: Vec<[f32; 3]>,
    sdf: Vec<f32>,
    alpha: Vec<[f32; 8]>,
    beta: Vec<[f32; 12]>,
    gamma: Vec<f32>,
}

impl Scene {
    fn new(resolution: usize) -> Self {
        let grid = Grid::new([resolution; 3]).expect("a small grid");
        let mut stream = random::stream(0, "flexicubes bench");
        // Uniform with standard deviation 0.3.
        let mut weight = move || stream.random_range(-0.52f32..0.52);
        let regular = Positions::<f32>::unit_cube(&grid);
        let centers: Vec<_> = (0..grid.num_vertices()).map(|vertex| regular.at(&grid, vertex)).collect();
        let sdf = centers.iter().map(|&[x, y, z]| {
            let waves = (9.0 * x).sin() * (7.0 * y).sin()
                + (8.0 * y).sin() * (6.0 * z).sin()
                + (7.0 * z).sin() * (9.0 * x).sin();
            (x * x + y * y + z * z).sqrt() - 0.35 + 0.008 * waves
        });
        Self {
            grid,
            sdf: sdf.collect(),
            positions: centers.iter().map(|p| p.map(|x| x + 0.4 / 0.52 * weight() / resolution as f32)).collect(),
            alpha: (0..grid.num_cubes()).map(|_| [(); 8].map(|()| weight())).collect(),
            beta: (0..grid.num_cubes()).map(|_| [(); 12].map(|()| weight())).collect(),
            gamma: (0..grid.num_cubes()).map(|_| weight()).collect(),
        }
    }

    fn field(&self) -> Field<'_, f32> {
        Field {
            positions: Positions::Explicit(&self.positions),
            sdf: &self.sdf,
            weights: Weights { alpha: Some(&self.alpha), beta: Some(&self.beta), gamma: Some(&self.gamma) },
        }
    }
}

const RESOLUTIONS: [usize; 4] = [32, 64, 96, 128];

fn forward(bencher: Bencher, resolution: usize, mode: Mode) {
    let scene = Scene::new(resolution);
    let mut flexicubes = FlexiCubes::new(scene.grid);
    let cubes = flexicubes.extract(scene.field(), mode).expect("a valid field").cubes().len();
    bencher
        .counter(ItemsCount::new(cubes))
        .bench_local(|| flexicubes.extract(scene.field(), mode).expect("a valid field").faces.len());
}

#[divan::bench(args = RESOLUTIONS)]
fn forward_evaluation(bencher: Bencher, resolution: usize) {
    forward(bencher, resolution, Mode::Evaluation);
}

#[divan::bench(args = RESOLUTIONS)]
fn forward_training(bencher: Bencher, resolution: usize) {
    forward(bencher, resolution, Mode::Training);
}

/// The neutral surface of a signed distance grid, as the coarse stage extracts it.
#[divan::bench(args = RESOLUTIONS)]
fn forward_neutral(bencher: Bencher, resolution: usize) {
    let scene = Scene::new(resolution);
    let mut flexicubes = FlexiCubes::new(scene.grid);
    let field = Field::new(Positions::unit_cube(&scene.grid), &scene.sdf);
    bencher.bench_local(|| flexicubes.extract(field, Mode::Evaluation).expect("a valid field").faces.len());
}

/// Loss: the sum of all squared coordinates and of all deviations.
#[divan::bench(args = RESOLUTIONS)]
fn forward_and_backward(bencher: Bencher, resolution: usize) {
    let scene = Scene::new(resolution);
    let mut flexicubes = FlexiCubes::new(scene.grid);
    let mut d_vertices = Vec::new();
    let mut d_deviation = Vec::new();
    let mut d_positions = vec![[0.0; 3]; scene.grid.num_vertices()];
    let mut d_sdf = vec![0.0; scene.grid.num_vertices()];
    let mut d_alpha = vec![[0.0; 8]; scene.grid.num_cubes()];
    let mut d_beta = vec![[0.0; 12]; scene.grid.num_cubes()];
    let mut d_gamma = vec![0.0; scene.grid.num_cubes()];
    bencher.bench_local(|| {
        let mut surface = flexicubes.extract(scene.field(), Mode::Training).expect("a valid field");
        d_vertices.clear();
        d_vertices.extend(surface.vertices.iter().map(|vertex| vertex.map(|x| 2.0 * x)));
        d_deviation.resize(surface.deviation.len(), 1.0);
        let gradients = Gradients {
            positions: Some(&mut d_positions),
            sdf: Some(&mut d_sdf),
            alpha: Some(&mut d_alpha),
            beta: Some(&mut d_beta),
            gamma: Some(&mut d_gamma),
        };
        surface.backward(&d_vertices, Some(&d_deviation), gradients).expect("fitting buffers");
    });
}

//! FlexiCubes on its own: gradients against central differences, closed surfaces, threads, and bad input.

use std::collections::HashMap;

use maquette_core::random;
use maquette_geometry::flexicubes::{Field, FlexiCubes, Gradients, Grid, Mode, Positions, Weights};
use rand::RngExt as _;

/// A field in general position on a deformed grid, with all its weights.
#[derive(Clone)]
struct Scene {
    grid: Grid,
    offset: Vec<[f64; 3]>,
    sdf: Vec<f64>,
    alpha: Vec<[f64; 8]>,
    beta: Vec<[f64; 12]>,
    gamma: Vec<f64>,
}

impl Scene {
    fn random(resolution: [usize; 3]) -> Self {
        let mut stream = random::stream(7, "flexicubes scene");
        let mut uniform = move |span: f64| stream.random_range(-span..span);
        let grid = Grid::new(resolution).expect("a small grid");
        let (vertices, cubes) = (grid.num_vertices(), grid.num_cubes());
        Self {
            grid,
            offset: (0..vertices).map(|_| [(); 3].map(|()| uniform(0.04))).collect(),
            // Signs are random and no value is near 0.
            sdf: (0..vertices).map(|_| uniform(1.0)).map(|s: f64| s + 0.2f64.copysign(s)).collect(),
            alpha: (0..cubes).map(|_| [(); 8].map(|()| uniform(1.0))).collect(),
            beta: (0..cubes).map(|_| [(); 12].map(|()| uniform(1.0))).collect(),
            gamma: (0..cubes).map(|_| uniform(2.0)).collect(),
        }
    }

    fn field(&self) -> Field<'_, f64> {
        let Positions::Regular { origin, spacing, .. } = Positions::unit_cube(&self.grid) else {
            panic!("a unit cube is regular");
        };
        Field {
            positions: Positions::Regular { origin, spacing, offset: Some(&self.offset) },
            sdf: &self.sdf,
            weights: Weights { alpha: Some(&self.alpha), beta: Some(&self.beta), gamma: Some(&self.gamma) },
        }
    }

    /// All inputs as one list of buffers.
    fn buffers(&mut self) -> [&mut [f64]; 5] {
        [
            self.offset.as_flattened_mut(),
            &mut self.sdf,
            self.alpha.as_flattened_mut(),
            self.beta.as_flattened_mut(),
            &mut self.gamma,
        ]
    }
}

/// Coefficients of a loss: a sum of every coordinate, its square, and every deviation, each with a factor of its own.
fn coefficient(index: usize) -> f64 {
    (index as f64 * 1.7).sin()
}

fn loss(flexicubes: &mut FlexiCubes<f64>, scene: &Scene, mode: Mode) -> f64 {
    let surface = flexicubes.extract(scene.field(), mode).expect("a valid field");
    let coordinates = surface.vertices.as_flattened().iter().enumerate();
    let deviations = surface.deviation.iter().enumerate();
    coordinates.map(|(index, x)| coefficient(index) * x + x * x).sum::<f64>()
        + deviations.map(|(index, d)| coefficient(index + 5) * d).sum::<f64>()
}

#[test]
fn gradients_match_central_differences() {
    for mode in [Mode::Evaluation, Mode::Training] {
        let mut scene = Scene::random([3, 4, 5]);
        let mut flexicubes = FlexiCubes::new(scene.grid);

        let reference = scene.clone();
        let mut surface = flexicubes.extract(reference.field(), mode).expect("a valid field");
        let coordinates = surface.vertices.as_flattened().iter().enumerate();
        let d_vertices: Vec<f64> = coordinates.map(|(index, x)| coefficient(index) + 2.0 * x).collect();
        let d_deviation: Vec<f64> = (0..surface.deviation.len()).map(|index| coefficient(index + 5)).collect();
        let mut gradient = scene.clone();
        gradient.buffers().into_iter().for_each(|buffer| buffer.fill(0.0));
        let gradients = Gradients {
            positions: Some(&mut gradient.offset),
            sdf: Some(&mut gradient.sdf),
            alpha: Some(&mut gradient.alpha),
            beta: Some(&mut gradient.beta),
            gamma: Some(&mut gradient.gamma),
        };
        surface.backward(d_vertices.as_chunks().0, Some(&d_deviation), gradients).expect("fitting buffers");

        for input in 0..5 {
            let expected = gradient.buffers()[input].to_vec();
            let largest = expected.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
            assert_eq!(largest > 0.0, input < 4 || mode == Mode::Training);
            for (index, expected) in expected.into_iter().enumerate() {
                let step = 1e-6;
                let mut moved = |by: f64| {
                    scene.buffers()[input][index] += by;
                    let loss = loss(&mut flexicubes, &scene, mode);
                    scene.buffers()[input][index] -= by;
                    loss
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                let off = (difference - expected).abs();
                assert!(off <= 1e-6 * largest.max(1.0), "{mode:?} {input} {index}: {expected}, {difference}");
            }
        }
    }
}

#[test]
fn backward_adds_on_the_surface_and_leaves_the_rest_alone() {
    let grid = Grid::new([10, 11, 12]).expect("a small grid");
    let sdf = wavy_sphere(&grid);
    let mut flexicubes = FlexiCubes::new(grid);
    let field = Field::new(Positions::unit_cube(&grid), &sdf);
    let mut surface = flexicubes.extract(field, Mode::Training).expect("a valid field");
    let mut on_surface = vec![false; sdf.len()];
    for &id in surface.cubes() {
        let id = id as usize;
        let (i, j, k) = (id / (11 * 12), id / 12 % 11, id % 12);
        for corner in 0..8 {
            on_surface[grid.vertex(i + (corner & 1), j + (corner >> 1 & 1), k + (corner >> 2))] = true;
        }
    }
    let d_vertices = vec![[1.0, -2.0, 0.5]; surface.vertices.len()];
    let mut run = |start: f32| {
        let mut d_sdf = vec![start; sdf.len()];
        let gradients = Gradients { sdf: Some(&mut d_sdf), ..Gradients::default() };
        surface.backward(&d_vertices, None, gradients).expect("fitting buffers");
        d_sdf
    };
    let (from_zero, from_one) = (run(0.0), run(1.0));
    assert!(from_zero.iter().any(|g| g.abs() > 0.1));
    for vertex in 0..sdf.len() {
        assert!((from_one[vertex] - from_zero[vertex] - 1.0).abs() < 1e-5);
        assert!(on_surface[vertex] || from_one[vertex] == 1.0);
    }
}

/// A sphere of radius 0.35 with some waves.
fn wavy_sphere(grid: &Grid) -> Vec<f32> {
    let positions = Positions::<f32>::unit_cube(grid);
    (0..grid.num_vertices())
        .map(|vertex| {
            let [x, y, z] = positions.at(grid, vertex);
            (x * x + y * y + z * z).sqrt() - 0.35 + 0.01 * (9.0 * x).sin() * (7.0 * y).cos() + 0.01 * (11.0 * z).sin()
        })
        .collect()
}

/// Every edge of a closed, consistently wound manifold is run through once in each direction.
fn assert_closed(faces: &[[u32; 3]]) {
    let mut directed: HashMap<[u32; 2], usize> = HashMap::new();
    for &[a, b, c] in faces {
        for edge in [[a, b], [b, c], [c, a]] {
            *directed.entry(edge).or_default() += 1;
        }
    }
    assert!(directed.iter().all(|(&[a, b], &count)| count == 1 && directed.get(&[b, a]) == Some(&1)));
}

fn volume(vertices: &[[f32; 3]], faces: &[[u32; 3]]) -> f64 {
    let six = faces.iter().map(|face| {
        let [a, b, c] = face.map(|vertex| vertices[vertex as usize].map(f64::from));
        a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    });
    six.sum::<f64>() / 6.0
}

/// Resolutions around a machine word, and 107, where the original's grid has cracks.
#[test]
fn closed_and_outward_at_any_resolution() {
    for resolution in [[40; 3], [12, 30, 63], [30, 12, 64], [17, 19, 65], [14, 13, 127], [13, 14, 128], [107; 3]] {
        let grid = Grid::new(resolution).expect("a small grid");
        let sdf = wavy_sphere(&grid);
        let mut flexicubes = FlexiCubes::new(grid);
        for mode in [Mode::Evaluation, Mode::Training] {
            let surface =
                flexicubes.extract(Field::new(Positions::unit_cube(&grid), &sdf), mode).expect("a valid field");
            assert_closed(surface.faces);
            let volume = volume(surface.vertices, surface.faces);
            assert!((volume / 0.1796 - 1.0).abs() < 0.1, "{resolution:?} {volume}");
        }
    }
}

#[test]
fn exact_zeros_are_wound_like_the_rest() {
    let grid = Grid::new([8; 3]).expect("a small grid");
    let positions = Positions::<f32>::unit_cube(&grid);
    let sdf: Vec<f32> = (0..grid.num_vertices())
        .map(|vertex| positions.at(&grid, vertex).into_iter().fold(0.0f32, |far, x| far.max(x.abs())) - 0.25)
        .collect();
    assert!(sdf.contains(&0.0));
    let mut flexicubes = FlexiCubes::new(grid);
    for mode in [Mode::Evaluation, Mode::Training] {
        let surface = flexicubes.extract(Field::new(positions, &sdf), mode).expect("a valid field");
        assert_closed(surface.faces);
        let volume = volume(surface.vertices, surface.faces);
        assert!(volume > 0.07 && volume < 0.125, "{volume}");
    }
}

/// Random signs are full of ambiguous cubes. Away from the border the dual surface is a closed manifold all the same.
#[test]
fn random_signs_give_a_manifold() {
    let mut scene = Scene::random([20, 18, 16]);
    for vertex in 0..scene.sdf.len() {
        let place = scene.grid.place_of_vertex(vertex);
        if place.iter().zip(scene.grid.resolution()).any(|(&at, r)| at == 0 || at == r) {
            scene.sdf[vertex] = 0.5;
        }
    }
    let mut flexicubes = FlexiCubes::new(scene.grid);
    let surface = flexicubes.extract(scene.field(), Mode::Training).expect("a valid field");
    assert!(surface.faces.len() > 10_000);
    assert_closed(surface.faces);
}

#[test]
fn threads_do_not_matter() {
    let grid = Grid::new([31, 40, 33]).expect("a small grid");
    let sdf = wavy_sphere(&grid);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        pool.install(|| {
            let mut flexicubes = FlexiCubes::new(grid);
            let field = Field::new(Positions::unit_cube(&grid), &sdf);
            let mut surface = flexicubes.extract(field, Mode::Training).expect("a valid field");
            let d_vertices: Vec<[f32; 3]> = surface.vertices.iter().map(|v| v.map(f32::sin)).collect();
            let d_deviation = vec![0.3; surface.deviation.len()];
            let mut d_positions = vec![[0.0; 3]; sdf.len()];
            let mut d_sdf = vec![0.0; sdf.len()];
            let gradients =
                Gradients { positions: Some(&mut d_positions), sdf: Some(&mut d_sdf), ..Gradients::default() };
            surface.backward(&d_vertices, Some(&d_deviation), gradients).expect("fitting buffers");
            (surface.vertices.to_vec(), surface.faces.to_vec(), d_positions, d_sdf)
        })
    };
    let one = run(1);
    assert!(one.3.iter().any(|g| *g != 0.0));
    assert!(one == run(2));
    assert!(one == run(5));
}

#[test]
fn explicit_and_regular_positions_agree() {
    let scene = Scene::random([5, 4, 3]);
    let field = scene.field();
    let explicit: Vec<_> = (0..scene.sdf.len()).map(|vertex| field.positions.at(&scene.grid, vertex)).collect();
    let mut flexicubes = FlexiCubes::new(scene.grid);
    let regular = flexicubes.extract(field, Mode::Training).expect("a valid field").vertices.to_vec();
    let field = Field { positions: Positions::Explicit(&explicit), ..field };
    assert_eq!(flexicubes.extract(field, Mode::Training).expect("a valid field").vertices, regular);
}

#[test]
fn one_sign_gives_an_empty_surface() {
    let grid = Grid::new([3, 1, 2]).expect("a small grid");
    let mut flexicubes = FlexiCubes::<f32>::new(grid);
    for sdf in [[0.0; 24], [-0.0; 24], [-1.0; 24], [f32::MAX; 24]] {
        let field = Field::new(Positions::unit_cube(&grid), &sdf);
        let mut surface = flexicubes.extract(field, Mode::Training).expect("a valid field");
        assert!(surface.vertices.is_empty() && surface.faces.is_empty() && surface.deviation.is_empty());
        assert!(surface.cubes().is_empty() && surface.num_dual == 0);
        let mut d_sdf = [0.0; 24];
        let gradients = Gradients { sdf: Some(&mut d_sdf), ..Gradients::default() };
        surface.backward(&[], Some(&[]), gradients).expect("fitting buffers");
        assert_eq!(d_sdf, [0.0; 24]);
    }
}

#[test]
fn bad_input_is_refused() {
    for resolution in [[0, 4, 4], [4, 4, 0], [usize::MAX; 3], [70_000, 1, 1], [1000, 1000, 1000]] {
        let error = Grid::new(resolution).expect_err("no such grid").to_string();
        assert!(error.contains("grid resolution is"), "{error}");
    }

    let scene = Scene::random([4, 3, 2]);
    let mut flexicubes = FlexiCubes::new(scene.grid);
    let refused = |flexicubes: &mut FlexiCubes<f64>, field: Field<f64>, message: &str| {
        let error = flexicubes.extract(field, Mode::Training).err().expect("an error").to_string();
        assert!(error.contains(message), "{error}");
    };
    let field = scene.field();
    refused(&mut flexicubes, Field { sdf: &scene.sdf[1..], ..field }, "sdf has 59 entries, but 60 are needed");
    refused(&mut flexicubes, Field { sdf: &[], ..field }, "sdf has 0 entries");
    let positions = Positions::Explicit(&scene.offset[..5]);
    refused(&mut flexicubes, Field { positions, ..field }, "positions has 5 entries");
    let positions = Positions::Regular { origin: [0.0; 3], spacing: [1.0; 3], offset: Some(&scene.offset[..5]) };
    refused(&mut flexicubes, Field { positions, ..field }, "offset has 5 entries");
    for (weights, message) in [
        (Weights { alpha: Some(&scene.alpha[1..]), ..field.weights }, "alpha has 23 entries, but 24"),
        (Weights { beta: Some(&[]), ..field.weights }, "beta has 0 entries"),
        (Weights { gamma: Some(&scene.gamma[..3]), ..field.weights }, "gamma has 3 entries"),
    ] {
        refused(&mut flexicubes, Field { weights, ..field }, message);
    }

    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut sdf = scene.sdf.clone();
        sdf[17] = bad;
        refused(&mut flexicubes, Field { sdf: &sdf, ..field }, "signed distance 17 is not finite");
    }
    for input in [0, 2, 3, 4] {
        let mut broken = scene.clone();
        broken.buffers()[input].fill(f64::NAN);
        refused(&mut flexicubes, broken.field(), "is not finite");
    }
    // So close to zero that the weighted field vanishes.
    let mut tiny = scene.clone();
    tiny.sdf.iter_mut().for_each(|s| *s = if *s < 0.0 { -f64::from_bits(1) } else { 0.0 });
    tiny.alpha.as_flattened_mut().fill(-40.0);
    refused(&mut flexicubes, tiny.field(), "vertex in cube");

    // The extractor still works.
    let mut surface = flexicubes.extract(field, Mode::Training).expect("a valid field");
    let d_vertices = vec![[1.0; 3]; surface.vertices.len()];
    let short = surface.backward(&d_vertices[1..], None, Gradients::default());
    assert!(short.expect_err("one is missing").to_string().contains("d_vertices has"));
    let short = surface.backward(&d_vertices, Some(&[]), Gradients::default());
    assert!(short.expect_err("all are missing").to_string().contains("d_deviation has 0 entries"));
    let gradients = Gradients { alpha: Some(&mut []), ..Gradients::default() };
    let short = surface.backward(&d_vertices, None, gradients);
    assert!(short.expect_err("all are missing").to_string().contains("gradient by alpha has 0 entries"));
}

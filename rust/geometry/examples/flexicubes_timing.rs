//! Times FlexiCubes on inputs from a file, for `tests/flexicubes_vs_skimage.py`.
//!
//! Usage: `flexicubes_timing INPUTS.safetensors SECONDS`. The file holds f32 tensors `sdf [N]`, `positions [N,3]`,
//! `alpha [F,8]`, `beta [F,12]`, `gamma [F]` of a cubic grid. Prints one line of JSON, in milliseconds by measurement:
//! the shortest elapsed time, and the mean processor time of all threads, which load by others lengthens less.

#![allow(clippy::unwrap_used, reason = "a tool for developers; any failure should stop it")]

use std::time::Instant;

use maquette_geometry::flexicubes::{Field, FlexiCubes, Gradients, Grid, Mode, Positions, Weights};
use safetensors::SafeTensors;

/// Time all threads of this process have spent on a processor.
#[cfg(target_os = "linux")]
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = tasks.map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap()
    });
    nanoseconds.sum::<f64>() * 1e-9
}

#[cfg(not(target_os = "linux"))]
fn cpu_seconds() -> f64 {
    f64::NAN
}

fn measure(name: &str, seconds: f64, mut run: impl FnMut()) -> String {
    run();
    let mut shortest = f64::INFINITY;
    let mut runs = 0;
    let (cpu_start, all) = (cpu_seconds(), Instant::now());
    while runs < 5 || all.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        run();
        shortest = shortest.min(start.elapsed().as_secs_f64() * 1e3);
        runs += 1;
    }
    let cpu = (cpu_seconds() - cpu_start) * 1e3 / f64::from(runs);
    format!("\"{name}\": [{shortest:.4}, {cpu:.4}]")
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, seconds] = arguments.as_slice() else {
        panic!("usage: flexicubes_timing INPUTS.safetensors SECONDS");
    };
    let seconds: f64 = seconds.parse().unwrap();
    let data = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&data).unwrap();
    let numbers = |name: &str| -> Vec<f32> {
        let bytes = tensors.tensor(name).unwrap().data();
        bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let (sdf, gamma) = (numbers("sdf"), numbers("gamma"));
    let (positions, alpha, beta) = (numbers("positions"), numbers("alpha"), numbers("beta"));
    let resolution = (sdf.len() as f64).cbrt().round() as usize - 1;
    let grid = Grid::new([resolution; 3]).unwrap();
    let neutral = Field::new(Positions::unit_cube(&grid), &sdf);
    let field = Field {
        positions: Positions::Explicit(positions.as_chunks().0),
        sdf: &sdf,
        weights: Weights { alpha: Some(alpha.as_chunks().0), beta: Some(beta.as_chunks().0), gamma: Some(&gamma) },
    };

    let mut flexicubes = FlexiCubes::new(grid);
    let mut results = Vec::new();
    let forwards = [
        ("forward_neutral", neutral, Mode::Evaluation),
        ("forward_evaluation", field, Mode::Evaluation),
        ("forward_training", field, Mode::Training),
    ];
    for (name, field, mode) in forwards {
        results.push(measure(name, seconds, || {
            std::hint::black_box(flexicubes.extract(field, mode).unwrap().faces.len());
        }));
    }
    let mut d_vertices = Vec::new();
    let mut d_deviation = Vec::new();
    let mut d_positions = vec![[0.0; 3]; sdf.len()];
    let mut d_sdf = vec![0.0; sdf.len()];
    let mut d_alpha = vec![[0.0; 8]; gamma.len()];
    let mut d_beta = vec![[0.0; 12]; gamma.len()];
    let mut d_gamma = vec![0.0; gamma.len()];
    results.push(measure("forward_and_backward", seconds, || {
        let mut surface = flexicubes.extract(field, Mode::Training).unwrap();
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
        surface.backward(&d_vertices, Some(&d_deviation), gradients).unwrap();
    }));
    println!("{{{}}}", results.join(", "));
}

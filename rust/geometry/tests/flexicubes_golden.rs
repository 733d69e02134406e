//! FlexiCubes against recordings of the authors' implementation, order included, in f32 and f64.
//!
//! Reads every `*.safetensors` of `tests/golden/flexicubes`, of the folder in `MAQUETTE_GOLDEN_DIR`, and of
//! `golden/flexicubes/cases` in the shared folder (`MAQUETTE_SHARED`, else `../shared` beside the repository). A file holds
//! the inputs `x [N,3]`, `s [N]`, `res [3]`, `training [1]` and optional raw weights; a loss
//! `sum over vertices of (loss_w.v + v.loss_M.v / 2) + loss_c * sum(L_dev)`; and the outputs and gradients of f32 runs,
//! with those of f64 runs beside them under names that end in `_f64`. Weights and gradients may be given at `surf_idx` or
//! `vert_idx` only, and are 0 elsewhere.

#![allow(clippy::unwrap_used, reason = "a broken golden file should stop the test")]

use std::path::{Path, PathBuf};

use maquette_geometry::Real;
use maquette_geometry::flexicubes::{Field, FlexiCubes, Gradients, Grid, Mode, Positions, Weights};
use safetensors::{Dtype, SafeTensors};

/// Allowed differences: values relative to the size of the grid, gradients relative to the largest one of the tensor and
/// to themselves.
struct Tolerance {
    value: f64,
    gradient: [f64; 2],
    loss: f64,
}

const F32: Tolerance = Tolerance { value: 1e-6, gradient: [5e-5, 1e-4], loss: 1e-5 };
const F64: Tolerance = Tolerance { value: 1e-12, gradient: [1e-11, 0.0], loss: 1e-11 };

struct Golden<'a> {
    name: String,
    tensors: SafeTensors<'a>,
}

impl Golden<'_> {
    fn numbers(&self, name: &str) -> Option<Vec<f64>> {
        let tensor = self.tensors.tensor(name).ok()?;
        let data = tensor.data();
        Some(match tensor.dtype() {
            Dtype::F32 => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
            Dtype::F64 => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I64 => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            other => panic!("{}: {name} is {other:?}", self.name),
        })
    }

    fn required(&self, name: &str) -> Vec<f64> {
        self.numbers(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
    }

    /// A tensor of `count` rows of `width`, spread out where it is given at some rows only.
    fn dense(
        &self,
        name: &str,
        sparse: &str,
        rows: &str,
        count: usize,
        width: usize,
        suffix: &str,
    ) -> Option<Vec<f64>> {
        if let Some(dense) = self.numbers(&format!("{name}{suffix}")) {
            return Some(dense);
        }
        let given = self.numbers(&format!("{name}_{sparse}{suffix}"))?;
        let mut dense = vec![0.0; count * width];
        for (row, given) in self.required(rows).into_iter().zip(given.chunks_exact(width)) {
            dense[row as usize * width..][..width].copy_from_slice(given);
        }
        Some(dense)
    }
}

fn cast<T: Real>(numbers: &[f64]) -> Vec<T> {
    numbers.iter().map(|&x| T::of(x)).collect()
}

fn rows<T: Real, const N: usize>(numbers: &[f64]) -> Vec<[T; N]> {
    numbers.chunks_exact(N).map(|row| std::array::from_fn(|k| T::of(row[k]))).collect()
}

/// Largest |a - b| - relative * |b|; NaN where one is.
fn off<T: Real + Into<f64>>(name: &str, given: &[T], expected: &[f64], relative: f64) -> f64 {
    assert_eq!(given.len(), expected.len(), "length of {name}");
    let off = given.iter().zip(expected).map(|(&a, b)| (a.into() - b).abs() - relative * b.abs());
    off.fold(0.0, |largest, off| if off <= largest { largest } else { off })
}

/// Sorted corners of every quad.
fn corners_of_quads(faces: &[[u32; 3]], triangles: usize) -> Vec<Vec<u32>> {
    let quads = faces.chunks(triangles).map(|quad| {
        let mut corners = quad.as_flattened().to_vec();
        corners.sort_unstable();
        corners.dedup();
        corners
    });
    quads.collect()
}

fn check<T: Real + Into<f64>>(golden: &Golden, suffix: &str, tolerance: &Tolerance) {
    let name = format!("{}{suffix}", golden.name);
    let resolution: Vec<usize> = golden.required("res").iter().map(|&r| r as usize).collect();
    let grid = Grid::new(resolution.try_into().unwrap()).unwrap();
    let (vertices, cubes) = (grid.num_vertices(), grid.num_cubes());
    if let Some(scale) = golden.numbers("weight_scale") {
        assert!((scale[0] - 0.99).abs() < 1e-6, "{name}: weight scale {scale:?} is not the default");
    }

    let x: Vec<[T; 3]> = rows(&golden.required("x"));
    let sdf: Vec<T> = cast(&golden.required("s"));
    let weights = |name: &str, width: usize| golden.dense(name, "surf", "surf_idx", cubes, width, "");
    let alpha: Option<Vec<[T; 8]>> = weights("alpha", 8).map(|a| rows(&a));
    let beta: Option<Vec<[T; 12]>> = weights("beta", 12).map(|b| rows(&b));
    let gamma: Option<Vec<T>> = weights("gamma", 1).map(|g| cast(&g));
    let field = Field {
        positions: Positions::Explicit(&x),
        sdf: &sdf,
        weights: Weights { alpha: alpha.as_deref(), beta: beta.as_deref(), gamma: gamma.as_deref() },
    };
    let training = golden.required("training")[0] != 0.0;
    let mut flexicubes = FlexiCubes::new(grid);
    let mut surface = flexicubes.extract(field, if training { Mode::Training } else { Mode::Evaluation }).unwrap();

    // Values and order.
    assert_eq!(surface.num_dual, golden.required("num_dual")[0] as usize, "{name}: dual vertices");
    if let Some(ids) = golden.numbers("surf_idx") {
        assert!(surface.cubes().iter().map(|&id| f64::from(id)).eq(ids), "{name}: surface cubes");
    }
    let extent = |axis: usize| {
        let along = x.iter().map(|x| x[axis].into());
        along.clone().fold(f64::MIN, f64::max) - along.fold(f64::MAX, f64::min)
    };
    let size = (0..3).map(extent).fold(1.0, f64::max);
    let expected = |name: &str| golden.numbers(&format!("{name}{suffix}")).unwrap_or_else(|| golden.required(name));
    let value = [
        off("vertices", surface.vertices.as_flattened(), &expected("vertices"), 0.0),
        off("L_dev", surface.deviation, &expected("L_dev"), 0.0),
    ];
    assert!(value.iter().all(|v| *v <= tolerance.value * size), "{name}: vertices and L_dev are off by {value:?}");
    let faces: Vec<[u32; 3]> =
        golden.required("faces").chunks_exact(3).map(|f| [f[0] as u32, f[1] as u32, f[2] as u32]).collect();
    if sdf.contains(&T::ZERO) {
        // The original winds a quad the wrong way at an exact zero; its corners must agree all the same.
        let triangles = if training { 4 } else { 2 };
        let corners = |faces| corners_of_quads(faces, triangles);
        assert_eq!(corners(surface.faces), corners(&faces), "{name}: quads");
    } else {
        assert_eq!(surface.faces, faces, "{name}: faces");
    }

    // Loss and gradients.
    let (w, m) = (golden.required("loss_w"), golden.required("loss_M"));
    let c = golden.required("loss_c")[0];
    let mut loss = c * surface.deviation.iter().map(|&d| d.into()).sum::<f64>();
    let mut d_vertices = Vec::new();
    for vertex in surface.vertices {
        let v = vertex.map(Into::into);
        let mv: [f64; 3] = std::array::from_fn(|i| (0..3).map(|j| m[3 * i + j] * v[j]).sum());
        loss += (0..3).map(|i| v[i] * (w[i] + 0.5 * mv[i])).sum::<f64>();
        d_vertices.push(std::array::from_fn(|i| T::of(w[i] + mv[i])));
    }
    let expected_loss = golden.required("loss_f64")[0];
    assert!(
        (loss - expected_loss).abs() <= tolerance.loss * expected_loss.abs(),
        "{name}: loss {loss} {expected_loss}"
    );

    let d_deviation = vec![T::of(c); surface.deviation.len()];
    let mut d_x = vec![[T::ZERO; 3]; vertices];
    let mut d_sdf = vec![T::ZERO; vertices];
    let mut d_alpha = vec![[T::ZERO; 8]; cubes];
    let mut d_beta = vec![[T::ZERO; 12]; cubes];
    let mut d_gamma = vec![T::ZERO; cubes];
    let gradients = Gradients {
        positions: Some(&mut d_x),
        sdf: Some(&mut d_sdf),
        alpha: alpha.as_ref().map(|_| &mut d_alpha[..]),
        beta: beta.as_ref().map(|_| &mut d_beta[..]),
        gamma: gamma.as_ref().map(|_| &mut d_gamma[..]),
    };
    surface.backward(&d_vertices, Some(&d_deviation), gradients).unwrap();
    let mut compared = 0;
    let mut compare = |tensor: &str, sparse: &str, rows: &str, count: usize, width: usize, given: &[T]| {
        let Some(expected) = golden.dense(tensor, sparse, rows, count, width, suffix) else { return };
        let largest = expected.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
        let off = off(tensor, given, &expected, tolerance.gradient[1]);
        assert!(off <= tolerance.gradient[0] * largest, "{name}: {tensor} is off by {off}, largest is {largest}");
        compared += 1;
    };
    compare("grad_x", "vert", "vert_idx", vertices, 3, d_x.as_flattened());
    compare("grad_s", "vert", "vert_idx", vertices, 1, &d_sdf);
    compare("grad_alpha", "surf", "surf_idx", cubes, 8, d_alpha.as_flattened());
    compare("grad_beta", "surf", "surf_idx", cubes, 12, d_beta.as_flattened());
    compare("grad_gamma", "surf", "surf_idx", cubes, 1, &d_gamma);
    assert!(compared >= 2 || surface.num_dual == 0, "{name}: only {compared} gradients to compare with");
}

fn check_folder(folder: &Path) -> usize {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    files.sort();
    for path in &files {
        let data = std::fs::read(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let golden = Golden { name, tensors: SafeTensors::deserialize(&data).unwrap() };
        check::<f32>(&golden, "", &F32);
        if golden.numbers("vertices_f64").is_some() {
            check::<f64>(&golden, "_f64", &F64);
        }
    }
    files.len()
}

#[test]
fn goldens_of_the_repository() {
    assert_eq!(check_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/flexicubes")), 4);
}

#[test]
fn goldens_of_the_given_folder() {
    match std::env::var_os("MAQUETTE_GOLDEN_DIR") {
        Some(folder) => {
            let count = check_folder(Path::new(&folder));
            assert!(count > 0, "no *.safetensors in {}", folder.display());
        }
        None => println!("skipped: MAQUETTE_GOLDEN_DIR names no folder"),
    }
}

#[test]
fn goldens_of_the_shared_folder() {
    let shared = std::env::var_os("MAQUETTE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("golden/flexicubes/cases");
    if folder.is_dir() {
        assert!(check_folder(&folder) > 0);
    } else {
        println!("skipped: needs ../shared");
    }
}

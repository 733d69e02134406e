//! Seven views of a bumpy sphere, as one step of fitting a mesh to pictures renders them. `cargo bench -p maquette-raster`;
//! `MAQUETTE_BENCH_THREADS=1` gives the time of one core.

use divan::Bencher;
use maquette_core::{Camera, Plane};
use maquette_raster::{Edges, NormalViews, Shading, Silhouettes, rasterize_views, rasterize_views_into};

#[path = "../tests/common/mod.rs"]
mod common;

fn main() {
    if let Some(threads) = std::env::var("MAQUETTE_BENCH_THREADS").ok().and_then(|threads| threads.parse().ok()) {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the pool is not built yet");
    }
    divan::main();
}

/// A sphere of about so many triangles.
fn mesh(triangles: usize) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
    let rings = (triangles as f64 / 4.0).sqrt().round() as usize;
    common::bumpy_sphere(rings, 2 * rings, 0.2)
}

fn seven_cameras(size_px: usize) -> Vec<Camera> {
    let mut cameras = vec![Camera::rig(0.0, 0.0, size_px)];
    cameras.extend(Camera::six_views(size_px));
    cameras
}

const CASES: [(usize, usize); 6] =
    [(5_000, 160), (20_000, 160), (40_000, 160), (5_000, 320), (20_000, 320), (40_000, 320)];

#[divan::bench(args = CASES)]
fn rasterize(bencher: Bencher, (triangles, size): (usize, usize)) {
    let ((positions, triangles), cameras) = (mesh(triangles), seven_cameras(size));
    let mut gbuffers = Vec::new();
    bencher.bench_local(|| rasterize_views_into(&positions, &triangles, &cameras, &mut gbuffers));
}

#[divan::bench(args = [5_000, 20_000, 40_000])]
fn edges(bencher: Bencher, triangles: usize) {
    let (positions, triangles) = mesh(triangles);
    bencher.bench_local(|| Edges::new(&triangles, positions.len()));
}

#[divan::bench(args = CASES)]
fn silhouettes(bencher: Bencher, (triangles, size): (usize, usize)) {
    let ((positions, triangles), cameras) = (mesh(triangles), seven_cameras(size));
    let edges = Edges::new(&triangles, positions.len());
    let gbuffers = rasterize_views(&positions, &triangles, &cameras);
    bencher.bench_local(|| {
        let find = |(gbuffer, camera)| Silhouettes::new(gbuffer, &positions, &triangles, &edges, camera);
        gbuffers.iter().zip(&cameras).map(find).collect::<Vec<_>>()
    });
}

#[divan::bench(args = [Shading::Flat, Shading::Smooth])]
fn normals_and_masks_forward(bencher: Bencher, shading: Shading) {
    let ((positions, triangles), cameras) = (mesh(20_000), seven_cameras(320));
    let mut views = NormalViews::new(&cameras, shading);
    bencher.bench_local(|| views.render(&positions, &triangles));
}

/// The target of the rasteriser: 20 000 triangles, seven views of 320 pixels, normals and masks, there and back.
#[divan::bench(args = [Shading::Flat, Shading::Smooth])]
fn normals_and_masks_forward_backward(bencher: Bencher, shading: Shading) {
    let ((positions, triangles), cameras) = (mesh(20_000), seven_cameras(320));
    let normal_gradients: Vec<_> = cameras.iter().map(|_| Plane::filled(320, 320, [0.3, -0.2, 0.5])).collect();
    let mask_gradients: Vec<_> = cameras.iter().map(|_| Plane::filled(320, 320, [0.7])).collect();
    let mut views = NormalViews::new(&cameras, shading);
    bencher.bench_local(|| {
        views.render(&positions, &triangles);
        views.backward(&positions, &triangles, &normal_gradients, &mask_gradients)
    });
}

//! Speed of fitting and baking on a sphere of 20,000 triangles and six views of 320 x 320 pixels.

#[path = "../tests/common/mod.rs"]
mod common;

use divan::Bencher;
use maquette_core::{Mesh, Progress, Recipe, Views};
use maquette_texture::texture_mesh;

fn main() {
    divan::main();
}

fn scene() -> (Mesh, Views) {
    let mesh = common::sphere(71);
    let views = common::six_views(&mesh, 320, common::pattern);
    (mesh, views)
}

/// Everything at the standard preset: fit, unwrap, map of `size` texels.
#[divan::bench(args = [512, 1024, 2048], sample_count = 3)]
fn whole(bencher: Bencher, size: u32) {
    let (mesh, views) = scene();
    let mut recipe = Recipe::default();
    recipe.bake.texture_size = size;
    bencher.bench_local(|| texture_mesh(&mesh, &views, &[], &recipe.texture, &recipe.bake, None, &Progress::new()));
}

/// Mostly the texture space: a small map without edge rounds.
#[divan::bench(sample_count = 3)]
fn fit(bencher: Bencher) {
    let (mesh, views) = scene();
    let mut recipe = Recipe::default();
    recipe.bake.texture_size = 64;
    recipe.texture.edge_rounds = 0;
    bencher.bench_local(|| texture_mesh(&mesh, &views, &[], &recipe.texture, &recipe.bake, None, &Progress::new()));
}

/// Mostly unwrapping and baking: one step of a coarse fit, a normal map from a mesh of 200,000 triangles.
#[divan::bench(sample_count = 3)]
fn bake(bencher: Bencher) {
    let (mesh, views) = scene();
    let detail = common::sphere(224);
    let mut recipe = Recipe::default();
    recipe.texture.cell = 0.02;
    recipe.texture.iterations = 1;
    recipe.texture.edge_rounds = 0;
    bencher.bench_local(|| {
        texture_mesh(&mesh, &views, &[], &recipe.texture, &recipe.bake, Some(&detail), &Progress::new())
    });
}

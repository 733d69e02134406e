//! Textures the evaluation meshes from their six views and measures the unseen ones; needs `../shared` (or the folder
//! that `MAQUETTE_SHARED` names).
//!
//! ```text
//! evaluate [OBJECT...] [views=six|six_inconsistent] [uvs=keep|anew] [meshes=FOLDER] [out=FOLDER] [RECIPE_KEY=VALUE...]
//! ```
//!
//! Prints for each object the mean PSNR over the whole image and over the silhouette (composited over white, in sRGB, as
//! `eval/score.py` does) and the time; writes `OBJECT.glb` to `out`. `meshes` textures other meshes than the true ones.

use std::path::{Path, PathBuf};
use std::time::Instant;

use maquette_core::color::srgb8_from_linear;
use maquette_core::{Asset, Camera, Error, Mesh, Plane, Progress, Recipe, View, Views, io};
use maquette_raster::{GBuffer, rasterize};
use maquette_texture::texture_mesh;

/// Side of the evaluation's views in pixels.
const SIZE: usize = 320;
/// Sub-rays on each axis of a rendered pixel, as in the evaluation.
const SAMPLES: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shared = std::env::var_os("MAQUETTE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let mut recipe = Recipe::default();
    recipe.bake.keep_uvs = false;
    let (mut names, mut folder, mut meshes, mut out) = (Vec::new(), "six".to_owned(), None, None);
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            None => names.push(argument),
            Some(("views", value)) => value.clone_into(&mut folder),
            Some(("uvs", value)) => recipe.bake.keep_uvs = value == "keep",
            Some(("meshes", value)) => meshes = Some(PathBuf::from(value)),
            Some(("out", value)) => out = Some(PathBuf::from(value)),
            Some((key, value)) => recipe = recipe.with(key, value)?,
        }
    }
    if names.is_empty() {
        names = ["bob", "fox", "milk_truck", "spot"].map(str::to_owned).to_vec();
    }
    let mut sums = [0.0; 3];
    for name in &names {
        let object = shared.join("eval/objects").join(name);
        let path = meshes.as_ref().map_or_else(|| object.join("mesh.glb"), |meshes| meshes.join(format!("{name}.glb")));
        let mesh = io::read_mesh(&path)?.mesh;
        let views = read_views(&object.join(&folder))?;
        let progress = Progress::new();
        let start = Instant::now();
        let textured = texture_mesh(&mesh, &views, &[], &recipe.texture, &recipe.bake, None, &progress)?;
        let seconds = start.elapsed().as_secs_f64();
        let texture = textured.base_color.to_linear();
        let (mut psnr, mut foreground) = (0.0, 0.0);
        for index in 0..24 {
            let camera = Camera::rig(45.0 * (index % 8) as f32, [-15.0, 15.0, 45.0][index / 8], SIZE);
            let wanted = io::read_picture(&object.join(format!("eval24/{index:02}.png")))?;
            let wanted: Vec<[f32; 4]> =
                wanted.pixels().iter().map(|pixel| pixel.map(|x| f32::from(x) / 255.0)).collect();
            let [whole, inside] = compare(&render(&textured.mesh, &texture, &camera), &wanted);
            psnr += whole / 24.0;
            foreground += inside / 24.0;
        }
        println!("{name:12} psnr {psnr:.2} fg {foreground:.2} {seconds:.2} s {:?}", textured.report);
        progress.warnings().iter().for_each(|warning| println!("  {warning}"));
        for (sum, value) in sums.iter_mut().zip([psnr, foreground, seconds]) {
            *sum += value / names.len() as f64;
        }
        if let Some(out) = &out {
            std::fs::create_dir_all(out)?;
            let base_color = Some(textured.base_color);
            let asset = Asset { mesh: textured.mesh, base_color, name: name.clone(), ..Asset::default() };
            io::write_glb(&out.join(format!("{name}.glb")), &asset)?;
        }
    }
    println!("mean         psnr {:.2} fg {:.2} {:.2} s", sums[0], sums[1], sums[2]);
    Ok(())
}

fn read_views(folder: &Path) -> Result<Views, Error> {
    let mut views = Vec::new();
    for (index, camera) in Camera::six_views(SIZE).into_iter().enumerate() {
        let color = io::read_picture(&folder.join(format!("{index}_albedo.png")))?.to_linear();
        let mask = Plane { width: SIZE, height: SIZE, data: color.data.iter().map(|pixel| [pixel[3]]).collect() };
        views.push(View { camera, mask, color: Some(color), normal: None });
    }
    Ok(Views { views })
}

/// Unlit sRGB with straight alpha, as 8-bit values in 0..1.
fn render(mesh: &Mesh, texture: &Plane<4>, camera: &Camera) -> Vec<[f32; 4]> {
    let fine = camera.resized(camera.width * SAMPLES, camera.height * SAMPLES);
    let gbuffer = rasterize(&mesh.positions, &mesh.triangles, &fine);
    let uvs = mesh.corner_uvs.as_deref().unwrap_or_default();
    let mut sums = vec![[0.0f32; 4]; camera.width * camera.height];
    for (at, &triangle) in gbuffer.triangle.iter().enumerate() {
        if triangle == GBuffer::EMPTY {
            continue;
        }
        let weights = gbuffer.weights(at);
        let corners = uvs[triangle as usize];
        let uv: [f32; 2] = std::array::from_fn(|k| (0..3).map(|c| weights[c] * corners[c][k]).sum());
        let color = bilinear(texture, uv);
        let sum = &mut sums[at / fine.width / SAMPLES * camera.width + at % fine.width / SAMPLES];
        for k in 0..3 {
            sum[k] += color[k];
        }
        sum[3] += 1.0;
    }
    sums.iter()
        .map(|sum| {
            let byte = |k: usize| f32::from(srgb8_from_linear(sum[k] / sum[3].max(1.0))) / 255.0;
            [byte(0), byte(1), byte(2), (255.0 * sum[3] / (SAMPLES * SAMPLES) as f32).round() / 255.0]
        })
        .collect()
}

/// Repeating look-up in linear light.
fn bilinear(texture: &Plane<4>, uv: [f32; 2]) -> [f32; 4] {
    let (x, y) = (uv[0] * texture.width as f32 - 0.5, (1.0 - uv[1]) * texture.height as f32 - 0.5);
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let at = |dx: i64, dy: i64| {
        let column = (x.floor() as i64 + dx).rem_euclid(texture.width as i64);
        let row = (y.floor() as i64 + dy).rem_euclid(texture.height as i64);
        texture.at(row as usize, column as usize)
    };
    let (a, b, c, d) = (at(0, 0), at(1, 0), at(0, 1), at(1, 1));
    std::array::from_fn(|k| (a[k] * (1.0 - fx) + b[k] * fx) * (1.0 - fy) + (c[k] * (1.0 - fx) + d[k] * fx) * fy)
}

/// PSNR over all pixels and over those that either picture covers, composited over white.
fn compare(got: &[[f32; 4]], wanted: &[[f32; 4]]) -> [f64; 2] {
    let (mut sum, mut covered) = (0.0, 0);
    for (got, wanted) in got.iter().zip(wanted) {
        let over_white = |pixel: &[f32; 4], k: usize| pixel[k] * pixel[3] + 1.0 - pixel[3];
        sum += (0..3).map(|k| f64::from(over_white(got, k) - over_white(wanted, k)).powi(2)).sum::<f64>() / 3.0;
        covered += usize::from(got[3] > 0.0 || wanted[3] > 0.0);
    }
    [got.len(), covered].map(|count| -10.0 * (sum / count.max(1) as f64).max(1e-12).log10())
}

//! Textures fitted to scenes whose true colour is known.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{boxes, cube, join, look_up, pattern, position, psnr, render, six_views, sphere};
use maquette_core::{Camera, Mesh, Plane, Progress, Recipe, View, Views};
use maquette_texture::{Textured, texture_mesh};

fn recipe(texture_size: u32) -> Recipe {
    let mut recipe = Recipe::default();
    recipe.bake.texture_size = texture_size;
    recipe.texture.cell = 0.006;
    recipe
}

fn run(mesh: &Mesh, views: &Views, recipe: &Recipe) -> Textured {
    texture_mesh(mesh, views, &[], &recipe.texture, &recipe.bake, None, &Progress::new()).expect("good input")
}

/// The textured mesh as a renderer shows it.
fn show(textured: &Textured, camera: &Camera) -> Plane<4> {
    let texture = textured.base_color.to_linear();
    let uvs = textured.mesh.corner_uvs.as_ref().expect("textured");
    render(&textured.mesh, camera, |triangle, weights| {
        let corners = uvs[triangle as usize];
        look_up(&texture, std::array::from_fn(|k| (0..3).map(|c| weights[c] * corners[c][k]).sum()))
    })
}

fn unseen_psnr(textured: &Textured, mesh: &Mesh, paint: impl Fn([f32; 3]) -> [f32; 3]) -> f64 {
    let cameras = [(0.0, 5.0), (60.0, 5.0), (180.0, 5.0), (300.0, 5.0)];
    cameras
        .iter()
        .map(|&(azimuth, elevation)| {
            let camera = Camera::rig(azimuth, elevation, 128);
            let truth = render(mesh, &camera, |triangle, weights| paint(position(mesh, triangle, weights)));
            psnr(&show(textured, &camera), &truth)
        })
        .sum::<f64>()
        / cameras.len() as f64
}

#[test]
fn smooth_colour_comes_back_from_unseen_views() {
    let mesh = sphere(24);
    let paint = |[x, y, z]: [f32; 3]| [0.5 + 0.4 * (4.0 * x).sin(), 0.5 + 0.5 * y, 0.4 + 0.3 * (5.0 * z).cos()];
    let textured = run(&mesh, &six_views(&mesh, 128, paint), &recipe(256));
    let psnr = unseen_psnr(&textured, &mesh, paint);
    assert!(psnr > 48.0, "{psnr}");
    assert_eq!(textured.report.doubt, 1.0);
    assert!(textured.report.seen > 0.8 && textured.report.seen < 1.0, "{:?}", textured.report);
}

#[test]
fn hard_edges_come_back_sharper_than_the_pixels() {
    let mesh = cube([0.0; 3], 0.27);
    let textured = run(&mesh, &six_views(&mesh, 128, pattern), &recipe(512));
    let fitted = unseen_psnr(&textured, &mesh, pattern);
    assert!(fitted > 31.0, "{fitted}");
    let mut blurred = recipe(512);
    blurred.texture.edge_rounds = 0;
    let soft = unseen_psnr(&run(&mesh, &six_views(&mesh, 128, pattern), &blurred), &mesh, pattern);
    assert!(fitted > soft + 0.5, "edge rounds must help: {fitted} against {soft}");
}

#[test]
fn unseen_surface_is_filled_without_holes() {
    // The small cube hides inside of the large one; nothing ever sees it.
    let mesh = join(cube([0.0; 3], 0.27), &cube([0.05, 0.0, 0.0], 0.1));
    let textured = run(&mesh, &six_views(&mesh, 96, |_| [0.7, 0.5, 0.3]), &recipe(256));
    assert!(textured.report.seen < 0.95);
    for pixel in textured.base_color.to_linear().data {
        for (value, wanted) in pixel.into_iter().zip([0.7, 0.5, 0.3, 1.0]) {
            assert!((value - wanted).abs() < 0.02, "{pixel:?} is not the surface's colour");
        }
    }
}

#[test]
fn given_texture_coordinates_are_kept_bit_for_bit() {
    let mut mesh = cube([0.0; 3], 0.27);
    // One cell of a 3 x 2 grid for each side; odd numbers that any arithmetic would change.
    let uvs: Vec<[[f32; 2]; 3]> = (0..12)
        .map(|triangle| {
            let cell = [(triangle / 2 % 3) as f32 / 3.0, (triangle / 6) as f32 / 2.0];
            let corners = if triangle % 2 == 0 {
                [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
            } else {
                [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
            };
            corners.map(|[u, v]: [f32; 2]| [cell[0] + 0.031_7 + 0.271_3 * u, cell[1] + 0.051_9 + 0.397_1 * v])
        })
        .collect();
    mesh.corner_uvs = Some(uvs);
    let views = six_views(&mesh, 128, pattern);
    let textured = run(&mesh, &views, &recipe(512));
    assert_eq!(textured.mesh, mesh);
    assert_eq!(textured.report.charts, 0);
    let psnr = unseen_psnr(&textured, &mesh, pattern);
    assert!(psnr > 29.0, "{psnr}");
    let mut anew = recipe(512);
    anew.bake.keep_uvs = false;
    let again = run(&mesh, &views, &anew);
    assert!(again.report.charts > 0 && again.mesh.corner_uvs != mesh.corner_uvs);
    assert_eq!((again.mesh.positions, again.mesh.triangles), (mesh.positions, mesh.triangles));
}

#[test]
fn overlapping_coordinates_get_the_mean_and_a_warning() {
    let mut mesh = cube([0.0; 3], 0.27);
    let corners = [[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]], [[0.1, 0.1], [0.9, 0.9], [0.1, 0.9]]];
    mesh.corner_uvs = Some((0..12).map(|triangle| corners[triangle % 2]).collect());
    let views = six_views(&mesh, 64, |[x, ..]| if x > 0.0 { [0.8, 0.4, 0.4] } else { [0.2, 0.4, 0.4] });
    let progress = Progress::new();
    let recipe = recipe(64);
    let textured = texture_mesh(&mesh, &views, &[], &recipe.texture, &recipe.bake, None, &progress).unwrap();
    assert!(textured.report.shared > 0.5);
    assert!(progress.warnings().iter().any(|warning| warning.contains("keep_uvs")), "{:?}", progress.warnings());
    let middle = textured.base_color.to_linear().at(32, 40);
    assert!((0.25..0.75).contains(&middle[0]) && (middle[1] - 0.4).abs() < 0.02, "{middle:?}");
}

#[test]
fn contradicting_views_are_doubted() {
    let mesh = sphere(16);
    let mut views = six_views(&mesh, 96, pattern);
    for (index, view) in views.views.iter_mut().enumerate() {
        let color = view.color.as_mut().unwrap();
        color.data.rotate_right(if index % 2 == 0 { 4 } else { 93 });
    }
    let textured = run(&mesh, &views, &recipe(256));
    assert!(textured.report.doubt > 1.5, "{:?}", textured.report);
}

#[test]
fn threads_change_nothing() {
    let mesh = join(cube([0.0; 3], 0.2), &sphere(12));
    let views = six_views(&mesh, 64, pattern);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&mesh, &views, &recipe(128)))
    };
    let (one, three) = (with(1), with(3));
    assert_eq!(one.mesh, three.mesh);
    assert!(one.base_color == three.base_color);
    assert_eq!(one.report, three.report);
}

#[test]
fn every_step_can_be_cancelled() {
    let mesh = sphere(12);
    let detail = sphere(24);
    let views = six_views(&mesh, 48, pattern);
    let mut recipe = recipe(64);
    recipe.texture.cell = 0.02;
    let steps = std::sync::Arc::new(AtomicUsize::new(0));
    let run = |stop_at: usize| {
        steps.store(0, Ordering::SeqCst);
        let slot: std::sync::Arc<std::sync::OnceLock<Progress>> = std::sync::Arc::default();
        let progress = Progress::observed({
            let (steps, slot) = (steps.clone(), slot.clone());
            move |_| {
                if steps.fetch_add(1, Ordering::SeqCst) == stop_at
                    && let Some(progress) = slot.get()
                {
                    progress.cancel();
                }
            }
        });
        slot.set(progress.clone()).unwrap();
        texture_mesh(&mesh, &views, &[], &recipe.texture, &recipe.bake, Some(&detail), &progress)
    };
    run(usize::MAX).unwrap();
    let all = steps.load(Ordering::SeqCst);
    assert!(all > 50, "{all} steps are too few");
    for stop_at in (0..all.min(40)).chain((40..all).step_by(7)) {
        let result = run(stop_at);
        match result {
            Err(error) => assert_eq!(error.to_string(), "cancelled"),
            // How often the unwrapper is asked depends on its speed.
            Ok(_) => assert!(steps.load(Ordering::SeqCst) <= stop_at, "step {stop_at} of {all} was not heard"),
        }
    }
}

#[test]
fn hostile_meshes_are_textured_or_refused() {
    let views = six_views(&cube([0.0; 3], 0.27), 48, pattern);
    let mut recipe = recipe(128);
    recipe.texture.cell = 0.02;
    let texture = |positions: Vec<[f32; 3]>, triangles: Vec<[u32; 3]>| {
        let mesh = Mesh { positions, triangles, normals: None, corner_uvs: None };
        texture_mesh(&mesh, &views, &[], &recipe.texture, &recipe.bake, Some(&mesh), &Progress::new()).map(|textured| {
            assert_eq!(textured.mesh.corner_uvs.as_ref().map(Vec::len), Some(mesh.triangles.len()));
            textured.mesh.validate().unwrap();
            assert!(textured.base_color.pixels().iter().all(|pixel| pixel[3] == 255));
            assert!(textured.normal_map.is_some());
        })
    };
    let square = vec![[-0.3, -0.3, 0.0], [0.3, -0.3, 0.0], [0.3, 0.3, 0.0], [-0.3, 0.3, 0.0], [0.0, 0.0, 0.4]];
    // One triangle; one without area; one seen from behind; nothing but a point.
    texture(square.clone(), vec![[0, 1, 2]]).unwrap();
    texture(square.clone(), vec![[0, 1, 2], [0, 0, 1], [1, 1, 1]]).unwrap();
    texture(square.clone(), vec![[2, 1, 0]]).unwrap();
    texture(square.clone(), vec![[1, 1, 1]]).unwrap();
    texture(vec![[0.0; 3]; 3], vec![[0, 1, 2]]).unwrap();
    // Three triangles at an edge; the same triangle many times; opposite windings.
    texture(square.clone(), vec![[0, 1, 2], [1, 0, 4], [0, 1, 3], [0, 1, 4]]).unwrap();
    texture(square.clone(), vec![[0, 1, 2]; 40]).unwrap();
    texture(square.clone(), vec![[0, 1, 2], [2, 1, 0]]).unwrap();
    // A hundred parts.
    let parts = boxes(100);
    texture(parts.positions, parts.triangles).unwrap();
    // A needle, a huge and a tiny mesh, one far away.
    texture(vec![[-0.4, 0.0, 0.0], [0.4, 1e-7, 0.0], [0.4, 0.0, 1e-7]], vec![[0, 1, 2]]).unwrap();
    for scale in [1e-12, 1e-6, 1e6, 1e12] {
        texture(square.iter().map(|p| p.map(|x| x * scale)).collect(), vec![[0, 1, 2], [0, 2, 3]]).unwrap();
    }
    texture(square.iter().map(|p| p.map(|x| x + 1e4)).collect(), vec![[0, 1, 2], [0, 2, 3]]).unwrap();
    // Refused.
    for (positions, triangles, reason) in [
        (vec![], vec![], "no triangles"),
        (square.clone(), vec![], "no triangles"),
        (square.clone(), vec![[0, 1, 9]], "only 5"),
        (vec![[f32::NAN; 3]; 3], vec![[0, 1, 2]], "not finite"),
        (vec![[f32::INFINITY; 3]; 3], vec![[0, 1, 2]], "not finite"),
    ] {
        let error = texture(positions, triangles).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn hostile_views_are_refused_or_ignored() {
    let mesh = cube([0.0; 3], 0.27);
    let recipe = recipe(64);
    let texture =
        |views: &Views| texture_mesh(&mesh, views, &[], &recipe.texture, &recipe.bake, None, &Progress::new());
    let good = six_views(&mesh, 32, pattern);
    let mut nan = good.clone();
    nan.views[3].color.as_mut().unwrap().data[77][1] = f32::NAN;
    assert!(texture(&nan).unwrap_err().to_string().contains("NaN"));
    let mut wrong = good.clone();
    wrong.views[1].mask = Plane::filled(31, 32, [1.0]);
    assert!(texture(&wrong).unwrap_err().to_string().contains("31x32"));
    assert!(texture(&Views::default()).unwrap_err().to_string().contains("0 views"));
    let mut colourless = good.clone();
    colourless.views.iter_mut().for_each(|view| view.color = None);
    assert!(texture(&colourless).unwrap_err().to_string().contains("none of the views has colour"));
    // One coloured view is enough; the rest is filled.
    let mut one = good.clone();
    one.views[1..].iter_mut().for_each(|view| view.color = None);
    assert!(texture(&one).unwrap().report.seen < 0.8);
    // No pixel shows anything: grey, and said so.
    let empty: Vec<View> =
        good.views.iter().map(|view| View { mask: Plane::filled(32, 32, [0.0]), ..view.clone() }).collect();
    let progress = Progress::new();
    let grey =
        texture_mesh(&mesh, &Views { views: empty }, &[], &recipe.texture, &recipe.bake, None, &progress).unwrap();
    assert_eq!(grey.report.seen, 0.0);
    assert!(progress.warnings()[0].contains("no view shows the mesh"));
    for pixel in grey.base_color.to_linear().data {
        assert!((pixel[0] - 0.5).abs() < 0.01, "{pixel:?}");
    }
}

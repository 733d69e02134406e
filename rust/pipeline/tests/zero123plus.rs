//! Zero123++ as a view source of whole jobs, with the tiny model of the goldens.

#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use maquette_core::recipe::{Preset, Recipe, ViewSourceKind};
use maquette_core::{Image, Progress, Stage, Views};
use maquette_pipeline::sources::zero123plus::{Found, Places, Source};
use maquette_pipeline::{Cache, Request, run};

fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("MAQUETTE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = root.join("golden/zero123plus");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: needs ../shared");
    None
}

/// A red disc on nothing.
fn disc() -> Image {
    let mut picture = Image::filled(80, 80, [0; 4]).unwrap();
    for (index, pixel) in picture.pixels_mut().iter_mut().enumerate() {
        let (x, y) = ((index % 80) as f32 - 39.5, (index / 80) as f32 - 39.5);
        if x.hypot(y) < 30.0 {
            *pixel = [200, 40, 30, 255];
        }
    }
    picture
}

/// As little work as a job can be.
fn recipe(shared: &Path) -> Recipe {
    let mut recipe = Recipe::preset(Preset::Draft);
    recipe.views.source = ViewSourceKind::Zero123Plus;
    recipe.views.model = shared.join("tiny").to_string_lossy().into_owned();
    recipe.views.normal_model = shared.join("tiny_controlnet").to_string_lossy().into_owned();
    recipe.views.size_px = 64;
    recipe.views.steps = 2;
    recipe.views.normal_steps = 1;
    recipe.coarse.resolution = 24;
    recipe.coarse.iterations = 3;
    recipe.texture.cell = 0.02;
    recipe.texture.iterations = 10;
    recipe.bake.texture_size = 128;
    recipe.finish.triangles = 1000;
    recipe
}

fn request(recipe: Recipe) -> Request {
    Request { name: "disc".into(), picture: Some(disc()), recipe, ..Request::default() }
}

fn same(a: &Views, b: &Views) -> bool {
    a.views.len() == b.views.len()
        && a.views.iter().zip(&b.views).all(|(a, b)| a.color == b.color && a.normal == b.normal && a.mask == b.mask)
}

#[test]
fn a_picture_becomes_a_mesh() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path(), 1 << 30);
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    let progress = Progress::observed(move |now| {
        if now.stage == Stage::Views {
            seen.lock().unwrap().push((now.step, now.step_count, now.fraction));
        }
    });
    let outcome = run(&request(recipe(&shared)), &cache, &progress).unwrap();
    assert!(!outcome.asset.mesh.triangles.is_empty() && outcome.asset.base_color.is_some());
    assert_eq!(outcome.views.views.len(), 6);
    assert!(outcome.views.views.iter().all(|view| view.camera.width == 64 && view.normal.is_some()));
    // Two steps of colours and one of normals, which take most of the job.
    let seen = steps.lock().unwrap();
    assert!((0..=3).all(|step| seen.iter().any(|now| (now.0, now.1) == (step, 3))), "{seen:?}");
    assert!(seen.iter().any(|now| now.2 > 0.7), "{seen:?}");

    // Again: from the cache, the same; with another seed other views.
    let again = run(&request(recipe(&shared)), &cache, &Progress::new()).unwrap();
    assert!(same(&outcome.views, &again.views) && outcome.asset.mesh == again.asset.mesh);
    let without = run(&request(recipe(&shared)), &Cache::none(), &Progress::new()).unwrap();
    assert!(same(&outcome.views, &without.views));
    let other = run(&request(Recipe { seed: 5, ..recipe(&shared) }), &cache, &Progress::new()).unwrap();
    assert!(!same(&outcome.views, &other.views));
}

#[test]
fn a_cancelled_job_says_so() {
    let Some(shared) = shared() else { return };
    let slot: Arc<Mutex<Option<Progress>>> = Arc::default();
    let inner = slot.clone();
    let progress = Progress::observed(move |now| {
        if now.stage == Stage::Views
            && now.step == 1
            && let Some(progress) = &*inner.lock().unwrap()
        {
            progress.cancel();
        }
    });
    *slot.lock().unwrap() = Some(progress.clone());
    assert!(run(&request(recipe(&shared)), &Cache::none(), &progress).unwrap_err().is_cancelled());
}

#[test]
fn unsuited_sizes_are_explained() {
    let Some(shared) = shared() else { return };
    let mut recipe = recipe(&shared);
    recipe.views.size_px = 65;
    let error = run(&request(recipe), &Cache::none(), &Progress::new()).unwrap_err().to_string();
    assert!(error.contains("130x195") && error.contains("multiples of 16"), "{error}");
}

#[test]
fn a_model_that_is_not_here_is_named_with_the_remedy() {
    let empty = tempfile::tempdir().unwrap();
    let places = Places { cache: Some(empty.path().to_owned()), ..Places::default() };
    let mut settings = Recipe::default().views;
    let says = |places: &Places, settings: &maquette_core::recipe::ViewSource, words: &[&str]| {
        let error = places.find(settings).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?} not in: {error}");
    };
    let remedy = ["zero123plus-v1.2", "maquette models pull", "views.model", "MAQUETTE_ZERO123PLUS", "inflate"];
    says(&places, &settings, &remedy);
    says(&Places::default(), &settings, &remedy);
    settings.model = "zero123plus-v1.1".into();
    says(&places, &settings, &["models pull zero123plus-v1.1"]);
    settings.model = "/no/such/folder".into();
    says(&places, &settings, &["views.model is /no/such/folder", "models list"]);
    settings.model = String::new();
    let moved = Places { model: Some(empty.path().join("moved")), ..places };
    says(&moved, &settings, &["MAQUETTE_ZERO123PLUS is ", "moved"]);
    // A folder that holds no model is found, but cannot be opened.
    settings.model = empty.path().to_string_lossy().into_owned();
    let found = moved.find(&settings).unwrap();
    assert!(Source::open(found, &Progress::new()).unwrap_err().to_string().contains("model_index.json"));
}

#[test]
fn folders_come_from_recipe_environment_and_cache() {
    let root = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let folder = root.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    let (here, variable, normals) = (make("here"), make("variable"), make("normals"));
    let mut settings = Recipe::default().views;
    let places =
        Places { model: Some(variable.clone()), normal_model: Some(normals.clone()), cache: Some(make("cache")) };
    let wanted = Found { model: variable, normal_model: Some(normals.clone()), warning: None };
    assert_eq!(places.find(&settings).unwrap(), wanted);
    settings.model = here.to_string_lossy().into_owned();
    settings.normal_model = "none".into();
    assert_eq!(places.find(&settings).unwrap(), Found { model: here.clone(), normal_model: None, warning: None });
    // A model of one's own has no ControlNet by itself: allowed, but said.
    settings.normal_model = String::new();
    let found = Places { normal_model: None, ..places.clone() }.find(&settings).unwrap();
    assert!(found.normal_model.is_none() && found.warning.unwrap().contains("views.normal_model"));
    settings.normal_model = normals.to_string_lossy().into_owned();
    assert_eq!(places.find(&settings).unwrap().normal_model, Some(normals));
}

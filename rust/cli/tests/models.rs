//! `maquette models`, and jobs that need a model, without any network.

#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs with an empty cache and a hub that nobody is at.
fn maquette(cache: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
    command.args(arguments).env("HF_HUB_CACHE", cache).env("HF_ENDPOINT", "http://127.0.0.1:9");
    command.env_remove("HF_TOKEN").env_remove("MAQUETTE_ZERO123PLUS").env_remove("MAQUETTE_ZERO123PLUS_NORMALS");
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn says(output: &Output, code: i32, words: &[&str]) {
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{all}");
    assert!(words.iter().all(|word| all.contains(word)), "{words:?} not in: {all}");
}

fn tiny_models() -> Option<PathBuf> {
    let root = std::env::var_os("MAQUETTE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = root.join("golden/zero123plus");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: needs ../shared");
    None
}

#[test]
fn what_is_not_here_is_said_with_the_remedy() {
    let cache = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| maquette(cache.path(), arguments);
    let model = "zero123plus-v1.2";
    says(&run(&["models", "list"]), 0, &[model, "CC-BY-NC-4.0", "not here", "5.6 GB"]);
    let list: serde_json::Value = serde_json::from_slice(&run(&["models", "list", "--json"]).stdout).unwrap();
    assert!(list["models"].as_array().unwrap().iter().any(|m| m["name"] == model && m["folder"].is_null()));
    says(&run(&["models", "path", model]), 1, &["maquette models pull zero123plus-v1.2"]);
    says(&run(&["models", "verify", model]), 1, &["maquette models pull zero123plus-v1.2"]);
    says(&run(&["models", "remove", model]), 0, &["was not in"]);
    says(&run(&["models", "verify", "zero123"]), 1, &["no model is called \"zero123\"", "zero123plus-v1.1"]);
    // The licence comes before the first byte, and nobody is there to accept it.
    says(&run(&["models", "pull", model]), 2, &["CC-BY-NC-4.0", "Non-commercial", "--accept-license"]);
    says(&run(&["models", "pull", model, "--accept-license"]), 1, &["127.0.0.1:9"]);
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0, "a failed pull leaves nothing");
}

#[test]
fn a_model_is_verified_file_by_file() {
    let Some(models) = tiny_models() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| maquette(folder.path(), arguments);
    let tiny = models.join("tiny");
    says(&run(&["models", "verify", tiny.to_str().unwrap(), "--values"]), 0, &["is whole"]);
    let control = folder.path().join("control");
    std::fs::create_dir(&control).unwrap();
    for file in std::fs::read_dir(models.join("tiny_controlnet")).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, control.join(path.file_name().unwrap())).unwrap();
    }
    let weights = control.join("diffusion_pytorch_model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    says(
        &run(&["models", "verify", control.to_str().unwrap()]),
        1,
        &["diffusion_pytorch_model.safetensors", "faults: 1"],
    );
}

#[test]
fn generate_announces_what_a_model_needs() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("disc.png");
    image::RgbaImage::from_fn(64, 64, |x, y| {
        let inside = (x as f32 - 31.5).hypot(y as f32 - 31.5) < 24.0;
        image::Rgba([180, 60, 30, if inside { 255 } else { 0 }])
    })
    .save(&picture)
    .unwrap();
    let picture = picture.to_str().unwrap();
    let target = folder.path().join("disc.glb");
    let wanted = ["generate", picture, "--no-cache", "-o", target.to_str().unwrap(), "--view-source", "zero123plus"];
    let cache = folder.path().join("cache");
    says(&maquette(&cache, &wanted), 1, &["zero123plus-v1.2", "maquette models pull", "inflate"]);
    assert!(!target.exists());

    let Some(models) = tiny_models() else { return };
    let (model, control) = (models.join("tiny"), models.join("tiny_controlnet"));
    let settings = [
        format!("views.model={}", model.display()),
        format!("views.normal_model={}", control.display()),
        "views.size_px=64".to_owned(),
        "views.steps=1".to_owned(),
        "views.normal_steps=1".to_owned(),
        "coarse.resolution=24".to_owned(),
        "coarse.iterations=3".to_owned(),
        "texture.cell=0.02".to_owned(),
        "texture.iterations=5".to_owned(),
    ];
    let mut arguments = wanted.to_vec();
    arguments.extend(["--preset", "draft", "--texture-size=128", "--triangles=1000"]);
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    says(&maquette(&cache, &arguments), 0, &["views of Zero123++: needs", "GB"]);
    assert!(target.is_file());
}

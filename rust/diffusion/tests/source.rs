//! From a picture to views, on the tiny model: modes, seeds, cancellation, and input that is wrong.

#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::DType;
use maquette_core::{Image, Progress, Views};
use maquette_diffusion::models;
use maquette_diffusion::zero123plus::memory::Mode;
use maquette_diffusion::zero123plus::{Options, Rig, Settings, Zero123Plus};

fn options(shared: &Path) -> Options {
    Options { normal_control: Some(shared.join("tiny_controlnet")), ..Options::new(shared.join("tiny")) }
}

fn settings() -> Settings {
    Settings { steps: 3, normal_steps: 2, tile_px: [64, 96], ..Settings::default() }
}

fn picture(shared: &Path) -> Image {
    let picture = image::open(shared.join("input.png")).unwrap().to_rgba8();
    Image::new(picture.width(), picture.height(), picture.pixels().map(|p| p.0).collect()).unwrap()
}

fn same(a: &Views, b: &Views) -> bool {
    a.views.iter().zip(&b.views).all(|(a, b)| a.color == b.color && a.normal == b.normal && a.mask == b.mask)
}

#[test]
fn six_posed_views_come_out() {
    let Some(shared) = common::shared() else { return };
    let source = Zero123Plus::open(options(&shared)).unwrap();
    let fractions = Arc::new(Mutex::new(Vec::new()));
    let seen = fractions.clone();
    let progress = Progress::observed(move |snapshot| seen.lock().unwrap().push((snapshot.step, snapshot.step_count)));
    progress.enter(maquette_core::Stage::Views, (0.0, 1.0)).unwrap();
    let mut previews = Vec::new();
    let mut on_preview = |step: usize, picture: &Image| previews.push((step, picture.width(), picture.height()));
    let views = source.views_with(&picture(&shared), &settings(), 7, &mut on_preview, &progress).unwrap();
    views.validate().unwrap();
    assert_eq!(views.views.len(), 6);
    assert!(views.views.iter().all(|view| view.camera.width == 32 && view.color.is_some() && view.normal.is_some()));
    assert_eq!(views.views[0].camera, Rig::V1_2.cameras(32)[0]);
    assert_eq!(previews, [(1, 8, 12), (2, 8, 12), (3, 8, 12)]);
    let seen = fractions.lock().unwrap();
    for step in 0..=5 {
        assert!(seen.contains(&(step, 5)), "step {step}: {seen:?}");
    }
    drop(seen);
    // The same seed, again and in another order of use, gives the same views; another seed others.
    let again = source.views(&picture(&shared), &settings(), 7, &Progress::new()).unwrap();
    assert!(same(&views, &again));
    let other = source.views(&picture(&shared), &settings(), 8, &Progress::new()).unwrap();
    assert!(!same(&views, &other));
}

#[test]
fn without_the_controlnet_there_are_no_normals() {
    let Some(shared) = common::shared() else { return };
    let source = Zero123Plus::open(Options::new(shared.join("tiny"))).unwrap();
    let views = source.views(&picture(&shared), &settings(), 7, &Progress::new()).unwrap();
    views.validate().unwrap();
    assert!(views.views.iter().all(|view| view.normal.is_none()));
}

#[test]
fn modes_agree() {
    let Some(shared) = common::shared() else { return };
    let tile = |mode: Mode| {
        let source = Zero123Plus::open(Options { mode: Some(mode), ..options(&shared) }).unwrap();
        let plan = source.memory_plan(&settings()).unwrap();
        assert!(plan.fits() && plan.to_string().starts_with("needs 0.0 GB, "), "{plan}");
        let mut noise = maquette_diffusion::zero123plus::Seeded::new(3, "test");
        // Square, so that it goes in as it is.
        source.tile(&picture(&shared), None, &settings(), &mut noise, &Progress::new()).unwrap()
    };
    let far = |a: &Image, b: &Image| -> f64 {
        let sum: u64 = a
            .pixels()
            .iter()
            .zip(b.pixels())
            .map(|(a, b)| (0..3).map(|k| u64::from(a[k].abs_diff(b[k]))).sum::<u64>())
            .sum();
        sum as f64 / (3 * a.pixels().len()) as f64
    };
    let base = tile(Mode { dtype: DType::F32, keep: true, tiled: false });
    assert_eq!((base.width(), base.height()), (64, 96));
    assert_eq!(far(&base, &tile(Mode { dtype: DType::F32, keep: false, tiled: false })), 0.0);
    // Smaller than a tile: decoded whole.
    assert_eq!(far(&base, &tile(Mode { dtype: DType::F32, keep: false, tiled: true })), 0.0);
    let half = far(&base, &tile(Mode { dtype: DType::F16, keep: false, tiled: false }));
    let brain = far(&base, &tile(Mode { dtype: DType::BF16, keep: true, tiled: false }));
    println!("mean difference in levels: F16 weights {half:.3}, BF16 weights {brain:.3}");
    assert!(half > 0.0 && half < 2.0 && brain < 12.0, "{half} {brain}");
}

#[test]
fn tiled_decoding_is_close_to_whole_decoding() {
    let Some(shared) = common::shared() else { return };
    let folder = maquette_diffusion::zero123plus::ModelFolder::open(&shared.join("tiny")).unwrap();
    let device = candle_core::Device::Cpu;
    let vae = folder.load_vae(DType::F32, &device).unwrap();
    let values: Vec<f32> = (0..4 * 40 * 24).map(|k| ((k as f32) * 0.05).sin() * 3.0).collect();
    let latent = candle_core::Tensor::from_vec(values, (1, 4, 40, 24), &device).unwrap();
    let progress = Progress::new();
    let run = maquette_diffusion::Run::new(&progress);
    let whole = vae.decode(&latent, &run).unwrap();
    let tiled = vae.decode_tiled(&latent, 8, 16, 4, &run).unwrap();
    assert_eq!(whole.dims(), tiled.dims());
    let norm = |t: &candle_core::Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
    let off = norm(&(&whole - &tiled).unwrap()) / norm(&whole);
    println!("tiled decoding is off by {off:.4} of the whole");
    assert!(off < 0.5, "{off}");
    assert!(vae.decode_tiled(&latent, 8, 16, 16, &run).is_err());
}

#[test]
fn cancelling_at_every_step_stops_and_leaves_the_source_usable() {
    let Some(shared) = common::shared() else { return };
    let source = Zero123Plus::open(options(&shared)).unwrap();
    for stop_at in 0..5 {
        let slot: Arc<Mutex<Option<Progress>>> = Arc::default();
        let inner = slot.clone();
        let progress = Progress::observed(move |snapshot| {
            if snapshot.step_count > 0
                && snapshot.step == stop_at
                && let Some(progress) = &*inner.lock().unwrap()
            {
                progress.cancel();
            }
        });
        *slot.lock().unwrap() = Some(progress.clone());
        let error = source.views(&picture(&shared), &settings(), 7, &progress).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    }
    source.views(&picture(&shared), &settings(), 7, &Progress::new()).unwrap();
    source.free();
}

#[test]
fn pictures_and_settings_that_do_not_fit_are_explained() {
    let Some(shared) = common::shared() else { return };
    let source = Zero123Plus::open(Options::new(shared.join("tiny"))).unwrap();
    let fails = |picture: &Image, settings: Settings, words: &str| {
        let error = source.views(picture, &settings, 1, &Progress::new()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let square = Image::filled(40, 40, [127, 127, 127, 255]).unwrap();
    fails(&Image::filled(40, 30, [9, 9, 9, 255]).unwrap(), settings(), "40x30");
    fails(&Image::filled(40, 30, [9, 9, 9, 0]).unwrap(), settings(), "transparent");
    fails(&square, Settings { steps: 0, ..settings() }, "0 denoising steps");
    fails(&square, Settings { steps: 5000, ..settings() }, "1 to 1000");
    fails(&square, Settings { tile_px: [60, 96], ..settings() }, "multiples of 16");
    fails(&square, Settings { tile_px: [0, 96], ..settings() }, "multiples of 16");
    fails(&square, Settings { guidance: f64::NAN, ..settings() }, "guidance is NaN");
    fails(&square, Settings { control_scale: -1.0, ..settings() }, "control_scale is -1");
    let control = Image::filled(64, 96, [127, 127, 127, 255]).unwrap();
    let mut noise = maquette_diffusion::zero123plus::Seeded::new(3, "test");
    let error = source.tile(&square, Some(&control), &settings(), &mut noise, &Progress::new()).unwrap_err();
    assert!(error.to_string().contains("no ControlNet"), "{error}");
    let with = Zero123Plus::open(options(&shared)).unwrap();
    let small = Image::filled(32, 96, [127, 127, 127, 255]).unwrap();
    let error = with.tile(&square, Some(&small), &settings(), &mut noise, &Progress::new()).unwrap_err();
    assert!(error.to_string().contains("32x96"), "{error}");
    // A picture of one colour, and one of a single pixel, are strange but not wrong.
    source.views(&square, &Settings { steps: 1, ..settings() }, 1, &Progress::new()).unwrap().validate().unwrap();
    let dot = Image::filled(1, 1, [255, 0, 0, 255]).unwrap();
    source.views(&dot, &Settings { steps: 1, ..settings() }, 1, &Progress::new()).unwrap().validate().unwrap();
}

/// A copy of the tiny model that may be spoilt.
fn copy(shared: &Path) -> tempfile::TempDir {
    fn walk(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                walk(&entry.path(), &target);
            } else {
                // Read and written: the originals may be read-only.
                std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    walk(&shared.join("tiny"), folder.path());
    folder
}

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

fn spoil(shared: &Path, change: impl FnOnce(&Path)) -> (String, Vec<String>) {
    let folder = copy(shared);
    change(folder.path());
    let found = models::verify(folder.path(), true, &Progress::new()).unwrap();
    let settings = Settings { steps: 1, ..settings() };
    let error = Zero123Plus::open(Options::new(folder.path()))
        .and_then(|source| source.views(&picture(shared), &settings, 1, &Progress::new()))
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    (error, found.iter().map(ToString::to_string).collect())
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

fn rewrite(path: &Path, change: impl FnOnce(&mut std::collections::HashMap<String, candle_core::Tensor>)) {
    let mut tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, path).unwrap();
}

#[test]
fn spoilt_models_are_named_file_by_file() {
    let Some(shared) = common::shared() else { return };
    let (error, findings) = spoil(&shared, |_| {});
    assert!(error.is_empty() && findings.is_empty(), "{error} {findings:?}");

    let has = |found: &(String, Vec<String>), words: &[&str]| {
        let (error, findings) = found;
        assert!(words.iter().all(|word| error.contains(word)), "{words:?} not in: {error}");
        assert!(findings.iter().any(|f| words.iter().all(|word| f.contains(word))), "{words:?} not in: {findings:?}");
    };
    let truncated = spoil(&shared, |root| {
        let bytes = std::fs::read(root.join(UNET)).unwrap();
        std::fs::write(root.join(UNET), &bytes[..bytes.len() / 2]).unwrap();
    });
    has(&truncated, &["not a whole safetensors file", UNET]);
    let empty = spoil(&shared, |root| std::fs::write(root.join(UNET), b"").unwrap());
    has(&empty, &["empty", UNET]);
    let garbage = spoil(&shared, |root| std::fs::write(root.join(UNET), vec![0xff; 4096]).unwrap());
    has(&garbage, &["not a whole safetensors file"]);
    let missing_file = spoil(&shared, |root| std::fs::remove_file(root.join(UNET)).unwrap());
    has(&missing_file, &["diffusion_pytorch_model.safetensors"]);
    let missing_tensor = spoil(&shared, |root| {
        rewrite(&root.join(UNET), |tensors| drop(tensors.remove("conv_in.bias")));
    });
    has(&missing_tensor, &["conv_in.bias", "missing"]);
    let wrong_shape = spoil(&shared, |root| {
        rewrite(&root.join(UNET), |tensors| {
            let short = tensors["conv_in.bias"].narrow(0, 0, 5).unwrap();
            tensors.insert("conv_in.bias".into(), short);
        });
    });
    has(&wrong_shape, &["conv_in.bias", "[5]", "[32]"]);
    let not_a_number = spoil(&shared, |root| {
        rewrite(&root.join("vae/diffusion_pytorch_model.safetensors"), |tensors| {
            let nan = (&tensors["quant_conv.weight"] * f64::NAN).unwrap();
            tensors.insert("quant_conv.weight".into(), nan);
        });
    });
    has(&not_a_number, &["quant_conv.weight", "NaN"]);
    let integers = spoil(&shared, |root| {
        rewrite(&root.join("vae/diffusion_pytorch_model.safetensors"), |tensors| {
            let whole = tensors["quant_conv.weight"].to_dtype(DType::I64).unwrap();
            tensors.insert("quant_conv.weight".into(), whole);
        });
    });
    has(&integers, &["quant_conv.weight", "I64"]);
    let extra = spoil(&shared, |root| {
        rewrite(&root.join(UNET), |tensors| {
            let copy = tensors["conv_in.bias"].clone();
            tensors.insert("surplus".into(), copy);
        });
    });
    assert!(extra.0.is_empty() && extra.1.len() == 1 && extra.1[0].starts_with("note: "), "{extra:?}");
}

#[test]
fn spoilt_configurations_are_named_key_by_key() {
    let Some(shared) = common::shared() else { return };
    let check = |file: &str, from: &str, to: &str, words: &[&str]| {
        let (error, findings) = spoil(&shared, |root| edit(&root.join(file), from, to));
        assert!(words.iter().all(|word| error.contains(word)), "{file} {from}: {error}");
        assert!(findings.iter().any(|f| words.iter().all(|word| f.contains(word))), "{file} {from}: {findings:?}");
    };
    check("unet/config.json", "\"layers_per_block\": 1,", "", &["unet", "layers_per_block"]);
    check("unet/config.json", "\"act_fn\": \"silu\"", "\"act_fn\": \"gelu\"", &["act_fn", "gelu"]);
    check("unet/config.json", "\"UpBlock2D\"", "\"SkipUpBlock2D\"", &["SkipUpBlock2D"]);
    check("unet/config.json", "\"norm_num_groups\": 8", "\"norm_num_groups\": 5", &["5 groups"]);
    check("vae/config.json", "\"norm_num_groups\": 4", "\"norm_num_groups\": 0", &["0 groups"]);
    check("text_encoder/config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"relu\"", &["relu"]);
    check(
        "text_encoder/config.json",
        "\"num_attention_heads\": 4",
        "\"num_attention_heads\": 0",
        &["num_attention_heads 0"],
    );
    check("vision_encoder/config.json", "\"projection_dim\": 32", "\"projection_dim\": 31", &["projection_dim is 31"]);
    check("scheduler/scheduler_config.json", "\"linear\"", "\"cosine\"", &["cosine"]);
    check("feature_extractor_vae/preprocessor_config.json", "\"resample\": 2", "\"resample\": 9", &["resample is 9"]);
    check(
        "feature_extractor_vae/preprocessor_config.json",
        "\"do_resize\": true",
        "\"do_resize\": false",
        &["do_resize"],
    );
    check("model_index.json", "ramping_coefficients", "rampant_coefficients", &["ramping_coefficients"]);
    check("tokenizer/vocab.json", "<|endoftext|>", "<|end|>", &["<|endoftext|>"]);
    let other = Options { normal_control: Some(shared.join("tiny/unet")), ..Options::new(shared.join("tiny")) };
    let error = Zero123Plus::open(other).unwrap_err().to_string();
    assert!(error.contains("not a ControlNet"), "{error}");
    let error = Zero123Plus::open(Options::new("/nowhere")).unwrap_err().to_string();
    assert!(error.contains("model_index.json"), "{error}");
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(models::verify(nothing.path(), false, &Progress::new()).unwrap().len(), 1);
    let control = models::verify(&shared.join("tiny_controlnet"), true, &Progress::new()).unwrap();
    assert_eq!(control, []);
}

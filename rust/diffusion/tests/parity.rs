//! Every recorded tensor of the original implementation, and proof that mistakes would be seen.

#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

#[path = "../examples/zero123plus_parity/parity.rs"]
mod parity;

mod common;

use std::path::Path;

use candle_core::Tensor;
use maquette_diffusion::Result;
use maquette_diffusion::config::{
    BetaSchedule, ClipActivation, ClipTextConfig, ClipVisionConfig, PerLevel, TimestepSpacing, UnetConfig,
};
use maquette_diffusion::zero123plus::Draw;
use parity::{Change, Golden, Subject, whole_run};

fn check(model: &Path, golden: &Path, control: Option<&Path>, at_least: usize) {
    let lines = parity::compare(model, golden, control).unwrap();
    let failed: Vec<String> = lines.iter().filter(|line| line.is_failure()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let compared = lines.iter().filter(|line| line.is_compared()).count();
    assert!(compared >= at_least, "only {compared} tensors were compared");
}

#[test]
fn every_golden_tensor_is_met() {
    let Some(shared) = common::shared() else { return };
    check(&shared.join("tiny"), &shared.join("golden.safetensors"), Some(&shared.join("tiny_controlnet")), 313);
}

#[test]
fn half_precision_files_are_met() {
    let Some(shared) = common::shared() else { return };
    check(&shared.join("tiny_mixed"), &shared.join("golden_mixed.safetensors"), None, 4);
}

/// A subject, changed before it is loaded, and a run, changed while it goes; the final latents must be far off.
fn is_seen(tag: &str, prepare: impl FnOnce(&Path, &mut Subject), change: &Change) {
    let Some(shared) = common::shared() else { return };
    let model = shared.join("tiny");
    let golden = Golden::load(&shared.join("golden.safetensors")).unwrap();
    let mut subject = Subject::load(&model, Some(&shared.join("tiny_controlnet"))).unwrap();
    prepare(&model, &mut subject);
    let ours = whole_run(&subject, &golden, tag, change).unwrap().unwrap();
    let recorded = golden.get(&format!("run.{tag}.final_latents")).unwrap();
    let (relative, _) = parity::errors(&ours["final_latents"], &recorded).unwrap();
    assert!(relative > 10.0 * parity::RUN_TOLERANCE, "the mistake changes the result by {relative} only");
}

fn with_noise(change: impl Fn(Draw, Tensor, &mut parity::Recall<'_>) -> Result<Tensor> + 'static) -> Change {
    Change { noise: Some(Box::new(change)), ..Change::default() }
}

#[test]
fn sees_scaled_linear_betas() {
    is_seen(
        "trailing_g4",
        |_, s| s.scheduler.as_mut().unwrap().beta_schedule = BetaSchedule::ScaledLinear,
        &Change::default(),
    );
}

#[test]
fn sees_another_spacing() {
    is_seen("trailing_g4", |_, _| {}, &Change { spacing: Some(TimestepSpacing::Linspace), ..Change::default() });
}

#[test]
fn sees_a_ramp_of_one_and_of_zero() {
    for value in [0.0, 1.0] {
        let ramp = Some(Box::new(move |ramp: &[f64]| vec![value; ramp.len()]) as Box<parity::RampChange>);
        is_seen("trailing_g4", |_, _| {}, &Change { ramp, ..Change::default() });
    }
}

#[test]
fn sees_a_white_background() {
    is_seen("trailing_g4", |_, _| {}, &Change { background: Some([255; 3]), ..Change::default() });
}

#[test]
fn sees_a_scaled_reference() {
    let condition_latent = Some(Box::new(|latent: Tensor| Ok((latent * 0.18215)?)) as Box<parity::TensorChange>);
    is_seen("trailing_g4", |_, _| {}, &Change { condition_latent, ..Change::default() });
}

#[test]
fn sees_a_negative_of_zeros() {
    let condition_latent = Some(Box::new(|latent: Tensor| {
        let with = latent.narrow(0, 1, 1)?;
        Ok(Tensor::cat(&[&with.zeros_like()?, &with], 0)?)
    }) as Box<parity::TensorChange>);
    is_seen("trailing_g4", |_, _| {}, &Change { condition_latent, ..Change::default() });
}

#[test]
fn sees_the_mode_instead_of_a_sample() {
    let change = with_noise(|draw, noise, _| if draw == Draw::Condition { Ok(noise.zeros_like()?) } else { Ok(noise) });
    is_seen("trailing_g4", |_, _| {}, &change);
}

#[test]
fn sees_one_reference_noise_for_both_halves() {
    let change = with_noise(|draw, noise, _| {
        if !matches!(draw, Draw::Reference(_)) {
            return Ok(noise);
        }
        let first = noise.narrow(0, 0, 1)?;
        Ok(Tensor::cat(&[&first, &first], 0)?)
    });
    is_seen("trailing_g4", |_, _| {}, &change);
}

#[test]
fn sees_reference_noise_that_is_not_redrawn() {
    let change =
        with_noise(|draw, noise, reference| if matches!(draw, Draw::Reference(_)) { reference(0) } else { Ok(noise) });
    is_seen("trailing_g4", |_, _| {}, &change);
}

#[test]
fn sees_missing_ancestral_noise() {
    let change =
        with_noise(|draw, noise, _| if matches!(draw, Draw::Step(_)) { Ok(noise.zeros_like()?) } else { Ok(noise) });
    is_seen("trailing_g4", |_, _| {}, &change);
}

#[test]
fn sees_guidance_of_another_strength() {
    is_seen("trailing_g4", |_, _| {}, &Change { guidance: Some(3.5), ..Change::default() });
}

#[test]
fn sees_control_mistakes() {
    let unit = || Some(Box::new(|picture: Tensor| Ok(((picture + 1.0)? * 0.5)?)) as Box<parity::TensorChange>);
    is_seen("control_s1_g4", |_, _| {}, &Change { control_scale: Some(0.75), ..Change::default() });
    is_seen("control_s1_g4", |_, _| {}, &Change { control_scale: Some(0.0), ..Change::default() });
    is_seen("control_s1_g4", |_, _| {}, &Change { control_picture: unit(), ..Change::default() });
}

fn weights(model: &Path, file: &str) -> maquette_diffusion::weights::Weights {
    let path = model.join(file);
    maquette_diffusion::weights::Weights::open(&path, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap()
}

#[test]
fn sees_head_counts_read_as_head_sizes() {
    let prepare = |model: &Path, subject: &mut Subject| {
        let mut config = UnetConfig::read_unet(&model.join("unet/config.json")).unwrap();
        let counts =
            (0..config.block_out_channels.len()).map(|level| config.block_out_channels[level] / config.heads(level));
        config.attention_head_dim = PerLevel::Each(counts.collect());
        let weights = weights(model, "unet/diffusion_pytorch_model.safetensors");
        subject.unet = Some(maquette_diffusion::unet::Unet::new(&config, &weights).unwrap());
    };
    is_seen("trailing_g4", prepare, &Change::default());
}

#[test]
fn sees_the_quick_gelu() {
    let prepare = |model: &Path, subject: &mut Subject| {
        let mut text = ClipTextConfig::read(&model.join("text_encoder/config.json")).unwrap();
        text.hidden_act = ClipActivation::QuickGelu;
        let mut vision = ClipVisionConfig::read(&model.join("vision_encoder/config.json")).unwrap();
        vision.hidden_act = ClipActivation::QuickGelu;
        subject.text = Some(
            maquette_diffusion::clip::ClipText::new(&text, &weights(model, "text_encoder/model.safetensors")).unwrap(),
        );
        let weights = weights(model, "vision_encoder/model.safetensors");
        subject.vision = Some(maquette_diffusion::clip::ClipVision::new(&vision, &weights).unwrap());
    };
    is_seen("trailing_g4", prepare, &Change::default());
}

#[test]
fn sees_padding_with_the_end_token() {
    let prepare = |model: &Path, subject: &mut Subject| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"] {
            let text = std::fs::read_to_string(model.join("tokenizer").join(name)).unwrap();
            let text = text.replace(r#""pad_token": "!""#, r#""pad_token": "<|endoftext|>""#);
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        subject.tokenizer = Some(maquette_diffusion::clip::ClipTokenizer::read(folder.path(), 77).unwrap());
    };
    is_seen("trailing_g4", prepare, &Change::default());
}

//! The published configurations parse, and the networks they describe have the published sizes.

#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

mod common;

use maquette_diffusion::config::*;
use maquette_diffusion::controlnet::ControlNet;
use maquette_diffusion::schedulers::EulerAncestral;
use maquette_diffusion::weights::{Expected, Weights};

fn count(expected: &[Expected]) -> (usize, usize) {
    (expected.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum(), expected.len())
}

fn outline<T>(build: impl FnOnce(&Weights) -> T) -> Vec<Expected> {
    let weights = Weights::outline();
    build(&weights);
    weights.expected()
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let Some(shared) = common::shared() else { return };
    for version in ["v1.1", "v1.2"] {
        let root = shared.join("real_configs").join(version);
        let unet = UnetConfig::read_unet(&root.join("unet/config.json")).unwrap();
        let vae = VaeConfig::read(&root.join("vae/config.json")).unwrap();
        let text = ClipTextConfig::read(&root.join("text_encoder/config.json")).unwrap();
        let vision = ClipVisionConfig::read(&root.join("vision_encoder/config.json")).unwrap();
        let index = ModelIndex::read(&root.join("model_index.json")).unwrap();
        assert_eq!(index.ramping_coefficients.len(), 77);
        assert_eq!(vae.factor(), 8);

        let networks = outline(|w| maquette_diffusion::unet::Unet::new(&unet, w).unwrap());
        assert_eq!(count(&networks), (865_910_724, 686));
        assert_eq!(maquette_diffusion::unet::Unet::new(&unet, &Weights::outline()).unwrap().self_attention_count(), 16);
        assert_eq!(count(&outline(|w| maquette_diffusion::vae::Vae::new(&vae, w).unwrap())), (83_653_863, 248));
        assert_eq!(count(&outline(|w| maquette_diffusion::clip::ClipText::new(&text, w).unwrap())).0, 340_387_840);
        assert_eq!(count(&outline(|w| maquette_diffusion::clip::ClipVision::new(&vision, w).unwrap())).0, 632_076_800);

        let mut control = unet.clone();
        control.conditioning_embedding_out_channels = Some(vec![16, 32, 96, 256]);
        assert_eq!(count(&outline(|w| ControlNet::new(&control, w).unwrap())), (364_228_240, 340));

        // Relatives of the same architecture.
        let depth = UnetConfig { in_channels: 5, ..unet.clone() };
        assert_eq!(count(&outline(|w| maquette_diffusion::unet::Unet::new(&depth, w).unwrap())).0, 865_913_604);
        let zero123 = UnetConfig {
            in_channels: 8,
            use_linear_projection: false,
            cross_attention_dim: 768,
            attention_head_dim: PerLevel::Same(8),
            ..unet
        };
        assert_eq!(count(&outline(|w| maquette_diffusion::unet::Unet::new(&zero123, w).unwrap())).0, 859_532_484);
    }
}

#[test]
fn schedulers_and_extractors_are_the_published_ones() {
    let Some(shared) = common::shared() else { return };
    let configs = shared.join("real_configs");
    let new = SchedulerConfig::read(&configs.join("v1.2/scheduler/scheduler_config.json")).unwrap();
    let old = SchedulerConfig::read(&configs.join("v1.1/scheduler/scheduler_config.json")).unwrap();
    assert_eq!(new.timestep_spacing, Some(TimestepSpacing::Linspace));
    assert_eq!(old.timestep_spacing, None);
    for config in [&new, &old] {
        assert_eq!(config.beta_schedule, BetaSchedule::Linear);
        assert_eq!(config.prediction_type, PredictionType::Velocity);
        let schedule = EulerAncestral::new(config, 28, None).unwrap();
        assert!((schedule.initial_sigma - 25.146_116).abs() < 1e-4, "{}", schedule.initial_sigma);
        assert_eq!((schedule.timesteps[0], schedule.timesteps[1], schedule.timesteps[27]), (999.0, 962.0, 0.0));
        // Step counts where floating ranges used to give one step too many.
        for steps in [61, 103, 121, 122, 201, 206] {
            let schedule = EulerAncestral::new(config, steps, Some(TimestepSpacing::Trailing)).unwrap();
            assert!(schedule.len() == steps && schedule.timesteps.iter().all(|&t| t >= 0.0));
        }
    }
    let extractors = configs.join("v1.2");
    let vae = ImageProcessorConfig::read(&extractors.join("feature_extractor_vae/preprocessor_config.json")).unwrap();
    assert_eq!((vae.size, vae.resampling, vae.mean, vae.std), (512, Resampling::Bilinear, [0.5; 3], [0.8; 3]));
    let clip = ImageProcessorConfig::read(&extractors.join("feature_extractor_clip/preprocessor_config.json")).unwrap();
    assert_eq!((clip.size, clip.resampling), (224, Resampling::Bicubic));
}

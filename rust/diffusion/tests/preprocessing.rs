//! Preprocessing is Pillow's, bit for bit, at the real sizes.

#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

mod common;

use std::collections::BTreeMap;

use candle_core::{DType, Device, IndexOp as _, Tensor};
use maquette_core::Image;
use maquette_diffusion::config::ImageProcessorConfig;
use maquette_diffusion::resample::{flatten, resize_and_crop};
use maquette_diffusion::zero123plus::preprocess;

fn read(path: &std::path::Path) -> Image {
    let picture = image::open(path).unwrap().to_rgba8();
    Image::new(picture.width(), picture.height(), picture.pixels().map(|p| p.0).collect()).unwrap()
}

#[test]
fn real_pictures_come_out_exactly() {
    let Some(shared) = common::shared() else { return };
    let folder = shared.join("preprocess_real");
    let recorded = candle_core::safetensors::load(folder.join("pixels.safetensors"), &Device::Cpu).unwrap();
    let recorded: BTreeMap<String, Tensor> = recorded.into_iter().collect();
    let mut compared = 0;
    for name in ["rgba_200x200", "rgba_451x300", "rgb_640x701"] {
        let flat = flatten(&read(&folder.join(format!("{name}.png"))), preprocess::GREY);
        for (tag, extractor) in [("vae512", "feature_extractor_vae"), ("clip224", "feature_extractor_clip")] {
            let path = shared.join("real_configs/v1.2").join(extractor).join("preprocessor_config.json");
            let config = ImageProcessorConfig::read(&path).unwrap();
            let wanted = read(&folder.join(format!("{name}.{tag}.png")));
            let ours = resize_and_crop(&flat, config.size as usize, config.resampling);
            assert!(ours.data.iter().zip(wanted.pixels()).all(|(a, b)| a[..] == b[..3]), "{name} {tag}");
            let pixels = preprocess::extract(&flat, &config).unwrap().i(0).unwrap();
            for (key, tensor) in &recorded {
                let Some(kind) = key.strip_prefix(&format!("{name}.{tag}.")) else { continue };
                let size = config.size as usize;
                let ours = if kind == "sub" {
                    let index =
                        |step: usize| Tensor::arange_step(0u32, size as u32, step as u32, &Device::Cpu).unwrap();
                    pixels.index_select(&index(13), 1).unwrap().index_select(&index(17), 2).unwrap()
                } else {
                    pixels.to_dtype(DType::F64).unwrap().flatten_from(1).unwrap().mean(1).unwrap()
                };
                let ours = ours.to_dtype(DType::F32).unwrap();
                let off = (ours.flatten_all().unwrap() - tensor.flatten_all().unwrap()).unwrap().abs().unwrap();
                let off = off.max(0).unwrap().to_scalar::<f32>().unwrap();
                assert!(off < 2e-6, "{key}: {off}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 12);
}

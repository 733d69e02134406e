//! Time and memory of the networks at the size their configuration says, with random weights made on the spot.
//!
//! `zero123plus_bench CONFIG_DIR [step] [control] [encode] [decode] [vision] [cuda] [f16|bf16]` reads `unet/config.json`
//! and so on below CONFIG_DIR; without names of stages it runs `step` alone: one denoising step with guidance at
//! 640x960, which is a write pass and a read pass. A matrix product of 2048 is timed in the same run as a yardstick.

use std::path::Path;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use faer::{Accum, MatMut, MatRef, Par};
use maquette_core::Progress;
use maquette_diffusion::clip::ClipVision;
use maquette_diffusion::config::{ClipVisionConfig, UnetConfig, VaeConfig};
use maquette_diffusion::controlnet::ControlNet;
use maquette_diffusion::unet::Unet;
use maquette_diffusion::unet::policy::{Recorded, Referenced};
use maquette_diffusion::vae::Vae;
use maquette_diffusion::weights::Weights;
use maquette_diffusion::{Error, Result, Run};

/// Seconds of processor time of all threads so far; 0 where the system does not tell.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}

fn peak_gigabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e9
}

fn time<T>(name: &str, gflop: f64, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (wall, processor) = (Instant::now(), processor_seconds());
    let out = work()?;
    let (wall, processor) = (wall.elapsed().as_secs_f64(), processor_seconds() - processor);
    println!(
        "{name:<28} {wall:8.2} s wall  {processor:8.2} s processor  {:7.1} GFLOP/s a processor second  peak {:.2} GB",
        if processor > 0.0 { gflop / processor } else { 0.0 },
        peak_gigabytes()
    );
    Ok(out)
}

fn yardstick() -> Result<()> {
    const SIZE: usize = 2048;
    let a = vec![0.5f32; SIZE * SIZE];
    let gflop = 2.0 * (SIZE as f64).powi(3) / 1e9;
    let products = |count: usize| {
        let mut c = vec![0.0f32; SIZE * SIZE];
        for _ in 0..count {
            let a = MatRef::from_row_major_slice(&a, SIZE, SIZE);
            let c = MatMut::from_row_major_slice_mut(&mut c, SIZE, SIZE);
            faer::linalg::matmul::matmul(c, Accum::Replace, a, a, 1.0, Par::Seq);
        }
    };
    time("sgemm 2048, one thread", 8.0 * gflop, || {
        products(8);
        Ok(())
    })?;
    // Threads that share a core, or its caches, are slower than one alone.
    let threads = rayon::current_num_threads();
    time("sgemm 2048, all threads", (8 * threads) as f64 * gflop, || {
        rayon::scope(|scope| (0..threads).for_each(|_| scope.spawn(|_| products(8))));
        Ok(())
    })?;
    let a = Tensor::from_vec(a, (SIZE, SIZE), &Device::Cpu)?;
    time("sgemm 2048, candle's", 8.0 * gflop, || {
        for _ in 0..8 {
            a.matmul(&a)?;
        }
        Ok(())
    })
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((root, names)) = arguments.split_first() else {
        return Err(Error::invalid(
            "usage: zero123plus_bench CONFIG_DIR [step|control|encode|decode|vision|cuda|f16|bf16 ..]",
        ));
    };
    let has = |name: &str| names.iter().any(|given| given == name);
    let root = Path::new(root);
    let device = if has("cuda") { Device::new_cuda(0)? } else { Device::Cpu };
    let dtype = if has("f16") {
        DType::F16
    } else if has("bf16") {
        DType::BF16
    } else {
        DType::F32
    };
    let compute = if device.is_cpu() { DType::F32 } else { dtype };
    let stages = ["step", "control", "encode", "decode", "vision"];
    let runs = |name: &str| has(name) || (name == "step" && !stages.iter().any(|stage| has(stage)));
    let progress = Progress::new();
    let run = Run::new(&progress);
    let random =
        |shape: &[usize]| -> Result<Tensor> { Ok(Tensor::randn(0f32, 1f32, shape, &device)?.to_dtype(compute)?) };
    let weights = || Weights::random(1, dtype, &device);
    yardstick()?;
    if runs("step") || runs("control") {
        let config = UnetConfig::read_unet(&root.join("unet/config.json"))?;
        let tokens = random(&[2, 77, config.cross_attention_dim])?;
        let (reference, sample) = (random(&[2, 4, 64, 64])?, random(&[2, 4, 120, 80])?);
        if runs("step") {
            let unet = time("make random UNet", 0.0, || Unet::new(&config, &weights()?))?;
            let mut written = Recorded::default();
            time("write pass, batch 2", 1609.0, || unet.forward(&reference, 500.0, &tokens, &mut written, None, &run))?;
            let out = time("read pass, batch 2", 5156.0, || {
                let mut read = Referenced::new(&written.tokens);
                unet.forward(&sample, 500.0, &tokens, &mut read, None, &run)
            })?;
            let finite = out.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?.iter().all(|v| v.is_finite());
            println!("the prediction is {}", if finite { "finite" } else { "NOT finite" });
        }
        if runs("control") {
            let mut config = config;
            config.conditioning_embedding_out_channels = Some(vec![16, 32, 96, 256]);
            let control = time("make random ControlNet", 0.0, || ControlNet::new(&config, &weights()?))?;
            let embedding = time("embed control picture", 0.0, || control.embed(&random(&[1, 3, 960, 640])?, &run))?;
            time("ControlNet, batch 2", 1634.0, || control.forward(&sample, 500.0, &tokens, &embedding, 1.0, &run))?;
        }
    }
    if runs("encode") || runs("decode") {
        let vae = Vae::new(&VaeConfig::read(&root.join("vae/config.json"))?, &weights()?)?;
        if runs("encode") {
            time("VAE encode 512x512", 1117.0, || vae.encode(&random(&[1, 3, 512, 512])?, &run))?;
        }
        if runs("decode") {
            time("VAE decode 640x960 in tiles", 0.0, || vae.decode_tiled(&random(&[1, 4, 120, 80])?, 8, 64, 16, &run))?;
            time("VAE decode 640x960", 6002.0, || vae.decode(&random(&[1, 4, 120, 80])?, &run))?;
        }
    }
    if runs("vision") {
        let config = ClipVisionConfig::read(&root.join("vision_encoder/config.json"))?;
        let vision = time("make random vision encoder", 0.0, || ClipVision::new(&config, &weights()?))?;
        let size = config.image_size;
        time("vision encoder", 335.0, || vision.forward(&random(&[1, 3, size, size])?, &run))?;
    }
    Ok(())
}

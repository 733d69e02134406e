//! Attention policies on the tiny network, and that results do not depend on the number of threads.

#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

mod common;

use candle_core::{DType, Device, IndexOp as _, Tensor};
use maquette_core::Progress;
use maquette_diffusion::Run;
use maquette_diffusion::nn::scaled_dot_product;
use maquette_diffusion::unet::Unet;
use maquette_diffusion::unet::policy::{AttentionPolicy, Injected, Own, Recorded, Referenced};
use maquette_diffusion::zero123plus::ModelFolder;

struct Tiny {
    unet: Unet,
    sample: Tensor,
    text: Tensor,
}

fn tiny() -> Option<Tiny> {
    let folder = ModelFolder::open(&common::shared()?.join("tiny")).unwrap();
    let unet = folder.load_unet(DType::F32, &Device::Cpu).unwrap();
    let wave = |shape: (usize, usize, usize, usize), step: f32| {
        let count = shape.0 * shape.1 * shape.2 * shape.3;
        let values: Vec<f32> = (0..count).map(|k| (k as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    let text = wave((2, 1, 77, 32), 0.37).squeeze(1).unwrap();
    // Both items under one text, so that they differ by their samples only.
    let text = Tensor::cat(&[text.i(0..1).unwrap(), text.i(0..1).unwrap()], 0).unwrap();
    Some(Tiny { unet, sample: wave((2, 4, 8, 8), 0.7), text })
}

impl Tiny {
    fn pass(&self, policy: &mut dyn AttentionPolicy) -> Tensor {
        self.unet.forward(&self.sample, 500.0, &self.text, policy, None, &Run::new(&Progress::new())).unwrap()
    }
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

#[test]
fn injection_touches_its_sites_steps_and_items_only() {
    let Some(tiny) = tiny() else { return };
    let all = 0..tiny.unet.self_attention_count();
    let plain = tiny.pass(&mut Own);
    let inject = |source: Vec<u32>, sites: std::ops::Range<usize>, step| {
        tiny.pass(&mut Injected { source, sites, steps: 4..50, step })
    };
    assert_eq!(distance(&plain, &inject(vec![0, 1], all.clone(), 4)), 0.0);
    assert_eq!(distance(&plain, &inject(vec![0, 0], all.clone(), 3)), 0.0);
    assert_eq!(distance(&plain, &inject(vec![0, 0], all.clone(), 50)), 0.0);
    assert_eq!(distance(&plain, &inject(vec![0, 0], 0..0, 10)), 0.0);
    let injected = inject(vec![0, 0], all.clone(), 10);
    // The item that others look at is not changed by being looked at.
    assert_eq!(distance(&plain.i(0).unwrap(), &injected.i(0).unwrap()), 0.0);
    assert!(distance(&plain.i(1).unwrap(), &injected.i(1).unwrap()) > 1e-3);
    let late = inject(vec![0, 0], all.end - 1..all.end, 10);
    assert!(distance(&late.i(1).unwrap(), &injected.i(1).unwrap()) > 1e-3);
    let mut wrong = Injected { source: vec![0, 2], sites: all, steps: 0..50, step: 0 };
    let run = Progress::new();
    let error = tiny.unet.forward(&tiny.sample, 1.0, &tiny.text, &mut wrong, None, &Run::new(&run)).unwrap_err();
    assert!(error.to_string().contains("[0, 2]"), "{error}");
}

#[test]
fn a_reference_to_ones_own_tokens_changes_nothing() {
    let Some(tiny) = tiny() else { return };
    let mut recorded = Recorded::default();
    let plain = tiny.pass(&mut recorded);
    assert_eq!(recorded.tokens.len(), tiny.unet.self_attention_count());
    // Every token twice: the softmax shares its weight among equals.
    let read = tiny.pass(&mut Referenced::new(&recorded.tokens));
    // Tokens of deeper sites stay the same too, so all passes agree.
    assert!(distance(&plain, &read) < 2e-5, "{}", distance(&plain, &read));
    let empty = Recorded::default();
    let run = Progress::new();
    let mut read = Referenced::new(&empty.tokens);
    let error = tiny.unet.forward(&tiny.sample, 1.0, &tiny.text, &mut read, None, &Run::new(&run)).unwrap_err();
    assert!(error.to_string().contains("write pass"), "{error}");
}

#[test]
fn fast_and_candle_attention_agree() {
    let device = Device::Cpu;
    let tensor = |tokens: usize, seed: f32| {
        let values: Vec<f32> = (0..2 * tokens * 24).map(|k| (k as f32 * seed).sin() * 2.0).collect();
        Tensor::from_vec(values, (2, tokens, 24), &device).unwrap()
    };
    let (query, key, value) = (tensor(70, 0.31), tensor(600, 0.77), tensor(600, 0.13));
    let progress = Progress::new();
    let fast = scaled_dot_product(&query, &key, &value, 3, &Run::new(&progress)).unwrap();
    // Double precision goes through candle's operations.
    let wide = |x: &Tensor| x.to_dtype(DType::F64).unwrap();
    let slow = scaled_dot_product(&wide(&query), &wide(&key), &wide(&value), 3, &Run::new(&progress)).unwrap();
    assert!(distance(&fast, &slow.to_dtype(DType::F32).unwrap()) < 1e-5);
    let bad = scaled_dot_product(&query, &key, &query, 3, &Run::new(&progress)).unwrap_err();
    assert!(bad.to_string().contains("batch and channels"), "{bad}");
}

#[test]
fn results_do_not_depend_on_threads() {
    let Some(tiny) = tiny() else { return };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tiny.pass(&mut Own)).flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let one = on(1);
    assert!(one == on(2) && one == on(5));
}

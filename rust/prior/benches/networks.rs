//! The built-in networks: reading their weights, which the first job of a process waits for, and asking them once.
//! `cargo bench -p maquette-prior`.

use divan::Bencher;
use maquette_core::Progress;
use maquette_prior::draft::Draft;
use maquette_prior::frustum::PICTURE_PX;
use maquette_prior::lin::Lin;
use maquette_prior::lin::network::{VIEW_CHANNELS, VIEW_PX, VIEWS};
use maquette_prior::sae::Sae;
use maquette_prior::sae::network::LATENT;

fn main() {
    divan::main();
}

#[divan::bench]
fn read_draft() -> Draft {
    Draft::from_safetensors(include_bytes!("../weights/draft.safetensors")).expect("the weights fit")
}

#[divan::bench]
fn read_sae() -> Sae {
    Sae::from_safetensors(include_bytes!("../weights/sae.safetensors")).expect("the weights fit")
}

#[divan::bench]
fn read_lin() -> Lin {
    Lin::from_safetensors(include_bytes!("../weights/lin.safetensors")).expect("the weights fit")
}

#[divan::bench]
fn draft_of_a_picture(bencher: Bencher) {
    let draft = Draft::embedded().expect("the weights fit");
    let mask: Vec<f32> = (0..PICTURE_PX * PICTURE_PX)
        .map(|k| f32::from(u8::from((k % PICTURE_PX).abs_diff(32) + (k / PICTURE_PX).abs_diff(32) < 20)))
        .collect();
    let rgb = vec![0.5; 3 * mask.len()];
    bencher.bench_local(|| draft.predict(&mask, &rgb, true, None, &Progress::new()).expect("a picture"));
}

#[divan::bench]
fn latent_of_six_views(bencher: Bencher) {
    let lin = Lin::embedded().expect("the weights fit");
    let views = vec![0.5; VIEWS * VIEW_CHANNELS * VIEW_PX * VIEW_PX];
    bencher.bench_local(|| lin.latent(&views).expect("six views"));
}

#[divan::bench]
fn shape_of_a_latent(bencher: Bencher) {
    let sae = Sae::embedded().expect("the weights fit");
    let latent = vec![0.1; LATENT];
    bencher.bench_local(|| sae.decode(&latent).expect("a latent"));
}

//! The networks work on the threads of their caller and leave none behind.
#![cfg(target_os = "linux")]

use maquette_core::Progress;
use maquette_prior::draft::Draft;
use maquette_prior::frustum::PICTURE_PX;
use maquette_prior::lin::Lin;
use maquette_prior::lin::network::{VIEW_CHANNELS, VIEW_PX, VIEWS};
use maquette_prior::sae::Sae;

/// Names of all threads.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux tells of threads");
    tasks
        .map(|task| task.and_then(|task| std::fs::read_to_string(task.path().join("comm"))).unwrap_or_default())
        .collect()
}

/// Runs `work` in a pool of its own and waits until its threads have ended.
fn leaves_none(what: &str, work: impl FnOnce() + Send) {
    let before = threads();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads can be started");
    pool.install(work);
    drop(pool);
    for _ in 0..500 {
        if threads().len() <= before.len() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what}: threads before: {before:?}, after: {:?}", threads());
}

// One test, since threads of tests beside it would be counted.
#[test]
fn networks_leave_no_threads() {
    leaves_none("draft", || {
        let mask: Vec<f32> = (0..PICTURE_PX * PICTURE_PX)
            .map(|k| f32::from(u8::from((k % PICTURE_PX).abs_diff(32) + (k / PICTURE_PX).abs_diff(32) < 20)))
            .collect();
        Draft::embedded().unwrap().predict(&mask, &[], true, None, &Progress::new()).unwrap();
    });
    leaves_none("latent initialisation", || {
        let views = vec![0.5; VIEWS * VIEW_CHANNELS * VIEW_PX * VIEW_PX];
        let latent = Lin::embedded().unwrap().latent(&views).unwrap();
        assert!(latent.iter().all(|value| value.is_finite()));
    });
    leaves_none("shape autoencoder", || {
        let sae = Sae::embedded().unwrap();
        // The way back is candle's, which keeps threads of its own: docs/abi.md tells what that means for a fork.
        let cube = sae.decode(&vec![0.1; maquette_prior::sae::network::LATENT]).unwrap();
        sae.encode(&cube).unwrap();
    });
}

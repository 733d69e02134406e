//! The networks work on the threads of their caller and leave none behind.
#![cfg(target_os = "linux")]

use maquette_core::Progress;
use maquette_prior::draft::Draft;
use maquette_prior::frustum::PICTURE_PX;

/// Names of all threads.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux tells of threads");
    tasks
        .map(|task| task.and_then(|task| std::fs::read_to_string(task.path().join("comm"))).unwrap_or_default())
        .collect()
}

#[test]
fn a_prediction_leaves_no_threads() {
    let before = threads();
    let mask: Vec<f32> = (0..PICTURE_PX * PICTURE_PX)
        .map(|k| f32::from(u8::from((k % PICTURE_PX).abs_diff(32) + (k / PICTURE_PX).abs_diff(32) < 20)))
        .collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(|| Draft::embedded().unwrap().predict(&mask, &[], true, None, &Progress::new()).unwrap());
    drop(pool);
    // Threads of a pool take a moment to end.
    for _ in 0..500 {
        if threads().len() <= before.len() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("threads before: {before:?}, after: {:?}", threads());
}

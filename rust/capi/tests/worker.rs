//! The worker: panics, queue order, stubborn work. Other work than the pipeline's runs in real jobs here.
#![allow(unsafe_code, reason = "calls the C functions")]
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::ffi::c_char;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use maquette::abi::{
    self, MAQ_ABI, MAQ_ERROR_CANCELLED, MAQ_ERROR_INTERNAL, MAQ_ERROR_INVALID_ARGUMENT, MAQ_FOREVER, MAQ_OK,
    MAQ_PENDING, Mirror as _,
};
use maquette::exports::*;
use maquette::{Error, testing};
use maquette_core::{Asset, Mesh, Progress, Stage, Views};
use maquette_pipeline::Outcome;
use rayon::prelude::*;

fn context() -> u32 {
    let config = abi::ContextConfig {
        struct_size: size_of::<abi::ContextConfig>() as u32,
        threads: 2,
        cache_dir: c"".as_ptr(),
        ..abi::ContextConfig::zeroed()
    };
    let mut context = 0;
    // SAFETY: valid pointers to sized structs.
    assert_eq!(unsafe { maq_context_new(MAQ_ABI, &raw const config, &raw mut context) }, MAQ_OK);
    context
}

fn outcome() -> Outcome {
    let mesh = Mesh::new(vec![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], vec![[0, 1, 2]]).unwrap();
    Outcome {
        asset: Asset { mesh, ..Asset::default() },
        cutout: None,
        views: Views::default(),
        report: serde_json::json!({}),
    }
}

fn wait(job: u32) -> i32 {
    // SAFETY: no pointers.
    unsafe { maq_job_wait(job, MAQ_FOREVER) }
}

fn text(call: impl Fn(*mut c_char, usize) -> usize) -> String {
    let mut bytes = vec![0u8; call(std::ptr::null_mut(), 0)];
    call(bytes.as_mut_ptr().cast(), bytes.len());
    bytes.pop();
    String::from_utf8(bytes).unwrap()
}

fn error_of(job: u32) -> String {
    // SAFETY: the buffer has the size given.
    text(|buffer, capacity| unsafe { maq_job_error(job, buffer, capacity) })
}

type Work = Box<dyn FnOnce(&Progress) -> maquette::Result<Outcome> + Send>;

#[test]
fn a_panic_ends_its_job_and_nothing_else() {
    let context = context();
    let panics: Vec<(&str, Work)> = vec![
        ("on the worker", Box::new(|_| panic!("on the worker"))),
        (
            "in a parallel loop",
            Box::new(|_| {
                (0..1000u32).into_par_iter().for_each(|k| assert!(k != 500, "in a parallel loop"));
                Ok(outcome())
            }),
        ),
        ("value not a string", Box::new(|_| std::panic::panic_any(7u8))),
        (
            "index out of bounds",
            Box::new(|_| {
                let none: Vec<u32> = Vec::new();
                assert_eq!(std::hint::black_box(none)[3], 0);
                Ok(outcome())
            }),
        ),
    ];
    for (words, work) in panics {
        let job = testing::start_job(context, work).unwrap();
        let after = testing::start_job(context, |_| Ok(outcome())).unwrap();
        assert_eq!(wait(job), MAQ_ERROR_INTERNAL, "{words}");
        let message = error_of(job);
        if words != "value not a string" {
            assert!(message.contains(words), "{message}");
        }
        assert!(message.contains("worker.rs:") && message.contains("please report it"), "{message}");
        assert_eq!(wait(after), MAQ_OK, "{words}");
        let mut mesh = abi::Mesh { struct_size: size_of::<abi::Mesh>() as u32, ..abi::Mesh::zeroed() };
        // SAFETY: a sized struct.
        assert_eq!(unsafe { maq_job_mesh(job, &raw mut mesh) }, MAQ_ERROR_INTERNAL);
        assert!(mesh.positions.is_null());
        // SAFETY: no pointers.
        unsafe {
            maq_job_free(job);
            maq_job_free(after);
        }
    }
    // SAFETY: no pointers.
    unsafe { maq_context_free(context) };
}

/// A task spawned into the pool and never joined would end the process when it panics.
#[test]
fn a_panic_in_a_spawned_task_does_not_end_the_process() {
    let context = context();
    let job = testing::start_job(context, |_| {
        let (sender, receiver) = mpsc::channel::<()>();
        rayon::spawn(move || {
            let _sender = sender;
            panic!("in a spawned task");
        });
        // The panic drops the sender.
        assert!(receiver.recv().is_err());
        Ok(outcome())
    })
    .unwrap();
    assert_eq!(wait(job), MAQ_OK);
}

#[test]
fn jobs_of_one_context_run_in_order_and_alone_those_of_two_side_by_side() {
    let (first, second) = (context(), context());
    let running = Arc::new(AtomicU32::new(0));
    let (sender, order) = mpsc::channel();
    let jobs: Vec<u32> = (0..5)
        .map(|number| {
            let (running, sender) = (Arc::clone(&running), sender.clone());
            let work = move |_: &Progress| {
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                std::thread::sleep(Duration::from_millis(10));
                running.fetch_sub(1, Ordering::SeqCst);
                sender.send(number).unwrap();
                Ok(outcome())
            };
            testing::start_job(first, work).unwrap()
        })
        .collect();
    assert!(jobs.iter().all(|job| wait(*job) == MAQ_OK));
    assert_eq!(order.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);

    // Each waits for the other.
    let ((to_a, at_a), (to_b, at_b)) = (mpsc::channel(), mpsc::channel());
    let meet = |to: mpsc::Sender<()>, at: mpsc::Receiver<()>| {
        move |_: &Progress| {
            to.send(()).unwrap();
            at.recv_timeout(Duration::from_secs(30))
                .map_err(|error| Error { status: -1, message: error.to_string() })?;
            Ok(outcome())
        }
    };
    let a = testing::start_job(first, meet(to_b, at_a)).unwrap();
    let b = testing::start_job(second, meet(to_a, at_b)).unwrap();
    assert_eq!((wait(a), wait(b)), (MAQ_OK, MAQ_OK));
}

/// Poll, cancel and free return at once even while the work does not listen.
#[test]
fn stubborn_work_blocks_nobody() {
    let context = context();
    let (release, hold) = mpsc::channel::<()>();
    let job = testing::start_job(context, move |progress| {
        progress.enter(Stage::Coarse, (0.1, 0.5))?;
        progress.step(1, 2)?;
        hold.recv().unwrap();
        Err(Error { status: MAQ_ERROR_INVALID_ARGUMENT, message: "confused by the cancel".to_owned() })
    })
    .unwrap();
    let mut progress = abi::Progress { struct_size: size_of::<abi::Progress>() as u32, ..abi::Progress::zeroed() };
    // SAFETY: a sized struct.
    while unsafe { maq_job_poll(job, &raw mut progress) } == MAQ_PENDING && progress.step == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((progress.stage, progress.step, progress.step_count), (abi::MAQ_STAGE_COARSE, 1, 2));
    assert!((progress.fraction - 0.35).abs() < 1e-6);
    let start = Instant::now();
    // SAFETY: no pointers but the sized struct.
    unsafe {
        maq_job_cancel(job);
        assert_eq!(maq_job_poll(job, &raw mut progress), MAQ_PENDING);
        let other = testing::start_job(context, |_| Ok(outcome())).unwrap();
        maq_job_free(other);
        maq_context_free(context);
    }
    assert!(start.elapsed() < Duration::from_millis(200));
    release.send(()).unwrap();
    // Whatever the work says after a cancel, the host asked for it.
    assert_eq!((wait(job), error_of(job).as_str()), (MAQ_ERROR_CANCELLED, "cancelled"));
}

#[test]
fn fraction_is_one_only_after_success() {
    let context = context();
    let job = testing::start_job(context, |progress| {
        progress.finish();
        progress.cancel();
        progress.check()?;
        Ok(outcome())
    })
    .unwrap();
    assert_eq!(wait(job), MAQ_ERROR_CANCELLED);
    let mut progress = abi::Progress { struct_size: size_of::<abi::Progress>() as u32, ..abi::Progress::zeroed() };
    // SAFETY: a sized struct.
    unsafe { maq_job_poll(job, &raw mut progress) };
    assert!(progress.fraction < 1.0 && progress.stage == abi::MAQ_STAGE_FINISH);
}

/// With the feature `openvdb` a mesh is saved as a volume, without it the error says what is missing.
#[test]
fn volumes_are_saved_where_openvdb_is_built_in() {
    let context = context();
    let job = testing::start_job(context, |_| Ok(outcome())).unwrap();
    assert_eq!(wait(job), MAQ_OK);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("solid.VDB");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string with its end.
    let status = unsafe { maq_job_save(job, name.as_ptr()) };
    if cfg!(feature = "openvdb") {
        assert_eq!(status, MAQ_OK);
        assert_eq!(std::fs::read(&path).unwrap()[..4], *b" BDV");
    } else {
        assert_eq!(status, abi::MAQ_ERROR_IO);
        // SAFETY: the buffer has the size given.
        let reason = text(|buffer, capacity| unsafe { maq_last_error(buffer, capacity) });
        assert!(reason.contains("without OpenVDB") && !path.exists(), "{reason}");
    }
}

/// A preview stays readable until the next one is asked for, however many the job makes.
#[test]
fn a_lent_preview_stays() {
    let context = context();
    let (made, ready) = mpsc::channel();
    let (more, next) = mpsc::channel::<()>();
    let job = testing::start_job(context, move |progress| {
        for size in [1.0, 2.0] {
            let positions = vec![[size, 0.0, 0.0], [0.0, size, 0.0], [0.0, 0.0, size]];
            progress.set_preview(Mesh::new(positions, vec![[0, 1, 2]])?);
            made.send(()).unwrap();
            next.recv().unwrap();
        }
        Ok(outcome())
    })
    .unwrap();
    let lend = || {
        let mut mesh = abi::Mesh { struct_size: size_of::<abi::Mesh>() as u32, ..abi::Mesh::zeroed() };
        // SAFETY: a sized struct.
        assert_eq!(unsafe { maq_job_preview(job, &raw mut mesh) }, MAQ_OK);
        mesh
    };
    ready.recv().unwrap();
    let first = lend();
    assert_eq!((first.vertex_count, first.triangle_count, first.normals.is_null()), (3, 1, true));
    more.send(()).unwrap();
    ready.recv().unwrap();
    // The job has replaced it.
    // SAFETY: lent until the next call.
    assert_eq!(unsafe { *first.positions }, 1.0);
    // SAFETY: as above.
    assert_eq!(unsafe { *lend().positions }, 2.0);
    more.send(()).unwrap();
    assert_eq!(wait(job), MAQ_OK);
}

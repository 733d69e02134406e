//! Progress, cancellation and previews: one small value that every stage is given.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Mesh, Result};

/// The stages of a job, in the order they run. Numbers are those of the C ABI and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Stage {
    /// Waiting for a worker.
    Queued = 0,
    /// Reading input and weights.
    Load = 1,
    /// Cutting the object out of the picture.
    Segment = 2,
    /// Making the six views.
    Views = 3,
    /// Fitting the signed distance field.
    Coarse = 4,
    /// Fitting the surface with the field fixed.
    Refine = 5,
    /// Sharpening the mesh.
    Detail = 6,
    /// Fitting the texture.
    Texture = 7,
    /// Unwrapping and baking.
    Bake = 8,
    /// Simplification, checks, report.
    Finish = 9,
    /// Nothing left to do.
    Done = 10,
}

impl Stage {
    /// Name as shown to people, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Load => "load",
            Self::Segment => "segment",
            Self::Views => "views",
            Self::Coarse => "coarse",
            Self::Refine => "refine",
            Self::Detail => "detail",
            Self::Texture => "texture",
            Self::Bake => "bake",
            Self::Finish => "finish",
            Self::Done => "done",
        }
    }
}

/// What an observer sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Stage at work.
    pub stage: Stage,
    /// Step inside the stage, 0..=`step_count`.
    pub step: u32,
    /// Steps of the stage; 0 when unknown.
    pub step_count: u32,
    /// Share of the whole job, 0..=1, never decreasing.
    pub fraction: f32,
    /// Grows whenever [`Progress::preview`] has a newer mesh.
    pub preview_revision: u32,
}

struct State {
    snapshot: Snapshot,
    /// Share of the job where the current stage starts, and the share it takes.
    span: (f32, f32),
    preview: Option<Arc<Mesh>>,
    warnings: Vec<String>,
}

type Observer = dyn Fn(&Snapshot) + Send + Sync;

/// Shared handle to a job's progress. Cloning is cheap; all clones see the same job.
///
/// Stages call [`Progress::step`] at least every 50 ms of work: it reports, and returns [`Error::Cancelled`] once
/// [`Progress::cancel`] was called.
#[derive(Clone)]
pub struct Progress {
    cancelled: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
    observer: Option<Arc<Observer>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Progress").field(&self.snapshot()).finish()
    }
}

impl Progress {
    /// Progress that nobody watches.
    pub fn new() -> Self {
        let snapshot = Snapshot { stage: Stage::Queued, step: 0, step_count: 0, fraction: 0.0, preview_revision: 0 };
        let state = State { snapshot, span: (0.0, 0.0), preview: None, warnings: Vec::new() };
        Self { cancelled: Arc::default(), state: Arc::new(Mutex::new(state)), observer: None }
    }

    /// Progress whose changes are told to `observer`, on the thread that does the work.
    pub fn observed(observer: impl Fn(&Snapshot) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..Self::new() }
    }

    /// Asks the job to stop. Idempotent; cannot be undone.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// True once [`Progress::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// [`Error::Cancelled`] once the job was cancelled.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Enters a stage that covers `span` = (start, length) of the whole job.
    pub fn enter(&self, stage: Stage, span: (f32, f32)) -> Result<()> {
        self.update(|state| {
            state.span = span;
            state.snapshot.stage = stage;
            state.snapshot.step = 0;
            state.snapshot.step_count = 0;
            state.snapshot.fraction = state.snapshot.fraction.max(span.0.clamp(0.0, 1.0));
        });
        self.check()
    }

    /// Reports step `step` of `step_count` of the current stage.
    pub fn step(&self, step: usize, step_count: usize) -> Result<()> {
        self.update(|state| {
            state.snapshot.step = step as u32;
            state.snapshot.step_count = step_count as u32;
            let inside = if step_count == 0 { 0.0 } else { (step as f32 / step_count as f32).clamp(0.0, 1.0) };
            let fraction = (state.span.0 + state.span.1 * inside).clamp(0.0, 1.0);
            state.snapshot.fraction = state.snapshot.fraction.max(fraction);
        });
        self.check()
    }

    /// Marks the job as finished.
    pub fn finish(&self) {
        self.update(|state| {
            state.snapshot.stage = Stage::Done;
            state.snapshot.fraction = 1.0;
        });
    }

    /// Offers the mesh as it is now to whoever watches.
    pub fn set_preview(&self, mesh: Mesh) {
        self.update(|state| {
            state.preview = Some(Arc::new(mesh));
            state.snapshot.preview_revision += 1;
        });
    }

    /// Newest preview.
    pub fn preview(&self) -> Option<Arc<Mesh>> {
        self.lock().preview.clone()
    }

    /// Collects a warning for the report; the job goes on.
    pub fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        let mut state = self.lock();
        if !state.warnings.contains(&message) {
            state.warnings.push(message);
        }
    }

    /// Warnings so far, oldest first.
    pub fn warnings(&self) -> Vec<String> {
        self.lock().warnings.clone()
    }

    /// What an observer would see now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().snapshot.clone()
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let snapshot = {
            let mut state = self.lock();
            change(&mut state);
            state.snapshot.clone()
        };
        if let Some(observer) = &self.observer {
            observer(&snapshot);
        }
    }

    // A panic in another holder cannot leave the plain data half-changed in a harmful way.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fraction_never_falls_and_cancel_sticks() {
        let progress = Progress::new();
        progress.enter(Stage::Coarse, (0.5, 0.2)).unwrap();
        progress.step(1, 2).unwrap();
        assert!((progress.snapshot().fraction - 0.6).abs() < 1e-6);
        progress.enter(Stage::Refine, (0.1, 0.1)).unwrap();
        assert!((progress.snapshot().fraction - 0.6).abs() < 1e-6);
        let other = progress.clone();
        other.cancel();
        other.cancel();
        assert!(matches!(progress.step(1, 2), Err(Error::Cancelled)));
        progress.finish();
        assert_eq!(progress.snapshot().fraction, 1.0);
    }
}

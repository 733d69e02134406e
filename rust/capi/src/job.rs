//! A job: its state from queue to result, and what hosts borrow from it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use maquette_core::progress::Snapshot;
use maquette_core::{Asset, Image, Mesh, Progress, Stage, View, Views};
use maquette_pipeline::Outcome;

use crate::abi::{self, MAQ_ERROR_CANCELLED, MAQ_OK, MAQ_PENDING, Mirror as _};
use crate::guard::{self, PanicNote};
use crate::log::Log;
use crate::{Error, Result};

/// What a job does, on its worker.
pub(crate) type Work = Box<dyn FnOnce(&Progress) -> Result<Outcome> + Send>;

/// Fraction that a job which has not succeeded stays under.
const ALMOST_DONE: f32 = 0.999;

pub(crate) struct Job {
    progress: Progress,
    state: Mutex<State>,
    ended: Condvar,
    /// The preview that the host has borrowed.
    lent_preview: Mutex<Option<Arc<Mesh>>>,
    log: Log,
}

enum State {
    Waiting(Work),
    Running,
    Ended(Result<Arc<Output>>),
}

impl Job {
    pub(crate) fn new(log: &Log, name: &str, work: Work) -> Self {
        let progress = if log.is_on() { logged_progress(log.clone(), name.to_owned()) } else { Progress::new() };
        Self {
            progress,
            state: Mutex::new(State::Waiting(work)),
            ended: Condvar::new(),
            lent_preview: Mutex::default(),
            log: log.clone(),
        }
    }

    /// Runs the job on the worker's thread; does nothing when it has been cancelled already.
    pub(crate) fn execute(&self, pool: std::result::Result<&rayon::ThreadPool, &Error>, note: &PanicNote) {
        let work = {
            let mut state = self.lock();
            match std::mem::replace(&mut *state, State::Running) {
                State::Waiting(work) => work,
                other => {
                    *state = other;
                    return;
                }
            }
        };
        let body = || {
            self.progress.enter(Stage::Load, (0.0, 0.0))?;
            work(&self.progress).map(|outcome| Arc::new(Output::new(outcome)))
        };
        let result = pool.map_err(Clone::clone).and_then(|pool| pool.install(|| guard::catch(note, body)));
        self.end(result.flatten());
    }

    /// Ends the job, which is running.
    fn end(&self, result: Result<Arc<Output>>) {
        // Whatever a stage makes of being cancelled, the host asked for it.
        let result = result.map_err(|error| if self.progress.is_cancelled() { cancelled() } else { error });
        if result.is_ok() {
            self.progress.finish();
        }
        self.log.line(&match &result {
            Ok(_) => "job succeeded".to_owned(),
            Err(error) => format!("job ended: {}", error.message),
        });
        *self.lock() = State::Ended(result);
        self.ended.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.lock(), State::Ended(_))
    }

    /// `MAQ_PENDING`, or how the job ended.
    fn status_of(state: &State) -> i32 {
        match state {
            State::Waiting(_) | State::Running => MAQ_PENDING,
            State::Ended(Ok(_)) => MAQ_OK,
            State::Ended(Err(error)) => error.status,
        }
    }

    pub(crate) fn poll(&self) -> (i32, abi::Progress) {
        // The state first: a job that ends in between shows less progress than it made, never a success at 0.9.
        let status = Self::status_of(&self.lock());
        let Snapshot { stage, step, step_count, fraction, preview_revision } = self.progress.snapshot();
        let succeeded = status == MAQ_OK;
        let progress = abi::Progress {
            struct_size: size_of::<abi::Progress>() as u32,
            stage: if !succeeded && stage == Stage::Done { Stage::Finish } else { stage } as u32,
            step,
            step_count,
            fraction: if succeeded { 1.0 } else { fraction.min(ALMOST_DONE) },
            preview_revision,
        };
        (status, progress)
    }

    /// Status after waiting for the end for `timeout` at most; `None`: without a limit.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> i32 {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = self.lock();
        while Self::status_of(&state) == MAQ_PENDING {
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => break,
                Some(left) => self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        Self::status_of(&state)
    }

    /// Asks the job to stop; one that waits ends here and now.
    pub(crate) fn cancel(&self) {
        self.progress.cancel();
        let before = {
            let mut state = self.lock();
            if !matches!(*state, State::Waiting(_)) {
                return;
            }
            std::mem::replace(&mut *state, State::Ended(Err(cancelled())))
        };
        self.ended.notify_all();
        self.log.line("job cancelled before it started");
        // Its input may be large: freed outside of the lock.
        drop(before);
    }

    /// Why the job failed; empty when it did not.
    pub(crate) fn error(&self) -> String {
        match &*self.lock() {
            State::Ended(Err(error)) => error.message.clone(),
            _ => String::new(),
        }
    }

    /// The result; `MAQ_PENDING` or the job's own error when there is none.
    pub(crate) fn output(&self) -> Result<Arc<Output>> {
        match &*self.lock() {
            State::Ended(result) => result.clone(),
            State::Waiting(_) | State::Running => Err(Error::new(
                MAQ_PENDING,
                "the job has not ended; poll it until it is not MAQ_PENDING, then ask again",
            )),
        }
    }

    /// The newest preview, kept alive until the next one is lent.
    pub(crate) fn preview(&self) -> Result<abi::Mesh> {
        let newest = self.progress.preview();
        let mesh = newest.as_deref().map(mesh_struct);
        *self.lent_preview.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        mesh.ok_or_else(|| Error::new(MAQ_PENDING, "the job has no preview yet"))
    }

    // The state is whole between any two operations, so a panic in another holder does not matter.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cancelled() -> Error {
    Error::new(MAQ_ERROR_CANCELLED, "cancelled")
}

/// Progress that logs every stage as it begins.
fn logged_progress(log: Log, name: String) -> Progress {
    let last = Mutex::new(Stage::Queued);
    log.line(&format!("job {name:?} queued"));
    Progress::observed(move |snapshot| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != snapshot.stage {
            *last = snapshot.stage;
            log.line(&format!("job {name:?}: {} at {:.0} %", snapshot.stage.name(), snapshot.fraction * 100.0));
        }
    })
}

/// The result of a job, in the form hosts borrow it.
pub(crate) struct Output {
    pub(crate) asset: Asset,
    pub(crate) report: String,
    cutout: Option<Image>,
    views: Views,
    /// The views as pictures; made when first asked for.
    posed: OnceLock<Result<Vec<PosedView>>>,
}

impl Output {
    fn new(outcome: Outcome) -> Self {
        let Outcome { mut asset, cutout, views, report } = outcome;
        if asset.mesh.normals.is_none() {
            asset.mesh.normals = Some(asset.mesh.vertex_normals());
        }
        Self { asset, report: report.to_string(), cutout, views, posed: OnceLock::new() }
    }

    pub(crate) fn mesh(&self) -> abi::Mesh {
        mesh_struct(&self.asset.mesh)
    }

    pub(crate) fn image(&self, kind: u32) -> Result<&Image> {
        let (image, name) = match kind {
            abi::MAQ_IMAGE_BASE_COLOR => (&self.asset.base_color, "base colour"),
            abi::MAQ_IMAGE_NORMAL_MAP => (&self.asset.normal_map, "normal map"),
            abi::MAQ_IMAGE_CUTOUT => (&self.cutout, "cut-out"),
            _ => {
                return Err(Error::argument(format!(
                    "kind is {kind}; give MAQ_IMAGE_BASE_COLOR, MAQ_IMAGE_NORMAL_MAP or MAQ_IMAGE_CUTOUT"
                )));
            }
        };
        image
            .as_ref()
            .ok_or_else(|| Error::argument(format!("the job has no {name}: its recipe or input asked for none")))
    }

    pub(crate) fn view_count(&self) -> u32 {
        self.views.views.len() as u32
    }

    pub(crate) fn view(&self, index: u32) -> Result<abi::View> {
        if index >= self.view_count() {
            return Err(Error::argument(format!("index is {index}, but the job has {} views", self.view_count())));
        }
        let posed = self.posed.get_or_init(|| self.views.views.iter().map(PosedView::new).collect());
        posed.as_ref().map(|views| views[index as usize].view()).map_err(Clone::clone)
    }
}

/// A view as pictures, with the structs that point to them.
struct PosedView {
    angles_degrees: [f32; 2],
    camera: abi::Camera,
    color: Lent,
    normal: Option<Lent>,
}

/// A picture and the struct that points to it.
struct Lent {
    _image: Image,
    shown: abi::Image,
}

// SAFETY: `shown` points into the heap buffer of `_image`, which is never changed or moved while this lives.
#[allow(unsafe_code, reason = "a raw pointer to memory that the same struct owns")]
unsafe impl Send for Lent {}
// SAFETY: as above; shared access only reads.
#[allow(unsafe_code, reason = "a raw pointer to memory that the same struct owns")]
unsafe impl Sync for Lent {}

impl Lent {
    fn new(image: Image) -> Self {
        Self { shown: image_struct(&image), _image: image }
    }
}

impl PosedView {
    fn new(view: &View) -> Result<Self> {
        let [x, y, z] = [view.camera.position.x, view.camera.position.y, view.camera.position.z];
        let azimuth = x.atan2(z).to_degrees().rem_euclid(360.0);
        let elevation = y.atan2(x.hypot(z)).to_degrees();
        let mut world_from_camera = [0.0; 16];
        world_from_camera.copy_from_slice(view.camera.matrix().as_flattened());
        let camera = abi::Camera {
            struct_size: size_of::<abi::Camera>() as u32,
            reserved: 0,
            focal_px: view.camera.focal_px,
            center_px: view.camera.center_px,
            world_from_camera,
        };
        let (color, normal) = maquette_pipeline::sources::pictures_of(view)?;
        let (color, normal) = (Lent::new(color), normal.map(Lent::new));
        Ok(Self { angles_degrees: [azimuth, elevation], camera, color, normal })
    }

    fn view(&self) -> abi::View {
        abi::View {
            struct_size: size_of::<abi::View>() as u32,
            reserved: 0,
            azimuth_degrees: self.angles_degrees[0],
            elevation_degrees: self.angles_degrees[1],
            color: &raw const self.color.shown,
            normal: self.normal.as_ref().map_or(std::ptr::null(), |normal| &raw const normal.shown),
            camera: &raw const self.camera,
        }
    }
}

pub(crate) fn image_struct(image: &Image) -> abi::Image {
    abi::Image {
        struct_size: size_of::<abi::Image>() as u32,
        width: image.width(),
        height: image.height(),
        reserved: 0,
        rgba: image.pixels().as_ptr().cast(),
    }
}

fn mesh_struct(mesh: &Mesh) -> abi::Mesh {
    let null = std::ptr::null();
    if mesh.positions.is_empty() {
        return abi::Mesh::zeroed();
    }
    abi::Mesh {
        struct_size: size_of::<abi::Mesh>() as u32,
        reserved: 0,
        vertex_count: mesh.positions.len() as u64,
        triangle_count: mesh.triangles.len() as u64,
        positions: mesh.positions.as_ptr().cast(),
        normals: mesh.normals.as_ref().map_or(null, |normals| normals.as_ptr().cast()),
        triangles: mesh.triangles.as_ptr().cast(),
        corner_uvs: mesh.corner_uvs.as_ref().map_or(null, |uvs| uvs.as_ptr().cast()),
    }
}

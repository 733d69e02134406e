//! A context: a device, and a queue whose jobs run one after another.
//!
//! The worker and its thread pool live as long as there is work, so an idle library has no thread: nothing to join when
//! the host ends, nothing missing in the child of a fork. Each context has a pool of its own, because a rayon thread that
//! waits takes up any other task of its pool, and must not take up a whole other job.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maquette_pipeline::Cache;

use crate::abi::MAQ_ERROR_BUSY;
use crate::guard::{PanicNote, THREAD_NAME, adopt_thread};
use crate::job::Job;
use crate::log::Log;
use crate::{Error, Result, threads};

/// Jobs that may wait in one context.
pub(crate) const MAX_WAITING: usize = 256;
/// Most threads of one context.
pub(crate) const MAX_THREADS: u32 = 1024;

pub(crate) struct Context {
    pub(crate) cache: Arc<Cache>,
    pub(crate) log: Log,
    threads: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Job>>,
    has_worker: bool,
}

impl Context {
    /// A context whose jobs use `threads` threads; 0: one for each core.
    pub(crate) fn new(threads: u32, cache: Cache) -> Result<Self> {
        if threads > MAX_THREADS {
            return Err(Error::argument(format!(
                "config.threads is {threads}, but must be from 0 (one for each core) to {MAX_THREADS}"
            )));
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores() } else { threads as usize };
        Ok(Self { cache: Arc::new(cache), log: Log::from_environment(), threads, queue: Mutex::default() })
    }

    /// Puts `job` at the end of the queue.
    pub(crate) fn start(self: &Arc<Self>, job: Arc<Job>) -> Result<()> {
        let mut queue = self.lock();
        if queue.waiting.len() >= MAX_WAITING {
            queue.waiting.retain(|job| !job.has_ended());
        }
        if queue.waiting.len() >= MAX_WAITING {
            return Err(Error::new(
                MAQ_ERROR_BUSY,
                format!("{MAX_WAITING} jobs wait in this context already; wait for one or cancel some"),
            ));
        }
        if !queue.has_worker {
            let context = Arc::clone(self);
            let spawned = std::thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || context.work());
            spawned.map_err(|reason| threads::not_started(&reason))?;
            queue.has_worker = true;
        }
        queue.waiting.push_back(job);
        Ok(())
    }

    fn work(&self) {
        let note = PanicNote::default();
        adopt_thread(&note);
        threads::reset_floating_point();
        let pool = threads::pool(self.threads, &note).map_err(|reason| threads::not_started(&reason));
        while let Some(job) = self.next() {
            job.execute(pool.as_ref(), &note);
        }
    }

    /// The next job, or `None` when the worker is to end.
    fn next(&self) -> Option<Arc<Job>> {
        let mut queue = self.lock();
        let job = queue.waiting.pop_front();
        queue.has_worker = job.is_some();
        job
    }

    // The queue is whole between any two operations, so a panic in another holder does not matter.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

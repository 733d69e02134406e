//! Handles: small numbers for objects that any thread may use and free.
//!
//! Numbers start at 1 and are never given twice, so a stale handle finds nothing. After a fork the child starts with an
//! empty registry: the threads behind its parent's objects do not exist in it, and its parent's lock may have been held at
//! that moment, so neither is touched.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::Context;
use crate::job::Job;
use crate::{Error, Result};

#[derive(Clone)]
enum Object {
    Context(Arc<Context>),
    Job(Arc<Job>),
}

impl Object {
    fn kind(&self) -> &'static str {
        match self {
            Self::Context(_) => "a context",
            Self::Job(_) => "a job",
        }
    }
}

/// The handles of one process.
struct Registry {
    process: u32,
    /// Handles below this one were given before the process forked.
    first: u32,
    next: AtomicU32,
    objects: Mutex<BTreeMap<u32, Object>>,
    /// The parent's registry, kept reachable for leak checkers.
    _parent: *const Registry,
}

static CURRENT: AtomicPtr<Registry> = AtomicPtr::new(ptr::null_mut());

/// The registry of this process.
#[allow(unsafe_code, reason = "a lock-free once-per-process cell; std's would keep the parent's state over a fork")]
fn current() -> &'static Registry {
    let process = std::process::id();
    loop {
        let found = CURRENT.load(Ordering::Acquire);
        // SAFETY: only leaked boxes are stored, so the reference lives as long as the process.
        let registry = unsafe { found.as_ref() };
        if let Some(registry) = registry
            && registry.process == process
        {
            return registry;
        }
        let first = registry.map_or(1, |parent| parent.next.load(Ordering::Relaxed));
        let fresh = Box::into_raw(Box::new(Registry {
            process,
            first,
            next: AtomicU32::new(first),
            objects: Mutex::default(),
            _parent: found,
        }));
        if CURRENT.compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: `fresh` comes from `into_raw` above and was not stored.
            drop(unsafe { Box::from_raw(fresh) });
        }
    }
}

impl Registry {
    // The map is whole between any two operations, so a panic in another holder does not matter.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, object: Object) -> Result<u32> {
        let mut objects = self.lock();
        let handle = self.next.load(Ordering::Relaxed);
        // The last number stays unused: it marks the end.
        let after = handle.checked_add(1).ok_or_else(|| Error::internal("all 2^32 handles are used up"))?;
        self.next.store(after, Ordering::Relaxed);
        objects.insert(handle, object);
        Ok(handle)
    }

    fn get(&self, handle: u32, wanted: &str) -> Result<Object> {
        if let Some(object) = self.lock().get(&handle) {
            return Ok(object.clone());
        }
        let reason = if handle == 0 {
            "0 is never a handle"
        } else if handle < self.first {
            "it was given before this process forked; create a context in this process"
        } else if handle < self.next.load(Ordering::Relaxed) {
            "it was freed"
        } else {
            "it was never given"
        };
        Err(Error::handle(format!("{handle} is not {wanted}: {reason}")))
    }
}

pub(crate) fn insert_context(context: Arc<Context>) -> Result<u32> {
    current().insert(Object::Context(context))
}

pub(crate) fn insert_job(job: Arc<Job>) -> Result<u32> {
    current().insert(Object::Job(job))
}

pub(crate) fn context(handle: u32) -> Result<Arc<Context>> {
    match current().get(handle, "a context")? {
        Object::Context(context) => Ok(context),
        other @ Object::Job(_) => Err(wrong_kind(handle, "a context", &other)),
    }
}

pub(crate) fn job(handle: u32) -> Result<Arc<Job>> {
    match current().get(handle, "a job")? {
        Object::Job(job) => Ok(job),
        other @ Object::Context(_) => Err(wrong_kind(handle, "a job", &other)),
    }
}

/// Gives up a context's handle; `None` when it is not one.
pub(crate) fn remove_context(handle: u32) -> Option<Arc<Context>> {
    let mut objects = current().lock();
    match objects.remove(&handle)? {
        Object::Context(context) => Some(context),
        other @ Object::Job(_) => {
            objects.insert(handle, other);
            None
        }
    }
}

/// Gives up a job's handle; `None` when it is not one.
pub(crate) fn remove_job(handle: u32) -> Option<Arc<Job>> {
    let mut objects = current().lock();
    match objects.remove(&handle)? {
        Object::Job(job) => Some(job),
        other @ Object::Context(_) => {
            objects.insert(handle, other);
            None
        }
    }
}

fn wrong_kind(handle: u32, wanted: &str, found: &Object) -> Error {
    Error::handle(format!("{handle} is not {wanted} but {}", found.kind()))
}

//! For tests and fuzzing: doors that the shared library, which exports `maq_` alone, does not have.
#![doc(hidden)]
#![allow(unsafe_code, reason = "reads a host's request")]

use std::sync::Arc;

use maquette_core::Progress;
use maquette_pipeline::{Outcome, Request};

use crate::input::Input;
use crate::job::Job;
use crate::{Result, abi, registry};

/// Starts a job in `context` that does `work` in place of the pipeline.
pub fn start_job(context: u32, work: impl FnOnce(&Progress) -> Result<Outcome> + Send + 'static) -> Result<u32> {
    let context = registry::context(context)?;
    let job = Arc::new(Job::new(&context.log, "test", Box::new(work)));
    context.start(Arc::clone(&job))?;
    registry::insert_job(job)
}

/// The pipeline's request for a host's, as `maq_job_start` and the worker make it, checked.
///
/// # Safety
/// As `maq_job_start`.
pub unsafe fn load_request(request: *const abi::Request) -> Result<Request> {
    // SAFETY: the caller's promise.
    let request = unsafe { Input::read(request)? }.load(&Progress::new())?;
    request.validate()?;
    Ok(request)
}

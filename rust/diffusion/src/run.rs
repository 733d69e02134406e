//! What every forward pass is given: when to stop, and who looks at the tensors in between.

use std::sync::Mutex;

use candle_core::Tensor;
use maquette_core::Progress;

use crate::{Error, Result};

/// Sees named intermediate tensors.
pub type Observer<'a> = dyn FnMut(&str, &Tensor) -> Result<()> + Send + 'a;

/// One forward pass: its job's progress (asked for cancellation many times a second) and an optional observer.
pub struct Run<'a> {
    /// The job.
    pub progress: &'a Progress,
    observer: Option<Mutex<&'a mut Observer<'a>>>,
}

impl<'a> Run<'a> {
    /// A run that nobody looks into.
    pub fn new(progress: &'a Progress) -> Self {
        Self { progress, observer: None }
    }

    /// A run whose intermediate tensors are shown to `observer`.
    pub fn observed(progress: &'a Progress, observer: &'a mut Observer<'a>) -> Self {
        Self { progress, observer: Some(Mutex::new(observer)) }
    }

    /// Shows `tensor` to the observer; [`maquette_core::Error::Cancelled`] once the job was cancelled.
    pub fn see(&self, name: &str, tensor: &Tensor) -> Result<()> {
        self.progress.check()?;
        match &self.observer {
            // Forward passes are one thread; a poisoned lock means the observer panicked, which has been reported.
            Some(observer) => (observer.lock().unwrap_or_else(std::sync::PoisonError::into_inner))(name, tensor),
            None => Ok(()),
        }
    }

    /// True when somebody looks.
    pub fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Turns the error of an interrupted kernel into [`maquette_core::Error::Cancelled`].
    pub(crate) fn finish<T>(&self, result: candle_core::Result<T>) -> Result<T> {
        result.map_err(|error| match self.progress.check() {
            Err(cancelled) => cancelled.into(),
            Ok(()) => Error::Tensor(error),
        })
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Run").field("observed", &self.observer.is_some()).finish_non_exhaustive()
    }
}

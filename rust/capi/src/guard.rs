//! The edge: no panic crosses it, and each thread keeps the words of its last error.
#![allow(unsafe_code, reason = "the C edge")]

use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Arc, Mutex, Once, PoisonError};

use crate::abi::MAQ_OK;
use crate::{Error, Result, pointers};

#[cfg(panic = "abort")]
compile_error!("build with panic = \"unwind\": a panic must not end the host");

/// Where panics of the threads of one job, or of one call, are noted with their place in the source.
pub(crate) type PanicNote = Arc<Mutex<Option<String>>>;

/// What the names of all threads of the library start with.
pub(crate) const THREAD_NAME: &str = "maquette";

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
    /// Set while this thread runs our code: its panics are noted here instead of being printed.
    static NOTE: RefCell<Option<PanicNote>> = const { RefCell::new(None) };
}

/// Body of an entry point that answers with a status.
pub(crate) fn status(body: impl FnOnce() -> Result<()>) -> i32 {
    call(body).map_or_else(|error| error.status, |()| MAQ_OK)
}

/// Body of an entry point that gives a text through the two-call protocol; 0 when it fails.
///
/// # Safety
/// As [`pointers::write_text`].
pub(crate) unsafe fn text(buffer: *mut c_char, capacity: usize, body: impl FnOnce() -> Result<String>) -> usize {
    // SAFETY: the caller's promise.
    call(|| unsafe { pointers::write_text(buffer, capacity, &body()?) }).unwrap_or(0)
}

/// Body of an entry point that answers nothing.
pub(crate) fn quiet(body: impl FnOnce()) {
    // An unknown handle is harmless here by contract, and a panic has been turned into the thread's last error.
    let _ = call(|| {
        body();
        Ok(())
    });
}

fn call<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    let result = catch(&PanicNote::default(), body).unwrap_or_else(Err);
    if let Err(error) = &result {
        LAST_ERROR.with(|last| last.borrow_mut().clone_from(&error.message));
    }
    result
}

/// Words of the last error on this thread.
pub(crate) fn last_error() -> String {
    LAST_ERROR.with(|last| last.borrow().clone())
}

/// Runs `body`; a panic in it becomes an error that names its place in the source.
pub(crate) fn catch<T>(note: &PanicNote, body: impl FnOnce() -> T) -> Result<T> {
    install_hook();
    // A task that nobody waited for may have left its panic.
    note.lock().unwrap_or_else(PoisonError::into_inner).take();
    let outer = NOTE.with(|slot| slot.replace(Some(Arc::clone(note))));
    let result = catch_unwind(AssertUnwindSafe(body));
    NOTE.with(|slot| slot.replace(outer));
    result.map_err(|payload| {
        let noted = note.lock().unwrap_or_else(PoisonError::into_inner).take();
        Error::internal(noted.unwrap_or_else(|| payload_text(&*payload)))
    })
}

/// Marks this thread as one of the library's own: its panics go to `note`.
pub(crate) fn adopt_thread(note: &PanicNote) {
    NOTE.with(|slot| slot.replace(Some(Arc::clone(note))));
}

/// Panics of our threads and calls are noted, those of threads that a stage started are left to the stage, and all others
/// go where they went before.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A thread that is ending has no thread-locals any more.
            let note = NOTE.try_with(|slot| slot.try_borrow().ok().and_then(|note| note.clone())).ok().flatten();
            if let Some(note) = note {
                note.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| describe(info));
            } else if !std::thread::current().name().is_some_and(|name| name.starts_with(THREAD_NAME)) {
                before(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    format!("{}{place}", payload_text(info.payload()))
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic without a message".to_owned())
}

//! The functions of `cpp/include/maquette.h`, which says what each does. Each is a shell: guard, handles, pointers.
#![allow(unsafe_code, reason = "the C edge")]
#![allow(missing_docs, clippy::missing_safety_doc, reason = "the header is the manual, also of what pointers must be")]

use std::ffi::{CStr, c_char};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use maquette_core::{Recipe, io};
use maquette_pipeline::Cache;

use crate::abi::{self, MAQ_ABI, MAQ_ABI_MAJOR, MAQ_ERROR_ABI_MISMATCH, MAQ_FOREVER, MAQ_PENDING, Mirror};
use crate::context::Context;
use crate::guard::{quiet, status, text};
use crate::input::{Input, read_path, read_recipe};
use crate::job::{Job, image_struct};
use crate::pointers::{init_struct, read_struct, write, write_struct};
use crate::{Error, Result, devices, guard, input, pointers, registry, sdf};

/// Declares the exported functions, and a table of them for the comparison with the header.
macro_rules! exports {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$attribute])*
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? $body
        )*

        /// Name and C declaration of every exported function.
        pub fn declarations() -> Vec<(&'static str, String)> {
            use abi::Prototype as _;
            vec![$((
                stringify!($name),
                ($name as unsafe extern "C" fn($(exports!(@any $type)),*) $(-> $result)?).declaration(stringify!($name)),
            )),*]
        }
    };
    (@any $type:ty) => { $type };
}

exports! {
    fn maq_abi() -> u32 {
        MAQ_ABI
    }

    fn maq_version() -> *const c_char {
        const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
        VERSION.as_ptr().cast()
    }

    fn maq_status_name(status: i32) -> *const c_char {
        status_name(status).as_ptr()
    }

    fn maq_stage_name(stage: u32) -> *const c_char {
        stage_name(stage).as_ptr()
    }

    fn maq_last_error(buffer: *mut c_char, capacity: usize) -> usize {
        // SAFETY: the header's contract.
        unsafe { text(buffer, capacity, || Ok(guard::last_error())) }
    }

    fn maq_recipe_resolve(recipe: *const c_char, buffer: *mut c_char, capacity: usize) -> usize {
        // SAFETY: the header's contract.
        unsafe { text(buffer, capacity, || Ok(read_recipe(recipe, "recipe")?.to_value().to_string())) }
    }

    fn maq_recipe_schema(buffer: *mut c_char, capacity: usize) -> usize {
        // SAFETY: the header's contract.
        unsafe { text(buffer, capacity, || Ok(Recipe::schema().to_string())) }
    }

    fn maq_device_count(count: *mut u32) -> i32 {
        // SAFETY: the header's contract.
        status(|| unsafe { write(count, devices::count(), "count") })
    }

    fn maq_device_get(index: u32, info: *mut abi::DeviceInfo) -> i32 {
        // SAFETY: the header's contract.
        status(|| unsafe { write_struct(info, &devices::get(index)?, "info") })
    }

    fn maq_mesh_sdf(
        mesh: *const abi::Mesh, resolution: u32, reach: f32, distances: *mut f32, capacity: usize,
    ) -> i32 {
        status(|| {
            let count = sdf::value_count(resolution)?;
            if capacity < count {
                return Err(Error::argument(format!(
                    "capacity is {capacity}; {resolution} cells an axis need room for {count} distances"
                )));
            }
            // SAFETY: the header's contract.
            unsafe { pointers::write_array(distances, &[], "distances")? };
            // SAFETY: the header's contract.
            let mesh = unsafe { input::read_mesh(mesh, "mesh")? };
            let values = sdf::signed_distances(&mesh, resolution, reach)?;
            // SAFETY: the header's contract; there is room for `count` values.
            unsafe { pointers::write_array(distances, &values, "distances") }
        })
    }

    fn maq_context_config_init(config: *mut abi::ContextConfig, struct_size: u32) -> i32 {
        // SAFETY: the header's contract.
        status(|| unsafe { init_struct(config, struct_size, "config") })
    }

    fn maq_context_new(abi: u32, config: *const abi::ContextConfig, context: *mut u32) -> i32 {
        status(|| {
            // SAFETY: the header's contract.
            unsafe { write(context, 0, "context")? };
            check_abi(abi)?;
            // SAFETY: the header's contract.
            let made = unsafe { new_context(config)? };
            let handle = registry::insert_context(Arc::new(made))?;
            // SAFETY: the header's contract.
            unsafe { write(context, handle, "context") }
        })
    }

    fn maq_context_free(context: u32) {
        quiet(|| drop(registry::remove_context(context)));
    }

    fn maq_request_init(request: *mut abi::Request, struct_size: u32) -> i32 {
        // SAFETY: the header's contract.
        status(|| unsafe { init_struct(request, struct_size, "request") })
    }

    fn maq_job_start(context: u32, request: *const abi::Request, job: *mut u32) -> i32 {
        status(|| {
            // SAFETY: the header's contract.
            unsafe { write(job, 0, "job")? };
            let context = registry::context(context)?;
            // SAFETY: the header's contract.
            let input = unsafe { Input::read(request)? };
            let handle = start(&context, input)?;
            // SAFETY: the header's contract.
            unsafe { write(job, handle, "job") }
        })
    }

    fn maq_job_poll(job: u32, progress: *mut abi::Progress) -> i32 {
        answer(|| {
            let (status, now) = registry::job(job)?.poll();
            if !progress.is_null() {
                // SAFETY: the header's contract.
                unsafe { write_struct(progress, &now, "progress")? };
            }
            Ok(status)
        })
    }

    fn maq_job_wait(job: u32, timeout_ms: u32) -> i32 {
        let timeout = (timeout_ms != MAQ_FOREVER).then(|| Duration::from_millis(timeout_ms.into()));
        answer(|| Ok(registry::job(job)?.wait(timeout)))
    }

    fn maq_job_cancel(job: u32) {
        quiet(|| {
            if let Ok(job) = registry::job(job) {
                job.cancel();
            }
        });
    }

    fn maq_job_error(job: u32, buffer: *mut c_char, capacity: usize) -> usize {
        // SAFETY: the header's contract.
        unsafe { text(buffer, capacity, || Ok(registry::job(job)?.error())) }
    }

    fn maq_job_preview(job: u32, mesh: *mut abi::Mesh) -> i32 {
        // SAFETY: the header's contract.
        unsafe { lend(mesh, "mesh", || registry::job(job)?.preview()) }
    }

    fn maq_job_mesh(job: u32, mesh: *mut abi::Mesh) -> i32 {
        // SAFETY: the header's contract.
        unsafe { lend(mesh, "mesh", || Ok(registry::job(job)?.output()?.mesh())) }
    }

    fn maq_job_image(job: u32, kind: u32, image: *mut abi::Image) -> i32 {
        // SAFETY: the header's contract.
        unsafe { lend(image, "image", || Ok(image_struct(registry::job(job)?.output()?.image(kind)?))) }
    }

    fn maq_job_view_count(job: u32, count: *mut u32) -> i32 {
        status(|| {
            // SAFETY: the header's contract.
            unsafe { write(count, 0, "count")? };
            let views = registry::job(job)?.output()?.view_count();
            // SAFETY: the header's contract.
            unsafe { write(count, views, "count") }
        })
    }

    fn maq_job_view(job: u32, index: u32, view: *mut abi::View) -> i32 {
        // SAFETY: the header's contract.
        unsafe { lend(view, "view", || registry::job(job)?.output()?.view(index)) }
    }

    fn maq_job_report(job: u32, buffer: *mut c_char, capacity: usize) -> usize {
        // SAFETY: the header's contract.
        unsafe { text(buffer, capacity, || Ok(registry::job(job)?.output()?.report.clone())) }
    }

    fn maq_job_save(job: u32, path: *const c_char) -> i32 {
        status(|| {
            let output = registry::job(job)?.output()?;
            // SAFETY: the header's contract.
            let path = unsafe { read_path(path, "path")? };
            let path = required(path.as_deref())?;
            let is_volume = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("vdb"));
            if is_volume { sdf::save_volume(path, &output.asset.mesh) } else { Ok(io::write_mesh(path, &output.asset)?) }
        })
    }

    fn maq_job_save_image(job: u32, kind: u32, path: *const c_char) -> i32 {
        status(|| {
            let output = registry::job(job)?.output()?;
            let image = output.image(kind)?;
            // SAFETY: the header's contract.
            let path = unsafe { read_path(path, "path")? };
            Ok(io::write_png(required(path.as_deref())?, image)?)
        })
    }

    fn maq_job_free(job: u32) {
        quiet(|| {
            if let Some(job) = registry::remove_job(job) {
                job.cancel();
            }
        });
    }
}

/// Body of an entry point that answers with the status of a job, which is no error of the call.
fn answer(body: impl FnOnce() -> Result<i32>) -> i32 {
    let mut answer = MAQ_PENDING;
    let failed = status(|| {
        answer = body()?;
        Ok(())
    });
    if failed == abi::MAQ_OK { answer } else { failed }
}

/// Body of an entry point that lends something: the struct is empty whenever there is nothing to lend.
unsafe fn lend<T: Mirror>(out: *mut T, name: &str, body: impl FnOnce() -> Result<T>) -> i32 {
    status(|| {
        // SAFETY: the caller's promise: the header's contract.
        unsafe { write_struct(out, &T::zeroed(), name)? };
        let lent = body()?;
        // SAFETY: as above.
        unsafe { write_struct(out, &lent, name) }
    })
}

fn required(path: Option<&Path>) -> Result<&Path> {
    path.ok_or_else(|| Error::argument("path is NULL"))
}

fn check_abi(abi: u32) -> Result<()> {
    let (major, minor) = (abi >> 16, abi & 0xffff);
    if major == MAQ_ABI_MAJOR {
        return Ok(());
    }
    let older = if major < MAQ_ABI_MAJOR { "program" } else { "library" };
    Err(Error::new(
        MAQ_ERROR_ABI_MISMATCH,
        format!(
            "the program was built for ABI {major}.{minor}, the library has {MAQ_ABI_MAJOR}.{}; update the {older}",
            abi::MAQ_ABI_MINOR
        ),
    ))
}

unsafe fn new_context(config: *const abi::ContextConfig) -> Result<Context> {
    if config.is_null() {
        return Context::new(0, Cache::of_user());
    }
    // SAFETY: the caller's promise: the header's contract.
    let abi::ContextConfig { struct_size: _, device_index, threads, reserved, cache_dir } =
        unsafe { read_struct(config, "config")? };
    if reserved != 0 {
        return Err(Error::argument(format!("config.reserved is {reserved}; leave it 0")));
    }
    devices::check(device_index)?;
    // SAFETY: as above.
    let cache = match unsafe { pointers::read_str(cache_dir, input::MAX_PATH, "config.cache_dir")? } {
        None => Cache::of_user(),
        Some("") => Cache::none(),
        Some(folder) => Cache::at(Path::new(folder), Cache::DEFAULT_LIMIT_BYTES),
    };
    Context::new(threads, cache)
}

fn start(context: &Arc<Context>, input: Input) -> Result<u32> {
    let (name, cache) = (input.name.clone(), Arc::clone(&context.cache));
    let work = move |progress: &maquette_core::Progress| {
        let request = input.load(progress)?;
        Ok(maquette_pipeline::run(&request, &cache, progress)?)
    };
    let job = Arc::new(Job::new(&context.log, &name, Box::new(work)));
    context.start(Arc::clone(&job))?;
    registry::insert_job(job)
}

fn status_name(status: i32) -> &'static CStr {
    macro_rules! names {
        ($($name:ident),*) => {
            match status {
                $(abi::$name => {
                    const TEXT: &str = concat!(stringify!($name), "\0");
                    CStr::from_bytes_with_nul(TEXT.as_bytes()).unwrap_or(c"MAQ_?")
                })*
                _ => c"MAQ_?",
            }
        };
    }
    names!(
        MAQ_OK,
        MAQ_PENDING,
        MAQ_ERROR_INTERNAL,
        MAQ_ERROR_INVALID_ARGUMENT,
        MAQ_ERROR_INVALID_HANDLE,
        MAQ_ERROR_ABI_MISMATCH,
        MAQ_ERROR_BUSY,
        MAQ_ERROR_CANCELLED,
        MAQ_ERROR_OUT_OF_MEMORY,
        MAQ_ERROR_NO_DEVICE,
        MAQ_ERROR_DEVICE_LOST,
        MAQ_ERROR_WEIGHTS,
        MAQ_ERROR_IO
    )
}

/// As `maquette_core::Stage::name`; a test compares them.
fn stage_name(stage: u32) -> &'static CStr {
    match stage {
        abi::MAQ_STAGE_QUEUED => c"queued",
        abi::MAQ_STAGE_LOAD => c"load",
        abi::MAQ_STAGE_SEGMENT => c"segment",
        abi::MAQ_STAGE_VIEWS => c"views",
        abi::MAQ_STAGE_COARSE => c"coarse",
        abi::MAQ_STAGE_REFINE => c"refine",
        abi::MAQ_STAGE_DETAIL => c"detail",
        abi::MAQ_STAGE_TEXTURE => c"texture",
        abi::MAQ_STAGE_BAKE => c"bake",
        abi::MAQ_STAGE_FINISH => c"finish",
        abi::MAQ_STAGE_DONE => c"done",
        _ => c"?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::Stage;

    #[test]
    fn stages_have_the_names_and_numbers_of_core() {
        use Stage::*;
        let stages = [Queued, Load, Segment, Views, Coarse, Refine, Detail, Texture, Bake, Finish, Done];
        assert_eq!(stages.len(), abi::STAGES.len());
        for (stage, (name, number)) in stages.into_iter().zip(abi::STAGES) {
            assert_eq!((stage as u32, stage.name()), (*number, stage_name(*number).to_str().unwrap()));
            assert_eq!(name.to_lowercase(), format!("maq_stage_{}", stage.name()));
        }
    }

    #[test]
    fn every_status_has_its_name() {
        for (name, number) in abi::STATUSES {
            assert_eq!(status_name(*number).to_str().unwrap(), *name);
        }
        assert_eq!(status_name(-999), c"MAQ_?");
    }
}

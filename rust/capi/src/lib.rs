//! The C ABI of Maquette: `cpp/include/maquette.h` is its manual, `exports` its functions.
//!
//! From outside in: `exports` (extern "C" shells), `guard` (panics, last error), `pointers` (reads and writes of host
//! memory), `registry` (handles), `context` (queue and worker), `job` (state and results), `input` (requests), `sdf`.
//! As a Rust library this crate serves its own tests; Rust programs use `maquette-pipeline`.

pub mod abi;
mod context;
mod devices;
mod error;
pub mod exports;
mod guard;
mod input;
mod job;
mod log;
mod pointers;
mod registry;
mod sdf;
pub mod testing;
mod threads;

pub use error::{Error, Result};

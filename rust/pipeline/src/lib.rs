//! From a request to a result: stage order, cache, report. The one public Rust API.

pub mod cache;
mod error;
pub mod sources;

pub use cache::Cache;
pub use error::{Error, Result};

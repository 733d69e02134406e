//! From a request to a result: stage order, cache, report. The one public Rust API.

pub mod cache;
mod error;
mod request;
pub mod segment;
pub mod sources;
pub mod turntable;

pub use cache::Cache;
pub use error::{Error, Result};
pub use request::{Outcome, Request};

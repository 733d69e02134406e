//! From a request to a result: stage order, cache, report. The one public Rust API.

mod agreement;
pub mod cache;
mod error;
mod job;
mod latent;
mod likeness;
mod refine;
mod request;
pub mod segment;
pub mod sources;
pub mod turntable;

pub use agreement::{Agreement, BeforeAfter, InputAgreement, agreement};
pub use cache::Cache;
pub use error::{Error, Result};
pub use job::{health, run};
pub use request::{Outcome, Request};

//! Training of the weights that are built into Maquette, and the data that they learn from.

pub mod checkpoint;
pub mod data;
pub mod draft;
mod error;
pub mod eval;
mod groups;
pub mod lin;
pub mod meshes;
pub mod optimizer;
pub mod plot;
pub mod prefetch;
pub mod preview;
pub mod run;
pub mod sae;

pub use error::{Error, Result};

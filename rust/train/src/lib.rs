//! Training of the weights that are built into Maquette, and the data that they learn from.

pub mod data;
mod error;
pub mod meshes;
pub mod preview;

pub use error::{Error, Result};

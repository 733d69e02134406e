//! Signed distance grids, FlexiCubes, losses, remeshing, simplification and mesh health.

pub mod adam;
mod error;

pub use error::{Error, Result};

//! Training of the shape autoencoder on streamed random shapes.

pub mod loss;
pub mod measure;
mod run;

pub use run::{SaeTraining, train};

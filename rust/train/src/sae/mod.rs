//! Training of the shape autoencoder on streamed random shapes.

pub mod loss;
pub mod measure;
mod run;
mod stream;

pub use run::{SaeTraining, train, unseen};

//! Training of the draft network on streamed samples.

pub mod loss;
mod run;

pub use run::{DraftTraining, Meshes, set_name, train};

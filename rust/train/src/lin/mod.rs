//! Training of the network that starts the search for a latent.

mod run;

pub use run::{LinTraining, train};

//! What Maquette knows about shapes before it sees a picture: random and procedural shapes to learn from, and the networks
//! that have learnt from them.

pub mod draft;
mod embedded;
mod error;
pub mod frustum;
pub mod lin;
pub mod nn;
pub mod sae;
pub mod shapes;

pub use error::{Error, Result};
pub use frustum::Frustum;

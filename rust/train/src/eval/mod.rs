//! What the networks reach, on shapes that they were never trained on.

pub mod draft;
pub mod latents;
pub mod shapes;

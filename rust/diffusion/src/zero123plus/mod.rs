//! Zero123++ v1.1 and v1.2 (Shi et al., "Zero123++: a Single Image to Consistent Multi-view Diffusion Base Model",
//! 2023) with their ControlNets.

mod folder;
pub mod memory;
mod noise;
mod pipeline;
pub mod preprocess;
mod preview;
pub mod rig;
pub mod sample;

pub use folder::{Component, ControlNetFolder, ModelFolder};
pub use noise::{Draw, Noise, Seeded};
pub use pipeline::{Options, Settings, Zero123Plus, best_device};
pub use preview::Previewer;
pub use rig::Rig;

//! Texture space, visibility, fitting, filling, unwrapping and baking.
//!
//! [`texture_mesh`] is the whole way: the views' pixels become equations over the surface (`footprint`), a sparse 3D
//! texture space is solved for them (`space`, `fit`, `least_squares`), the mesh is unwrapped (`unwrap`), the texels of the
//! map are solved for the same equations (`atlas`, `fit`), and the gaps between charts are filled (`fill`).

mod atlas;
mod box_projection;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
mod error;
mod fill;
mod fit;
mod footprint;
mod least_squares;
mod normal_map;
mod part;
mod space;
mod texture;
mod unwrap;
mod vector;

pub use error::{Error, Result};
pub use texture::{Report, Textured, texture_mesh};

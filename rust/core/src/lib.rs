//! Shared vocabulary of Maquette: images, meshes, cameras, views, the recipe, progress, and files.
//!
//! Everything here is plain data with checked constructors. No neural network, no unsafe code.
//!
//! Conventions (see `docs/design.md`): right-handed, +Y up, the front faces +Z; row 0 of an image is on top; pixel
//! `(row, column)` has its centre at `(column + 0.5, row + 0.5)`; colour is sRGB with straight alpha in [`Image`] and in
//! files, linear in [`Plane`]s.

pub mod camera;
pub mod color;
mod error;
pub mod exp;
pub mod image;
pub mod io;
pub mod mesh;
pub mod progress;
pub mod random;
pub mod recipe;
pub mod views;

pub use camera::Camera;
pub use error::{Error, Result};
pub use image::{Image, Plane};
pub use mesh::{Asset, Mesh};
pub use progress::{Progress, Stage};
pub use recipe::Recipe;
pub use views::{View, Views};

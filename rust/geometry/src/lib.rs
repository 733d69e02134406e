//! Signed distance grids, FlexiCubes, losses, remeshing, simplification and mesh health.

pub mod adam;
mod error;
pub mod health;
pub mod hull;
pub mod losses;
pub mod intersections;
pub mod mesh_to_sdf;
pub mod parts;
pub mod remesh;
pub mod sdf_grid;
pub mod silhouette;
#[cfg(test)]
mod test_meshes;
pub mod triangle_bvh;
mod vec3;

pub use error::{Error, Result};

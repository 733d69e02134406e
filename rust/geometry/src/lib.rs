//! Signed distance grids, FlexiCubes, losses, remeshing, simplification and mesh health.

pub mod adam;
mod adjacency;
mod banded;
mod consensus;
pub mod consistency;
pub mod detail;
pub mod elevation;
mod error;
pub mod flexicubes;
pub mod ghosts;
pub mod health;
pub mod hull;
pub mod intersections;
pub mod large_steps;
pub mod losses;
pub mod mend;
pub mod mesh_to_sdf;
pub mod mirror;
pub mod parts;
mod real;
pub mod reconstruct;
pub mod refusion;
pub mod remesh;
pub mod reprojection;
pub mod sdf_grid;
pub mod shifting;
pub mod silhouette;
pub mod simplify;
#[cfg(test)]
mod test_meshes;
pub mod triangle_bvh;
mod vec3;

pub use error::{Error, Result};
pub use real::Real;

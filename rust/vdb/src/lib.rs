//! Signed distance fields in OpenVDB files (Museth, "VDB: High-Resolution Sparse Volumes with Dynamic Topology", 2013), for
//! volume users of Houdini and Blender.
//!
//! OpenVDB is a C++ library, so this crate does nothing without its feature `openvdb`. Read only files that you trust:
//! OpenVDB does not defend itself against forged ones.

#[cfg(feature = "openvdb")]
mod bridge;
mod error;
#[cfg(feature = "openvdb")]
mod sdf;

pub use error::{Error, Result};
#[cfg(feature = "openvdb")]
pub use sdf::{Placement, read_sdf, write_mesh, write_sdf};

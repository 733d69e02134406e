//! The bridge to `cpp/vdb/sdf.cc`.
#![allow(unsafe_code, reason = "C++ behind checked arguments; no pointer crosses")]
#![allow(clippy::needless_lifetimes, missing_docs, unreachable_pub, reason = "what the bridge generates")]

// SAFETY: both functions keep to the slices they are given, keep nothing, and report errors by exception.
#[cxx::bridge(namespace = "maquette::vdb")]
pub(crate) mod ffi {
    /// Where the points of a grid lie: point `(i, j, k)` at `origin + voxel * (i, j, k)`.
    struct Placement {
        voxel: f64,
        origin: [f64; 3],
    }

    unsafe extern "C++" {
        include!("vdb/sdf.h");

        fn write_sdf(path: &str, values: &[f32], side: u32, placement: &Placement, band_voxels: u32) -> Result<()>;
        fn read_sdf(path: &str, side: u32, placement: &Placement) -> Result<Vec<f32>>;
    }
}

//! Meshes as signed distance fields: `maq_mesh_sdf`, and `maq_job_save` of a volume.

use std::path::Path;

use maquette_core::{Mesh, Progress};
use maquette_geometry::mesh_to_sdf::mesh_to_sdf;

use crate::guard::PanicNote;
use crate::{Error, Result, guard, threads};

/// Most cells an axis.
pub(crate) const MAX_RESOLUTION: u32 = 256;

/// Values that a field of `resolution` cells an axis has.
pub(crate) fn value_count(resolution: u32) -> Result<usize> {
    if !(1..=MAX_RESOLUTION).contains(&resolution) {
        return Err(Error::argument(format!("resolution is {resolution}; give 1 to {MAX_RESOLUTION} cells")));
    }
    Ok((resolution as usize + 1).pow(3))
}

/// Signed distances to `mesh`, x fastest.
pub(crate) fn signed_distances(mesh: &Mesh, resolution: u32, reach: f32) -> Result<Vec<f32>> {
    if reach.is_nan() || reach <= 0.0 {
        return Err(Error::argument(format!("reach is {reach}; give a distance above 0, or INFINITY")));
    }
    let note = PanicNote::default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = threads::pool(cores, &note).map_err(|reason| threads::not_started(&reason))?;
    let compute = || mesh_to_sdf(mesh, resolution as usize, reach, &Progress::new());
    let grid = pool.install(|| guard::catch(&note, compute))?.map_err(maquette_pipeline::Error::from)?;
    let side = resolution as usize + 1;
    let at = |index: usize| grid.values()[(index % side * side + index / side % side) * side + index / (side * side)];
    Ok((0..side * side * side).map(at).collect())
}

/// Writes the solid inside `mesh` as an OpenVDB level set.
#[cfg(feature = "openvdb")]
pub(crate) fn save_volume(path: &Path, mesh: &Mesh) -> Result<()> {
    /// Voxels along the longest side.
    const RESOLUTION: usize = 128;
    maquette_vdb::write_mesh(path, mesh, RESOLUTION).map_err(|error| match error {
        maquette_vdb::Error::Core(error) => error.into(),
        maquette_vdb::Error::Geometry(error) => Error::argument(error.to_string()),
        other => Error::new(crate::abi::MAQ_ERROR_IO, other.to_string()),
    })
}

/// Refuses: nothing here writes volumes.
#[cfg(not(feature = "openvdb"))]
pub(crate) fn save_volume(path: &Path, _mesh: &Mesh) -> Result<()> {
    Err(Error::new(
        crate::abi::MAQ_ERROR_IO,
        format!(
            "{}: this library was built without OpenVDB; use .glb, .gltf, .obj or .ply, or maq_mesh_sdf for distances",
            path.display()
        ),
    ))
}

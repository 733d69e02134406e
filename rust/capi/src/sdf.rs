//! `maq_mesh_sdf`: a host's mesh as a signed distance field.

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

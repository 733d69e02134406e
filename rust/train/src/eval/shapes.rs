//! How well shapes survive the autoencoder.

use std::path::Path;

use maquette_core::Progress;
use maquette_core::io::read_mesh;
use maquette_geometry::mesh_to_sdf::mesh_to_sdf;
use maquette_prior::sae::Sae;
use maquette_prior::sae::network::SIZE;
use maquette_prior::shapes::SdfCube;

use crate::data::cubes::{Kind, shape_of_kind};
use crate::run::HELD_OUT_SEED;
use crate::sae::measure::Likeness;
use crate::{Error, Result};

/// Header of [`line()`].
pub const HEADER: &str = "set,name,iou,normal_degrees,extra_pieces";

/// A row of the table.
pub fn line(set: &str, name: &str, likeness: &Likeness) -> String {
    let Likeness { iou, normal_degrees, extra_pieces } = likeness;
    format!("{set},{name},{iou:.4},{normal_degrees:.2},{extra_pieces:.2}")
}

/// What becomes of a shape on its way through the latent.
///
/// # Errors
/// When the network fails.
pub fn through(sae: &Sae, truth: &SdfCube) -> Result<Likeness> {
    Ok(Likeness::of(&sae.decode(&sae.encode(truth)?)?, truth))
}

/// Of the unseen shape `index` of a kind.
///
/// # Errors
/// When the network fails.
pub fn unseen(sae: &Sae, kind: Kind, index: u64) -> Result<Likeness> {
    through(sae, &shape_of_kind(HELD_OUT_SEED, index, SIZE, kind))
}

/// The mean of some.
pub fn mean(all: &[Likeness]) -> Likeness {
    let share = 1.0 / all.len().max(1) as f64;
    let of = |value: fn(&Likeness) -> f64| all.iter().map(value).sum::<f64>() * share;
    Likeness {
        iou: of(|one| one.iou),
        normal_degrees: of(|one| one.normal_degrees),
        extra_pieces: of(|one| one.extra_pieces),
    }
}

/// A mesh in the canonical frame as the autoencoder takes it.
///
/// # Errors
/// When the file cannot be read or holds no surface.
pub fn cube_of_mesh(path: &Path) -> Result<SdfCube> {
    let mesh = read_mesh(path)?.mesh;
    let cells = 2 * SIZE;
    let grid = mesh_to_sdf(&mesh, cells, SdfCube::REACH, &Progress::new())
        .map_err(|error| Error::File { path: path.to_owned(), reason: error.to_string() })?;
    // Every other vertex of a grid twice as fine is the middle of a cell; the grid counts z fastest, the cube x.
    let side = cells + 1;
    let values = (0..SIZE * SIZE * SIZE)
        .map(|index| {
            let [x, y, z] = [index % SIZE, index / SIZE % SIZE, index / (SIZE * SIZE)].map(|k| 2 * k + 1);
            grid.values()[(x * side + y) * side + z]
        })
        .collect();
    Ok(SdfCube { size: SIZE, values })
}

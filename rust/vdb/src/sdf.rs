use std::path::Path;

use maquette_core::{Error as Core, Mesh, Progress, io};
use maquette_geometry::mesh_to_sdf::mesh_to_sdf;
use maquette_geometry::sdf_grid::SdfGrid;

use crate::bridge::ffi;
use crate::{Error, Result};

/// Half width of the narrow band in voxels: what OpenVDB's own level set tools expect.
const BAND_VOXELS: u32 = 3;

/// Where the unit cube of a grid lies in the world: `world = center + scale * point`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// World units for each unit of the grid.
    pub scale: f32,
    /// World position of the cube's centre.
    pub center: [f32; 3],
}

impl Default for Placement {
    /// The unit cube itself.
    fn default() -> Self {
        Self { scale: 1.0, center: [0.0; 3] }
    }
}

impl Placement {
    fn of_points(self, resolution: usize) -> ffi::Placement {
        let scale = f64::from(self.scale);
        ffi::Placement {
            voxel: scale / resolution as f64,
            origin: self.center.map(|center| f64::from(center) - 0.5 * scale),
        }
    }
}

/// Writes `grid`, whose values are distances in its own units, as a level set named `surface` with a narrow band of three
/// voxels. The file is written whole or not at all.
pub fn write_sdf(path: &Path, grid: &SdfGrid, placement: Placement) -> Result<()> {
    let scaled: Vec<f32>;
    let values = if placement.scale == 1.0 {
        grid.values()
    } else {
        scaled = grid.values().iter().map(|value| value * placement.scale).collect();
        &scaled
    };
    let side = grid.resolution() as u32 + 1;
    let folder = tempfile::tempdir().map_err(|source| Core::io("making a temporary folder for", path, source))?;
    let whole = folder.path().join("surface.vdb");
    ffi::write_sdf(&text(&whole)?, values, side, &placement.of_points(grid.resolution()), BAND_VOXELS)
        .map_err(|error| refused(path, &error))?;
    let bytes = std::fs::read(&whole).map_err(|source| Core::io("reading", &whole, source))?;
    Ok(io::write_atomic(path, &bytes)?)
}

/// Writes the solid inside `mesh` as a level set of `resolution` voxels along its longest side, rim included.
pub fn write_mesh(path: &Path, mesh: &Mesh, resolution: usize) -> Result<()> {
    let (low, high) = mesh.bounds().ok_or_else(|| Error::File {
        path: path.to_owned(),
        reason: "cannot be written: the mesh has no vertices".to_owned(),
    })?;
    let longest = (0..3).map(|k| high[k] - low[k]).fold(f32::MIN_POSITIVE, f32::max);
    // The narrow band lies inside of the grid on all sides.
    let rim = 2 * (BAND_VOXELS as usize + 1);
    let scale = longest * resolution as f32 / resolution.saturating_sub(rim).max(1) as f32;
    let placement = Placement { scale, center: std::array::from_fn(|k| f32::midpoint(low[k], high[k])) };
    let mut unit = mesh.clone();
    for position in &mut unit.positions {
        *position = std::array::from_fn(|k| (position[k] - placement.center[k]) / scale);
    }
    let reach = (BAND_VOXELS + 1) as f32 / resolution as f32;
    write_sdf(path, &mesh_to_sdf(&unit, resolution, reach, &Progress::new())?, placement)
}

/// Reads the first level set of a file at the vertices of a grid of `resolution` cells an axis.
///
/// Beyond the file's narrow band the distance is that of its edge, with the right sign.
pub fn read_sdf(path: &Path, resolution: usize, placement: Placement) -> Result<SdfGrid> {
    // Refuses a resolution out of range before anything is read.
    let mut grid = SdfGrid::filled(resolution, 0.0)?;
    let values = ffi::read_sdf(&text(path)?, resolution as u32 + 1, &placement.of_points(resolution))
        .map_err(|error| refused(path, &error))?;
    for (slot, value) in grid.values_mut().iter_mut().zip(values) {
        *slot = value / placement.scale;
    }
    Ok(SdfGrid::new(resolution, grid.into_values())?)
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::File {
        path: path.to_owned(),
        reason: "has a name that is not Unicode; rename it".to_owned(),
    })
}

fn refused(path: &Path, error: &cxx::Exception) -> Error {
    Error::File { path: path.to_owned(), reason: error.what().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ball(resolution: usize) -> SdfGrid {
        SdfGrid::from_fn(resolution, |[x, y, z]| (x * x + (y - 0.1).powi(2) + z * z).sqrt() - 0.3).unwrap()
    }

    /// Largest difference of two fields, the second of which knows distances up to `band` alone.
    fn difference(a: &SdfGrid, b: &SdfGrid, band: f32) -> f32 {
        let pairs = a.values().iter().zip(b.values());
        pairs.map(|(a, b)| (a.clamp(-band, band) - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_field_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (grid, path) = (ball(32), folder.path().join("ball.vdb"));
        for placement in [Placement::default(), Placement { scale: 2.5, center: [1.0, -2.0, 3.0] }] {
            write_sdf(&path, &grid, placement).unwrap();
            let back = read_sdf(&path, 32, placement).unwrap();
            assert!(difference(&grid, &back, 3.0 / 32.0) < 1e-6);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_solid_of_a_mesh_is_where_the_mesh_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tetrahedron.vdb");
        let corners = vec![[5.0, 0.0, 0.0], [9.0, 0.0, 0.0], [5.0, 4.0, 0.0], [5.0, 0.0, 4.0]];
        let mesh = Mesh::new(corners, vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]).unwrap();
        write_mesh(&path, &mesh, 64).unwrap();
        let back = read_sdf(&path, 16, Placement { scale: 8.0, center: [6.0, 1.0, 1.0] }).unwrap();
        for (value, [x, y, z]) in back.values().iter().zip(SdfGrid::positions(16)) {
            let [x, y, z] = [1.0 + 8.0 * x, 1.0 + 8.0 * y, 1.0 + 8.0 * z];
            let inside = x.min(y).min(z).min((4.0 - x - y - z) / 3f32.sqrt());
            assert!(inside.abs() < 0.05 || (inside > 0.0) == (*value < 0.0), "{x} {y} {z}: {value}");
        }
        assert!(write_mesh(&path, &Mesh::default(), 64).is_err());
    }

    #[test]
    fn other_resolutions_are_interpolated_and_axes_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ball.vdb");
        write_sdf(&path, &ball(48), Placement::default()).unwrap();
        let back = read_sdf(&path, 20, Placement::default()).unwrap();
        // The ball stands off centre along y: exchanged axes would show. Interpolation rounds the kink where the band ends.
        let near = |value: f32| value.abs() < 1.0 / 48.0;
        for (a, b) in ball(20).values().iter().zip(back.values()) {
            assert!(
                if near(*a) { (a - b).abs() < 1e-3 } else { a.signum() == b.signum() && b.abs() > 0.02 },
                "{a} {b}"
            );
        }
        assert!(ball(20).values().iter().filter(|value| near(**value)).count() > 100);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not.vdb");
        for bytes in [&b""[..], b"not a volume", &[0; 4096]] {
            std::fs::write(&path, bytes).unwrap();
            let error = read_sdf(&path, 8, Placement::default()).unwrap_err().to_string();
            assert!(error.contains("not.vdb"), "{error}");
        }
        assert!(read_sdf(&folder.path().join("none.vdb"), 8, Placement::default()).is_err());
        assert!(write_sdf(Path::new("/nowhere/a.vdb"), &ball(8), Placement::default()).is_err());
        assert!(read_sdf(&path, 0, Placement::default()).is_err());
    }
}

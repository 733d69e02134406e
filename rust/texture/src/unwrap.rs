//! Texture coordinates for a mesh that has none: charts, flattening and packing.
//!
//! Done by the `uvunwrap` library on threads of its own, so that neither a hang nor a panic on a bad mesh gets through;
//! where it gives up, [`crate::box_projection`] takes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use maquette_core::Mesh;

use crate::box_projection;
use crate::part::Part;
use crate::{Error, Result};

/// Larger meshes are projected at once: charts would take longer than anyone waits.
const MOST_TRIANGLES: usize = 600_000;
/// Something has gone wrong by then. A time and not a count of steps, so only a last resort.
const DEADLINE: Duration = Duration::from_mins(1);
/// How often the waiting thread looks for a cancelled job.
const POLL: Duration = Duration::from_millis(20);

/// Texture coordinates and how many charts they form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unwrapped {
    /// Texture coordinates of every triangle corner, origin bottom-left, inside of 0..1.
    pub(crate) corner_uvs: Vec<[[f32; 2]; 3]>,
    /// Number of charts.
    pub(crate) charts: usize,
}

/// Unwraps `mesh` for a texture of `size` x `size` texels with at least `gutter` texels between charts.
pub(crate) fn unwrap(mesh: &Mesh, size: u32, gutter: u32, part: Part) -> Result<Unwrapped> {
    part.at(0.0)?;
    let unwrapped = if mesh.triangles.len() <= MOST_TRIANGLES {
        chart(mesh, size, gutter, part)?
    } else {
        Err(format!("it has {} triangles, more than {MOST_TRIANGLES}", mesh.triangles.len()))
    };
    unwrapped.or_else(|reason| {
        part.warn(format!("the mesh was projected from six sides instead of being unwrapped: {reason}"));
        box_projection::unwrap(mesh, size, gutter, part)
    })
}

/// Unwraps into charts of low distortion; the inner error says why there are none.
fn chart(mesh: &Mesh, size: u32, gutter: u32, part: Part) -> Result<std::result::Result<Unwrapped, String>> {
    let options = uvunwrap::Options {
        density: uvunwrap::Density::Auto { page_size: size },
        // The library keeps this distance on both sides of a gap, measured between outlines, not whole texels.
        padding: gutter / 2 + 1,
        ..uvunwrap::Options::default()
    };
    let positions = mesh.positions.clone();
    let indices: Vec<u32> = mesh.triangles.iter().flatten().copied().collect();
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    // The library runs on the pool it is called from; the process-wide one does not exist in the child of a fork.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(rayon::current_num_threads())
        .thread_name(|index| format!("maquette-unwrap-{index}"))
        // A panic drops the sender, which says enough.
        .panic_handler(|_| ())
        .build()
        .map_err(|error| Error::Thread(error.to_string()))?;
    pool.spawn({
        let stop = stop.clone();
        move || {
            let mesh = uvunwrap::MeshInput::new(&positions, &indices);
            let atlas = uvunwrap::generate_with_progress(&[mesh], &options, |_| !stop.load(Ordering::Relaxed));
            // The waiting side may have left.
            let _ = sender.send(atlas);
        }
    });
    let started = Instant::now();
    let atlas = loop {
        match receiver.recv_timeout(POLL) {
            Ok(Ok(atlas)) => break atlas,
            Ok(Err(error)) => return Ok(Err(error.to_string())),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(cancelled) = part.at(0.1) {
                    stop.store(true, Ordering::Relaxed);
                    return Err(cancelled);
                }
                if started.elapsed() > DEADLINE {
                    stop.store(true, Ordering::Relaxed);
                    return Ok(Err(format!("charts took longer than {} s", DEADLINE.as_secs())));
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Err("the unwrapper failed on it".to_owned()));
            }
        }
    };
    let output = &atlas.meshes[0];
    if atlas.page_count != 1 || output.indices.len() != 3 * mesh.triangles.len() {
        return Ok(Err(format!(
            "its {} charts do not fit a texture of {size} texels; a larger bake.texture_size may help",
            atlas.chart_count
        )));
    }
    // The page is cropped to the rows in use.
    let scale = [atlas.width as f32 / size as f32, atlas.height as f32 / size as f32];
    let corner_uvs = output
        .indices
        .chunks_exact(3)
        .map(|corners| {
            std::array::from_fn(|k| {
                let uv = output.vertices[corners[k] as usize].uv;
                [uv[0] * scale[0], uv[1] * scale[1]]
            })
        })
        .collect();
    Ok(Ok(Unwrapped { corner_uvs, charts: atlas.chart_count as usize }))
}

#[cfg(test)]
mod tests {
    use maquette_core::Progress;

    use super::*;
    use crate::atlas::Atlas;
    use crate::common::{boxes, sphere};

    /// Chart of each triangle: those that share an edge in texture space.
    fn charts(corner_uvs: &[[[f32; 2]; 3]]) -> Vec<usize> {
        let bits = |uv: [f32; 2]| uv.map(f32::to_bits);
        let mut labels: Vec<usize> = (0..corner_uvs.len()).collect();
        let mut owners = std::collections::HashMap::new();
        for _ in 0..corner_uvs.len() {
            let mut changed = false;
            for (triangle, corners) in corner_uvs.iter().enumerate() {
                for k in 0..3 {
                    let (a, b) = (bits(corners[k]), bits(corners[(k + 1) % 3]));
                    let label = owners.entry((a.min(b), a.max(b))).or_insert(labels[triangle]);
                    let least = labels[triangle].min(*label);
                    changed |= *label != least || labels[triangle] != least;
                    (labels[triangle], *label) = (least, least);
                }
            }
            if !changed {
                break;
            }
        }
        labels
    }

    /// Smallest distance between the centres of texels of two charts, in texels, as far as it is below `up_to` + 2.
    fn smallest_distance(corner_uvs: &[[[f32; 2]; 3]], size: usize, up_to: usize) -> f32 {
        let labels = charts(corner_uvs);
        let atlas = Atlas::new(corner_uvs, size);
        let mut owner = vec![usize::MAX; size * size];
        for (number, &texel) in atlas.texels.iter().enumerate() {
            // Texels with area inside of the chart, not the ring around it.
            let (row, column) = (texel as usize / size, texel as usize % size);
            for point in atlas.points(number) {
                let [u, v] = crate::atlas::uv_of(corner_uvs, *point);
                let (x, y) = (u * size as f32, (1.0 - v) * size as f32);
                if (x - column as f32 - 0.5).abs() < 0.5 && (y - row as f32 - 0.5).abs() < 0.5 {
                    owner[texel as usize] = labels[point.triangle as usize];
                }
            }
        }
        let mut smallest = up_to as f32 + 2.0;
        for row in 0..size {
            for column in 0..size {
                let own = owner[row * size + column];
                for r in row..(row + up_to + 1).min(size) {
                    for c in column.saturating_sub(up_to)..(column + up_to + 1).min(size) {
                        let other = owner[r * size + c];
                        if own != usize::MAX && other != usize::MAX && own != other {
                            smallest = smallest.min(((r - row) as f32).hypot(c.abs_diff(column) as f32));
                        }
                    }
                }
            }
        }
        smallest
    }

    fn check(unwrapped: &Unwrapped, mesh: &Mesh, size: u32, gutter: u32) {
        assert_eq!(unwrapped.corner_uvs.len(), mesh.triangles.len());
        assert!(unwrapped.corner_uvs.iter().flatten().flatten().all(|x| (0.0..=1.0).contains(x)));
        let distance = smallest_distance(&unwrapped.corner_uvs, size as usize, gutter as usize);
        assert!(distance > gutter as f32, "texels of two charts are {distance} apart, gutter {gutter}");
    }

    #[test]
    fn charts_keep_their_distance() {
        for mesh in [sphere(24), boxes(9)] {
            for gutter in [4, 5, 8] {
                let progress = Progress::new();
                let unwrapped = unwrap(&mesh, 256, gutter, Part::whole(&progress)).unwrap();
                assert!(progress.warnings().is_empty(), "{:?}", progress.warnings());
                check(&unwrapped, &mesh, 256, gutter);
                assert_eq!(Atlas::new(&unwrapped.corner_uvs, 256).shared, 0);
                let projected = box_projection::unwrap(&mesh, 256, gutter, Part::whole(&progress)).unwrap();
                check(&projected, &mesh, 256, gutter);
            }
        }
    }

    #[test]
    fn more_charts_than_texels_still_get_coordinates() {
        let mesh = boxes(700);
        let progress = Progress::new();
        let unwrapped = unwrap(&mesh, 64, 4, Part::whole(&progress)).unwrap();
        assert_eq!(progress.warnings().len(), 1, "{:?}", progress.warnings());
        assert_eq!(unwrapped.charts, 6);
        assert!(unwrapped.corner_uvs.iter().flatten().flatten().all(|x| (0.0..=1.0).contains(x)));
        assert!(Atlas::new(&unwrapped.corner_uvs, 64).texels.len() > 500);
    }

    #[test]
    fn cancelling_stops_it() {
        let progress = Progress::new();
        progress.cancel();
        assert!(unwrap(&sphere(64), 256, 4, Part::whole(&progress)).is_err());
    }
}

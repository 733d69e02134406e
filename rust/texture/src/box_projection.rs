//! Texture coordinates by projection from six sides: always works, in bounded time, but stretches slopes and overlaps
//! where a side folds over itself.
//!
//! Triangles that face the same side and share an edge form a chart; charts are packed on shelves, tallest first, at the
//! largest scale that fits.

use maquette_core::Mesh;

use crate::Result;
use crate::part::Part;
use crate::unwrap::Unwrapped;

/// Halvings of the interval in which the largest scale is sought.
const SCALE_STEPS: usize = 32;

/// A chart on its side's plane.
struct Chart {
    /// Lower corner and size in world units.
    low: [f32; 2],
    extent: [f32; 2],
}

/// Projects `mesh` for a texture of `size` x `size` texels with at least `gutter` texels between charts.
pub(crate) fn unwrap(mesh: &Mesh, size: u32, gutter: u32, part: Part) -> Result<Unwrapped> {
    let sides: Vec<u8> = mesh.triangles.iter().map(|&triangle| side_of(mesh.area_vector(triangle))).collect();
    part.at(0.3)?;
    let labels = connected(&mesh.triangles, &sides, mesh.positions.len());
    part.at(0.6)?;
    let mut charts = charts_of(mesh, &sides, &labels);
    let mut labels = labels;
    let packed = if let Some(packed) = pack(&charts, size, gutter) {
        packed
    } else {
        // Too many crumbs: one chart for each side, parts behind one another overlap.
        labels = sides.iter().map(|&side| u32::from(side)).collect();
        charts = charts_of(mesh, &sides, &labels);
        pack(&charts, size, gutter).unwrap_or_else(|| (0.0, vec![[gutter as f32; 2]; charts.len()]))
    };
    part.at(0.9)?;
    let (scale, corners) = packed;
    let corner_uvs = mesh
        .triangles
        .iter()
        .zip(sides.iter().zip(&labels))
        .map(|(triangle, (&side, &label))| {
            let (chart, corner) = (&charts[label as usize], corners[label as usize]);
            triangle.map(|vertex| {
                let point = project(mesh.positions[vertex as usize], side);
                std::array::from_fn(|k| (corner[k] + (point[k] - chart.low[k]) * scale) / size as f32)
            })
        })
        .collect();
    Ok(Unwrapped { corner_uvs, charts: charts.len() })
}

/// 2 * axis, plus 1 where the triangle faces down the axis.
fn side_of(normal: [f32; 3]) -> u8 {
    let axis = (0..3).max_by(|&a, &b| normal[a].abs().total_cmp(&normal[b].abs())).unwrap_or(0);
    2 * axis as u8 + u8::from(normal[axis] < 0.0)
}

/// The point on its side's plane, never mirrored.
fn project(point: [f32; 3], side: u8) -> [f32; 2] {
    let axis = usize::from(side / 2);
    let (a, b) = (point[(axis + 1) % 3], point[(axis + 2) % 3]);
    if side.is_multiple_of(2) { [a, b] } else { [b, a] }
}

/// Chart number of each triangle, counted in triangle order.
fn connected(triangles: &[[u32; 3]], sides: &[u8], vertices: usize) -> Vec<u32> {
    // Sides get vertices of their own, so that only triangles of one side can share an edge.
    let mut edges: Vec<(u64, u64, u32)> = Vec::with_capacity(3 * triangles.len());
    for (index, (triangle, &side)) in triangles.iter().zip(sides).enumerate() {
        for k in 0..3 {
            let (a, b) = (u64::from(triangle[k]), u64::from(triangle[(k + 1) % 3]));
            edges.push((a.min(b) + u64::from(side) * vertices as u64, a.max(b), index as u32));
        }
    }
    edges.sort_unstable();
    let mut parent: Vec<u32> = (0..triangles.len() as u32).collect();
    for pair in edges.windows(2) {
        if (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1) {
            let (a, b) = (root(&mut parent, pair[0].2), root(&mut parent, pair[1].2));
            parent[a.max(b) as usize] = a.min(b);
        }
    }
    let mut numbers = vec![u32::MAX; triangles.len()];
    let mut next = 0;
    (0..triangles.len() as u32)
        .map(|triangle| {
            let number = &mut numbers[root(&mut parent, triangle) as usize];
            if *number == u32::MAX {
                *number = next;
                next += 1;
            }
            *number
        })
        .collect()
}

fn root(parent: &mut [u32], mut index: u32) -> u32 {
    while parent[index as usize] != index {
        parent[index as usize] = parent[parent[index as usize] as usize];
        index = parent[index as usize];
    }
    index
}

fn charts_of(mesh: &Mesh, sides: &[u8], labels: &[u32]) -> Vec<Chart> {
    let count = labels.iter().max().map_or(0, |&label| label as usize + 1);
    let mut bounds = vec![([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]); count];
    for (triangle, (&side, &label)) in mesh.triangles.iter().zip(sides.iter().zip(labels)) {
        let (low, high) = &mut bounds[label as usize];
        for vertex in triangle {
            let point = project(mesh.positions[*vertex as usize], side);
            for k in 0..2 {
                low[k] = low[k].min(point[k]);
                high[k] = high[k].max(point[k]);
            }
        }
    }
    bounds
        .into_iter()
        .map(|(low, high)| {
            // A label that no triangle has.
            if low[0] > high[0] {
                return Chart { low: [0.0; 2], extent: [0.0; 2] };
            }
            Chart { low, extent: [high[0] - low[0], high[1] - low[1]] }
        })
        .collect()
}

/// Texels for each world unit, and the lower corner of each chart in texels. `None` when not even points would fit.
fn pack(charts: &[Chart], size: u32, gutter: u32) -> Option<(f32, Vec<[f32; 2]>)> {
    let mut order: Vec<usize> = (0..charts.len()).collect();
    order.sort_by(|&a, &b| charts[b].extent[1].total_cmp(&charts[a].extent[1]).then(a.cmp(&b)));
    let largest = charts.iter().flat_map(|chart| chart.extent).fold(0.0f32, f32::max);
    let (mut low, mut high) = (0.0, if largest > 0.0 { size as f32 / largest } else { 0.0 });
    let mut best = (low, shelves(charts, &order, low, size, gutter)?);
    for _ in 0..SCALE_STEPS {
        let middle = 0.5 * (low + high);
        match shelves(charts, &order, middle, size, gutter) {
            Some(corners) => {
                best = (middle, corners);
                low = middle;
            }
            None => high = middle,
        }
    }
    Some(best)
}

fn shelves(charts: &[Chart], order: &[usize], scale: f32, size: u32, gutter: u32) -> Option<Vec<[f32; 2]>> {
    // One texel more on every side: a chart's border reads the texels next to it.
    let margin = (gutter + 2) as f32;
    let side = size as f32 - margin;
    let mut corners = vec![[0.0; 2]; charts.len()];
    let (mut x, mut y, mut height) = (margin, margin, 0.0f32);
    for &index in order {
        let extent = charts[index].extent.map(|length| (length * scale).ceil() + margin);
        if x + extent[0] > side + margin {
            x = margin;
            y += height;
            height = 0.0;
        }
        if x + extent[0] > side + margin || y + extent[1] > side + margin {
            return None;
        }
        corners[index] = [x, y];
        x += extent[0];
        height = height.max(extent[1]);
    }
    Some(corners)
}

//! Signed distance on a regular grid over the unit cube, and the multi-resolution grids it is learned on.
//!
//! Grid vertex `(i, j, k)` of a grid of `n` cells an axis lies at `(i, j, k) / n - 0.5` and has index
//! `(i (n + 1) + j) (n + 1) + k`, as in FlexiCubes. Negative is inside.

use rayon::prelude::*;

use crate::{Error, Result};

/// A scalar field on the vertices of a regular grid over `[-0.5, 0.5]^3`.
#[derive(Clone, Debug, PartialEq)]
pub struct SdfGrid {
    resolution: usize,
    values: Vec<f32>,
}

impl SdfGrid {
    /// Most cells an axis.
    pub const MAX_RESOLUTION: usize = 512;

    /// Wraps `values`, one for each of the `(resolution + 1)^3` grid vertices, all finite.
    pub fn new(resolution: usize, values: Vec<f32>) -> Result<Self> {
        check_resolution(resolution)?;
        Error::check_length(
            "signed distance grid",
            values.len(),
            vertex_count(resolution),
            "one value for each grid vertex",
        )?;
        if let Some(index) = values.par_iter().position_first(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                what: "value of the signed distance grid",
                index,
                remedy: "give finite distances",
            });
        }
        Ok(Self { resolution, values })
    }

    /// A field of one value.
    pub fn filled(resolution: usize, value: f32) -> Result<Self> {
        check_resolution(resolution)?;
        Ok(Self { resolution, values: vec![value; vertex_count(resolution)] })
    }

    /// The values of `field` at the grid vertices, in parallel.
    pub fn from_fn(resolution: usize, field: impl Fn([f32; 3]) -> f32 + Sync) -> Result<Self> {
        let mut grid = Self::filled(resolution, 0.0)?;
        let side = resolution + 1;
        grid.values.par_chunks_mut(side * side).enumerate().for_each(|(i, slab)| {
            for (j, row) in slab.chunks_mut(side).enumerate() {
                for (k, value) in row.iter_mut().enumerate() {
                    *value = field(vertex_position(resolution, [i, j, k]));
                }
            }
        });
        Ok(grid)
    }

    /// Cells an axis.
    pub fn resolution(&self) -> usize {
        self.resolution
    }

    /// Edge of a cell in world units.
    pub fn cell(&self) -> f32 {
        1.0 / self.resolution as f32
    }

    /// Values at the grid vertices, in world units where the field is a distance.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Values at the grid vertices.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Values at the grid vertices.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Positions of all grid vertices, in the order of the values.
    pub fn positions(resolution: usize) -> Vec<[f32; 3]> {
        let side = resolution + 1;
        (0..vertex_count(resolution))
            .map(|index| vertex_position(resolution, [index / (side * side), index / side % side, index % side]))
            .collect()
    }

    /// Trilinear look-up, clamped at the cube's border.
    pub fn sample(&self, point: [f32; 3]) -> f32 {
        let side = self.resolution + 1;
        let mut base = [0; 3];
        let mut fraction = [0.0; 3];
        for axis in 0..3 {
            let x = ((point[axis] + 0.5) * self.resolution as f32).clamp(0.0, self.resolution as f32);
            base[axis] = (x as usize).min(self.resolution - 1);
            fraction[axis] = x - base[axis] as f32;
        }
        let mut sum = 0.0;
        for corner in 0..8 {
            let offset = [corner & 1, corner >> 1 & 1, corner >> 2];
            let mut weight = 1.0;
            for axis in 0..3 {
                weight *= if offset[axis] == 1 { fraction[axis] } else { 1.0 - fraction[axis] };
            }
            let [i, j, k]: [usize; 3] = std::array::from_fn(|axis| base[axis] + offset[axis]);
            sum += weight * self.values[(i * side + j) * side + k];
        }
        sum
    }

    /// The field on a grid of another resolution, trilinear.
    pub fn resampled(&self, resolution: usize) -> Result<Self> {
        if resolution == self.resolution {
            return Ok(self.clone());
        }
        Self::from_fn(resolution, |point| self.sample(point))
    }

    /// Raises every value on the cube's border to at least `least`, so that the zero surface is closed.
    pub fn close_border(&mut self, least: f32) {
        for_each_border_vertex(self.resolution, |index| {
            self.values[index] = self.values[index].max(least);
        });
    }
}

/// Number of vertices of a grid of `resolution` cells an axis.
pub fn vertex_count(resolution: usize) -> usize {
    (resolution + 1).pow(3)
}

/// Position of grid vertex `index`.
pub fn vertex_position(resolution: usize, index: [usize; 3]) -> [f32; 3] {
    index.map(|i| i as f32 / resolution as f32 - 0.5)
}

/// Calls `visit` with the index of every grid vertex on the border of the cube, ascending.
pub(crate) fn for_each_border_vertex(resolution: usize, mut visit: impl FnMut(usize)) {
    let (side, last) = (resolution + 1, resolution);
    for i in 0..side {
        for j in 0..side {
            let row = (i * side + j) * side;
            if i == 0 || i == last || j == 0 || j == last {
                (row..row + side).for_each(&mut visit);
            } else {
                visit(row);
                visit(row + last);
            }
        }
    }
}

fn check_resolution(resolution: usize) -> Result<()> {
    if (1..=SdfGrid::MAX_RESOLUTION).contains(&resolution) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a signed distance grid of {resolution} cells an axis was asked for; give 1 to {}",
        SdfGrid::MAX_RESOLUTION
    )))
}

/// A field as the sum of grids of 1, 1/2, 1/4 and 1/8 of a resolution, each prolonged trilinearly.
///
/// A gradient at the surface is local; on the coarse grids it moves whole regions at once, which conditions the
/// optimisation like a multigrid solver. [`LearnedGrids::forward`] adds the sum to a field, [`LearnedGrids::backward`] is
/// its adjoint.
#[derive(Clone, Debug)]
pub struct LearnedGrids {
    /// Parameters, finest grid first.
    pub levels: Vec<Vec<f32>>,
    resolutions: Vec<usize>,
    /// One between each grid and the next coarser one.
    axes: Vec<Axis>,
    /// Prolonged sums and restricted gradients, as long as the levels.
    sums: Vec<Vec<f32>>,
    scratch: [Vec<f32>; 2],
}

impl LearnedGrids {
    /// `level_count` grids of zeros, each of half the resolution of the one before (at least one cell).
    pub fn new(resolution: usize, level_count: usize) -> Result<Self> {
        check_resolution(resolution)?;
        let resolutions: Vec<usize> =
            (0..level_count.max(1)).map(|level| ((resolution + (1 << level) / 2) >> level).max(1)).collect();
        let levels: Vec<Vec<f32>> = resolutions.iter().map(|&n| vec![0.0; vertex_count(n)]).collect();
        let axes = resolutions.windows(2).map(|pair| Axis::new(pair[0], pair[1])).collect();
        Ok(Self { sums: levels.clone(), levels, resolutions, axes, scratch: [Vec::new(), Vec::new()] })
    }

    /// Adds the prolonged sum of all grids to `field`, a value for each vertex of the finest.
    pub fn forward(&mut self, field: &mut [f32]) {
        let last = self.levels.len() - 1;
        self.sums[last].copy_from_slice(&self.levels[last]);
        for level in (0..last).rev() {
            let (finer, coarser) = self.sums.split_at_mut(level + 1);
            finer[level].copy_from_slice(&self.levels[level]);
            let sides = (self.resolutions[level] + 1, self.resolutions[level + 1] + 1);
            prolong(&self.axes[level], sides, &coarser[0], &mut finer[level], &mut self.scratch);
        }
        field.par_iter_mut().zip(&self.sums[0]).with_min_len(1 << 14).for_each(|(value, sum)| *value += sum);
    }

    /// Gradients of all grids, finest first, from the gradient of the field.
    pub fn backward(&mut self, field_gradient: &[f32]) -> &[Vec<f32>] {
        self.sums[0].copy_from_slice(field_gradient);
        for level in 0..self.levels.len() - 1 {
            let (finer, coarser) = self.sums.split_at_mut(level + 1);
            let sides = (self.resolutions[level] + 1, self.resolutions[level + 1] + 1);
            restrict(&self.axes[level], sides, &finer[level], &mut coarser[0], &mut self.scratch);
        }
        &self.sums
    }

    /// Parameters to be changed, and their gradients from the last [`LearnedGrids::backward`].
    pub fn levels_and_gradients(&mut self) -> impl Iterator<Item = (&mut Vec<f32>, &Vec<f32>)> {
        self.levels.iter_mut().zip(&self.sums)
    }
}

/// Linear interpolation from a coarse to a fine axis, and the same weights seen from the coarse side.
#[derive(Clone, Debug)]
struct Axis {
    /// For each fine vertex: lower coarse neighbour and the weight of the upper one.
    fine: Vec<(u32, f32)>,
    /// For each coarse vertex: its fine vertices and their weights.
    coarse: Vec<Vec<(u32, f32)>>,
}

impl Axis {
    fn new(fine_cells: usize, coarse_cells: usize) -> Self {
        let mut coarse = vec![Vec::new(); coarse_cells + 1];
        let fine = (0..=fine_cells)
            .map(|index| {
                // Exact in integers: the position in coarse cells is index * coarse_cells / fine_cells.
                let lower = (index * coarse_cells / fine_cells).min(coarse_cells - 1);
                let weight = (index * coarse_cells - lower * fine_cells) as f32 / fine_cells as f32;
                if weight < 1.0 {
                    coarse[lower].push((index as u32, 1.0 - weight));
                }
                if weight > 0.0 {
                    coarse[lower + 1].push((index as u32, weight));
                }
                (lower as u32, weight)
            })
            .collect();
        Self { fine, coarse }
    }
}

/// `fine += P coarse`, one axis after the other. `sides` = vertices an axis (fine, coarse).
fn prolong(axis: &Axis, (f, c): (usize, usize), coarse: &[f32], fine: &mut [f32], scratch: &mut [Vec<f32>; 2]) {
    let [y_done, x_only] = scratch;
    x_only.resize(f * c * c, 0.0);
    x_only.par_chunks_mut(c * c).zip(&axis.fine).with_min_len(4).for_each(|(slab, &(lower, weight))| {
        let start = lower as usize * c * c;
        let (a, b) = (&coarse[start..start + c * c], &coarse[start + c * c..start + 2 * c * c]);
        for ((out, a), b) in slab.iter_mut().zip(a).zip(b) {
            *out = a + weight * (b - a);
        }
    });
    y_done.resize(f * f * c, 0.0);
    let slabs = y_done.par_chunks_mut(f * c).zip(x_only.par_chunks(c * c)).zip(fine.par_chunks_mut(f * f));
    slabs.with_min_len(2).for_each(|((y_slab, x_slab), fine_slab)| {
        for (row, &(lower, weight)) in y_slab.chunks_mut(c).zip(&axis.fine) {
            let start = lower as usize * c;
            let (a, b) = (&x_slab[start..start + c], &x_slab[start + c..start + 2 * c]);
            for ((out, a), b) in row.iter_mut().zip(a).zip(b) {
                *out = a + weight * (b - a);
            }
        }
        for (row, source) in fine_slab.chunks_mut(f).zip(y_slab.chunks(c)) {
            for (out, &(lower, weight)) in row.iter_mut().zip(&axis.fine) {
                let lower = lower as usize;
                *out += source[lower] + weight * (source[lower + 1] - source[lower]);
            }
        }
    });
}

/// `coarse = P^T fine`, the adjoint of [`prolong`].
fn restrict(axis: &Axis, (f, c): (usize, usize), fine: &[f32], coarse: &mut [f32], scratch: &mut [Vec<f32>; 2]) {
    let [y_done, x_left] = scratch;
    y_done.resize(f * f * c, 0.0);
    x_left.resize(f * c * c, 0.0);
    let slabs = x_left.par_chunks_mut(c * c).zip(y_done.par_chunks_mut(f * c)).zip(fine.par_chunks(f * f));
    slabs.with_min_len(2).for_each(|((x_slab, y_slab), fine_slab)| {
        for (out_row, row) in y_slab.chunks_mut(c).zip(fine_slab.chunks(f)) {
            for (out, sources) in out_row.iter_mut().zip(&axis.coarse) {
                *out = sources.iter().map(|&(index, weight)| weight * row[index as usize]).sum();
            }
        }
        gather(x_slab, y_slab, c, &axis.coarse);
    });
    let x_left = &*x_left;
    coarse.par_chunks_mut(c * c).zip(&axis.coarse).for_each(|(slab, sources)| {
        gather(slab, x_left, c * c, std::slice::from_ref(sources));
    });
}

/// Each row of `out` becomes the weighted sum of its rows of `rows`, all `width` long.
fn gather(out: &mut [f32], rows: &[f32], width: usize, sources: &[Vec<(u32, f32)>]) {
    for (out, sources) in out.chunks_mut(width).zip(sources) {
        out.fill(0.0);
        for &(index, weight) in sources {
            let row = &rows[index as usize * width..(index as usize + 1) * width];
            for (out, value) in out.iter_mut().zip(row) {
                *out += weight * value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::random;
    use rand::RngExt as _;

    fn noise(len: usize, purpose: &str) -> Vec<f32> {
        let mut stream = random::stream(7, purpose);
        (0..len).map(|_| stream.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn sampling_is_exact_for_linear_fields() {
        let plane = |p: [f32; 3]| 0.3 * p[0] - 0.7 * p[1] + 0.2 * p[2] + 0.05;
        let grid = SdfGrid::from_fn(9, plane).unwrap();
        for point in [[0.0, 0.1, -0.2], [0.5, -0.5, 0.5], [0.49, 0.3, -0.31]] {
            assert!((grid.sample(point) - plane(point)).abs() < 1e-6);
        }
        let finer = grid.resampled(17).unwrap();
        let direct = SdfGrid::from_fn(17, plane).unwrap();
        assert!(finer.values().iter().zip(direct.values()).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(SdfGrid::positions(3)[27], vertex_position(3, [1, 2, 3]));
    }

    #[test]
    fn prolongation_reproduces_linear_fields_and_nests() {
        for resolution in [8, 13, 16] {
            let mut grids = LearnedGrids::new(resolution, 4).unwrap();
            let plane = |p: [f32; 3]| p[0] + 2.0 * p[1] - 3.0 * p[2];
            for level in 0..4 {
                let coarse = SdfGrid::from_fn(grids.resolutions[level], plane).unwrap();
                grids.levels[level] = coarse.into_values();
            }
            let mut field = vec![1.0; vertex_count(resolution)];
            grids.forward(&mut field);
            for (value, point) in field.iter().zip(SdfGrid::positions(resolution)) {
                assert!((value - 1.0 - 4.0 * plane(point)).abs() < 1e-5, "{resolution}");
            }
        }
    }

    #[test]
    fn backward_is_the_adjoint_of_forward() {
        for resolution in [12, 15, 24] {
            let mut grids = LearnedGrids::new(resolution, 4).unwrap();
            for (level, values) in grids.levels.iter_mut().enumerate() {
                *values = noise(values.len(), &format!("level {level}"));
            }
            let mut field = vec![0.0; vertex_count(resolution)];
            grids.forward(&mut field);
            let gradient = noise(field.len(), "gradient");
            let forward: f64 = field.iter().zip(&gradient).map(|(a, b)| f64::from(a * b)).sum();
            grids.backward(&gradient);
            let backward: f64 = grids
                .levels_and_gradients()
                .flat_map(|(level, gradient)| level.iter().zip(gradient))
                .map(|(a, b)| f64::from(a * b))
                .sum();
            assert!((forward - backward).abs() < 1e-4 * forward.abs().max(1.0), "{resolution}: {forward} {backward}");
        }
    }

    #[test]
    fn the_border_is_closed() {
        let mut grid = SdfGrid::filled(5, -1.0).unwrap();
        grid.close_border(0.5);
        let inside = grid.values().iter().filter(|&&value| value < 0.0).count();
        assert_eq!(inside, 4usize.pow(3));
    }

    #[test]
    fn bad_grids_are_refused() {
        assert!(SdfGrid::new(2, vec![0.0; 26]).unwrap_err().to_string().contains("27"));
        let mut values = vec![0.0; 27];
        values[3] = f32::NAN;
        assert!(SdfGrid::new(2, values).unwrap_err().to_string().contains('3'));
        assert!(SdfGrid::filled(0, 0.0).is_err());
        assert!(SdfGrid::filled(usize::MAX, 0.0).is_err());
        assert!(LearnedGrids::new(0, 4).is_err());
    }
}

//! Sparse least squares over pixel footprints, by conjugate gradients with a diagonal preconditioner (Hestenes and
//! Stiefel 1952, on the normal equations).
//!
//! Minimises over the unknown colours t
//!
//! ```text
//! sum_pixels w_p |(A t)_p - b_p|^2  +  smoothness^2 * 1/2 sum_nodes sum_neighbours |t_i - t_j|^2
//! ```
//!
//! The three channels share matrix and weights and are solved side by side, each with its own step. Every sum runs in a
//! fixed order: rows and columns are gathered, dot products are added up in fixed chunks.

use rayon::prelude::*;

use crate::Result;
use crate::footprint::{Footprints, SurfacePoint};
use crate::part::Part;
use crate::space::NONE;

/// A linear colour; the last number is padding that makes it one vector register.
pub(crate) type Color = [f32; 4];

/// Elements of a dot product that are added up before the sums are joined.
const CHUNK: usize = 8192;

/// Squared error of an unknown that counts as none, in squared roundings of 1.
const FLOOR: f64 = 64.0;

/// Compressed sparse rows.
#[derive(Clone, Debug, Default)]
struct Sparse {
    starts: Vec<u32>,
    entries: Vec<(u32, f32)>,
}

impl Sparse {
    #[inline]
    fn row(&self, row: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    #[inline]
    fn gather(&self, row: usize, values: &[Color]) -> Color {
        let mut sum = [0.0f32; 4];
        for &(index, weight) in self.row(row) {
            let value = values[index as usize];
            for k in 0..4 {
                sum[k] += weight * value[k];
            }
        }
        sum
    }

    /// Rows become columns; entries of a column are in row order.
    fn transposed(&self, columns: usize) -> Self {
        let mut starts = vec![0u32; columns + 1];
        for &(column, _) in &self.entries {
            starts[column as usize + 1] += 1;
        }
        for column in 0..columns {
            starts[column + 1] += starts[column];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); self.entries.len()];
        for row in 0..self.rows() {
            for &(column, weight) in self.row(row) {
                let place = &mut next[column as usize];
                entries[*place as usize] = (row as u32, weight);
                *place += 1;
            }
        }
        Self { starts, entries }
    }
}

/// The footprints' equations over one set of unknowns.
pub(crate) struct System<'a> {
    rows: Sparse,
    columns: Sparse,
    footprints: &'a Footprints,
    /// w of each pixel.
    weights: Vec<f32>,
    neighbours: Vec<[u32; 6]>,
    /// Weight of each difference to a neighbour; equal in both directions.
    links: Vec<[f32; 6]>,
}

impl<'a> System<'a> {
    /// `corners` names the unknowns that a surface point reads and their weights; [`NONE`] is left out. The unknowns and
    /// their neighbourhood are given by `neighbours`, where an unknown's own number stands for a missing neighbour.
    pub(crate) fn new<const N: usize>(
        footprints: &'a Footprints,
        neighbours: Vec<[u32; 6]>,
        corners: impl Fn(SurfacePoint) -> ([u32; N], [f32; N]) + Sync,
        part: Part,
    ) -> Result<Self> {
        const PIXELS: usize = 1024;
        /// Row lengths and entries of some pixels.
        type Rows = (Vec<u32>, Vec<(u32, f32)>);
        let parts: Vec<Rows> = (0..footprints.len().div_ceil(PIXELS))
            .into_par_iter()
            .map(|chunk| {
                let pixels = chunk * PIXELS..((chunk + 1) * PIXELS).min(footprints.len());
                let (mut lengths, mut entries) = (Vec::with_capacity(PIXELS), Vec::new());
                let mut row: Vec<(u32, f32)> = Vec::new();
                for pixel in pixels {
                    if part.is_cancelled() {
                        break;
                    }
                    row.clear();
                    let points = footprints.points(pixel);
                    let share = 1.0 / points.len() as f32;
                    for &point in points {
                        let (unknowns, weights) = corners(point);
                        let read = unknowns.into_iter().zip(weights);
                        let known = read.filter(|&(unknown, weight)| unknown != NONE && weight > 0.0);
                        row.extend(known.map(|(unknown, weight)| (unknown, weight * share)));
                    }
                    // Stable, so that equal unknowns are added up in one order.
                    row.sort_by_key(|entry| entry.0);
                    let before = entries.len();
                    for &(unknown, weight) in &row {
                        match entries[before..].last_mut() {
                            Some((last, sum)) if *last == unknown => *sum += weight,
                            _ => entries.push((unknown, weight)),
                        }
                    }
                    lengths.push((entries.len() - before) as u32);
                }
                (lengths, entries)
            })
            .collect();
        part.at(0.0)?;
        let entries = parts.iter().map(|part| part.1.len()).sum();
        let mut rows = Sparse { starts: vec![0], entries: Vec::with_capacity(entries) };
        let mut end = 0;
        for (lengths, entries) in parts {
            for length in lengths {
                end += length;
                rows.starts.push(end);
            }
            rows.entries.extend(entries);
        }
        let columns = rows.transposed(neighbours.len());
        let own = |unknown: usize, other: u32| if other as usize == unknown { 0.0 } else { 1.0 };
        let links = neighbours.iter().enumerate().map(|(k, others)| others.map(|other| own(k, other))).collect();
        Ok(Self { rows, columns, footprints, weights: vec![1.0; footprints.len()], neighbours, links })
    }

    /// Sets the weight of each pixel's equation to `weight` of its |cos| with the surface.
    pub(crate) fn weigh_pixels(&mut self, weight: impl Fn(f32) -> f32) {
        self.weights = self.footprints.cosines.iter().map(|&cosine| weight(cosine)).collect();
    }

    /// Weakens smoothness across the edges in `values`: differences above `contrast` are charged by their size, not by
    /// its square (iteratively reweighted least squares for total variation; Charbonnier et al. 1994).
    pub(crate) fn keep_edges(&mut self, values: &[Color], contrast: f32) {
        let scale = 1.0 / (contrast * contrast);
        self.links.par_iter_mut().zip(&self.neighbours).enumerate().for_each(|(unknown, (links, others))| {
            for (link, &other) in links.iter_mut().zip(others) {
                if other as usize != unknown {
                    let (a, b) = (values[unknown], values[other as usize]);
                    let square: f32 = (0..3).map(|k| (a[k] - b[k]) * (a[k] - b[k])).sum();
                    *link = 1.0 / (1.0 + square * scale).sqrt();
                }
            }
        });
    }

    /// Number of unknowns.
    pub(crate) fn unknowns(&self) -> usize {
        self.neighbours.len()
    }

    /// How much the pixels say about each unknown: the sum of its squared weights.
    pub(crate) fn evidence(&self) -> Vec<f32> {
        (0..self.unknowns())
            .into_par_iter()
            .map(|unknown| {
                let column = self.columns.row(unknown);
                column.iter().map(|&(pixel, weight)| self.weights[pixel as usize] * weight * weight).sum()
            })
            .collect()
    }

    /// Weighted root mean square of A t - b over pixels and channels; 0 without pixels.
    pub(crate) fn residual(&self, values: &[Color]) -> f32 {
        let pixels: Vec<usize> = (0..self.footprints.len()).collect();
        let sums: Vec<(f64, f64)> = pixels
            .par_chunks(CHUNK)
            .map(|pixels| {
                pixels.iter().fold((0.0, 0.0), |(sum, total), &pixel| {
                    let (got, wanted) = (self.rows.gather(pixel, values), self.footprints.colors[pixel]);
                    let square: f32 = (0..3).map(|k| (got[k] - wanted[k]) * (got[k] - wanted[k])).sum();
                    let weight = self.weights[pixel];
                    (sum + f64::from(weight * square), total + 3.0 * f64::from(weight))
                })
            })
            .collect();
        let (sum, total) = sums.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        if total > 0.0 { (sum / total).sqrt() as f32 } else { 0.0 }
    }

    /// out = (AᵀWA + smoothness² L) values.
    fn apply(&self, smoothness_squared: f32, values: &[Color], pixels: &mut [Color], out: &mut [Color]) {
        pixels.par_iter_mut().with_min_len(512).enumerate().for_each(|(pixel, value)| {
            let weight = self.weights[pixel];
            *value = self.rows.gather(pixel, values).map(|x| weight * x);
        });
        let pixels = &*pixels;
        out.par_iter_mut().with_min_len(512).enumerate().for_each(|(unknown, out)| {
            let mut sum = self.columns.gather(unknown, pixels);
            let value = values[unknown];
            for (&other, &link) in self.neighbours[unknown].iter().zip(&self.links[unknown]) {
                let other = values[other as usize];
                let link = link * smoothness_squared;
                for k in 0..4 {
                    sum[k] += link * (value[k] - other[k]);
                }
            }
            *out = sum;
        });
    }

    /// Improves `values` for at most `iterations` steps, or until the residual of the normal equations has shrunk to
    /// `tolerance` of their right hand side. Returns the steps taken.
    pub(crate) fn solve(
        &self,
        values: &mut [Color],
        smoothness: f32,
        iterations: usize,
        tolerance: f32,
        part: Part,
    ) -> Result<usize> {
        let unknowns = self.unknowns();
        let smoothness_squared = smoothness * smoothness;
        let mut pixels = vec![[0.0f32; 4]; self.footprints.len()];
        let mut image = vec![[0.0f32; 4]; unknowns];

        // Inverse of the diagonal; unknowns that nothing determines stay as they are.
        let preconditioner: Vec<f32> = self
            .evidence()
            .into_par_iter()
            .zip(&self.links)
            .map(|(evidence, links)| {
                let diagonal = evidence + smoothness_squared * links.iter().sum::<f32>();
                if diagonal > 0.0 { 1.0 / diagonal } else { 0.0 }
            })
            .collect();

        // Right hand side AᵀWb, then the residual.
        pixels.par_iter_mut().enumerate().for_each(|(pixel, value)| {
            *value = self.footprints.colors[pixel].map(|x| self.weights[pixel] * x);
        });
        let mut residual: Vec<Color> =
            (0..unknowns).into_par_iter().map(|unknown| self.columns.gather(unknown, &pixels)).collect();
        // Below the floor everything is rounding, which would be amplified where no pixel holds it down.
        let stiffness: f64 =
            preconditioner.iter().filter(|&&scale| scale > 0.0).map(|&scale| 1.0 / f64::from(scale)).sum();
        let floor = f64::from(f32::EPSILON).powi(2) * FLOOR * stiffness;
        let goal =
            preconditioned_norm(&residual, &preconditioner).map(|x| (x * f64::from(tolerance).powi(2)).max(floor));
        self.apply(smoothness_squared, values, &mut pixels, &mut image);
        residual.par_iter_mut().zip(&image).for_each(|(r, image)| *r = std::array::from_fn(|k| r[k] - image[k]));

        let mut direction: Vec<Color> =
            residual.par_iter().zip(&preconditioner).map(|(r, &scale)| r.map(|x| scale * x)).collect();
        let mut norm = preconditioned_norm(&residual, &preconditioner);
        for iteration in 0..iterations {
            part.at(iteration as f32 / iterations as f32)?;
            if (0..3).all(|k| norm[k] <= goal[k]) {
                return Ok(iteration);
            }
            self.apply(smoothness_squared, &direction, &mut pixels, &mut image);
            let curvature = dot(&direction, &image);
            let step: Color = std::array::from_fn(|k| ratio(norm[k], curvature[k]));
            values.par_iter_mut().zip(&direction).with_min_len(CHUNK).for_each(|(value, direction)| {
                *value = std::array::from_fn(|k| value[k] + step[k] * direction[k]);
            });
            residual.par_iter_mut().zip(&image).with_min_len(CHUNK).for_each(|(r, image)| {
                *r = std::array::from_fn(|k| r[k] - step[k] * image[k]);
            });
            let next = preconditioned_norm(&residual, &preconditioner);
            let keep: Color = std::array::from_fn(|k| ratio(next[k], norm[k]));
            norm = next;
            direction.par_iter_mut().zip(&residual).zip(&preconditioner).with_min_len(CHUNK).for_each(
                |((direction, r), &scale)| {
                    *direction = std::array::from_fn(|k| scale * r[k] + keep[k] * direction[k]);
                },
            );
        }
        part.at(1.0)?;
        Ok(iterations)
    }
}

fn ratio(a: f64, b: f64) -> f32 {
    if b > 0.0 { (a / b) as f32 } else { 0.0 }
}

fn dot(a: &[Color], b: &[Color]) -> [f64; 4] {
    let parts: Vec<[f64; 4]> = a
        .par_chunks(CHUNK)
        .zip(b.par_chunks(CHUNK))
        .map(|(a, b)| {
            let mut sum = [0.0f64; 4];
            for (a, b) in a.iter().zip(b) {
                for k in 0..4 {
                    sum[k] += f64::from(a[k] * b[k]);
                }
            }
            sum
        })
        .collect();
    join(&parts)
}

fn preconditioned_norm(residual: &[Color], preconditioner: &[f32]) -> [f64; 4] {
    let parts: Vec<[f64; 4]> = residual
        .par_chunks(CHUNK)
        .zip(preconditioner.par_chunks(CHUNK))
        .map(|(residual, preconditioner)| {
            let mut sum = [0.0f64; 4];
            for (r, &scale) in residual.iter().zip(preconditioner) {
                for k in 0..4 {
                    sum[k] += f64::from(scale * r[k] * r[k]);
                }
            }
            sum
        })
        .collect();
    join(&parts)
}

fn join(parts: &[[f64; 4]]) -> [f64; 4] {
    parts.iter().fold([0.0; 4], |sum, part| std::array::from_fn(|k| sum[k] + part[k]))
}

#[cfg(test)]
mod tests {
    use maquette_core::Progress;

    use super::*;
    use crate::footprint::Footprints;

    /// A row of `count` unknowns, each seen by one pixel that is the mean of it and its right neighbour.
    fn chain(colors: &[f32]) -> (Footprints, Vec<[u32; 6]>) {
        let count = colors.len() as u32;
        let points = (0..count).map(|k| SurfacePoint { triangle: k, barycentric: [0.0; 2] }).collect();
        let footprints = Footprints::from_parts(
            (0..=count).collect(),
            points,
            colors.iter().map(|&c| [c, 0.5 * c, 1.0 - c, 0.0]).collect(),
            vec![1.0; colors.len()],
        );
        let neighbours = (0..count).map(|k| [k.saturating_sub(1), (k + 1).min(count - 1), k, k, k, k]).collect();
        (footprints, neighbours)
    }

    fn pair(point: SurfacePoint) -> ([u32; 2], [f32; 2]) {
        ([point.triangle, if point.triangle == 39 { NONE } else { point.triangle + 1 }], [0.5; 2])
    }

    #[test]
    fn the_solution_has_no_gradient() {
        let colors: Vec<f32> = (0..40).map(|k| ((k * 7) % 11) as f32 / 11.0).collect();
        let (footprints, neighbours) = chain(&colors);
        let progress = Progress::new();
        let system = System::new(&footprints, neighbours, pair, Part::whole(&progress)).unwrap();
        let mut values = vec![[0.3; 4]; 40];
        system.solve(&mut values, 0.1, 500, 1e-6, Part::whole(&progress)).unwrap();
        // The loss itself, in f64, and its central differences.
        let loss = |values: &[Color]| -> f64 {
            let mut sum = 0.0;
            for k in 0..40 {
                let right = if k == 39 { 0.0 } else { f64::from(values[k + 1][0]) };
                sum += (0.5 * f64::from(values[k][0]) + 0.5 * right - f64::from(colors[k])).powi(2);
                if k < 39 {
                    sum += 0.01 * (f64::from(values[k][0]) - right).powi(2);
                }
            }
            sum
        };
        for k in 0..40 {
            let (mut up, mut down) = (values.clone(), values.clone());
            up[k][0] += 1e-2;
            down[k][0] -= 1e-2;
            let gradient = (loss(&up) - loss(&down)) / 2e-2;
            assert!(gradient.abs() < 1e-4, "d loss / d t_{k} = {gradient}");
        }
    }

    #[test]
    fn unseen_unknowns_continue_their_neighbours() {
        let (mut footprints, neighbours) = chain(&[0.25; 40]);
        footprints.cosines = (0..40).map(|k| if k < 20 { 1.0 } else { 0.0 }).collect();
        let progress = Progress::new();
        let mut system = System::new(&footprints, neighbours, pair, Part::whole(&progress)).unwrap();
        system.weigh_pixels(|cosine| cosine * cosine);
        assert_eq!(system.evidence().iter().filter(|&&evidence| evidence == 0.0).count(), 19);
        let mut values = vec![[0.9; 4]; 40];
        system.solve(&mut values, 0.05, 500, 1e-6, Part::whole(&progress)).unwrap();
        assert!(values.iter().all(|value| (value[0] - 0.25).abs() < 1e-3), "{values:?}");
        assert!(system.residual(&values) < 1e-3);
    }

    #[test]
    fn nothing_seen_stays_as_it_was() {
        let progress = Progress::new();
        let footprints = Footprints::from_parts(vec![0], vec![], vec![], vec![]);
        let system = System::new(&footprints, vec![[0; 6], [1; 6]], pair, Part::whole(&progress)).unwrap();
        let mut values = vec![[0.1; 4], [0.7; 4]];
        system.solve(&mut values, 0.1, 10, 1e-6, Part::whole(&progress)).unwrap();
        assert_eq!(values, [[0.1; 4], [0.7; 4]]);
        assert_eq!(system.residual(&values), 0.0);
    }
}

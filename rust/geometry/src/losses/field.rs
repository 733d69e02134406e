//! Priors on a signed distance field, and FlexiCubes' own regulariser.

use rayon::prelude::*;

use crate::sdf_grid::SdfGrid;

/// weight * mean of FlexiCubes' L_dev; `gradient` becomes dL/dL_dev.
pub fn deviation_loss(deviations: &[f32], weight: f32, gradient: &mut Vec<f32>) -> f64 {
    gradient.clear();
    gradient.resize(deviations.len(), weight / deviations.len().max(1) as f32);
    let sum: f64 = deviations.iter().map(|&deviation| f64::from(deviation)).sum();
    f64::from(weight) * sum / deviations.len().max(1) as f64
}

/// weight * mean, over grid edges whose ends differ in sign, of the cross-entropy between each end's logistic value and
/// the other end's sign (Munkberg et al. 2022, "Extracting Triangular 3D Models, Materials, and Lighting From Images").
/// Few sign changes, hence few floaters and cavities, make it small. Values count in cells, so that the logistic's
/// slope does not depend on the resolution. Adds dL/dvalue to `gradient`.
pub fn sign_change_loss(grid: &SdfGrid, weight: f32, gradient: &mut [f32]) -> f64 {
    let side = grid.resolution() + 1;
    let per_unit = grid.resolution() as f32;
    let values = grid.values();
    let strides = [side * side, side, 1];
    let edges: Vec<[u32; 2]> = (0..side)
        .into_par_iter()
        .flat_map_iter(|i| {
            (0..side * side).flat_map(move |rest| {
                let (j, k) = (rest / side, rest % side);
                let index = i * side * side + rest;
                [i, j, k].into_iter().zip(strides).filter_map(move |(position, stride)| {
                    (position + 1 < side && (values[index] < 0.0) != (values[index + stride] < 0.0))
                        .then_some([index as u32, (index + stride) as u32])
                })
            })
        })
        .collect();
    if edges.is_empty() {
        return 0.0;
    }
    let weight = weight / edges.len() as f32;
    let mut loss = 0.0f64;
    for [a, b] in edges {
        for (this, other) in [(a, b), (b, a)] {
            let value = values[this as usize] * per_unit;
            let outside = values[other as usize] >= 0.0;
            // -ln sigmoid(x) for the wanted sign of x, computed without overflow.
            let wanted = if outside { value } else { -value };
            loss += f64::from(weight * ((-wanted.abs()).exp().ln_1p() + (-wanted).max(0.0)));
            let slope = -1.0 / (1.0 + wanted.exp());
            gradient[this as usize] += weight * per_unit * if outside { slope } else { -slope };
        }
    }
    loss
}

/// weight * mean square of the field's second differences along the three axes, in cells. Adds dL/dvalue to `gradient`.
pub fn smoothness_loss(grid: &SdfGrid, weight: f32, gradient: &mut [f32]) -> f64 {
    let n = grid.resolution();
    if n < 2 {
        return 0.0;
    }
    let side = n + 1;
    let values = grid.values();
    let strides = [side * side, side, 1];
    let count = (3 * side * side * (side - 2)) as f32;
    let scale = weight * (n * n) as f32 / count;
    let second = |index: usize, stride: usize| values[index - stride] - 2.0 * values[index] + values[index + stride];
    let slabs = gradient.par_chunks_mut(side * side).enumerate();
    // Gathered: each value takes part in the second differences around itself and around both neighbours.
    let losses: Vec<f64> = slabs
        .map(|(i, slab)| {
            let mut loss = 0.0f64;
            for (rest, slot) in slab.iter_mut().enumerate() {
                let index = i * side * side + rest;
                for (position, stride) in [i, rest / side, rest % side].into_iter().zip(strides) {
                    if (1..n).contains(&position) {
                        let here = second(index, stride);
                        loss += f64::from(scale * here * here);
                        *slot -= 4.0 * scale * here;
                    }
                    if position >= 2 {
                        *slot += 2.0 * scale * second(index - stride, stride);
                    }
                    if position + 2 <= n {
                        *slot += 2.0 * scale * second(index + stride, stride);
                    }
                }
            }
            loss
        })
        .collect();
    losses.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_core::random;
    use rand::RngExt as _;

    fn check(loss: impl Fn(&SdfGrid, &mut [f32]) -> f64) {
        let mut stream = random::stream(3, "field");
        let n = 6;
        let mut grid = SdfGrid::from_fn(n, |p| p.iter().map(|x| x * x).sum::<f32>().sqrt() - 0.3).unwrap();
        for value in grid.values_mut() {
            *value += stream.random_range(-0.02..0.02);
            // Away from sign changes under the step below.
            *value += 0.02 * value.signum();
        }
        let mut gradient = vec![0.0; grid.values().len()];
        loss(&grid, &mut gradient);
        let step = 1e-2;
        for index in (0..gradient.len()).step_by(7) {
            let at = |offset: f32| {
                let mut moved = grid.clone();
                moved.values_mut()[index] += offset;
                loss(&moved, &mut vec![0.0; gradient.len()])
            };
            let numeric = (at(step) - at(-step)) / f64::from(2.0 * step);
            let difference = (numeric - f64::from(gradient[index])).abs();
            assert!(difference < 1e-2 * numeric.abs().max(1e-3), "{index}: {numeric} {}", gradient[index]);
        }
    }

    #[test]
    fn sign_change_gradient_matches_central_differences() {
        check(|grid, gradient| sign_change_loss(grid, 2.0, gradient));
    }

    #[test]
    fn smoothness_gradient_matches_central_differences() {
        check(|grid, gradient| smoothness_loss(grid, 2.0, gradient));
        let plane = SdfGrid::from_fn(5, |p| p[0] - 2.0 * p[1]).unwrap();
        assert!(smoothness_loss(&plane, 1.0, &mut vec![0.0; 216]) < 1e-9);
    }

    #[test]
    fn deviation_is_a_mean() {
        let mut gradient = Vec::new();
        assert!((deviation_loss(&[1.0, 2.0, 6.0], 0.5, &mut gradient) - 1.5).abs() < 1e-6);
        assert!(gradient.iter().all(|&g| (g - 0.5 / 3.0).abs() < 1e-7) && gradient.len() == 3);
        assert_eq!(deviation_loss(&[], 0.5, &mut gradient), 0.0);
    }
}

//! `y = x Wᵀ + b`.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::{Stop, multiply, row_mut, tiles};

const TILE_ROWS: usize = 512;
/// Few rows are cut along the outputs instead, so that small products use every core.
const TILE_COLUMNS: usize = 512;

/// `x` is `[rows, inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]` or empty; gives `[rows, outputs]`.
pub fn linear(x: &[f32], weight: &[f32], bias: &[f32], inputs: usize, outputs: usize, stop: &Stop<'_>) -> Vec<f32> {
    let rows = x.len() / inputs.max(1);
    let mut out = vec![0.0f32; rows * outputs];
    let x = MatRef::from_row_major_slice(x, rows, inputs);
    let weight = MatRef::from_row_major_slice(weight, outputs, inputs);
    let columns = if rows > 2 * TILE_ROWS { outputs } else { TILE_COLUMNS };
    tiles(MatMut::from_row_major_slice_mut(&mut out, rows, outputs), TILE_ROWS, columns).into_par_iter().for_each(
        |mut tile| {
            if stop() {
                return;
            }
            let (height, width) = (tile.part.nrows(), tile.part.ncols());
            if !bias.is_empty() {
                for row in 0..height {
                    row_mut(&mut tile.part, row).copy_from_slice(&bias[tile.column..tile.column + width]);
                }
            }
            multiply(
                tile.part.as_mut(),
                !bias.is_empty(),
                x.subrows(tile.row, height),
                weight.subrows(tile.column, width).transpose(),
            );
        },
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_sum() {
        let (rows, inputs, outputs) = (1100, 5, 7);
        let x: Vec<f32> = (0..rows * inputs).map(|k| (k % 13) as f32 - 6.0).collect();
        let weight: Vec<f32> = (0..outputs * inputs).map(|k| (k % 11) as f32 * 0.5).collect();
        let bias: Vec<f32> = (0..outputs).map(|k| k as f32).collect();
        for bias in [&bias[..], &[]] {
            let out = linear(&x, &weight, bias, inputs, outputs, &|| false);
            for row in 0..rows {
                for column in 0..outputs {
                    let dot: f32 = (0..inputs).map(|k| x[row * inputs + k] * weight[column * inputs + k]).sum();
                    assert_eq!(out[row * outputs + column], dot + bias.get(column).copied().unwrap_or(0.0));
                }
            }
        }
    }
}

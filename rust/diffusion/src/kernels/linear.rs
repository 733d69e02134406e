//! `y = x Wᵀ + b`, and two of them around a gate.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::{Stop, multiply, row_mut, tiles, vector};

const TILE_ROWS: usize = 512;
/// Few rows are cut along the outputs instead, so that small products use every core.
const TILE_COLUMNS: usize = 512;

/// Rows that go through both layers of a gated product at once, so that what is between them stays in the caches.
const GATED_ROWS: usize = 256;

/// Weights of one layer: `weight` is `[outputs, inputs]`, `bias` `[outputs]` or empty.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Row-major matrix.
    pub weight: &'a [f32],
    /// Added to every row.
    pub bias: &'a [f32],
}

/// `x` is `[rows, inputs]`; gives `onto + x Wᵀ + b`, `[rows, outputs]`; `onto` has that shape or is empty.
pub fn linear(
    x: &[f32],
    Layer { weight, bias }: Layer<'_>,
    onto: &[f32],
    inputs: usize,
    outputs: usize,
    stop: &Stop<'_>,
) -> Vec<f32> {
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
            for row in 0..height {
                let start = row_mut(&mut tile.part, row);
                if !onto.is_empty() {
                    start.copy_from_slice(&onto[(tile.row + row) * outputs + tile.column..][..width]);
                }
                if !bias.is_empty() {
                    vector::add_to(start, &bias[tile.column..][..width]);
                }
            }
            multiply(
                tile.part.as_mut(),
                !bias.is_empty() || !onto.is_empty(),
                x.subrows(tile.row, height),
                weight.subrows(tile.column, width).transpose(),
            );
        },
    );
    out
}

/// `x` is `[rows, channels]`, `gate` makes `[a, b]` of it, each `hidden` long, and `last` takes `a gelu(b)` back to
/// `channels`; gives `onto` plus that. Scratch a thread: `3 * GATED_ROWS * hidden` floats.
pub fn gated_linear(
    x: &[f32],
    gate: Layer<'_>,
    last: Layer<'_>,
    onto: &[f32],
    channels: usize,
    hidden: usize,
    stop: &Stop<'_>,
) -> Vec<f32> {
    let mut out = vec![0.0f32; onto.len()];
    let gate_weight = MatRef::from_row_major_slice(gate.weight, 2 * hidden, channels);
    let last_weight = MatRef::from_row_major_slice(last.weight, channels, hidden);
    let chunk = GATED_ROWS * channels;
    out.par_chunks_mut(chunk).zip(x.par_chunks(chunk).zip(onto.par_chunks(chunk))).for_each_init(
        || (Vec::new(), Vec::new()),
        |(wide, gated): &mut (Vec<f32>, Vec<f32>), (out, (x, onto))| {
            if stop() {
                return;
            }
            let rows = x.len() / channels;
            wide.clear();
            (0..rows).for_each(|_| wide.extend_from_slice(gate.bias));
            let wide_part = MatMut::from_row_major_slice_mut(wide, rows, 2 * hidden);
            multiply(wide_part, true, MatRef::from_row_major_slice(x, rows, channels), gate_weight.transpose());
            gated.clear();
            for row in wide.chunks_exact(2 * hidden) {
                let (a, b) = row.split_at(hidden);
                let start = gated.len();
                gated.extend_from_slice(a);
                vector::gate_by_gelu(&mut gated[start..], b);
            }
            out.copy_from_slice(onto);
            out.chunks_exact_mut(channels).for_each(|row| vector::add_to(row, last.bias));
            let gated = MatRef::from_row_major_slice(gated, rows, hidden);
            multiply(MatMut::from_row_major_slice_mut(out, rows, channels), true, gated, last_weight.transpose());
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
        let onto: Vec<f32> = (0..rows * outputs).map(|k| (k % 5) as f32).collect();
        for (bias, onto) in [(&bias[..], &[][..]), (&[], &[]), (&[], &onto), (&bias, &onto)] {
            let out = linear(&x, Layer { weight: &weight, bias }, onto, inputs, outputs, &|| false);
            for row in 0..rows {
                for column in 0..outputs {
                    let dot: f32 = (0..inputs).map(|k| x[row * inputs + k] * weight[column * inputs + k]).sum();
                    let added = [bias.get(column), onto.get(row * outputs + column)];
                    let exact = dot + added.into_iter().flatten().sum::<f32>();
                    assert_eq!(out[row * outputs + column], exact);
                }
            }
        }
    }

    #[test]
    fn gated_is_two_layers_around_a_gate() {
        let (rows, channels, hidden) = (300, 4, 6);
        let noise = |count: usize, step: usize| -> Vec<f32> {
            (0..count).map(|k| ((k * step) % 17) as f32 * 0.125 - 1.0).collect()
        };
        let (x, onto) = (noise(rows * channels, 7), noise(rows * channels, 5));
        let (gate, gate_bias) = (noise(2 * hidden * channels, 3), noise(2 * hidden, 11));
        let (last, last_bias) = (noise(channels * hidden, 13), noise(channels, 2));
        let gate = Layer { weight: &gate, bias: &gate_bias };
        let last = Layer { weight: &last, bias: &last_bias };
        let out = gated_linear(&x, gate, last, &onto, channels, hidden, &|| false);
        let wide = linear(&x, gate, &[], channels, 2 * hidden, &|| false);
        let narrow = super::super::pointwise::gated_gelu(&wide, hidden);
        let expected = linear(&narrow, last, &onto, hidden, channels, &|| false);
        assert!(out.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

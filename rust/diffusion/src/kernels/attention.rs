//! Exact softmax attention in bounded memory: Milakov and Gimelshein, "Online normalizer calculation for softmax"
//! (2018); Rabe and Staats, "Self-attention does not need O(n²) memory" (2021).
//!
//! A tile takes [`QUERIES`] queries of one head past the keys, [`KEYS`] at a time, and rescales what it has summed when
//! a larger score turns up. Scratch a thread: `QUERIES * (KEYS + 2 channels + 3)` floats, 0.7 MB at 64 channels a head,
//! whatever the number of tokens.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::{Stop, multiply, row_mut, tiles, vector};

/// Queries of a tile.
pub const QUERIES: usize = 256;
/// Keys seen at a time.
pub const KEYS: usize = 512;

/// `query` is `[batch, queries, heads * channels]`, `key` and `value` `[batch, keys, heads * channels]`; gives
/// `softmax(q kᵀ / √channels) v` in the shape of `query`. There must be at least one key.
pub fn attention(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    batch: usize,
    heads: usize,
    channels: usize,
    stop: &Stop<'_>,
) -> Vec<f32> {
    let width = heads * channels;
    let queries = query.len() / (batch * width).max(1);
    let keys = key.len() / (batch * width).max(1);
    let mut out = vec![0.0f32; query.len()];
    let mut work = Vec::new();
    for (item, rows) in tiles(MatMut::from_row_major_slice_mut(&mut out, batch * queries, width), queries.max(1), width)
        .into_iter()
        .enumerate()
    {
        work.extend(tiles(rows.part, QUERIES, channels).into_iter().map(|tile| (item, tile)));
    }
    let softmax_scale = 1.0 / (channels as f32).sqrt();
    work.into_par_iter().for_each_init(
        || (Vec::new(), Vec::new(), Vec::new()),
        |(scaled, scores, sums): &mut (Vec<f32>, Vec<f32>, Vec<f32>), (item, mut tile)| {
            let rows = tile.part.nrows();
            scaled.clear();
            for row in 0..rows {
                let from = &query[((item * queries + tile.row + row) * width + tile.column)..][..channels];
                scaled.extend(from.iter().map(|q| q * softmax_scale));
            }
            let scaled = MatRef::from_row_major_slice(scaled, rows, channels);
            let of_head = |all: &'_ [f32]| -> std::ops::Range<usize> {
                let start = item * keys * width + tile.column;
                start..all.len().min(start + (keys - 1) * width + channels)
            };
            let key = MatRef::from_row_major_slice_with_stride(&key[of_head(key)], keys, channels, width);
            let value = MatRef::from_row_major_slice_with_stride(&value[of_head(value)], keys, channels, width);
            sums.clear();
            sums.resize(rows * channels, 0.0);
            scores.resize(QUERIES * KEYS, 0.0);
            let mut largest = [f32::NEG_INFINITY; QUERIES];
            let mut total = [0.0f32; QUERIES];
            for first in (0..keys).step_by(KEYS) {
                if stop() {
                    return;
                }
                let count = KEYS.min(keys - first);
                let scores = &mut scores[..rows * count];
                multiply(
                    MatMut::from_row_major_slice_mut(scores, rows, count),
                    false,
                    scaled,
                    key.subrows(first, count).transpose(),
                );
                for (row, scores) in scores.chunks_exact_mut(count).enumerate() {
                    let new_largest = largest[row].max(vector::max(scores));
                    let shrink = (largest[row] - new_largest).exp();
                    if shrink != 1.0 {
                        vector::scale(&mut sums[row * channels..][..channels], shrink);
                    }
                    total[row] = total[row] * shrink + vector::exp_and_sum(scores, new_largest);
                    largest[row] = new_largest;
                }
                multiply(
                    MatMut::from_row_major_slice_mut(sums, rows, channels),
                    true,
                    MatRef::from_row_major_slice(scores, rows, count),
                    value.subrows(first, count),
                );
            }
            for (row, sums) in sums.chunks_exact(channels).enumerate() {
                let scale = 1.0 / total[row];
                for (out, sum) in row_mut(&mut tile.part, row).iter_mut().zip(sums) {
                    *out = sum * scale;
                }
            }
        },
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_definition_across_tiles() {
        let (batch, heads, channels, queries, keys) = (2, 3, 8, 300, 1100);
        let noise = |k: usize| ((k * 2_654_435_761) % 1000) as f32 / 250.0 - 2.0;
        let query: Vec<f32> = (0..batch * queries * heads * channels).map(noise).collect();
        // Later keys score higher, so the running maximum changes.
        let key: Vec<f32> =
            (0..batch * keys * heads * channels).map(|k| noise(k + 7) * (1.0 + k as f32 / 20_000.0)).collect();
        let value: Vec<f32> = (0..batch * keys * heads * channels).map(|k| noise(k + 3)).collect();
        let out = attention(&query, &key, &value, batch, heads, channels, &|| false);
        let width = heads * channels;
        let mut worst = 0.0f64;
        for item in 0..batch {
            for head in 0..heads {
                for row in (0..queries).step_by(37) {
                    let at = |all: &[f32], count: usize, index: usize, c: usize| {
                        f64::from(all[(item * count + index) * width + head * channels + c])
                    };
                    let scores: Vec<f64> = (0..keys)
                        .map(|k| {
                            (0..channels).map(|c| at(&query, queries, row, c) * at(&key, keys, k, c)).sum::<f64>()
                                / (channels as f64).sqrt()
                        })
                        .collect();
                    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = scores.iter().map(|s| (s - top).exp()).sum();
                    for c in 0..channels {
                        let exact: f64 =
                            (0..keys).map(|k| (scores[k] - top).exp() / total * at(&value, keys, k, c)).sum();
                        worst = worst.max((exact - at(&out, queries, row, c)).abs());
                    }
                }
            }
        }
        assert!(worst < 2e-6, "{worst}");
    }
}

//! What is left: sums, gates, enlarging.

use rayon::prelude::*;

use super::vector;

const CHUNK: usize = 1 << 15;

/// Element-wise sum of equal shapes.
pub fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0f32; a.len()];
    out.par_chunks_mut(CHUNK)
        .zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK)))
        .for_each(|(out, (a, b))| vector::add(a, b, out));
    out
}

/// SiLU.
pub fn silu(x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0f32; x.len()];
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| vector::silu(x, out));
    out
}

/// GELU, the exact form.
pub fn gelu(x: &[f32]) -> Vec<f32> {
    let mut out = vec![1.0f32; x.len()];
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| vector::gate_by_gelu(out, x));
    out
}

/// GEGLU: `x` is rows of `[a, b]`, each `width` long; gives rows of `a gelu(b)`.
pub fn gated_gelu(x: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; x.len() / 2];
    out.par_chunks_mut(width).zip(x.par_chunks(2 * width)).with_min_len(8).for_each(|(out, x)| {
        let (a, b) = x.split_at(width);
        out.copy_from_slice(a);
        vector::gate_by_gelu(out, b);
    });
    out
}

/// Doubles planes of `width` columns on both axes by repeating pixels.
pub fn double(x: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; 4 * x.len()];
    out.par_chunks_mut(4 * width).zip(x.par_chunks(width)).with_min_len(16).for_each(|(out, line)| {
        let (first, second) = out.split_at_mut(2 * width);
        for (pair, &value) in first.chunks_exact_mut(2).zip(line) {
            pair.fill(value);
        }
        second.copy_from_slice(first);
    });
    out
}

/// Of every one of `batch` items, what `a` has of it and then what `b` has.
pub fn join(a: &[f32], b: &[f32], batch: usize) -> Vec<f32> {
    let (first, second) = (a.len() / batch.max(1), b.len() / batch.max(1));
    let mut out = vec![0.0f32; batch * (first + second)];
    for (item, out) in out.chunks_exact_mut((first + second).max(1)).enumerate() {
        let (left, right) = out.split_at_mut(first);
        for (out, from) in [(left, &a[item * first..][..first]), (right, &b[item * second..][..second])] {
            out.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(out, from)| out.copy_from_slice(from));
        }
    }
    out
}

/// Swaps the last two axes of `[batch, rows, columns]`.
pub fn transpose(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const BLOCK: usize = 16;
    let mut out = vec![0.0f32; x.len()];
    if x.is_empty() {
        return out;
    }
    // Each task writes BLOCK rows of one output matrix.
    out.par_chunks_mut(rows * columns).zip(x.par_chunks(rows * columns)).for_each(|(out, x)| {
        out.par_chunks_mut(BLOCK * rows).enumerate().for_each(|(index, out)| {
            let first = index * BLOCK;
            for start in (0..rows).step_by(BLOCK) {
                for (offset, line) in out.chunks_exact_mut(rows).enumerate() {
                    for row in start..rows.min(start + BLOCK) {
                        line[row] = x[row * columns + first + offset];
                    }
                }
            }
        });
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_repeats_pixels() {
        assert_eq!(
            double(&[1.0, 2.0, 3.0, 4.0], 2),
            [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0]
        );
    }

    #[test]
    fn joining_keeps_items_together() {
        assert_eq!(join(&[1.0, 2.0, 5.0, 6.0], &[3.0, 7.0], 2), [1.0, 2.0, 3.0, 5.0, 6.0, 7.0]);
        assert!(join(&[], &[], 0).is_empty());
    }

    #[test]
    fn transposing_swaps_axes() {
        let (batch, rows, columns) = (2, 37, 21);
        let x: Vec<f32> = (0..batch * rows * columns).map(|k| k as f32).collect();
        let out = transpose(&x, rows, columns);
        for b in 0..batch {
            for r in 0..rows {
                for c in 0..columns {
                    assert_eq!(out[(b * columns + c) * rows + r], x[(b * rows + r) * columns + c]);
                }
            }
        }
        assert_eq!(transpose(&out, columns, rows), x);
    }
}

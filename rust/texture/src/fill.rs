//! Filling the texels that no surface uses, so that neither bilinear filtering nor mip maps bleed.
//!
//! Pull-push (Grossman and Dally 1998, "Point Sample Rendering"): the picture is halved, ignoring holes, until none is
//! left; on the way back every hole takes the value of the coarser level.

use maquette_core::Plane;
use rayon::prelude::*;

use crate::least_squares::Color;

/// Grows the known texels by `rounds` texels, each new one the mean of its known neighbours; then fills the rest smoothly.
pub(crate) fn fill_gutters(texels: &mut [Color], known: &mut [bool], size: usize, rounds: usize) {
    for _ in 0..rounds {
        dilate(texels, known, size);
    }
    pull_push(texels, known, size);
}

fn dilate(texels: &mut [Color], known: &mut [bool], size: usize) {
    let grown: Vec<(usize, Color)> = (0..size)
        .into_par_iter()
        .flat_map_iter(|row| {
            let (texels, known) = (&*texels, &*known);
            (0..size).filter_map(move |column| {
                if known[row * size + column] {
                    return None;
                }
                let mut sum = [0.0f32; 4];
                let mut count = 0.0;
                for r in row.saturating_sub(1)..(row + 2).min(size) {
                    for c in column.saturating_sub(1)..(column + 2).min(size) {
                        if known[r * size + c] {
                            count += 1.0;
                            for k in 0..4 {
                                sum[k] += texels[r * size + c][k];
                            }
                        }
                    }
                }
                (count > 0.0).then(|| (row * size + column, sum.map(|x| x / count)))
            })
        })
        .collect();
    for (texel, value) in grown {
        texels[texel] = value;
        known[texel] = true;
    }
}

fn pull_push(texels: &mut [Color], known: &mut [bool], size: usize) {
    if size <= 1 || known.iter().all(|&known| known) {
        return;
    }
    let half = size.div_ceil(2);
    let mut coarse = vec![[0.0f32; 4]; half * half];
    let mut coarse_known = vec![false; half * half];
    for row in 0..half {
        for column in 0..half {
            let mut sum = [0.0f32; 4];
            let mut count = 0.0;
            for r in 2 * row..(2 * row + 2).min(size) {
                for c in 2 * column..(2 * column + 2).min(size) {
                    if known[r * size + c] {
                        count += 1.0;
                        for k in 0..4 {
                            sum[k] += texels[r * size + c][k];
                        }
                    }
                }
            }
            if count > 0.0 {
                coarse[row * half + column] = sum.map(|x| x / count);
                coarse_known[row * half + column] = true;
            }
        }
    }
    pull_push(&mut coarse, &mut coarse_known, half);
    let coarse = Plane { width: half, height: half, data: coarse };
    for row in 0..size {
        for column in 0..size {
            let texel = row * size + column;
            if !known[texel] && coarse_known[row / 2 * half + column / 2] {
                texels[texel] = coarse.bilinear(0.5 * column as f32 + 0.25, 0.5 * row as f32 + 0.25);
                known[texel] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_texel_is_filled_and_known_ones_stay() {
        for size in [1, 7, 64] {
            let mut texels = vec![[0.0f32; 4]; size * size];
            let mut known = vec![false; size * size];
            let spot = size * size / 2;
            texels[spot] = [0.25, 0.5, 0.75, 0.0];
            known[spot] = true;
            fill_gutters(&mut texels, &mut known, size, 2);
            assert!(known.iter().all(|&known| known));
            for texel in &texels {
                for k in 0..4 {
                    assert!((texel[k] - [0.25, 0.5, 0.75, 0.0][k]).abs() < 1e-6, "{texel:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_known_changes_nothing() {
        let mut texels = vec![[0.5f32; 4]; 16];
        fill_gutters(&mut texels, &mut [false; 16], 4, 3);
        assert!(texels.iter().all(|texel| *texel == [0.5; 4]));
    }
}

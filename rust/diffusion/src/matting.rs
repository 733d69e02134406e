//! Alpha and foreground colour of a picture from a trimap.
//!
//! Alpha: Levin, Lischinski and Weiss, "A closed-form solution to natural image matting" (2008), solved on the unknown
//! pixels by conjugate gradients without a matrix. Foreground: Germer et al., "Fast multi-level foreground estimation"
//! (2021).

use maquette_core::{Plane, Progress};
use rayon::prelude::*;

use crate::Result;

/// Regularises the colour covariance of a window.
const EPSILON: f64 = 1e-7;
const MAX_ITERATIONS: usize = 500;
const TOLERANCE: f64 = 1e-5;

/// What is known of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Alpha 0.
    Background,
    /// Alpha 1.
    Foreground,
    /// To be found.
    Unknown,
}

/// True where every pixel of a box of 4 x 4 (two before, one after) is true; outside of the picture counts as `outside`.
pub fn erode(mask: &[bool], width: usize, height: usize, outside: bool) -> Vec<bool> {
    let at = |row: i64, column: i64| {
        if (0..height as i64).contains(&row) && (0..width as i64).contains(&column) {
            mask[row as usize * width + column as usize]
        } else {
            outside
        }
    };
    (0..width * height)
        .map(|index| {
            let (row, column) = ((index / width) as i64, (index % width) as i64);
            (-2..=1).all(|dy| (-2..=1).all(|dx| at(row + dy, column + dx)))
        })
        .collect()
}

/// Colour statistics of a 3 x 3 window.
#[derive(Clone, Copy, Default)]
struct Window {
    mean: [f64; 3],
    /// Inverse of the regularised covariance: xx, xy, xz, yy, yz, zz.
    inverse: [f64; 6],
}

/// The matting Laplacian of a picture, applied without being stored.
struct Laplacian<'a> {
    colors: &'a Plane<3>,
    windows: Vec<Window>,
    /// Windows that touch an unknown pixel, by centre.
    active: Vec<u32>,
    unknown: Vec<u32>,
}

impl Laplacian<'_> {
    fn new<'a>(colors: &'a Plane<3>, known: &[Known]) -> Laplacian<'a> {
        let (width, height) = (colors.width, colors.height);
        let unknown: Vec<u32> = (0..width * height).filter(|&k| known[k] == Known::Unknown).map(|k| k as u32).collect();
        let mut touches = vec![false; width * height];
        for &pixel in &unknown {
            let (row, column) = (pixel as usize / width, pixel as usize % width);
            for y in row.saturating_sub(1).max(1)..=(row + 1).min(height - 2) {
                for x in column.saturating_sub(1).max(1)..=(column + 1).min(width - 2) {
                    touches[y * width + x] = true;
                }
            }
        }
        let active: Vec<u32> = (0..width * height).filter(|&k| touches[k]).map(|k| k as u32).collect();
        let mut windows = vec![Window::default(); width * height];
        let filled: Vec<Window> = active
            .par_iter()
            .map(|&center| Window::new(colors, center as usize / width, center as usize % width))
            .collect();
        for (&center, window) in active.iter().zip(filled) {
            windows[center as usize] = window;
        }
        Laplacian { colors, windows, active, unknown }
    }

    /// `(L p)` at the unknown pixels, for `p` over all pixels.
    fn apply(&self, p: &[f64], fits: &mut [(f64, [f64; 3])], out: &mut [f64]) {
        let (width, height) = (self.colors.width, self.colors.height);
        let colors = &self.colors.data;
        // Every window fits p by an affine function of colour.
        let active: Vec<(f64, [f64; 3])> = self
            .active
            .par_iter()
            .map(|&center| {
                let window = &self.windows[center as usize];
                let (mut sum, mut with) = (0.0, [0.0; 3]);
                for_window(center as usize, width, |index| {
                    sum += p[index];
                    for k in 0..3 {
                        with[k] += p[index] * (f64::from(colors[index][k]) - window.mean[k]);
                    }
                });
                let [xx, xy, xz, yy, yz, zz] = window.inverse;
                let [x, y, z] = with.map(|c| c / 9.0);
                (sum / 9.0, [xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])
            })
            .collect();
        for (&center, fit) in self.active.iter().zip(active) {
            fits[center as usize] = fit;
        }
        // What the fits of the windows around a pixel leave over.
        out.par_iter_mut().zip(&self.unknown).for_each(|(out, &pixel)| {
            let (row, column) = (pixel as usize / width, pixel as usize % width);
            let color = colors[pixel as usize];
            let mut sum = 0.0;
            for y in row.saturating_sub(1).max(1)..=(row + 1).min(height - 2) {
                for x in column.saturating_sub(1).max(1)..=(column + 1).min(width - 2) {
                    let (mean, slope) = fits[y * width + x];
                    let window = &self.windows[y * width + x];
                    let fit: f64 = (0..3).map(|k| slope[k] * (f64::from(color[k]) - window.mean[k])).sum();
                    sum += p[pixel as usize] - mean - fit;
                }
            }
            *out = sum;
        });
    }
}

impl Window {
    fn new(colors: &Plane<3>, row: usize, column: usize) -> Self {
        let center = row * colors.width + column;
        let mut mean = [0.0f64; 3];
        for_window(center, colors.width, |index| {
            for k in 0..3 {
                mean[k] += f64::from(colors.data[index][k]) / 9.0;
            }
        });
        let mut c = [0.0f64; 6];
        for_window(center, colors.width, |index| {
            let d: [f64; 3] = std::array::from_fn(|k| f64::from(colors.data[index][k]) - mean[k]);
            for (sum, product) in
                c.iter_mut().zip([d[0] * d[0], d[0] * d[1], d[0] * d[2], d[1] * d[1], d[1] * d[2], d[2] * d[2]])
            {
                *sum += product / 9.0;
            }
        });
        for diagonal in [0, 3, 5] {
            c[diagonal] += EPSILON / 9.0;
        }
        let [xx, xy, xz, yy, yz, zz] = c;
        let cofactors = [
            yy * zz - yz * yz,
            xz * yz - xy * zz,
            xy * yz - xz * yy,
            xx * zz - xz * xz,
            xy * xz - xx * yz,
            xx * yy - xy * xy,
        ];
        let determinant = xx * cofactors[0] + xy * cofactors[1] + xz * cofactors[2];
        Self { mean, inverse: cofactors.map(|cofactor| cofactor / determinant) }
    }
}

fn for_window(center: usize, width: usize, mut see: impl FnMut(usize)) {
    for row in 0..3 {
        for column in 0..3 {
            see(center + row * width + column - width - 1);
        }
    }
}

/// Alpha in 0..=1 of `colors` (any scale near 0..=1) given what is known; a picture below 3 x 3 keeps one half where
/// nothing is known.
pub fn alpha(colors: &Plane<3>, known: &[Known], progress: &Progress) -> Result<Plane<1>> {
    let mut p: Vec<f64> = known
        .iter()
        .map(|known| match known {
            Known::Background => 0.0,
            Known::Foreground => 1.0,
            Known::Unknown => 0.5,
        })
        .collect();
    let finish = |p: &[f64]| Plane {
        width: colors.width,
        height: colors.height,
        data: p.iter().map(|&alpha| [alpha.clamp(0.0, 1.0) as f32]).collect(),
    };
    if colors.width < 3 || colors.height < 3 {
        return Ok(finish(&p));
    }
    let laplacian = Laplacian::new(colors, known);
    let count = laplacian.unknown.len();
    let mut fits = vec![(0.0, [0.0; 3]); p.len()];
    // Conjugate gradients on L_uu x = -L_uk α_k, from x = 1/2: the first residual is -(L p) at the unknown pixels.
    let mut product = vec![0.0; count];
    laplacian.apply(&p, &mut fits, &mut product);
    let mut residual: Vec<f64> = product.iter().map(|v| -v).collect();
    let mut direction = residual.clone();
    let mut spread = vec![0.0; p.len()];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut square = dot(&residual, &residual);
    let goal = square * TOLERANCE * TOLERANCE;
    for _ in 0..MAX_ITERATIONS {
        progress.check()?;
        if square <= goal || square == 0.0 {
            break;
        }
        for (&pixel, &value) in laplacian.unknown.iter().zip(&direction) {
            spread[pixel as usize] = value;
        }
        laplacian.apply(&spread, &mut fits, &mut product);
        let curvature = dot(&direction, &product);
        if curvature <= 0.0 {
            break;
        }
        let step = square / curvature;
        for (k, &pixel) in laplacian.unknown.iter().enumerate() {
            p[pixel as usize] += step * direction[k];
            residual[k] -= step * product[k];
        }
        let next = dot(&residual, &residual);
        let keep = next / square;
        for (direction, residual) in direction.iter_mut().zip(&residual) {
            *direction = residual + keep * *direction;
        }
        square = next;
    }
    Ok(finish(&p))
}

/// Foreground colours of `colors = alpha F + (1 - alpha) B`.
pub fn foreground(colors: &Plane<3>, alpha: &Plane<1>) -> Plane<3> {
    const REGULARIZATION: f32 = 1e-5;
    const SMALL: usize = 32;
    let (width, height) = (colors.width, colors.height);
    let levels = (width.max(height) as f64).log2().ceil() as i32;
    let mut fore = Plane::filled(1, 1, [0.0f32; 3]);
    let mut back = Plane::filled(1, 1, [0.0f32; 3]);
    for level in 0..=levels {
        let size = |full: usize| {
            ((full as f64).powf(f64::from(level) / f64::from(levels.max(1))).round() as usize).clamp(1, full)
        };
        let (w, h) = (size(width), size(height));
        let (image, cover) = (nearest(colors, w, h), nearest(alpha, w, h));
        fore = nearest(&fore, w, h);
        back = nearest(&back, w, h);
        let rounds = if w <= SMALL && h <= SMALL { 10 } else { 2 };
        for _ in 0..rounds {
            for row in 0..h {
                for column in 0..w {
                    let a0 = cover.at(row, column)[0];
                    let a1 = 1.0 - a0;
                    let neighbours = [
                        (row, column.saturating_sub(1)),
                        (row, (column + 1).min(w - 1)),
                        (row.saturating_sub(1), column),
                        ((row + 1).min(h - 1), column),
                    ];
                    let weights = neighbours.map(|(y, x)| REGULARIZATION + (a0 - cover.at(y, x)[0]).abs());
                    let sum: f32 = weights.iter().sum();
                    let (a, b, d) = (a0 * a0 + sum, a0 * a1, a1 * a1 + sum);
                    let determinant = a * d - b * b;
                    for channel in 0..3 {
                        let target = image.at(row, column)[channel];
                        let (mut f, mut g) = (a0 * target, a1 * target);
                        for ((y, x), weight) in neighbours.iter().zip(weights) {
                            f += weight * fore.at(*y, *x)[channel];
                            g += weight * back.at(*y, *x)[channel];
                        }
                        fore.at_mut(row, column)[channel] = ((d * f - b * g) / determinant).clamp(0.0, 1.0);
                        back.at_mut(row, column)[channel] = ((a * g - b * f) / determinant).clamp(0.0, 1.0);
                    }
                }
            }
        }
    }
    fore
}

fn nearest<const C: usize>(plane: &Plane<C>, width: usize, height: usize) -> Plane<C> {
    let data = (0..width * height)
        .map(|index| plane.at(index / width * plane.height / height, index % width * plane.width / width))
        .collect();
    Plane { width, height, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A soft-edged disc of two colours over grey.
    fn disc(size: usize) -> (Plane<3>, Plane<3>, Vec<f32>) {
        let mut picture = Plane::filled(size, size, [0.0f32; 3]);
        let mut color = picture.clone();
        let mut alpha = vec![0.0f32; size * size];
        for row in 0..size {
            for column in 0..size {
                let (x, y) = (column as f32 + 0.5 - size as f32 / 2.0, row as f32 + 0.5 - size as f32 / 2.0);
                let a = ((size as f32 * 0.35 - x.hypot(y)) / 3.0 + 0.5).clamp(0.0, 1.0);
                let texture = 0.05 * ((row * 31 + column * 17) % 7) as f32 / 7.0;
                let f = if x > 0.0 { [0.8, 0.2 + texture, 0.1] } else { [0.15, 0.3, 0.7 + texture] };
                alpha[row * size + column] = a;
                *color.at_mut(row, column) = f;
                *picture.at_mut(row, column) = f.map(|f| a * f + (1.0 - a) * 0.498);
            }
        }
        (picture, color, alpha)
    }

    #[test]
    fn a_soft_edge_is_recovered() {
        let size = 96;
        let (picture, color, truth) = disc(size);
        let inside = erode(&truth.iter().map(|&a| a > 0.9).collect::<Vec<_>>(), size, size, false);
        let outside = erode(&truth.iter().map(|&a| a < 0.1).collect::<Vec<_>>(), size, size, true);
        let known: Vec<Known> = (0..size * size)
            .map(|k| {
                if inside[k] {
                    Known::Foreground
                } else if outside[k] {
                    Known::Background
                } else {
                    Known::Unknown
                }
            })
            .collect();
        let unknown = known.iter().filter(|&&k| k == Known::Unknown).count();
        assert!(unknown > 1000);
        let found = alpha(&picture, &known, &Progress::new()).unwrap();
        let error = found.data.iter().zip(&truth).map(|(a, b)| (a[0] - b).abs()).sum::<f32>() / unknown as f32;
        assert!(error < 0.02, "mean error of unknown alpha {error}");
        let both = found.data.iter().zip(&truth).filter(|(a, b)| a[0] > 0.5 && **b > 0.5).count() as f32;
        let either = found.data.iter().zip(&truth).filter(|(a, b)| a[0] > 0.5 || **b > 0.5).count() as f32;
        assert!(both / either > 0.985, "IoU {}", both / either);
        let fore = foreground(&picture, &found);
        let mut worst = 0.0f32;
        let mut sum = (0.0f32, 0usize);
        for k in 0..size * size {
            // Where the two halves of the disc meet, either colour is right.
            if truth[k] > 0.3 && (k % size).abs_diff(size / 2) > 4 {
                for c in 0..3 {
                    let off = (fore.data[k][c] - color.data[k][c]).abs();
                    worst = worst.max(off);
                    sum = (sum.0 + off, sum.1 + 1);
                }
            }
        }
        assert!(sum.0 / (sum.1 as f32) < 0.01 && worst < 0.2, "mean {} worst {worst}", sum.0 / sum.1 as f32);
    }

    #[test]
    fn nothing_known_and_tiny_pictures_are_no_error() {
        let picture = Plane::filled(5, 4, [0.3f32; 3]);
        let found = alpha(&picture, &[Known::Unknown; 20], &Progress::new()).unwrap();
        assert!(found.is_finite());
        let tiny = Plane::filled(1, 2, [0.3f32; 3]);
        assert!(alpha(&tiny, &[Known::Foreground; 2], &Progress::new()).unwrap().data == [[1.0], [1.0]]);
        let progress = Progress::new();
        progress.cancel();
        let (picture, ..) = disc(16);
        assert!(alpha(&picture, &[Known::Unknown; 256], &progress).unwrap_err().is_cancelled());
    }
}

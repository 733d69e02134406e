//! Pillow's 8-bit resampling, bit for bit: separable, fixed point with 22 bits, rounded to bytes between the passes.

use maquette_core::Image;

use crate::config::Resampling;
use crate::{Error, Result};

const PRECISION_BITS: u32 = 22;

/// Interleaved bytes, row 0 on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes<const C: usize> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[height * width]` pixels.
    pub data: Vec<[u8; C]>,
}

impl Resampling {
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        match self {
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => {
                let (x, a) = (x.abs(), -0.5);
                if x < 1.0 {
                    ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * a
                } else {
                    0.0
                }
            }
            Self::Lanczos => {
                if (-3.0..3.0).contains(&x) {
                    sinc(x) * sinc(x / 3.0)
                } else {
                    0.0
                }
            }
        }
    }
}

/// For every output sample: the first input sample it sees, and fixed-point weights from there on.
fn taps(from: usize, to: usize, filter: Resampling) -> Vec<(usize, Vec<i32>)> {
    let scale = from as f64 / to as f64;
    let widening = scale.max(1.0);
    let support = filter.support() * widening;
    (0..to)
        .map(|index| {
            let center = (index as f64 + 0.5) * scale;
            // Conversion to an integer truncates, also below zero, before the clamp.
            let first = ((center - support + 0.5) as i64).max(0) as usize;
            let end = ((center + support + 0.5) as i64).min(from as i64) as usize;
            let weights: Vec<f64> = (first..end).map(|x| filter.weight((x as f64 - center + 0.5) / widening)).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = weights.iter().map(|w| {
                let w = if sum == 0.0 { *w } else { w / sum };
                (w * f64::from(1u32 << PRECISION_BITS) + if w < 0.0 { -0.5 } else { 0.5 }) as i32
            });
            (first, fixed.collect())
        })
        .collect()
}

fn blend<const C: usize>(samples: impl Iterator<Item = [u8; C]>, weights: &[i32]) -> [u8; C] {
    let mut sums = [1i32 << (PRECISION_BITS - 1); C];
    for (sample, weight) in samples.zip(weights) {
        for (sum, value) in sums.iter_mut().zip(sample) {
            *sum += i32::from(value) * weight;
        }
    }
    sums.map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8)
}

/// Resizes; a pass whose size does not change is left out.
pub fn resize<const C: usize>(source: &Bytes<C>, width: usize, height: usize, filter: Resampling) -> Bytes<C> {
    let narrow = if width == source.width {
        source.clone()
    } else {
        let columns = taps(source.width, width, filter);
        let data = source
            .data
            .chunks_exact(source.width)
            .flat_map(|row| columns.iter().map(|(first, weights)| blend(row[*first..].iter().copied(), weights)))
            .collect();
        Bytes { width, height: source.height, data }
    };
    if height == narrow.height {
        return narrow;
    }
    let rows = taps(narrow.height, height, filter);
    let mut data = Vec::with_capacity(width * height);
    for (first, weights) in &rows {
        for column in 0..width {
            let samples = (0..weights.len()).map(|k| narrow.data[(first + k) * width + column]);
            data.push(blend(samples, weights));
        }
    }
    Bytes { width, height, data }
}

/// `round(x / 255)` for x of two bytes' product.
fn div255(x: u32) -> u32 {
    let x = x + 128;
    (x + (x >> 8)) >> 8
}

/// Pastes a picture over one colour.
pub fn flatten(picture: &Image, background: [u8; 3]) -> Bytes<3> {
    let data = picture
        .pixels()
        .iter()
        .map(|&[r, g, b, a]| {
            let over = |color: u8, behind: u8| {
                div255(u32::from(behind) * (255 - u32::from(a)) + u32::from(color) * u32::from(a)) as u8
            };
            [over(r, background[0]), over(g, background[1]), over(b, background[2])]
        })
        .collect();
    Bytes { width: picture.width() as usize, height: picture.height() as usize, data }
}

/// Resizes the shortest edge to `size` and crops the centre square.
pub fn resize_and_crop(picture: &Bytes<3>, size: usize, filter: Resampling) -> Bytes<3> {
    let (short, long) = (picture.width.min(picture.height), picture.width.max(picture.height));
    let stretched = (size as f64 * long as f64 / short as f64) as usize;
    let (width, height) = if picture.width <= picture.height { (size, stretched) } else { (stretched, size) };
    let resized = resize(picture, width, height, filter);
    let (left, top) = ((width - size) / 2, (height - size) / 2);
    let data = (top..top + size).flat_map(|row| resized.data[row * width + left..][..size].iter().copied()).collect();
    Bytes { width: size, height: size, data }
}

/// Cuts the opaque part out, centres it in a transparent square that is `1 / fill` times as large, and resizes that to
/// `size` pixels with Lanczos.
pub fn reframe(picture: &Image, fill: f64, size: u32) -> Result<Image> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let opaque = |row: usize, column: usize| picture.at(row, column)[3] > 0;
    let rows: Vec<usize> = (0..height).filter(|&row| (0..width).any(|column| opaque(row, column))).collect();
    let columns: Vec<usize> = (0..width).filter(|&column| rows.iter().any(|&row| opaque(row, column))).collect();
    let (Some(&top), Some(&bottom), Some(&left), Some(&right)) =
        (rows.first(), rows.last(), columns.first(), columns.last())
    else {
        return Err(Error::invalid("the picture is transparent everywhere; give one that shows the object"));
    };
    let (inner_width, inner_height) = (right - left + 1, bottom - top + 1);
    let side = ((inner_width.max(inner_height) as f64 / fill) as usize).max(1);
    let (x, y) = ((side - inner_width) / 2, (side - inner_height) / 2);
    // Transparent colours must not bleed into the edge, so colours are multiplied by alpha while resizing.
    let mut square = Bytes { width: side, height: side, data: vec![[0u8; 4]; side * side] };
    for row in 0..inner_height {
        for column in 0..inner_width {
            let [r, g, b, a] = picture.at(top + row, left + column);
            let times = |c: u8| div255(u32::from(c) * u32::from(a)) as u8;
            square.data[(y + row) * side + x + column] = [times(r), times(g), times(b), a];
        }
    }
    let small = resize(&square, size as usize, size as usize, Resampling::Lanczos);
    let pixels = small
        .data
        .iter()
        .map(|&[r, g, b, a]| {
            let divided = |c: u8| match a {
                0 | 255 => c,
                a => (255 * u32::from(c) / u32::from(a)).min(255) as u8,
            };
            [divided(r), divided(g), divided(b), a]
        })
        .collect();
    Ok(Image::new(size, size, pixels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_colour_stays() {
        let picture = Bytes { width: 37, height: 21, data: vec![[200u8, 3, 99]; 37 * 21] };
        for filter in [Resampling::Bilinear, Resampling::Bicubic, Resampling::Lanczos] {
            for (width, height) in [(5, 4), (80, 21), (37, 90), (1, 1)] {
                let out = resize(&picture, width, height, filter);
                assert!(out.data.len() == width * height && out.data.iter().all(|p| *p == [200, 3, 99]));
            }
        }
    }

    #[test]
    fn reframing_centres_the_object() {
        let mut picture = Image::filled(100, 60, [9, 9, 9, 0]).unwrap();
        for row in 10..30 {
            for column in 50..90 {
                picture.pixels_mut()[row * 100 + column] = [255, 0, 0, 255];
            }
        }
        let out = reframe(&picture, 0.8, 64).unwrap();
        let opaque: Vec<(usize, usize)> =
            (0..64).flat_map(|r| (0..64).map(move |c| (r, c))).filter(|&(r, c)| out.at(r, c)[3] > 127).collect();
        let (rows, columns): (Vec<usize>, Vec<usize>) = opaque.into_iter().unzip();
        let middle = |v: &[usize]| (v.iter().min().unwrap() + v.iter().max().unwrap()) as f64 / 2.0;
        assert!((middle(&rows) - 31.5).abs() <= 1.0 && (middle(&columns) - 31.5).abs() <= 1.0);
        assert!((columns.iter().max().unwrap() - columns.iter().min().unwrap()).abs_diff(51) <= 1);
        assert!(out.pixels().iter().all(|p| p[3] == 0 || p[0] >= 250));
        assert!(reframe(&Image::filled(8, 8, [0; 4]).unwrap(), 0.9, 32).is_err());
    }
}

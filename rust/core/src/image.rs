//! Pixel buffers: [`Image`] at the edges of the system, [`Plane`] inside.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Error, Result, color};

/// 8-bit sRGB picture with straight alpha, row 0 on top.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Image {
    width: u32,
    height: u32,
    rgba: Vec<[u8; 4]>,
}

impl Image {
    /// Largest accepted side, in pixels; larger files are refused before they are decoded.
    pub const MAX_SIDE: u32 = 16_384;
    /// Largest accepted number of pixels of one picture.
    pub const MAX_PIXELS: u64 = 100_000_000;

    /// Wraps `rgba`, `[height][width]` pixels.
    pub fn new(width: u32, height: u32, rgba: Vec<[u8; 4]>) -> Result<Self> {
        check_size(width, height)?;
        if rgba.len() as u64 != u64::from(width) * u64::from(height) {
            return Err(Error::invalid(format!(
                "image of {width}x{height} needs {} pixels, but {} were given",
                u64::from(width) * u64::from(height),
                rgba.len()
            )));
        }
        Ok(Self { width, height, rgba })
    }

    /// A picture of one colour.
    pub fn filled(width: u32, height: u32, rgba: [u8; 4]) -> Result<Self> {
        check_size(width, height)?;
        Ok(Self { width, height, rgba: vec![rgba; width as usize * height as usize] })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Pixels, row by row.
    pub fn pixels(&self) -> &[[u8; 4]] {
        &self.rgba
    }

    /// Pixels, row by row.
    pub fn pixels_mut(&mut self) -> &mut [[u8; 4]] {
        &mut self.rgba
    }

    /// One pixel; panics outside of the picture.
    pub fn at(&self, row: usize, column: usize) -> [u8; 4] {
        self.rgba[row * self.width as usize + column]
    }

    /// Linear light with straight alpha in 0..1.
    pub fn to_linear(&self) -> Plane<4> {
        let table = &*color::LINEAR_FROM_SRGB8;
        let data = self
            .rgba
            .iter()
            .map(|&[r, g, b, a]| [table[r as usize], table[g as usize], table[b as usize], f32::from(a) / 255.0])
            .collect();
        Plane { width: self.width as usize, height: self.height as usize, data }
    }

    /// Rounds linear light with straight alpha to 8-bit sRGB.
    pub fn from_linear(plane: &Plane<4>) -> Result<Self> {
        let rgba = plane
            .data
            .iter()
            .map(|&[r, g, b, a]| {
                let alpha = (a.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
                [color::srgb8_from_linear(r), color::srgb8_from_linear(g), color::srgb8_from_linear(b), alpha]
            })
            .collect();
        Self::new(plane.width as u32, plane.height as u32, rgba)
    }

    /// True when any pixel is not fully opaque.
    pub fn has_transparency(&self) -> bool {
        self.rgba.iter().any(|pixel| pixel[3] < 255)
    }
}

/// Refuses empty pictures and pictures above the stated limits.
pub fn check_size(width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::invalid(format!("image is empty ({width}x{height} pixels); give a picture with pixels")));
    }
    if width > Image::MAX_SIDE || height > Image::MAX_SIDE || u64::from(width) * u64::from(height) > Image::MAX_PIXELS {
        return Err(Error::invalid(format!(
            "image of {width}x{height} pixels is too large; the limit is {} pixels a side and {} million in all: scale it down",
            Image::MAX_SIDE,
            Image::MAX_PIXELS / 1_000_000
        )));
    }
    Ok(())
}

/// Float pixels with `C` channels, row 0 on top: linear colour, unit normals, masks, depth.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Plane<const C: usize> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[height * width]` pixels, row by row.
    pub data: Vec<[f32; C]>,
}

impl<const C: usize> Plane<C> {
    /// A plane of one value.
    pub fn filled(width: usize, height: usize, value: [f32; C]) -> Self {
        Self { width, height, data: vec![value; width * height] }
    }

    /// One pixel; panics outside of the plane.
    pub fn at(&self, row: usize, column: usize) -> [f32; C] {
        self.data[row * self.width + column]
    }

    /// One pixel, to be changed; panics outside of the plane.
    pub fn at_mut(&mut self, row: usize, column: usize) -> &mut [f32; C] {
        &mut self.data[row * self.width + column]
    }

    /// Bilinear look-up at continuous pixel coordinates (pixel centres at half integers), clamped at the border.
    pub fn bilinear(&self, x: f32, y: f32) -> [f32; C] {
        let x = (x - 0.5).clamp(0.0, (self.width - 1) as f32);
        let y = (y - 0.5).clamp(0.0, (self.height - 1) as f32);
        let (column, row) = (x as usize, y as usize);
        let (right, below) = ((column + 1).min(self.width - 1), (row + 1).min(self.height - 1));
        let (fx, fy) = (x - column as f32, y - row as f32);
        let (a, b, c, d) = (self.at(row, column), self.at(row, right), self.at(below, column), self.at(below, right));
        std::array::from_fn(|k| {
            let top = a[k] + (b[k] - a[k]) * fx;
            let bottom = c[k] + (d[k] - c[k]) * fx;
            top + (bottom - top) * fy
        })
    }

    /// Area average over `width` x `height` boxes (exact box filter, also for fractional ratios; enlarges by
    /// box replication).
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let columns = box_weights(self.width, width);
        let rows = box_weights(self.height, height);
        let mut narrow = vec![[0.0f32; C]; width * self.height];
        for row in 0..self.height {
            for (column, span) in columns.iter().enumerate() {
                let mut sum = [0.0; C];
                for &(source, weight) in span {
                    let pixel = self.data[row * self.width + source];
                    for k in 0..C {
                        sum[k] += weight * pixel[k];
                    }
                }
                narrow[row * width + column] = sum;
            }
        }
        let mut data = vec![[0.0f32; C]; width * height];
        for (row, span) in rows.iter().enumerate() {
            for column in 0..width {
                let mut sum = [0.0; C];
                for &(source, weight) in span {
                    let pixel = narrow[source * width + column];
                    for k in 0..C {
                        sum[k] += weight * pixel[k];
                    }
                }
                data[row * width + column] = sum;
            }
        }
        Self { width, height, data }
    }

    /// True when every number is finite.
    pub fn is_finite(&self) -> bool {
        self.data.iter().flatten().all(|value| value.is_finite())
    }
}

impl Plane<4> {
    /// Straight alpha to premultiplied: what averages of pixels are taken of.
    #[must_use]
    pub fn premultiplied(mut self) -> Self {
        for [r, g, b, alpha] in &mut self.data {
            for color in [r, g, b] {
                *color *= *alpha;
            }
        }
        self
    }

    /// Premultiplied alpha to straight; black where nothing covers a pixel.
    #[must_use]
    pub fn straight(mut self) -> Self {
        for [r, g, b, alpha] in &mut self.data {
            for color in [r, g, b] {
                *color = if *alpha > 1e-6 { *color / *alpha } else { 0.0 };
            }
        }
        self
    }
}

/// For each of `to` boxes over `from` samples: the samples it covers, with weights that sum to 1.
fn box_weights(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let step = from as f64 / to as f64;
    (0..to)
        .map(|index| {
            let (start, end) = (index as f64 * step, (index + 1) as f64 * step);
            let last = (end.ceil() as usize).min(from);
            (start as usize..last)
                .map(|sample| {
                    let overlap = end.min((sample + 1) as f64) - start.max(sample as f64);
                    (sample, (overlap / step) as f32)
                })
                .filter(|&(_, weight)| weight > 1e-9)
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_filter_keeps_the_mean() {
        let plane = Plane { width: 7, height: 5, data: (0..35).map(|k| [k as f32]).collect() };
        let small = plane.resized(3, 2);
        let mean = small.data.iter().map(|pixel| pixel[0]).sum::<f32>() / 6.0;
        assert!((mean - 17.0).abs() < 1e-4, "{mean}");
    }

    #[test]
    fn what_is_transparent_has_no_part_in_a_mean() {
        let plane = Plane {
            width: 2,
            height: 2,
            data: vec![[0.5, 0.0, 1.0, 1.0], [0.0; 4], [9.0, 9.0, 9.0, 0.0], [0.5, 0.0, 1.0, 0.5]],
        };
        let small = plane.premultiplied().resized(1, 1).straight();
        assert_eq!(small.data, [[0.5, 0.0, 1.0, 0.375]]);
        assert_eq!(Plane::filled(1, 1, [0.0; 4]).straight().data, [[0.0; 4]]);
    }

    #[test]
    fn bilinear_reads_pixel_centres_exactly() {
        let plane = Plane { width: 2, height: 2, data: vec![[1.0], [2.0], [3.0], [4.0]] };
        assert_eq!(plane.bilinear(1.5, 0.5), [2.0]);
        assert_eq!(plane.bilinear(1.0, 1.0), [2.5]);
        assert_eq!(plane.bilinear(-9.0, 99.0), [3.0]);
    }

    #[test]
    fn limits_are_stated() {
        let error = check_size(20_000, 20_000).unwrap_err().to_string();
        assert!(error.contains("20000x20000") && error.contains("limit"), "{error}");
        assert!(Image::new(2, 2, vec![[0; 4]; 3]).is_err());
        assert!(Image::filled(0, 4, [0; 4]).is_err());
    }
}

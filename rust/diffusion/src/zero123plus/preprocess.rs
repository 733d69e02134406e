//! From pictures to what the networks are given.

use candle_core::{Device, Tensor};
use maquette_core::Image;

use crate::config::ImageProcessorConfig;
use crate::resample::{self, Bytes};
use crate::{Error, Result};

/// The background that the model was trained on.
pub const GREY: [u8; 3] = [127; 3];

/// `[1, 3, size, size]` pixels, normalised as the extractor says.
pub fn extract(picture: &Bytes<3>, extractor: &ImageProcessorConfig) -> Result<Tensor> {
    let size = extractor.size as usize;
    let cropped = resample::resize_and_crop(picture, size, extractor.resampling);
    planar(&cropped, |value, channel| {
        let unit = (f64::from(value) * (1.0 / 255.0)) as f32;
        (unit - extractor.mean[channel] as f32) / extractor.std[channel] as f32
    })
}

/// A control picture, `[1, 3, height, width]` in -1..=1, on grey.
pub fn control(picture: &Image) -> Result<Tensor> {
    planar(&resample::flatten(picture, GREY), |value, _| f32::from(value) / 255.0 * 2.0 - 1.0)
}

fn planar(picture: &Bytes<3>, value: impl Fn(u8, usize) -> f32) -> Result<Tensor> {
    let value = &value;
    let values: Vec<f32> =
        (0..3).flat_map(|channel| picture.data.iter().map(move |pixel| value(pixel[channel], channel))).collect();
    Ok(Tensor::from_vec(values, (1, 3, picture.height, picture.width), &Device::Cpu)?)
}

/// `[1, 3, height, width]` in 0..=1 as a picture.
pub fn to_image(pixels: &Tensor) -> Result<Image> {
    let (_, channels, height, width) = pixels.dims4()?;
    if channels != 3 {
        return Err(Error::invalid(format!(
            "a picture of {channels} channels was decoded; this VAE does not give RGB"
        )));
    }
    let flat = pixels.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    let count = width * height;
    let byte = |value: f32| (value * 255.0).round_ties_even().clamp(0.0, 255.0) as u8;
    let pixels = (0..count).map(|k| [byte(flat[k]), byte(flat[count + k]), byte(flat[2 * count + k]), 255]).collect();
    Ok(Image::new(width as u32, height as u32, pixels)?)
}

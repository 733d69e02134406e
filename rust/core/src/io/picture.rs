use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, metadata::Orientation};

use super::write_atomic;
use crate::image::check_size;
use crate::{Error, Image, Plane, Result};

/// Reads a picture as 8-bit sRGB with straight alpha, turned upright by its EXIF orientation.
///
/// PNG, JPEG, WebP, BMP, TIFF and TGA; grey, palette and 16-bit files too. Size limits are checked before decoding.
pub fn read_picture(path: &Path) -> Result<Image> {
    let bytes = std::fs::read(path).map_err(|source| Error::io("reading", path, source))?;
    decode_picture(&bytes).map_err(|error| Error::file(path, error.to_string()))
}

/// As [`read_picture`], from the bytes of a file.
pub fn decode_picture(bytes: &[u8]) -> Result<Image> {
    let picture = decode(bytes)?.into_rgba8();
    let (width, height) = picture.dimensions();
    Image::new(width, height, picture.pixels().map(|pixel| pixel.0).collect())
}

/// Reads a file of numbers, such as a normal map or a mask, as values in 0..=1 without any colour curve; keeps 16 bits.
pub fn read_plane(path: &Path) -> Result<Plane<4>> {
    let bytes = std::fs::read(path).map_err(|source| Error::io("reading", path, source))?;
    decode_plane(&bytes).map_err(|error| Error::file(path, error.to_string()))
}

/// As [`read_plane`], from the bytes of a file.
pub fn decode_plane(bytes: &[u8]) -> Result<Plane<4>> {
    let picture = decode(bytes)?.into_rgba16();
    let (width, height) = picture.dimensions();
    let data = picture.pixels().map(|pixel| pixel.0.map(|value| f32::from(value) / 65_535.0)).collect();
    Ok(Plane { width: width as usize, height: height as usize, data })
}

fn decode(bytes: &[u8]) -> Result<DynamicImage> {
    let unreadable = |error: image::ImageError| {
        Error::invalid(format!("cannot be read as a picture: {error}; use PNG, JPEG, WebP, BMP, TIFF or TGA"))
    };
    if bytes.is_empty() {
        return Err(Error::invalid("is empty (0 bytes); give a picture"));
    }
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::invalid(format!("cannot be read: {error}")))?;
    if reader.format().is_none() {
        return Err(Error::invalid("is not a picture; use PNG, JPEG, WebP, BMP, TIFF or TGA"));
    }
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// PNG bytes of a picture.
pub fn encode_png(picture: &Image) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    image::write_buffer_with_format(
        &mut Cursor::new(&mut bytes),
        picture.pixels().as_flattened(),
        picture.width(),
        picture.height(),
        image::ExtendedColorType::Rgba8,
        ImageFormat::Png,
    )
    .map_err(|error| Error::invalid(format!("picture cannot be encoded as PNG: {error}")))?;
    Ok(bytes)
}

/// Writes a PNG, whole or not at all.
pub fn write_png(path: &Path, picture: &Image) -> Result<()> {
    write_atomic(path, &encode_png(picture)?)
}

//! Views from and to pictures in memory: the way hosts give and take them. The same rules as for a folder
//! ([`super::provided`]).

use maquette_core::{Camera, Error, Image, Plane, Result, View};

use super::{provided, save};

/// A view from a picture whose alpha is the object's mask and, if there is one, a picture of its normals in world space
/// (`rgb = n * 0.5 + 0.5`, mid-grey = unknown) of the same size. The camera must be for that size.
pub fn view_from_pictures(camera: Camera, color: &Image, normal: Option<&Image>) -> Result<View> {
    let size = (color.width(), color.height());
    if (camera.width, camera.height) != (size.0 as usize, size.1 as usize) {
        return Err(Error::invalid(format!(
            "a view is {}x{} pixels, but its camera is for {}x{}; give the camera of that size",
            size.0, size.1, camera.width, camera.height
        )));
    }
    if let Some(normal) = normal
        && (normal.width(), normal.height()) != size
    {
        return Err(Error::invalid(format!(
            "a view is {}x{} pixels, but its normals are {}x{}; give both at the same size",
            size.0,
            size.1,
            normal.width(),
            normal.height()
        )));
    }
    let normal = normal.map(|normal| {
        let data = normal.pixels().iter().map(|pixel| pixel.map(|byte| f32::from(byte) / 255.0)).collect();
        provided::decode_normals(&Plane { width: size.0 as usize, height: size.1 as usize, data }, None)
    });
    Ok(provided::assemble(camera, color, None, normal))
}

/// Colour with the mask as its alpha, and normals in world space, as [`view_from_pictures`] takes them. A view without
/// colour is white.
pub fn pictures_of(view: &View) -> Result<(Image, Option<Image>)> {
    let mut color = view.color.clone().unwrap_or_else(|| Plane::filled(view.mask.width, view.mask.height, [1.0; 4]));
    for (pixel, mask) in color.data.iter_mut().zip(&view.mask.data) {
        pixel[3] = mask[0];
    }
    let normal = view.normal.as_ref().map(save::encoded_normals).transpose()?;
    Ok((Image::from_linear(&color)?, normal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_back() {
        let mut color = Image::filled(4, 2, [200, 100, 50, 255]).unwrap();
        color.pixels_mut()[0] = [0, 0, 0, 0];
        let mut normal = Image::filled(4, 2, [255, 128, 128, 255]).unwrap();
        normal.pixels_mut()[0] = [128; 4];
        let camera = provided::rig_camera((30.0, 20.0), 4, 2);
        let view = view_from_pictures(camera.clone(), &color, Some(&normal)).unwrap();
        view.validate().unwrap();
        assert!(view.normal.as_ref().unwrap().at(1, 1)[0] > 0.99 && view.normal.as_ref().unwrap().at(0, 0) == [0.0; 3]);
        let (color_back, normal_back) = pictures_of(&view).unwrap();
        assert_eq!((color_back, normal_back.unwrap().pixels()[1]), (color.clone(), normal.pixels()[1]));
        let small = Image::filled(2, 2, [0; 4]).unwrap();
        assert!(view_from_pictures(camera.clone(), &small, None).is_err());
        assert!(view_from_pictures(camera, &color, Some(&small)).is_err());
    }
}

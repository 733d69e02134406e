//! Writes views as a folder that [`super::provided::load`] reads: for artists who paint over them and give them back.

use std::path::Path;

use maquette_core::{Error, Image, Plane, Result, Views, io};
use serde_json::json;

/// Writes `I_albedo.png`, `I_mask.png`, `I_normal_cam.png` (8 bits) and `cameras.json`; makes the folder if needed.
pub fn save(folder: &Path, views: &Views) -> Result<()> {
    views.validate()?;
    std::fs::create_dir_all(folder).map_err(|source| Error::io("making the folder of views", folder, source))?;
    for (index, view) in views.views.iter().enumerate() {
        let write = |name: &str, picture: &Image| io::write_png(&folder.join(format!("{index}_{name}.png")), picture);
        write("mask", &grey(&view.mask)?)?;
        if let Some(color) = &view.color {
            write("albedo", &Image::from_linear(color)?)?;
        }
        if let Some(normal) = &view.normal {
            let in_camera = normal.data.iter().map(|&n| view.camera.vector_to_camera(n)).collect();
            write("normal_cam", &encoded_normals(&Plane { data: in_camera, ..*normal })?)?;
        }
    }
    let cameras: Vec<_> = views
        .views
        .iter()
        .map(|view| {
            let camera = &view.camera;
            json!({
                "c2w": camera.matrix(),
                "intrinsics": {
                    "width": camera.width, "height": camera.height,
                    "fx": camera.focal_px[0], "fy": camera.focal_px[1],
                    "cx": camera.center_px[0], "cy": camera.center_px[1],
                },
            })
        })
        .collect();
    let text = format!("{:#}\n", json!({"six": {"views": cameras}}));
    io::write_atomic(&folder.join("cameras.json"), text.as_bytes())
}

fn grey(mask: &Plane<1>) -> Result<Image> {
    let pixels = mask.data.iter().map(|&[m]| {
        let byte = (m.clamp(0.0, 1.0) * 255.0).round() as u8;
        [byte, byte, byte, 255]
    });
    Image::new(mask.width as u32, mask.height as u32, pixels.collect())
}

/// Unit vectors as colours; the zero vector is mid-grey.
pub(super) fn encoded_normals(normals: &Plane<3>) -> Result<Image> {
    let pixels = normals.data.iter().map(|n| {
        let [r, g, b] = n.map(|x| (x.clamp(-1.0, 1.0).mul_add(0.5, 0.5) * 255.0).round() as u8);
        [r, g, b, 255]
    });
    Image::new(normals.width as u32, normals.height as u32, pixels.collect())
}

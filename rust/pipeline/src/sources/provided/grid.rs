//! Six views in one picture: 2 columns and 3 rows of square cells, row by row, on grey (Zero123++; 640x960 pixels there,
//! any size here), seen by the six-view rig.
//!
//! Normals may lie beside it, in camera axes on grey, at the same size: `NAME_normal`, or the same name with `normal`
//! in place of `rgb`. They tell object from background; without them, the picture's alpha does, else the grey is cut out.

use std::path::{Path, PathBuf};

use maquette_core::io::{read_picture, read_plane};
use maquette_core::{Camera, Error, Image, Plane, Progress, Result, View, Views};

use super::{EXTENSIONS, assemble, check_same_size, cut_out, decode_normals};

/// Cells of the grid.
const COLUMNS: usize = 2;
const ROWS: usize = 3;

/// Reads the grid `path` and, if it is there, the grid of normals beside it.
pub(super) fn load(path: &Path, progress: &Progress) -> Result<Views> {
    let picture = read_picture(path)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let side = width / COLUMNS;
    if side == 0 || width != side * COLUMNS || height != side * ROWS {
        return Err(Error::file(
            path,
            format!(
                "is {width}x{height} pixels; a grid of six views has {COLUMNS} columns and {ROWS} rows of square cells, \
                 for example 640x960"
            ),
        ));
    }
    let normals = normals_beside(path).map(|beside| {
        let plane = read_plane(&beside)?;
        check_same_size(&beside, &plane, &picture, path)?;
        Ok(plane)
    });
    let normals = normals.transpose()?;
    let cameras = Camera::six_views(side);
    let mut views = Vec::with_capacity(cameras.len());
    for (index, camera) in cameras.into_iter().enumerate() {
        progress.step(index, COLUMNS * ROWS)?;
        let (top, left) = (index / COLUMNS * side, index % COLUMNS * side);
        let cell = crop_picture(&picture, top, left, side)?;
        views.push(if let Some(normals) = &normals {
            let cell_normals = crop(normals, top, left, side);
            let mask = if cell.has_transparency() { None } else { Some(mask_of_normals(&cell_normals)) };
            let normals = decode_normals(&cell_normals, Some(&camera));
            assemble(camera, &cell, mask, Some(normals))
        } else {
            assemble(camera, &cut_out(cell, path, progress)?, None, None)
        });
        if is_empty(&views[index]) {
            return Err(Error::file(
                path,
                format!("shows nothing in cell {index} (row by row, from 0); make it again"),
            ));
        }
    }
    Ok(Views { views })
}

fn is_empty(view: &View) -> bool {
    view.mask.data.iter().all(|mask| mask[0] < 0.5)
}

/// `grid_rgb.png` -> `grid_normal.png`; `photo.png` -> `photo_normal.png`.
fn normals_beside(path: &Path) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_str()?;
    let mut names = vec![format!("{stem}_normal")];
    if stem.contains("rgb") {
        names.push(stem.replace("rgb", "normal"));
    }
    names
        .iter()
        .flat_map(|name| EXTENSIONS.iter().map(move |extension| path.with_file_name(format!("{name}.{extension}"))))
        .find(|candidate| candidate.is_file())
}

/// A normal is a unit vector and the background's grey is none, so length tells how much of a pixel is object.
fn mask_of_normals(normals: &Plane<4>) -> Plane<1> {
    let data = normals
        .data
        .iter()
        .map(|&[r, g, b, alpha]| {
            let length = [r, g, b].iter().map(|x| (x * 2.0 - 1.0).powi(2)).sum::<f32>().sqrt();
            // Averages of neighbouring normals are a little short; the grey may be off by a step or two.
            [((length - 0.1) / 0.8).clamp(0.0, 1.0) * alpha]
        })
        .collect();
    Plane { width: normals.width, height: normals.height, data }
}

fn crop<const C: usize>(plane: &Plane<C>, top: usize, left: usize, side: usize) -> Plane<C> {
    let data = (top..top + side).flat_map(|row| (left..left + side).map(move |column| plane.at(row, column))).collect();
    Plane { width: side, height: side, data }
}

fn crop_picture(picture: &Image, top: usize, left: usize, side: usize) -> Result<Image> {
    let rgba =
        (top..top + side).flat_map(|row| (left..left + side).map(move |column| picture.at(row, column))).collect();
    Image::new(side as u32, side as u32, rgba)
}

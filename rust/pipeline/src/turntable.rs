//! Contact sheets of a mesh seen from around: for people who judge results, and for documentation.

use maquette_core::{Asset, Camera, Image, Mesh, Plane};
use maquette_raster::{GBuffer, rasterize};
use rayon::prelude::*;

use crate::sources::inflate::SUPERSAMPLING as VIEW_SUPERSAMPLING;
use crate::{Error, Result};

/// How to draw the surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Grey clay in a fixed light; smooth normals.
    Shaded,
    /// The base colour, unlit; grey without one.
    Color,
    /// World-space face normals.
    Normal,
    /// Clay with the edges of the triangles.
    Wireframe,
}

/// What a sheet shows.
#[derive(Clone, Debug)]
pub struct Layout {
    /// One block of rows each.
    pub looks: Vec<Look>,
    /// Views in a row, equally far apart, the front first.
    pub columns: usize,
    /// One row each, in degrees.
    pub elevations_degrees: Vec<f32>,
    /// Side of one view in pixels.
    pub size_px: usize,
}

/// Samples a pixel and axis.
const SUPERSAMPLING: usize = 2;
/// Share of the frame that the object's bounding sphere fills.
const FILL: f32 = 0.96;
/// Linear light of the paper and the clay.
const PAPER: f32 = 1.0;
const CLAY: f32 = 0.55;

/// Draws the sheet. The object is centred and scaled to fill each view.
pub fn sheet(asset: &Asset, layout: &Layout) -> Result<Image> {
    let rows = layout.looks.len() * layout.elevations_degrees.len();
    let (width, height) = (layout.columns * layout.size_px, rows * layout.size_px);
    if width == 0 || height == 0 {
        return Err(Error::Request("the sheet is empty; give at least one look, column and elevation".to_owned()));
    }
    maquette_core::image::check_size(width as u32, height as u32)?;
    let mesh = framed(&asset.mesh);
    let normals = mesh.vertex_normals();
    let texture = asset.base_color.as_ref().map(Image::to_linear);
    let cells: Vec<(Look, f32, f32)> = layout
        .looks
        .iter()
        .flat_map(|&look| {
            layout.elevations_degrees.iter().flat_map(move |&elevation| {
                (0..layout.columns).map(move |column| (look, elevation, 360.0 * column as f32 / layout.columns as f32))
            })
        })
        .collect();
    let tiles: Vec<Plane<4>> = cells
        .par_iter()
        .map(|&(look, elevation, azimuth)| {
            let camera = Camera::rig(azimuth, elevation, layout.size_px * SUPERSAMPLING);
            draw(&mesh, &normals, texture.as_ref(), look, &camera).resized(layout.size_px, layout.size_px)
        })
        .collect();
    let mut plane = Plane::filled(width, height, [PAPER, PAPER, PAPER, 1.0]);
    for (index, tile) in tiles.iter().enumerate() {
        let (left, top) = (index % layout.columns * layout.size_px, index / layout.columns * layout.size_px);
        for row in 0..layout.size_px {
            let start = (top + row) * width + left;
            plane.data[start..start + layout.size_px]
                .copy_from_slice(&tile.data[row * layout.size_px..(row + 1) * layout.size_px]);
        }
    }
    Ok(Image::from_linear(&plane)?)
}

/// The mesh moved to the origin and scaled to the rig's sphere.
fn framed(mesh: &Mesh) -> Mesh {
    let (low, high) = mesh.bounds().unwrap_or_default();
    let centre: [f32; 3] = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
    let radius = mesh
        .positions
        .iter()
        .map(|p| (0..3).map(|k| (p[k] - centre[k]).powi(2)).sum::<f32>())
        .fold(0.0f32, f32::max)
        .sqrt()
        .max(1e-12);
    let scale = 0.5 * FILL / radius;
    let positions = mesh.positions.iter().map(|p| std::array::from_fn(|k| (p[k] - centre[k]) * scale)).collect();
    Mesh { positions, ..mesh.clone() }
}

/// The base colour as `camera` sees it, linear, on paper of the level that comes with it.
pub(crate) fn base_color_seen_by(asset: &Asset, camera: &Camera) -> (Plane<4>, f32) {
    // As many samples as views are drawn with, so that outlines are the same.
    let fine = camera.resized(camera.width * VIEW_SUPERSAMPLING, camera.height * VIEW_SUPERSAMPLING);
    let texture = asset.base_color.as_ref().map(Image::to_linear);
    let normals = vec![[0.0; 3]; asset.mesh.positions.len()];
    (draw(&asset.mesh, &normals, texture.as_ref(), Look::Color, &fine).resized(camera.width, camera.height), PAPER)
}

fn draw(mesh: &Mesh, normals: &[[f32; 3]], texture: Option<&Plane<4>>, look: Look, camera: &Camera) -> Plane<4> {
    let seen = rasterize(&mesh.positions, &mesh.triangles, camera);
    let mut plane = Plane::filled(seen.width, seen.height, [PAPER, PAPER, PAPER, 1.0]);
    for (pixel, out) in plane.data.iter_mut().enumerate() {
        let index = seen.triangle[pixel];
        if index == GBuffer::EMPTY {
            continue;
        }
        let triangle = mesh.triangles[index as usize];
        let [u, v] = seen.barycentric[pixel];
        let weights = [1.0 - u - v, u, v];
        let rgb = match look {
            Look::Color => match (texture, &mesh.corner_uvs) {
                (Some(texture), Some(uvs)) => sample(texture, &uvs[index as usize], weights),
                _ => [CLAY; 3],
            },
            Look::Normal => {
                let n = unit(mesh.area_vector(triangle));
                n.map(|x| maquette_core::color::linear_from_srgb(x.mul_add(0.5, 0.5).clamp(0.0, 1.0)))
            }
            Look::Shaded | Look::Wireframe => {
                let mut n = [0.0; 3];
                for (k, &vertex) in triangle.iter().enumerate() {
                    for axis in 0..3 {
                        n[axis] += weights[k] * normals[vertex as usize][axis];
                    }
                }
                let light = clay(camera.vector_to_camera(unit(n)), camera.vector_to_camera(mesh.area_vector(triangle)));
                let dark = look == Look::Wireframe && on_edge(mesh, triangle, weights, camera);
                [if dark { 0.02 } else { light }; 3]
            }
        };
        *out = [rgb[0], rgb[1], rgb[2], 1.0];
    }
    plane
}

/// Clay under a key light from the upper left of the camera and a weak fill; the inside of the surface is
/// black, so that flipped triangles are seen.
fn clay(normal_in_camera: [f32; 3], face_in_camera: [f32; 3]) -> f32 {
    if face_in_camera[2] < 0.0 && normal_in_camera[2] < 0.0 {
        return 0.0;
    }
    let key = unit([-0.5, 0.7, 0.8]);
    let fill = unit([0.8, 0.1, 0.5]);
    let dot = |light: [f32; 3]| (0..3).map(|k| light[k] * normal_in_camera[k]).sum::<f32>().max(0.0);
    CLAY * (0.12 + 0.8 * dot(key) + 0.2 * dot(fill))
}

/// True within about a pixel of the triangle's edges.
fn on_edge(mesh: &Mesh, triangle: [u32; 3], weights: [f32; 3], camera: &Camera) -> bool {
    let corners = triangle.map(|vertex| camera.project(mesh.positions[vertex as usize]).0);
    let area = ((corners[1][0] - corners[0][0]) * (corners[2][1] - corners[0][1])
        - (corners[1][1] - corners[0][1]) * (corners[2][0] - corners[0][0]))
        .abs();
    (0..3).any(|k| {
        let (a, b) = (corners[(k + 1) % 3], corners[(k + 2) % 3]);
        let length = (a[0] - b[0]).hypot(a[1] - b[1]).max(1e-6);
        weights[k] * area / length < 0.8
    })
}

fn sample(texture: &Plane<4>, uvs: &[[f32; 2]; 3], weights: [f32; 3]) -> [f32; 3] {
    let [u, v] = std::array::from_fn(|axis| (0..3).map(|k| weights[k] * uvs[k][axis]).sum::<f32>());
    // Files may tile; texture coordinates have their origin bottom-left.
    let (x, y) = (u.rem_euclid(1.0) * texture.width as f32, (1.0 - v).rem_euclid(1.0) * texture.height as f32);
    let [r, g, b, _] = texture.bilinear(x, y);
    [r, g, b]
}

fn unit(v: [f32; 3]) -> [f32; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    if length > 1e-20 { v.map(|x| x / length) } else { [0.0, 0.0, 1.0] }
}

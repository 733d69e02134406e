//! The whole way from a mesh and its views to a textured mesh.

use borsh::{BorshDeserialize, BorshSerialize};
use maquette_core::{Image, Mesh, Plane, Progress, Views, recipe};
use serde::Serialize;

use crate::atlas::Atlas;
use crate::fill::fill_gutters;
use crate::fit::{fit_space, fit_texels};
use crate::footprint::Footprints;
use crate::least_squares::Color;
use crate::normal_map::bake_normals;
use crate::part::Part;
use crate::unwrap::unwrap;
use crate::{Error, Result};

/// Shared texels of given texture coordinates that are worth a warning, as a share of the used ones.
const MUCH_SHARED: f32 = 0.02;

/// A textured mesh.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct Textured {
    /// The mesh that was given, with texture coordinates. Vertices, triangles and normals are untouched, and so are
    /// texture coordinates that it already had, unless the recipe asks for new ones.
    pub mesh: Mesh,
    /// sRGB base colour, opaque, filled to its last texel.
    pub base_color: Image,
    /// Tangent-space normal map (MikkTSpace, green up); with a detailed mesh and where the recipe asks for it.
    pub normal_map: Option<Image>,
    /// How it went.
    pub report: Report,
}

/// How texturing went.
#[derive(Clone, Debug, Default, PartialEq, BorshSerialize, BorshDeserialize, Serialize)]
pub struct Report {
    /// Charts of new texture coordinates; 0 when given ones were kept.
    pub charts: usize,
    /// Share of the texture's texels that show surface.
    pub used: f32,
    /// Share of the used texels that more than one layer of surface shares.
    pub shared: f32,
    /// Share of the used texels that some view sees; the others were filled from the surface around them.
    pub seen: f32,
    /// Pixels of the views that were fitted.
    pub pixels: usize,
    /// 1 for views that agree with each other and the mesh; grows with their contradictions.
    pub doubt: f32,
}

/// Textures `mesh` from `views`: unwraps it where it has no texture coordinates, fits base colour to the views' pixels,
/// and bakes the normals of `detail`, the mesh before simplification, if given.
///
/// `shifts` moves the pixels of each view, in pixels, before they are cast onto the mesh; empty: they stay.
///
/// Errors: an empty or invalid mesh, no view with colour, invalid views, a cancelled job.
pub fn texture_mesh(
    mesh: &Mesh,
    views: &Views,
    shifts: &[Plane<2>],
    texture: &recipe::Texture,
    bake: &recipe::Bake,
    detail: Option<&Mesh>,
    progress: &Progress,
) -> Result<Textured> {
    let part = Part::whole(progress);
    part.at(0.0)?;
    mesh.validate()?;
    views.validate()?;
    if mesh.triangles.is_empty() {
        return Err(Error::invalid("the mesh to texture has no triangles; give a mesh with a surface"));
    }
    if views.views.iter().all(|view| view.color.is_none()) {
        return Err(Error::invalid("none of the views has colour; give at least one coloured picture"));
    }
    if let Some(detail) = detail {
        detail.validate()?;
    }
    let mut report = Report::default();

    let samples = texture.footprint_samples as usize;
    let footprints = Footprints::cast(mesh, views, samples, shifts, part.part(0.0, 0.05))?;
    report.pixels = footprints.len();
    if footprints.len() == 0 {
        part.warn("no view shows the mesh, so its texture is plain grey; check that cameras and mesh share one frame");
    }
    let field = fit_space(mesh, &footprints, texture, part.part(0.05, 0.35))?;
    report.doubt = field.doubt;

    let mut textured = mesh.clone();
    let corner_uvs = if let Some(given) = mesh.corner_uvs.as_ref().filter(|_| bake.keep_uvs) {
        given.clone()
    } else {
        let unwrapped = unwrap(mesh, bake.texture_size, bake.gutter, part.part(0.35, 0.45))?;
        report.charts = unwrapped.charts;
        unwrapped.corner_uvs
    };
    let size = bake.texture_size as usize;
    part.at(0.45)?;
    let atlas = Atlas::new(&corner_uvs, size);
    let used = atlas.texels.len().max(1) as f32;
    report.used = atlas.texels.len() as f32 / (size * size) as f32;
    report.shared = atlas.shared as f32 / used;
    if report.charts == 0 && report.shared > MUCH_SHARED {
        part.warn(format!(
            "{:.0} % of the used texels are shared by several parts of the surface, which get the mean of their colours; \
             set bake.keep_uvs to false for texture coordinates without overlap",
            100.0 * report.shared
        ));
    }
    let fitted = fit_texels(&field, mesh, &corner_uvs, &atlas, &footprints, texture, part.part(0.45, 0.85))?;
    report.seen = fitted.seen as f32 / used;
    part.at(0.85)?;
    let base_color = picture(&fitted.colors, &atlas, bake, |plane| Ok(Image::from_linear(&plane)?))?;
    part.at(0.88)?;

    let normal_map = match detail.filter(|_| bake.normal_map) {
        Some(detail) => {
            let normals = bake_normals(mesh, &corner_uvs, &atlas, detail, part.part(0.88, 0.98))?;
            Some(picture(&normals, &atlas, bake, |plane| normal_picture(&plane))?)
        }
        None => None,
    };
    textured.corner_uvs = Some(corner_uvs);
    part.at(1.0)?;
    Ok(Textured { mesh: textured, base_color, normal_map, report })
}

/// Spreads the used texels over the whole texture and hands it to `encode`.
fn picture(
    texels: &[Color],
    atlas: &Atlas,
    bake: &recipe::Bake,
    encode: impl FnOnce(Plane<4>) -> Result<Image>,
) -> Result<Image> {
    let size = atlas.size;
    let mut data = vec![[0.5f32; 4]; size * size];
    let mut known = vec![false; size * size];
    for (&texel, &value) in atlas.texels.iter().zip(texels) {
        data[texel as usize] = value;
        known[texel as usize] = true;
    }
    fill_gutters(&mut data, &mut known, size, bake.gutter as usize);
    for value in &mut data {
        value[3] = 1.0;
    }
    encode(Plane { width: size, height: size, data })
}

/// Normals as files store them: -1..1 becomes 0..255.
fn normal_picture(plane: &Plane<4>) -> Result<Image> {
    let byte = |x: f32| (x.clamp(-1.0, 1.0) * 127.5 + 127.5).round() as u8;
    let pixels = plane.data.iter().map(|&[x, y, z, _]| {
        let scale = 1.0 / (x * x + y * y + z * z).sqrt().max(1e-6);
        [byte(x * scale), byte(y * scale), byte(z * scale), 255]
    });
    Ok(Image::new(plane.width as u32, plane.height as u32, pixels.collect())?)
}

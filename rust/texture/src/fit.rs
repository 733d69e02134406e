//! Fitting colours to the views: the 3D texture space first, then the texels of the texture map.
//!
//! The view-aware texture loss of LatentDreamer with an L2 norm, solved instead of descended. The texture space is fitted
//! from coarse to fine cells, each the start of the next; smoothness carries colour to what no view sees. Where a map is
//! wanted, its texels are then unknowns themselves, read bilinearly as any renderer reads them, so that nothing is lost
//! in between.

use maquette_core::{Mesh, recipe};
use rayon::prelude::*;

use crate::Result;
use crate::atlas::{Atlas, uv_of};
use crate::footprint::{Footprints, SurfacePoint};
use crate::least_squares::{Color, System};
use crate::part::Part;
use crate::space::{Space, on_triangle};

/// The coarsest cells are 2^COARSER times as large.
const COARSER: u32 = 3;
/// Fraction of the right hand side to which the normal equations are solved.
const TOLERANCE: f32 = 1e-3;
/// The same for texels: edges only come out when much of the error is gone.
const TEXEL_TOLERANCE: f32 = 1e-4;
/// Residual of consistent views, in linear light. Views that contradict each other or the mesh leave more; then every
/// pixel is trusted less and smoothness more, as their ratio is that of noise to signal.
const CONSISTENT: f32 = 0.01;
/// Smoothness between texels in units of that in space, once edges are kept.
const FLAT: f32 = 10.0;
/// Contrast between texels from which on they count as an edge, in linear light.
const EDGE: f32 = 0.005;
/// Doubt from which on edges are not sharpened.
const GHOSTS: f32 = 2.0;
/// A texel with less evidence than this is not seen.
const SEEN: f32 = 1e-6;
/// Most nodes of the texture space; larger objects get larger cells.
const MOST_NODES: f32 = 4e6;
/// Most cells along an axis.
const MOST_CELLS: f32 = 2400.0;

/// Colours in the 3D texture space.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    space: Space,
    colors: Vec<Color>,
    /// Colour away from the surface.
    mean: Color,
    /// How far the views contradict each other: 1 for consistent views, growing with the residual.
    pub(crate) doubt: f32,
}

impl Field {
    /// Linear colour at a world point.
    pub(crate) fn at(&self, point: [f32; 3]) -> Color {
        self.space.look_up(&self.colors, point).unwrap_or(self.mean)
    }

    /// Mean colour of surface points.
    pub(crate) fn mean_of(&self, mesh: &Mesh, points: &[SurfacePoint]) -> Color {
        let mut sum = [0.0; 4];
        for point in points {
            let color = self.at(on_triangle(mesh, point.triangle, point.barycentric));
            for k in 0..4 {
                sum[k] += color[k];
            }
        }
        sum.map(|x| x / points.len().max(1) as f32)
    }
}

/// Fits the texture space around `mesh`.
pub(crate) fn fit_space(mesh: &Mesh, footprints: &Footprints, recipe: &recipe::Texture, part: Part) -> Result<Field> {
    let mean = footprints.mean_color();
    let (smoothness, iterations) = (recipe.smoothness as f32, recipe.iterations as usize);
    let mut field: Option<Field> = None;
    for level in 0..=COARSER {
        let cell = cell_size(mesh, recipe.cell as f32) * (1 << (COARSER - level)) as f32;
        let level_part = part.part(level as f32 / (COARSER + 1) as f32, (level + 1) as f32 / (COARSER + 1) as f32);
        level_part.at(0.0)?;
        let space = Space::around(mesh, cell);
        let mut colors: Vec<Color> = match &field {
            None => vec![mean; space.len()],
            Some(coarse) => (0..space.len()).into_par_iter().map(|node| coarse.at(space.position(node))).collect(),
        };
        let corners = |point: SurfacePoint| space.corners(on_triangle(mesh, point.triangle, point.barycentric));
        let mut system = System::new(footprints, space.neighbours(), corners, level_part)?;
        system.weigh_pixels(|cosine| cosine.powf(recipe.view_power as f32));
        system.solve(&mut colors, smoothness, iterations, TOLERANCE, level_part.part(0.2, 0.6))?;
        let mut doubt = 1.0;
        if level == COARSER {
            doubt = (system.residual(&colors) / CONSISTENT).max(1.0);
            if doubt > 1.0 {
                system.weigh_pixels(|cosine| cosine.powf(doubtful_power(recipe, doubt)));
                system.solve(&mut colors, smoothness * doubt, iterations, TOLERANCE, level_part.part(0.6, 1.0))?;
            }
        }
        field = Some(Field { space, colors, mean, doubt });
    }
    Ok(field.expect("the loop runs at least once"))
}

/// Colours of the used texels.
#[derive(Clone, Debug)]
pub(crate) struct Texels {
    pub(crate) colors: Vec<Color>,
    /// How many of them some pixel sees.
    pub(crate) seen: usize,
}

/// Fits the texels of `atlas`, from the texture space's colours on.
pub(crate) fn fit_texels(
    field: &Field,
    mesh: &Mesh,
    corner_uvs: &[[[f32; 2]; 3]],
    atlas: &Atlas,
    footprints: &Footprints,
    recipe: &recipe::Texture,
    part: Part,
) -> Result<Texels> {
    part.at(0.0)?;
    let mut texels: Vec<Color> =
        (0..atlas.texels.len()).into_par_iter().map(|number| field.mean_of(mesh, atlas.points(number))).collect();
    let corners = |point: SurfacePoint| atlas.corners(uv_of(corner_uvs, point));
    let mut system = System::new(footprints, atlas.neighbours(), corners, part.part(0.1, 0.2))?;
    system.weigh_pixels(|cosine| cosine.powf(doubtful_power(recipe, field.doubt)));
    let smoothness = recipe.smoothness as f32 * field.doubt;
    // Between views that contradict each other most edges are ghosts.
    let rounds = if field.doubt < GHOSTS { recipe.edge_rounds as usize } else { 0 };
    for round in 0..=rounds {
        let round_part = part
            .part(0.2 + 0.8 * round as f32 / (rounds + 1) as f32, 0.2 + 0.8 * (round + 1) as f32 / (rounds + 1) as f32);
        let smoothness = if round == 0 { smoothness } else { smoothness * FLAT };
        if round > 0 {
            system.keep_edges(&texels, EDGE * field.doubt);
        }
        system.solve(&mut texels, smoothness, recipe.iterations as usize, TEXEL_TOLERANCE, round_part)?;
    }
    let seen = system.evidence().iter().filter(|&&evidence| evidence > SEEN).count();
    Ok(Texels { colors: texels, seen })
}

/// Exponent of |cos|: doubtful views are blended less and picked more.
fn doubtful_power(recipe: &recipe::Texture, doubt: f32) -> f32 {
    recipe.view_power as f32 * doubt.min(2.0)
}

/// Edge of a cell in world units: `cell` is for an object of the canonical radius 0.48.
fn cell_size(mesh: &Mesh, cell: f32) -> f32 {
    let (low, high) = mesh.bounds().unwrap_or_default();
    let center: [f32; 3] = std::array::from_fn(|k| 0.5 * (low[k] + high[k]));
    let distance = |p: &[f32; 3]| (0..3).map(|k| (p[k] - center[k]) * (p[k] - center[k])).sum::<f32>();
    let radius = mesh.positions.iter().map(distance).fold(0.0, f32::max).sqrt();
    let area: f32 = mesh
        .triangles
        .iter()
        .map(|&triangle| {
            let [x, y, z] = mesh.area_vector(triangle);
            0.5 * (x * x + y * y + z * z).sqrt()
        })
        .sum();
    // A shell of the surface holds about four nodes for each cell of area.
    (cell * radius / 0.48).max((4.0 * area / MOST_NODES).sqrt()).max(2.0 * radius / MOST_CELLS).max(f32::MIN_POSITIVE)
}

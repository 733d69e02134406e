//! How well views of a mesh agree, before and after shifting: what `maquette eval views` reports.

use maquette_core::recipe::{Recipe, Shifting};
use maquette_core::{Image, Mesh, Progress, Views};
use maquette_geometry::consistency::{Consistency, consistency, consistency_into};
use maquette_geometry::shifting::{Alignment, Shift, ShiftSettings};
use serde::Serialize;

use crate::Result;
use crate::segment::segment;
use crate::sources::posed_front;

/// Measures with views as they are and as their maps read them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BeforeAfter {
    /// As they are.
    pub before: Consistency,
    /// Shifted.
    pub after: Consistency,
}

/// The input view's measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InputAgreement {
    /// Where it is said, else found, to have been taken from, degrees above the horizon.
    pub elevation_degrees: f32,
    /// How well the views agree with it.
    #[serde(flatten)]
    pub measures: BeforeAfter,
}

/// How well views of a mesh agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Every view against the two next to it.
    pub views: BeforeAfter,
    /// The picture against what all views show of it.
    pub input_view: Option<InputAgreement>,
}

/// Measures `views` on `mesh`, which must be in their frame, and `picture` as the view that the others are shifted to.
///
/// Both maps are used where the recipe's shifting is `auto`; nothing is shifted where it is `off`. The picture itself never
/// is.
pub fn agreement(
    mesh: &Mesh,
    views: &Views,
    picture: Option<&Image>,
    recipe: &Recipe,
    progress: &Progress,
) -> Result<Agreement> {
    mesh.validate()?;
    views.validate()?;
    let (mesh, _) = mesh.welded();
    let count = views.views.len();
    let mut posed = views.clone();
    let mut elevation_degrees = None;
    if let Some(picture) = picture {
        let cutout = segment(picture, &recipe.segment, progress)?;
        if let Some(warning) = &cutout.warning {
            progress.warn(warning.clone());
        }
        let (view, pose) = posed_front(&cutout, &mesh, recipe.views.known_elevation_degrees(), progress)?;
        posed.views.push(view);
        elevation_degrees = Some(pose.elevation_degrees);
    }
    let shifting = match recipe.detail.shifting {
        Shifting::Auto => Shifting::Both,
        chosen => chosen,
    };
    let settings = ShiftSettings { shifting, ..ShiftSettings::default() };
    let mut alignment = Alignment::new(&posed)?;
    alignment.anchor = elevation_degrees.map(|_| count);
    let before = alignment.shifts.clone();
    if shifting != Shifting::Off {
        alignment.align(&mesh, &settings);
        let rounds = recipe.texture.shift_rounds as usize;
        alignment.align_colors(&mesh, &posed, &settings, rounds, progress)?;
    }
    let measured = |measure: &dyn Fn(&[Shift]) -> Result<Consistency>| -> Result<BeforeAfter> {
        progress.check()?;
        Ok(BeforeAfter { before: measure(&before)?, after: measure(&alignment.shifts)? })
    };
    let among = measured(&|shifts| Ok(consistency(&mesh, views, &shifts[..count])?))?;
    let input_view = match elevation_degrees {
        None => None,
        Some(elevation_degrees) => {
            let measures = measured(&|shifts| Ok(consistency_into(&mesh, &posed, shifts, count)?))?;
            Some(InputAgreement { elevation_degrees, measures })
        }
    };
    Ok(Agreement { views: among, input_view })
}

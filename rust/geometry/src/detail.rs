//! The detail stage: a mesh pulled to the views' normals and silhouettes while it is remeshed.
//!
//! Continuous remeshing after W. Palfinger, "Continuous remeshing for inverse rendering", 2022, with the moves of
//! [`crate::large_steps`] and the losses of [`crate::losses`]; coarse edges and small views first, then finer ones.

use maquette_core::recipe::{self, Shifting, Symmetry};
use maquette_core::{Mesh, Progress, Views};

use crate::ghosts::without_ghosts;
use crate::large_steps::{LargeStepsAdam, LargeStepsSettings};
use crate::losses::{LossWeights, MeshLosses};
use crate::mend::mend;
use crate::mirror::{MirrorPlane, find_mirror_plane};
use crate::parts::without_small_parts;
use crate::refusion::fuse;
use crate::remesh::{Remesh, remesh};
use crate::shifting::{Alignment, Shift, ShiftSettings};
use crate::{Error, Result};

/// One level of resolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetailLevel {
    /// Working size of the views in pixels a side.
    pub view_size_px: usize,
    /// Edge length that remeshing aims at, in world units.
    pub edge_length: f32,
    /// Optimisation steps.
    pub iterations: usize,
    /// Weights of the losses.
    pub weights: LossWeights,
    /// Cells an axis of the grid on which the mesh is fused when the level is done, see [`crate::refusion`]; 0: not.
    pub fuse_resolution: usize,
    /// Size of a step, see [`LargeStepsAdam::step`].
    pub learning_rate: f32,
}

/// Settings of [`sharpen`].
#[derive(Clone, Debug, PartialEq)]
pub struct DetailSettings {
    /// Levels, coarse to fine.
    pub levels: Vec<DetailLevel>,
    /// Steps between two remeshings.
    pub remesh_every: usize,
    /// Whether mirrored views take part.
    pub symmetry: Symmetry,
    /// How much a mirrored view counts, 1 as much as the others.
    pub mirror_weight: f32,
    /// How moves are smoothed.
    pub large_steps: LargeStepsSettings,
    /// How views that disagree are made to agree.
    pub shift: ShiftSettings,
    /// A view that is never shifted, see [`Alignment::anchor`].
    pub anchor: Option<usize>,
    /// How much each view counts, 1 as a rule; empty: all 1.
    pub view_weights: Vec<f32>,
}

impl From<&recipe::Detail> for DetailSettings {
    fn from(recipe: &recipe::Detail) -> Self {
        let fine = DetailLevel {
            view_size_px: recipe.view_size_px as usize,
            edge_length: recipe.edge_length as f32,
            iterations: recipe.iterations as usize,
            weights: LossWeights {
                normal: [recipe.normal_weight as f32, 0.0, 0.0],
                hull: recipe.mask_weight as f32,
                contour: recipe.contour_weight as f32,
            },
            fuse_resolution: 0,
            learning_rate: recipe.learning_rate as f32,
        };
        let edge_length = COARSE_EDGES * fine.edge_length;
        let coarse = DetailLevel {
            view_size_px: fine.view_size_px / 2,
            edge_length,
            weights: LossWeights { contour: COARSE_CONTOUR * fine.weights.contour, ..fine.weights },
            // Half an edge, so that nothing that edges can show is lost.
            fuse_resolution: (2.0 / edge_length).round().min(256.0) as usize,
            ..fine
        };
        Self {
            levels: vec![coarse, fine],
            remesh_every: 50,
            symmetry: recipe.symmetry,
            mirror_weight: 1.0,
            large_steps: LargeStepsSettings::default(),
            shift: ShiftSettings { shifting: recipe.shifting, ..ShiftSettings::default() },
            anchor: None,
            view_weights: Vec::new(),
        }
    }
}

impl Default for DetailSettings {
    fn default() -> Self {
        Self::from(&recipe::Detail::default())
    }
}

/// Edge length of the coarse level over that of the fine one.
const COARSE_EDGES: f32 = 1.8;
/// Weight of the contour at the coarse level over that at the fine one: outlines first.
const COARSE_CONTOUR: f32 = 5.0 / 3.0;
/// The last level settles: from each of these shares of its steps on it takes smaller ones. The mesh is mended there, so
/// that what mending smoothed is sharpened again.
const SETTLING: [(f32, f32); 2] = [(0.6, 0.4), (0.85, 0.15)];
/// Sizes of the views, as [`Alignment::settle`] numbers them, at which mesh and maps settle before a level, and at every
/// remeshing.
const SETTLE_FIRST: [usize; 3] = [2, 1, 0];
const SETTLE_AGAIN: [usize; 2] = [1, 0];
/// Views whose settled 2D maps are larger than this in the mean disagree, in world units.
const DISAGREEMENT: f32 = 0.002;
/// Most rounds of [`mend`].
const MEND_ROUNDS: usize = 12;

/// What [`sharpen`] gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Sharpened {
    /// The mesh.
    pub mesh: Mesh,
    /// The maps of every view; none where views were not shifted.
    pub shifts: Option<Vec<Shift>>,
}

/// Pulls `mesh` to `views`. Where levels fuse, topology may change; everything else keeps it.
pub fn sharpen(mesh: &Mesh, views: &Views, settings: &DetailSettings, progress: &Progress) -> Result<Sharpened> {
    mesh.validate()?;
    if settings.remesh_every == 0 {
        return Err(Error::invalid("steps between two remeshings are 0; give 1 or more"));
    }
    let mut mesh = Mesh { normals: None, corner_uvs: None, ..mesh.clone() };
    let mut alignment = Alignment::new(views)?;
    alignment.anchor = settings.anchor;
    let shifting = settings.wants_shifting(&mut alignment, &mesh, views, progress)?;
    let mut plane = None;
    let step_count: usize = settings.levels.iter().map(|level| level.iterations).sum();
    let mut step = 0;
    let mut state = vec![0.0; mesh.positions.len() * LargeStepsAdam::STATE_WIDTH];
    let mut gradient = Vec::new();
    for (index, level) in settings.levels.iter().enumerate() {
        progress.check()?;
        let last = index + 1 == settings.levels.len();
        if shifting {
            alignment.align(&mesh, &settings.shift);
            progress.check()?;
            settings.settle(&mut alignment, &mut mesh, views, &SETTLE_FIRST, progress)?;
        }
        let shifted = if shifting { alignment.apply(views)? } else { views.clone() };
        if shifting || index == 0 {
            plane = find_mirror_plane(&shifted, settings.symmetry, progress)?;
        }
        let mut losses = settings.losses(&shifted, plane, level)?;
        progress.check()?;
        let rounds = Remesh { rounds: 3, ..Remesh::uniform(level.edge_length) };
        remesh(&mut mesh, &mut state, &rounds)?;
        progress.check()?;
        let mut adam = LargeStepsAdam::new(mesh.positions.len(), &mesh.triangles, settings.large_steps)?;
        let mut learning_rate = level.learning_rate;
        for iteration in 0..level.iterations {
            progress.step(step, step_count)?;
            step += 1;
            if iteration > 0 && iteration % settings.remesh_every == 0 {
                state = adam.state();
                remesh(&mut mesh, &mut state, &Remesh::uniform(level.edge_length))?;
                adam.set_mesh(mesh.positions.len(), &mesh.triangles, &state)?;
                progress.set_preview(mesh.clone());
                if shifting {
                    settings.settle(&mut alignment, &mut mesh, views, &SETTLE_AGAIN, progress)?;
                    losses = settings.losses(&alignment.apply(views)?, plane, level)?;
                }
            }
            for (start, share) in SETTLING {
                if last && iteration == (start * level.iterations as f32) as usize {
                    mend(&mut mesh, MEND_ROUNDS);
                    learning_rate = share * level.learning_rate;
                }
            }
            losses.evaluate(&mesh.positions, &mesh.triangles, &level.weights, iteration, &mut gradient);
            adam.step(&mut mesh.positions, &gradient, learning_rate)?;
        }
        if level.fuse_resolution > 0 {
            mesh = without_small_parts(&fuse(&mesh, level.fuse_resolution)?, 0.005);
            mesh = without_ghosts(&mesh, &shifted, progress)?;
        }
        state = vec![0.0; mesh.positions.len() * LargeStepsAdam::STATE_WIDTH];
    }
    progress.check()?;
    let left = mend(&mut mesh, MEND_ROUNDS);
    if left > 0 {
        progress.warn(format!("{left} pairs of triangles of the sharpened mesh still intersect"));
    }
    if shifting {
        settings.settle(&mut alignment, &mut mesh, views, &SETTLE_AGAIN, progress)?;
    }
    Ok(Sharpened { mesh, shifts: shifting.then_some(alignment.shifts) })
}

impl DetailSettings {
    /// Whether the views are to be shifted at all; leaves `alignment` ready for it.
    ///
    /// Views that agree settle with small maps, whatever the mesh they start from.
    fn wants_shifting(
        &self,
        alignment: &mut Alignment,
        mesh: &Mesh,
        views: &Views,
        progress: &Progress,
    ) -> Result<bool> {
        if self.shift.shifting != Shifting::Auto {
            return Ok(self.shift.shifting != Shifting::Off);
        }
        progress.check()?;
        alignment.align(mesh, &self.shift);
        let mut settled = mesh.clone();
        for _ in 0..2 {
            self.settle(alignment, &mut settled, views, &SETTLE_FIRST, progress)?;
        }
        Ok(alignment.mean_shift(views) > DISAGREEMENT)
    }

    /// Lets mesh and maps settle; without 2D maps the mesh stays, and the maps follow it.
    fn settle(
        &self,
        alignment: &mut Alignment,
        mesh: &mut Mesh,
        views: &Views,
        levels: &[usize],
        progress: &Progress,
    ) -> Result<()> {
        if self.shift.shifting == Shifting::Turn {
            alignment.align(mesh, &self.shift);
            return Ok(progress.check()?);
        }
        alignment.settle(mesh, views, &self.shift, levels, progress)
    }

    /// The losses of a level: `views`, and in the mirror where there is one.
    fn losses(&self, views: &Views, plane: Option<MirrorPlane>, level: &DetailLevel) -> Result<MeshLosses> {
        let mut weights = self.view_weights.clone();
        if weights.is_empty() {
            weights.resize(views.views.len(), 1.0);
        }
        Error::check_length("weights of views", weights.len(), views.views.len(), "one weight for each view")?;
        let Some(plane) = plane else { return MeshLosses::with_view_weights(views, level.view_size_px, &weights) };
        let views = plane.with_mirrored(views);
        for index in 0..views.views.len() - weights.len() {
            weights.push(self.mirror_weight * weights[index]);
        }
        MeshLosses::with_view_weights(&views, level.view_size_px, &weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::MeshHealth;
    use crate::remesh::shapes::{sphere, torus};
    use crate::test_meshes::views_of;

    /// Two short levels.
    fn settings() -> DetailSettings {
        let mut settings = DetailSettings::default();
        for (level, (view_size_px, edge_length)) in settings.levels.iter_mut().zip([(64, 0.04), (128, 0.025)]) {
            (level.view_size_px, level.edge_length, level.iterations) = (view_size_px, edge_length, 60);
        }
        settings.levels[0].fuse_resolution = 48;
        settings.remesh_every = 20;
        settings
    }

    #[test]
    fn a_ball_becomes_the_ellipsoid_of_the_views() {
        let radii = [0.4, 0.25, 0.3];
        let mut truth = sphere(1.0, 40);
        for p in &mut truth.positions {
            *p = std::array::from_fn(|k| p[k] * radii[k]);
        }
        let views = views_of(&truth, 128);
        let mesh = sharpen(&sphere(0.3, 12), &views, &settings(), &Progress::new()).unwrap().mesh;
        let error = |p: &[f32; 3]| ((0..3).map(|k| (p[k] / radii[k]).powi(2)).sum::<f32>().sqrt() - 1.0).abs();
        let mean = mesh.positions.iter().map(error).sum::<f32>() / mesh.positions.len() as f32;
        assert!(mean < 0.008, "{mean}");
        let health = MeshHealth::of(&mesh).unwrap();
        assert!(health.watertight && health.genus == Some(0) && health.outward_fraction > 0.99, "{health:?}");
        assert_eq!(health.self_intersecting_triangles, 0);
        let again = sharpen(&sphere(0.3, 12), &views, &settings(), &Progress::new()).unwrap().mesh;
        assert_eq!(mesh, again, "the same call gives the same mesh");
    }

    #[test]
    fn any_mesh_may_be_the_start() {
        let views = views_of(&torus(0.3, 0.1, 48, 24), 96);
        let mut settings = settings();
        settings.levels.truncate(1);
        settings.levels[0].iterations = 10;
        for start in [Mesh::default(), sphere(0.7, 6)] {
            let mesh = sharpen(&start, &views, &settings, &Progress::new()).unwrap().mesh;
            mesh.validate().unwrap();
        }
        // One triangle, and a ball with a hole.
        let mut open = sphere(0.3, 8);
        open.triangles.truncate(40);
        sharpen(&open, &views, &settings, &Progress::new()).unwrap().mesh.validate().unwrap();
        let single = Mesh::new(vec![[0.0; 3], [0.3, 0.0, 0.0], [0.0, 0.3, 0.0]], vec![[0, 1, 2]]).unwrap();
        sharpen(&single, &views, &settings, &Progress::new()).unwrap().mesh.validate().unwrap();
    }

    #[test]
    fn stops_when_asked_and_refuses_nonsense() {
        let views = views_of(&sphere(0.3, 8), 32);
        let progress = Progress::new();
        progress.cancel();
        let stopped = sharpen(&sphere(0.3, 8), &views, &settings(), &progress);
        assert!(matches!(stopped, Err(Error::Core(maquette_core::Error::Cancelled))));
        let never = DetailSettings { remesh_every: 0, ..settings() };
        assert!(sharpen(&sphere(0.3, 8), &views, &never, &Progress::new()).is_err());
        assert!(sharpen(&sphere(0.3, 8), &Views::default(), &settings(), &Progress::new()).is_err());
    }
}

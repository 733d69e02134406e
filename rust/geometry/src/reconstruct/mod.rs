//! A closed mesh from posed views, in the two stages of LatentDreamer: first the distance field moves ([`coarse`]), then
//! it is fixed, and FlexiCubes' weights and the grid's deformation move ([`refine`]).
//!
//! The field starts as the visual hull of the silhouettes, as a given mesh, or as a field whose parameters are fitted first
//! ([`parametric`]), and learns a sum of grids of 1, 1/2, 1/4 and 1/8 of the resolution, which preconditions the
//! descent. Losses act on the surface that FlexiCubes extracts.

pub mod parametric;
mod shape;

use std::time::{Duration, Instant};

use maquette_core::{Mesh, Progress, Views, recipe};

use self::parametric::{FitSettings, ParametricField, fit};
use self::shape::{Moving, Shape, StepSettings};
use crate::ghosts::without_ghosts;
use crate::hull::hull_field;
use crate::losses::{LossTerms, LossWeights, MeshLosses};
use crate::mesh_to_sdf::mesh_to_sdf;
use crate::parts::{without_cavities, without_small_parts};
use crate::sdf_grid::SdfGrid;
use crate::{Error, Result};

/// The field is clipped at this many cells from the surface: farther away only its sign matters.
const CLIP_CELLS: f32 = 3.0;
/// Time between two previews.
const PREVIEW_INTERVAL: Duration = Duration::from_millis(500);

/// A shape between the two stages.
pub struct CoarseShape {
    shape: Shape,
    weights: LossWeights,
    fix_sdf: bool,
}

/// Where the field starts.
pub enum Start<'a> {
    /// As the visual hull of the silhouettes.
    Hull,
    /// As the distance to a mesh.
    Mesh(&'a Mesh),
    /// As a field whose parameters are fitted to the views first; the hull cuts it.
    Field(&'a mut dyn ParametricField),
}

/// Fits the distance field to `views`.
///
/// Views without normals take part with their silhouettes alone. The result is the same for any number of threads.
pub fn coarse(views: &Views, start: Start<'_>, settings: &recipe::Coarse, progress: &Progress) -> Result<CoarseShape> {
    let mut losses = MeshLosses::new(views, settings.view_size_px as usize)?;
    let resolution = settings.resolution as usize;
    let clip = CLIP_CELLS / resolution as f32;
    let weights = LossWeights {
        normal: [settings.normal_weight as f32, 0.0, 0.0],
        hull: settings.mask_weight as f32,
        contour: settings.contour_weight as f32,
    };
    let mut base = match start {
        Start::Mesh(mesh) => mesh_to_sdf(mesh, resolution, clip, progress)?,
        Start::Hull => hull_of(&losses, resolution)?,
        Start::Field(field) => {
            let fitting = FitSettings {
                resolution,
                iterations: settings.latent_iterations as usize,
                learning_rate: settings.latent_learning_rate as f32,
                weights,
            };
            previewed_fit(field, &mut losses, &fitting, progress)?
        }
    };
    progress.check()?;
    for value in base.values_mut() {
        *value = value.clamp(-clip, clip);
    }
    let mut shape = Shape::new(&base)?;
    progress.set_preview(shape.mesh()?);
    let descent = Descent {
        moving: Moving::Field,
        iterations: settings.iterations as usize,
        learning_rate: settings.learning_rate as f32,
        weights,
        deviation_weight: settings.deviation_weight as f32,
        sign_change_weight: settings.sign_change_weight as f32,
        smoothness_weight: settings.smoothness_weight as f32,
    };
    descent.run(&mut shape, &mut losses, progress)?;
    Ok(CoarseShape { shape, weights, fix_sdf: settings.fix_sdf })
}

fn hull_of(losses: &MeshLosses, resolution: usize) -> Result<SdfGrid> {
    let (silhouettes, cameras): (Vec<_>, Vec<_>) =
        losses.silhouettes().map(|(silhouette, camera)| (silhouette.clone(), camera.clone())).unzip();
    hull_field(&silhouettes, &cameras, resolution)
}

/// [`fit`], shown every now and then.
fn previewed_fit(
    field: &mut dyn ParametricField,
    losses: &mut MeshLosses,
    settings: &FitSettings,
    progress: &Progress,
) -> Result<SdfGrid> {
    let mut shown: Option<Instant> = None;
    let observe = |_: usize, _: &LossTerms, mesh: &dyn Fn() -> Mesh| {
        if shown.is_none_or(|shown| shown.elapsed() > PREVIEW_INTERVAL) {
            progress.set_preview(mesh());
            shown = Some(Instant::now());
        }
    };
    fit(field, losses, settings, observe, progress)
}

/// Fits weights and deformation, with the field fixed unless [`recipe::Coarse::fix_sdf`] says no, and gives the mesh:
/// closed, wound outwards, without cavities and ghost parts.
pub fn refine(
    coarse: CoarseShape,
    views: &Views,
    settings: &recipe::Refine,
    smallest_part: f64,
    progress: &Progress,
) -> Result<Mesh> {
    let CoarseShape { mut shape, weights, fix_sdf } = coarse;
    if settings.iterations > 0 {
        let mut losses = MeshLosses::new(views, settings.view_size_px as usize)?;
        let descent = Descent {
            moving: if fix_sdf { Moving::Weights } else { Moving::Everything },
            iterations: settings.iterations as usize,
            learning_rate: settings.learning_rate as f32,
            weights,
            deviation_weight: settings.deviation_weight as f32,
            sign_change_weight: 0.0,
            smoothness_weight: 0.0,
        };
        descent.run(&mut shape, &mut losses, progress)?;
    }
    let mesh = without_cavities(&without_small_parts(&shape.mesh()?, smallest_part));
    let mesh = without_ghosts(&mesh, views, progress)?;
    if mesh.triangles.is_empty() {
        return Err(Error::invalid(
            "nothing is left of the shape: the silhouettes of the views have no common inside; check masks and cameras",
        ));
    }
    Ok(mesh)
}

/// One run of gradient descent.
struct Descent {
    moving: Moving,
    iterations: usize,
    learning_rate: f32,
    weights: LossWeights,
    deviation_weight: f32,
    sign_change_weight: f32,
    smoothness_weight: f32,
}

impl Descent {
    fn run(&self, shape: &mut Shape, losses: &mut MeshLosses, progress: &Progress) -> Result<()> {
        let mut shown = Instant::now();
        for iteration in 0..self.iterations {
            progress.step(iteration, self.iterations)?;
            let settings = StepSettings {
                weights: self.weights,
                deviation_weight: self.deviation_weight,
                sign_change_weight: self.sign_change_weight,
                smoothness_weight: self.smoothness_weight,
                learning_rate: self.learning_rate * decay(iteration as f32 / self.iterations as f32),
                phase: iteration,
            };
            if !shape.step(losses, self.moving, &settings)? {
                break;
            }
            if shown.elapsed() > PREVIEW_INTERVAL {
                progress.set_preview(shape.mesh()?);
                shown = Instant::now();
            }
        }
        Ok(())
    }
}

/// Share of the learning rate at `done` in 0..1: full, then finer steps to settle.
fn decay(done: f32) -> f32 {
    if done < 0.5 {
        1.0
    } else if done < 0.8 {
        0.4
    } else {
        0.15
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::MeshHealth;
    use crate::remesh::shapes::torus;
    use crate::test_meshes::views_of;

    /// A ring that stands upright, so that its hole is seen from in front.
    fn ring() -> Mesh {
        let mut mesh = torus(0.33, 0.13, 64, 32);
        let high = mesh.bounds().unwrap().1;
        if high[1] < high[2] {
            for p in &mut mesh.positions {
                *p = [p[0], -p[2], p[1]];
            }
        }
        mesh
    }

    fn settings() -> (recipe::Coarse, recipe::Refine) {
        let coarse = recipe::Coarse { resolution: 40, iterations: 60, view_size_px: 96, ..recipe::Coarse::default() };
        let refine = recipe::Refine { iterations: 10, view_size_px: 96, ..recipe::Refine::default() };
        (coarse, refine)
    }

    #[test]
    fn a_ring_comes_back_closed_and_with_its_hole() {
        let truth = ring();
        let views = views_of(&truth, 96);
        let (coarse_settings, refine_settings) = settings();
        let progress = Progress::new();
        let make = |views: &Views| {
            let shape = coarse(views, Start::Hull, &coarse_settings, &progress).unwrap();
            refine(shape, views, &refine_settings, 0.005, &progress).unwrap()
        };
        let mesh = make(&views);
        assert!(progress.snapshot().preview_revision > 0);
        let health = MeshHealth::of(&mesh).unwrap();
        assert!(health.watertight && health.nonmanifold_vertices == 0 && health.genus == Some(1), "{health:?}");
        assert!(health.outward_fraction > 0.99, "{health:?}");
        let volume = MeshHealth::of(&truth).unwrap().volume;
        assert!((health.volume / volume - 1.0).abs() < 0.06, "{} {volume}", health.volume);
        // Silhouettes alone give a fatter shape, but still a closed one.
        let mut silhouettes = views.clone();
        silhouettes.views.iter_mut().for_each(|view| view.normal = None);
        assert!(MeshHealth::of(&make(&silhouettes)).unwrap().watertight);
    }

    #[test]
    fn the_field_may_move_to_the_end_and_may_start_anywhere() {
        /// A fixed ball, larger than the ring: only the hull and the grids make the ring of it.
        struct Ball;
        impl ParametricField for Ball {
            fn values(&mut self, resolution: usize) -> Result<SdfGrid> {
                SdfGrid::from_fn(resolution, |p| p.iter().map(|x| x * x).sum::<f32>().sqrt() - 0.47)
            }
            fn step(&mut self, _: &[f32], _: usize, _: f32) -> Result<()> {
                Ok(())
            }
        }
        let truth = ring();
        let views = views_of(&truth, 96);
        let (mut coarse_settings, refine_settings) = settings();
        (coarse_settings.latent_iterations, coarse_settings.fix_sdf) = (2, false);
        let shape = coarse(&views, Start::Field(&mut Ball), &coarse_settings, &Progress::new()).unwrap();
        let mesh = refine(shape, &views, &refine_settings, 0.005, &Progress::new()).unwrap();
        let health = MeshHealth::of(&mesh).unwrap();
        assert!(health.watertight && health.genus == Some(1), "{health:?}");
        assert!((health.volume / MeshHealth::of(&truth).unwrap().volume - 1.0).abs() < 0.06);
    }

    #[test]
    fn a_given_mesh_is_where_it_starts() {
        let truth = ring();
        let views = views_of(&truth, 96);
        let (mut coarse_settings, mut refine_settings) = settings();
        (coarse_settings.iterations, refine_settings.iterations) = (0, 0);
        let shape = coarse(&views, Start::Mesh(&truth), &coarse_settings, &Progress::new()).unwrap();
        let mesh = refine(shape, &views, &refine_settings, 0.005, &Progress::new()).unwrap();
        let ratio = MeshHealth::of(&mesh).unwrap().volume / MeshHealth::of(&truth).unwrap().volume;
        assert!((ratio - 1.0).abs() < 0.03, "{ratio}");
    }

    #[test]
    fn stops_when_asked_and_names_an_empty_shape() {
        let views = views_of(&torus(0.33, 0.13, 24, 12), 48);
        let (coarse_settings, refine_settings) = settings();
        let progress = Progress::new();
        progress.cancel();
        let stopped = coarse(&views, Start::Hull, &coarse_settings, &progress);
        assert!(matches!(stopped, Err(Error::Core(maquette_core::Error::Cancelled))));
        let mut empty = views;
        for view in &mut empty.views {
            view.mask.data.fill([0.0]);
        }
        let nothing = coarse(&empty, Start::Hull, &coarse_settings, &Progress::new())
            .and_then(|shape| refine(shape, &empty, &refine_settings, 0.005, &Progress::new()));
        assert!(nothing.is_err());
    }
}

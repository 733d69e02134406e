//! How much sooner the search for a latent ends where the latent initialisation network starts it (LatentDreamer's first
//! ablation).

use maquette_core::{Camera, Plane, Progress, View, Views};
use maquette_geometry::losses::{LossTerms, LossWeights, MeshLosses};
use maquette_geometry::reconstruct::parametric::{FitSettings, ParametricField, fit};
use maquette_geometry::sdf_grid::SdfGrid;
use maquette_prior::lin::Lin;
use maquette_prior::lin::network::{VIEW_CHANNELS, VIEW_PX};
use maquette_prior::sae::network::{LATENT, SIZE};
use maquette_prior::sae::{LatentField, Sae};
use maquette_prior::shapes::{Dice, SdfCube};

use crate::data::cubes::{Kind, shape_of_kind};
use crate::data::views::{spoilt, views_of};
use crate::run::HELD_OUT_SEED;
use crate::{Error, Result};

/// How the search runs.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Steps at most; a search that has stalled ends sooner.
    pub iterations: usize,
    /// Adam step of the latent.
    pub learning_rate: f32,
    /// Cells of FlexiCubes' grid on each axis.
    pub resolution: usize,
    /// How much the views are spoilt: not at all, or as in training.
    pub spoilt: bool,
}

/// A loss this many times another is as good.
const NEAR: f64 = 1.05;
/// Steps in which the loss has to fall by [`LEAST_FALL`], or the search has stalled.
const PATIENCE: usize = 60;
/// See [`PATIENCE`].
const LEAST_FALL: f64 = 0.01;

/// Whether the last steps brought nothing.
fn stalled(losses: &[f64]) -> bool {
    let least = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
    let (before, recent) = losses.split_at(losses.len().saturating_sub(PATIENCE));
    least(recent) > (1.0 - LEAST_FALL) * least(before)
}

/// One shape sought from the latent zero and from the network's.
#[derive(Clone, Debug)]
pub struct Race {
    /// Loss of every step, from zero and from the network's latent.
    pub losses: [Vec<f64>; 2],
    /// Overlap of the found shapes with the truth.
    pub iou: [f64; 2],
}

impl Race {
    /// The loss that both have to reach: a little above the better of what the search from zero ends with and what the search
    /// from the network's latent ends with, whichever is larger, so that both get there.
    pub fn goal(&self) -> f64 {
        let [zero, lin] = self.last();
        NEAR * zero.max(lin)
    }

    /// Steps until [`Race::goal`].
    pub fn iterations(&self) -> [usize; 2] {
        self.steps_to([self.goal(); 2])
    }

    /// Steps until each is near the end of its own search.
    pub fn settled(&self) -> [usize; 2] {
        self.steps_to(self.last().map(|loss| NEAR * loss))
    }

    /// Steps until each is at its goal; all of them where it never is.
    fn steps_to(&self, goals: [f64; 2]) -> [usize; 2] {
        let steps = |k: usize| self.losses[k].iter().position(|loss| *loss <= goals[k]);
        [0, 1].map(|k| steps(k).unwrap_or(self.losses[k].len()))
    }

    /// Least loss of each.
    pub fn last(&self) -> [f64; 2] {
        [0, 1].map(|k| self.losses[k].iter().copied().fold(f64::MAX, f64::min))
    }
}

/// The decoder as a field that geometry can fit.
struct DecodedField<'a>(LatentField<'a>);

fn failed(error: &maquette_prior::Error) -> maquette_geometry::Error {
    maquette_geometry::Error::Field(error.to_string())
}

impl ParametricField for DecodedField<'_> {
    fn values(&mut self, resolution: usize) -> maquette_geometry::Result<SdfGrid> {
        SdfGrid::new(resolution, self.0.distances(resolution).map_err(|error| failed(&error))?)
    }

    fn step(&mut self, gradient: &[f32], resolution: usize, rate: f32) -> maquette_geometry::Result<()> {
        self.0.step(gradient, resolution, rate).map_err(|error| failed(&error))
    }
}

/// Views of planes, normals in camera space, as posed views.
fn posed(planes: &[f32]) -> Views {
    let area = VIEW_PX * VIEW_PX;
    let views = planes.chunks_exact(VIEW_CHANNELS * area).zip(Camera::six_views(VIEW_PX)).map(|(view, camera)| {
        let normal = |pixel: usize| [0, 1, 2].map(|k| view[k * area + pixel]);
        View {
            mask: Plane { width: VIEW_PX, height: VIEW_PX, data: view[3 * area..].iter().map(|&x| [x]).collect() },
            normal: Some(Plane {
                width: VIEW_PX,
                height: VIEW_PX,
                data: (0..area).map(|pixel| camera.vector_to_world(normal(pixel))).collect(),
            }),
            color: None,
            camera,
        }
    });
    Views { views: views.collect() }
}

/// Seeks the unseen shape `index` of a kind twice.
///
/// # Errors
/// When a network fails.
pub fn race(sae: &Sae, lin: &Lin, kind: Kind, index: u64, search: &Search) -> Result<Race> {
    let truth = shape_of_kind(HELD_OUT_SEED, index, SIZE, kind);
    let mut planes = views_of(&truth, VIEW_PX);
    if search.spoilt {
        planes = spoilt(&planes, VIEW_PX, &mut Dice::new(HELD_OUT_SEED, &format!("spoilt views {index}")));
    }
    let views = posed(&planes);
    let settings = FitSettings {
        resolution: search.resolution,
        iterations: search.iterations,
        learning_rate: search.learning_rate,
        weights: LossWeights { normal: [10.0, 0.0, 0.0], hull: 20.0, contour: 10.0 },
    };
    let mut race = Race { losses: [Vec::new(), Vec::new()], iou: [0.0; 2] };
    for (k, start) in [vec![0.0; LATENT], lin.latent(&planes)?].into_iter().enumerate() {
        let mut losses = MeshLosses::new(&views, VIEW_PX).map_err(|error| Error::Samples(error.to_string()))?;
        let mut field = DecodedField(LatentField::new(sae, start)?);
        let told = &mut race.losses[k];
        let progress = Progress::new();
        let stop = progress.clone();
        let observe = |_: usize, terms: &LossTerms, _: &dyn Fn() -> maquette_core::Mesh| {
            told.push(terms.total());
            if stalled(told) {
                stop.cancel();
            }
        };
        match fit(&mut field, &mut losses, &settings, observe, &progress) {
            Ok(_) => {}
            // It has stalled.
            Err(_) if progress.is_cancelled() => {}
            Err(error) => return Err(Error::Samples(error.to_string())),
        }
        race.iou[k] = overlap(&sae.decode(field.0.latent())?, &truth);
    }
    Ok(race)
}

fn overlap(ours: &SdfCube, truth: &SdfCube) -> f64 {
    crate::sae::measure::Likeness::of(ours, truth).iou
}

/// Mean and standard deviation.
pub fn mean_and_spread(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    [mean, (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_counts_steps_to_the_same_loss() {
        let race = Race { losses: [vec![9.0, 5.0, 3.0, 2.0], vec![4.0, 2.05, 1.0, 1.0]], iou: [0.0; 2] };
        assert_eq!((race.iterations(), race.settled(), race.last()), ([3, 1], [3, 2], [2.0, 1.0]));
        assert!(!stalled(&[]) && !stalled(&[f64::INFINITY; 2 * PATIENCE]) && !stalled(&[1.0; PATIENCE]));
        assert!(stalled(&[1.0; PATIENCE + 1]));
        let falling: Vec<f64> = (0..3 * PATIENCE).map(|step| 0.999f64.powi(step as i32)).collect();
        assert!(!stalled(&falling));
        assert_eq!(mean_and_spread([1.0, 3.0].into_iter()), [2.0, 1.0]);
    }
}

//! How well the draft network's shapes agree with shapes that it was never trained on, in the world: a wrong elevation
//! costs here, as it does in use, and not only in the frustum.

use maquette_core::Progress;
use maquette_prior::draft::{Draft, DraftShape};
use maquette_prior::frustum::{DEPTH_BINS, Frustum, PICTURE_PX};
use rayon::prelude::*;

use crate::data::{DataSettings, DraftSample, draft_sample};
use crate::meshes::MeshBank;
use crate::run::HELD_OUT_SEED;
use crate::{Error, Result};

/// Header of [`DraftScore::lines`].
pub const HEADER: &str = "set,bias,iou_estimated,iou_known,elevation_error";

/// What is added to the logits before the surface is taken: shows whether thicker or thinner shapes would be better.
const BIASES: [f32; 4] = [-0.4, 0.0, 0.4, 0.8];

/// Means over the samples of one set.
#[derive(Clone, Copy, Debug, Default)]
pub struct DraftScore {
    /// Overlap in the world with the network's own elevation, for each of four biases.
    pub estimated: [f64; BIASES.len()],
    /// The same with the true elevation.
    pub known: [f64; BIASES.len()],
    /// Absolute error of the elevation in degrees.
    pub elevation_error: f64,
}

impl DraftScore {
    /// Rows of the table, one for each bias.
    pub fn lines(&self, set: &str) -> Vec<String> {
        let row = |k: usize| {
            format!("{:.1},{:.4},{:.4},{:.2}", BIASES[k], self.estimated[k], self.known[k], self.elevation_error)
        };
        (0..BIASES.len()).map(|k| format!("{set},{}", row(k))).collect()
    }
}

/// Measures `count` samples that no training run sees; procedural ones without a `bank`.
///
/// # Errors
/// When the network fails.
pub fn score(draft: &Draft, bank: Option<&MeshBank>, tight: bool, colored: bool, count: u64) -> Result<DraftScore> {
    let share = |yes: bool| f32::from(u8::from(yes));
    let data = DataSettings { real_share: share(bank.is_some()), tight_share: share(tight), ..DataSettings::default() };
    let all: Vec<DraftScore> = (0..count)
        .into_par_iter()
        .map(|index| score_one(draft, &draft_sample(HELD_OUT_SEED, index, &data, bank), colored))
        .collect::<Result<_>>()?;
    let mut mean = DraftScore::default();
    for one in &all {
        let share = 1.0 / all.len() as f64;
        for k in 0..BIASES.len() {
            mean.estimated[k] += share * one.estimated[k];
            mean.known[k] += share * one.known[k];
        }
        mean.elevation_error += share * one.elevation_error;
    }
    Ok(mean)
}

fn score_one(draft: &Draft, sample: &DraftSample, colored: bool) -> Result<DraftScore> {
    let rgb: &[f32] = if colored { &sample.rgb } else { &[] };
    let guess = draft
        .predict(&sample.mask, rgb, sample.tight, None, &Progress::new())
        .map_err(|error| Error::Samples(error.to_string()))?;
    let truth = Frustum { elevation_degrees: sample.elevation_degrees, ..guess.frustum };
    let mut known = guess.clone();
    known.frustum = truth;
    Ok(DraftScore {
        estimated: BIASES.map(|bias| overlap(&guess, sample, &truth, bias)),
        known: BIASES.map(|bias| overlap(&known, sample, &truth, bias)),
        elevation_error: f64::from((guess.frustum.elevation_degrees - sample.elevation_degrees).abs()),
    })
}

/// Intersection over union in the world of what the logits plus `bias` call inside and of what the sample holds.
fn overlap(guess: &DraftShape, sample: &DraftSample, truth: &Frustum, bias: f32) -> f64 {
    let cells = || {
        (0..sample.occupancy.len()).map(|index| {
            let area = PICTURE_PX * PICTURE_PX;
            let (layer, row, column) = (index / area, index % area / PICTURE_PX, index % PICTURE_PX);
            let behind = (layer as f64 + 0.5) / DEPTH_BINS as f64 - 0.5;
            // Cells widen with their distance.
            let volume = (1.0 + behind * f64::from(truth.depth / truth.distance)).powi(2);
            (index, [column, row, layer].map(|k| k as f32 + 0.5), volume)
        })
    };
    // The source cuts the shape along the silhouette.
    let inside = |point_in_world: [f32; 3]| {
        let [column, row, _] = guess.frustum.from_world(point_in_world).map(|x| x.max(0.0) as usize);
        let seen = column < PICTURE_PX && row < PICTURE_PX && sample.mask[row * PICTURE_PX + column] >= 0.5;
        seen && guess.logit(point_in_world) + bias > 0.0
    };
    let (mut both, mut total) = (0.0, 0.0);
    for (index, at, volume) in cells() {
        if sample.occupancy[index] == 1 {
            total += volume;
            both += if inside(truth.to_world(at)) { volume } else { 0.0 };
        }
        if inside(guess.frustum.to_world(at)) {
            total += volume;
        }
    }
    both / (total - both).max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_elevations_are_never_far_below_and_scores_are_shares() {
        let score = score(Draft::embedded().unwrap(), None, false, true, 6).unwrap();
        for k in 0..BIASES.len() {
            assert!((0.05..1.0).contains(&score.estimated[k]) && (0.05..1.0).contains(&score.known[k]), "{score:?}");
            assert!(score.known[k] > score.estimated[k] - 0.1, "{score:?}");
        }
        assert!(score.lines("a")[1].starts_with("a,0.0,"));
    }
}

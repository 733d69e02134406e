//! The draft network as a task of the training loop: the same samples whatever the number of threads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use maquette_prior::draft::network::{DraftNet, ELEVATION_UNIT, PATCH, Planes, SIDE, picture_input};
use maquette_prior::frustum::PICTURE_PX;
use maquette_prior::nn::Weights;
use maquette_prior::shapes::Dice;

use super::loss::{Target, elevation_loss, occupancy_loss, overlap};
use crate::Result;
use crate::data::{DataSettings, DraftSample, draft_sample};
use crate::meshes::MeshBank;
use crate::prefetch::Prefetch;
use crate::run::{self, HELD_OUT_SEED, Schedule, Task};

/// What to train and for how long.
#[derive(Clone, Debug)]
pub struct DraftTraining {
    /// Where to train and for how long.
    pub schedule: Schedule,
    /// What samples are drawn from.
    pub data: DataSettings,
    /// Which planes of the picture the network sees.
    pub planes: Planes,
    /// Share of samples whose colours are taken away, so that a network that sees colours does not lean on them.
    pub colorless_share: f32,
}

/// A sample as the loop takes it.
#[derive(Clone)]
struct Prepared {
    input: Vec<f32>,
    target: Target,
    elevation: f32,
}

impl Prepared {
    fn of(sample: &DraftSample, planes: Planes, colored: bool) -> Self {
        Self {
            input: picture_input(&sample.mask, if colored { &sample.rgb } else { &[] }, sample.tight, planes),
            target: Target::of(sample),
            elevation: sample.elevation_degrees / ELEVATION_UNIT,
        }
    }
}

/// Every sample is used twice, the second time mirrored: of each batch half are new, half mirror the new ones of
/// [`REPLAY_STEPS`] steps ago.
struct Stream {
    fresh: Prefetch<[Prepared; 2]>,
    mirrored: VecDeque<Prepared>,
}

/// Steps between a sample and its mirror image.
const REPLAY_STEPS: usize = 24;

impl Stream {
    /// The next batch and how many of it are new; `None` when the threads that make samples have died.
    fn batch(&mut self, size: usize) -> Option<(Vec<Prepared>, usize)> {
        let replayed = if self.mirrored.len() >= REPLAY_STEPS * size / 2 { size / 2 } else { 0 };
        let mut batch: Vec<Prepared> = self.mirrored.drain(..replayed).collect();
        for _ in 0..size - replayed {
            let [sample, mirrored] = self.fresh.next()?;
            batch.push(sample);
            self.mirrored.push_back(mirrored);
        }
        Some((batch, size - replayed))
    }
}

/// The sample seen in a mirror.
fn mirrored(sample: &DraftSample) -> DraftSample {
    let flip = |row: &[f32]| row.iter().rev().copied().collect::<Vec<_>>();
    DraftSample {
        mask: sample.mask.chunks_exact(PICTURE_PX).flat_map(flip).collect(),
        rgb: sample.rgb.chunks_exact(PICTURE_PX).flat_map(flip).collect(),
        occupancy: sample.occupancy.chunks_exact(PICTURE_PX).flat_map(|row| row.iter().rev().copied()).collect(),
        ..*sample
    }
}

/// Real meshes of a run.
#[derive(Debug)]
pub struct Meshes {
    /// Those that it learns from.
    pub training: MeshBank,
    /// Those that it is measured on.
    pub held_out: MeshBank,
}

/// Trains until the end of the schedule; writes `checkpoint.safetensors`, `draft.safetensors` (averaged weights, F16),
/// `log.csv` and `scores.csv`.
///
/// # Errors
/// When a file cannot be written, or a checkpoint in the folder does not fit.
pub fn train(settings: &DraftTraining, meshes: Option<Meshes>) -> Result<()> {
    let (bank, held_out) =
        meshes.map_or((None, None), |meshes| (Some(Arc::new(meshes.training)), Some(meshes.held_out)));
    let mut weights = Weights::fresh(settings.schedule.seed, &Device::Cpu);
    let net = DraftNet::new(&mut weights, settings.planes)?;
    run::train(&settings.schedule, weights, move |samples_seen| {
        let (seed, data, planes) = (settings.schedule.seed, settings.data.clone(), settings.planes);
        let colorless_share = settings.colorless_share;
        let make = move |index| {
            let sample = draft_sample(seed, index, &data, bank.as_deref());
            let mut dice = Dice::new(seed, &format!("colours {index}"));
            [&sample, &mirrored(&sample)].map(|sample| Prepared::of(sample, planes, !dice.chance(colorless_share)))
        };
        let Schedule { sample_threads, batch, .. } = settings.schedule;
        let fresh = Prefetch::new(samples_seen, sample_threads, 4 * batch, make);
        Ok(DraftTask { settings, net, held_out, stream: Stream { fresh, mirrored: VecDeque::new() } })
    })
}

/// The network, its samples, and the meshes that it is measured on.
struct DraftTask<'a> {
    settings: &'a DraftTraining,
    net: DraftNet,
    held_out: Option<MeshBank>,
    stream: Stream,
}

impl Task for DraftTask<'_> {
    type Batch = Vec<Prepared>;
    const NAME: &'static str = "draft";
    const LOSSES: &'static str = "loss,elevation_loss";
    const SCORES: &'static str = "set,iou,iou_biased,elevation_error";

    fn batch(&mut self) -> Option<(Vec<Prepared>, usize)> {
        self.stream.batch(self.settings.schedule.batch)
    }

    fn losses(&self, batch: Vec<Prepared>, _step: usize) -> Result<(Tensor, Vec<f32>)> {
        let (pictures, elevation, targets) = stack(batch)?;
        let out = self.net.forward(&pictures)?;
        let shape = occupancy_loss(&out.logits, targets)?;
        let angle = elevation_loss(&out.elevation, &elevation)?;
        let terms = vec![shape.to_scalar()?, angle.to_scalar()?];
        Ok(((shape + angle)?, terms))
    }

    fn measure(&self, averages: BTreeMap<String, Tensor>) -> Result<Vec<String>> {
        let averaged = DraftNet::new(&mut Weights::given(averages, &Device::Cpu), self.settings.planes)?;
        measure(&averaged, self.settings, self.held_out.as_ref())
    }
}

/// Added to logits for a second score: shows whether a threshold below one half would be better.
const BIAS: f32 = 0.8;

/// Pictures `[batch, SIDE, SIDE, channels]`, elevations `[batch]` and targets.
fn stack(batch: Vec<Prepared>) -> Result<(Tensor, Tensor, Vec<Target>)> {
    let count = batch.len();
    let (mut pictures, mut elevations, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for Prepared { input, target, elevation } in batch {
        pictures.extend(input);
        elevations.push(elevation);
        targets.push(target);
    }
    let channels = pictures.len() / (count * SIDE * SIDE);
    debug_assert_eq!(channels % (PATCH * PATCH), 0);
    Ok((
        Tensor::from_vec(pictures, (count, SIDE, SIDE, channels), &Device::Cpu)?,
        Tensor::from_vec(elevations, count, &Device::Cpu)?,
        targets,
    ))
}

/// What a set of samples is called in tables.
pub fn set_name(real: bool, tight: bool, colored: bool) -> String {
    let source = if real { "real" } else { "procedural" };
    let framing = if tight { "tight" } else { "canonical" };
    format!("{source}-{framing}-{}", if colored { "color" } else { "mask" })
}

/// Scores on samples that are never trained on, each as `set,iou,iou_biased,elevation_error`; a network that sees colours
/// is measured without them as well.
fn measure(net: &DraftNet, settings: &DraftTraining, bank: Option<&MeshBank>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let colors: &[bool] = if settings.planes == Planes::Color { &[true, false] } else { &[false] };
    for (set, &colored) in (0..4).flat_map(|set| colors.iter().map(move |colored| (set, colored))) {
        let (real, tight) = (set >= 2, set % 2 == 1);
        if real && bank.is_none() {
            continue;
        }
        let share = |yes: bool| f32::from(u8::from(yes));
        let data = DataSettings { real_share: share(real), tight_share: share(tight), ..settings.data.clone() };
        let (mut plain, mut biased, mut off) = (0.0, 0.0, 0.0);
        let Schedule { measured, batch, .. } = settings.schedule;
        for first in (0..measured).step_by(batch) {
            let indices = first..(first + batch as u64).min(measured);
            let batch: Vec<Prepared> = indices
                .map(|index| Prepared::of(&draft_sample(HELD_OUT_SEED, index, &data, bank), settings.planes, colored))
                .collect();
            let (pictures, elevation, targets) = stack(batch)?;
            let out = net.forward(&pictures)?;
            off += f64::from((out.elevation - elevation)?.abs()?.sum_all()?.to_scalar::<f32>()?);
            for (index, target) in targets.iter().enumerate() {
                let logits = out.logits.get(index)?.flatten_all()?.to_vec1::<f32>()?;
                plain += overlap(&logits, target, 0.0);
                biased += overlap(&logits, target, BIAS);
            }
        }
        let count = measured.max(1) as f64;
        lines.push(format!(
            "{},{:.4},{:.4},{:.2}",
            set_name(real, tight, colored),
            plain / count,
            biased / count,
            off / count * f64::from(ELEVATION_UNIT)
        ));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::checkpoint;
    use crate::run::tests::schedule;

    fn settings(folder: &Path, steps: usize) -> DraftTraining {
        DraftTraining {
            schedule: schedule(folder, steps),
            data: DataSettings { real_share: 0.0, ..DataSettings::default() },
            planes: Planes::Mask,
            colorless_share: 0.0,
        }
    }

    #[test]
    fn a_run_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        train(&settings(folder.path(), 2), None).unwrap();
        let exported = std::fs::read(folder.path().join("draft.safetensors")).unwrap();
        assert!(exported.len() < 20_000_000);
        maquette_prior::draft::Draft::from_safetensors(&exported).unwrap();
        train(&settings(folder.path(), 4), None).unwrap();
        let (_, told) = checkpoint::read(&folder.path().join("checkpoint.safetensors")).unwrap();
        assert_eq!((told["step"].as_str(), told["samples"].as_str()), ("4", "8"));
        let scores = std::fs::read_to_string(folder.path().join("scores.csv")).unwrap();
        assert_eq!(scores.lines().count(), 5, "{scores}");
        let other = DraftTraining { planes: Planes::Color, ..settings(folder.path(), 6) };
        assert!(train(&other, None).unwrap_err().to_string().contains("does not fit"));
    }

    #[test]
    fn every_sample_comes_back_mirrored() {
        let number = |sample: &Prepared| sample.elevation as i32;
        let prepared = |elevation: i32| Prepared {
            input: Vec::new(),
            target: Target { seen: Vec::new(), inside: Vec::new() },
            elevation: elevation as f32,
        };
        let fresh = Prefetch::new(1, 1, 4, move |index| [prepared(index as i32), prepared(-(index as i32))]);
        let mut stream = Stream { fresh, mirrored: VecDeque::new() };
        let mut seen = Vec::new();
        for _ in 0..REPLAY_STEPS + 10 {
            let (batch, new) = stream.batch(4).unwrap();
            assert_eq!(batch.len(), 4);
            assert_eq!(batch.iter().filter(|sample| number(sample) > 0).count(), new);
            seen.extend(batch.iter().map(number));
        }
        let mirrored: Vec<i32> = seen.iter().copied().filter(|sample| *sample < 0).collect();
        assert_eq!(mirrored[..6], [-1, -2, -3, -4, -5, -6]);
    }
}

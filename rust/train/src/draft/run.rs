//! The training loop: resumable at every checkpoint, the same samples whatever the number of threads.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use maquette_prior::draft::network::{DraftNet, ELEVATION_UNIT, PATCH, Planes, SIDE, picture_input};
use maquette_prior::frustum::PICTURE_PX;
use maquette_prior::nn::Weights;
use maquette_prior::shapes::Dice;

use super::loss::{Target, elevation_loss, occupancy_loss, overlap};
use crate::checkpoint;
use crate::data::{DataSettings, DraftSample, draft_sample};
use crate::meshes::MeshBank;
use crate::optimizer::{AdamSettings, AdamW};
use crate::prefetch::Prefetch;
use crate::{Error, Result};

/// What to train and for how long.
#[derive(Clone, Debug)]
pub struct DraftTraining {
    /// Folder of checkpoints and logs; a run in it goes on.
    pub folder: PathBuf,
    /// Seed of weights and samples.
    pub seed: u64,
    /// What samples are drawn from.
    pub data: DataSettings,
    /// Which planes of the picture the network sees.
    pub planes: Planes,
    /// Share of samples whose colours are taken away, so that a network that sees colours does not lean on them.
    pub colorless_share: f32,
    /// Samples a step.
    pub batch: usize,
    /// Highest learning rate.
    pub rate: f32,
    /// Steps in which the rate rises.
    pub warm_up: usize,
    /// Step at which the run ends.
    pub steps: usize,
    /// Of these, the last in which the rate falls to 0.
    pub cool_down: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
    /// Steps between measurements on samples never trained on.
    pub measure_every: usize,
    /// Samples of each set that is measured.
    pub measured: u64,
    /// Threads that make samples.
    pub sample_threads: usize,
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

impl DraftTraining {
    /// Learning rate of a step: rise, plateau, linear fall.
    fn rate_at(&self, step: usize) -> f32 {
        let rise = (step + 1) as f32 / self.warm_up.max(1) as f32;
        let fall = self.steps.saturating_sub(step) as f32 / self.cool_down.max(1).min(self.steps) as f32;
        self.rate * rise.min(fall).min(1.0)
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

/// Trains until [`DraftTraining::steps`]; writes `checkpoint.safetensors`, `draft.safetensors` (averaged weights, F16),
/// `log.csv` and `scores.csv`.
///
/// # Errors
/// When a file cannot be written, or a checkpoint in the folder does not fit.
pub fn train(settings: &DraftTraining, meshes: Option<Meshes>) -> Result<()> {
    let (bank, held_out) =
        meshes.map_or((None, None), |meshes| (Some(Arc::new(meshes.training)), Some(meshes.held_out)));
    let folder = &settings.folder;
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    let mut weights = Weights::fresh(settings.seed, &Device::Cpu);
    let net = DraftNet::new(&mut weights, settings.planes)?;
    let mut optimizer = AdamW::new(weights.into_variables(), AdamSettings::default())?;
    let path = folder.join("checkpoint.safetensors");
    let mut samples_seen = 0u64;
    if path.exists() {
        let (state, told) = checkpoint::read(&path)?;
        let number = |key: &str| told.get(key).and_then(|text| text.parse::<u64>().ok());
        let (Some(step), Some(samples)) = (number("step"), number("samples")) else {
            return Err(Error::File { path, reason: "it does not tell its step".to_owned() });
        };
        optimizer.restore(&state, step as usize)?;
        samples_seen = samples;
    }
    println!("{} parameters, from step {}, sample {samples_seen}", optimizer.parameter_count(), optimizer.step_count());
    let (seed, data, planes) = (settings.seed, settings.data.clone(), settings.planes);
    let colorless_share = settings.colorless_share;
    let make = move |index| {
        let sample = draft_sample(seed, index, &data, bank.as_deref());
        let mut dice = Dice::new(seed, &format!("colours {index}"));
        [&sample, &mirrored(&sample)].map(|sample| Prepared::of(sample, planes, !dice.chance(colorless_share)))
    };
    let fresh = Prefetch::new(samples_seen, settings.sample_threads, 4 * settings.batch, make);
    let mut stream = Stream { fresh, mirrored: VecDeque::new() };
    let mut log = Table::open(&folder.join("log.csv"), "step,samples,seconds,rate,loss,elevation_loss,gradient")?;
    let mut scores = Table::open(&folder.join("scores.csv"), "step,samples,set,iou,iou_biased,elevation_error")?;
    let (start, first) = (Instant::now(), optimizer.step_count());
    let mut sums = [0.0f32; 3];
    while optimizer.step_count() < settings.steps {
        let Some((batch, fresh)) = stream.batch(settings.batch) else {
            return Err(Error::File { path: folder.clone(), reason: "the threads that make samples died".to_owned() });
        };
        let rate = settings.rate_at(optimizer.step_count());
        let (shape, loss, gradient) = one_step(&net, &mut optimizer, batch, rate)?;
        for (sum, value) in sums.iter_mut().zip([shape, loss, gradient]) {
            *sum += value;
        }
        samples_seen += fresh as u64;
        let step = optimizer.step_count();
        if step.is_multiple_of(LOG_EVERY) {
            let seconds = start.elapsed().as_secs_f32();
            let [shape, elevation, gradient] = sums.map(|sum| sum / LOG_EVERY as f32);
            sums = [0.0; 3];
            let line = format!("{step},{samples_seen},{seconds:.1},{rate:.6},{shape:.4},{elevation:.4},{gradient:.3}");
            println!("{line}  {:.1} ms/sample", 1000.0 * seconds / ((step - first) * settings.batch) as f32);
            log.line(&line)?;
        }
        let last = step >= settings.steps;
        if step.is_multiple_of(settings.checkpoint_every) || last {
            let told = BTreeMap::from([
                ("step".to_owned(), step.to_string()),
                ("samples".to_owned(), samples_seen.to_string()),
                ("seed".to_owned(), settings.seed.to_string()),
            ]);
            checkpoint::write(&path, &optimizer.state()?, &told, false)?;
            checkpoint::write(&folder.join("draft.safetensors"), &optimizer.averages()?, &told, true)?;
        }
        if step.is_multiple_of(settings.measure_every) || last {
            let averaged = DraftNet::new(&mut Weights::given(optimizer.averages()?, &Device::Cpu), planes)?;
            for score in measure(&averaged, settings, held_out.as_ref())? {
                println!("{step}: {score}");
                scores.line(&format!("{step},{samples_seen},{score}"))?;
            }
        }
    }
    Ok(())
}

/// Steps between lines of the log.
const LOG_EVERY: usize = 20;
/// Added to logits for a second score: shows whether a threshold below one half would be better.
const BIAS: f32 = 0.8;

/// Losses of occupancy and elevation, and the gradient's length.
fn one_step(net: &DraftNet, optimizer: &mut AdamW, batch: Vec<Prepared>, rate: f32) -> Result<(f32, f32, f32)> {
    let (pictures, elevation, targets) = stack(batch)?;
    let out = net.forward(&pictures)?;
    let shape = occupancy_loss(&out.logits, targets)?;
    let angle = elevation_loss(&out.elevation, &elevation)?;
    let gradients = (&shape + &angle)?.backward()?;
    let length = optimizer.step(&gradients, rate)?;
    Ok((shape.to_scalar()?, angle.to_scalar()?, length))
}

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
        for first in (0..settings.measured).step_by(settings.batch) {
            let indices = first..(first + settings.batch as u64).min(settings.measured);
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
        let count = settings.measured.max(1) as f64;
        lines.push(format!(
            "{}-{}-{},{:.4},{:.4},{:.2}",
            if real { "real" } else { "procedural" },
            if tight { "tight" } else { "canonical" },
            if colored { "color" } else { "mask" },
            plain / count,
            biased / count,
            off / count * f64::from(ELEVATION_UNIT)
        ));
    }
    Ok(lines)
}

/// Seed that no training run may use.
const HELD_OUT_SEED: u64 = u64::MAX;

/// A CSV file that grows.
struct Table {
    path: PathBuf,
    file: std::fs::File,
}

impl Table {
    fn open(path: &Path, header: &str) -> Result<Self> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let is_new = !path.exists();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        let mut table = Self { path: path.to_owned(), file };
        if is_new {
            table.line(header)?;
        }
        Ok(table)
    }

    fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.file, "{line}").map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path, steps: usize) -> DraftTraining {
        DraftTraining {
            folder: folder.to_owned(),
            seed: 3,
            data: DataSettings { real_share: 0.0, ..DataSettings::default() },
            planes: Planes::Mask,
            colorless_share: 0.0,
            batch: 2,
            rate: 1e-3,
            warm_up: 2,
            steps,
            cool_down: 2,
            checkpoint_every: 2,
            measure_every: 1000,
            measured: 1,
            sample_threads: 2,
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
    fn the_rate_rises_stays_and_falls() {
        let settings = DraftTraining { warm_up: 10, cool_down: 20, steps: 100, ..settings(Path::new(""), 0) };
        let rates: Vec<f32> = (0..100).map(|step| settings.rate_at(step) / 1e-3).collect();
        assert!((rates[0] - 0.1).abs() < 1e-6 && rates[9] == 1.0 && rates[79] == 1.0);
        assert!((rates[90] - 0.5).abs() < 1e-6 && rates[99] > 0.0);
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

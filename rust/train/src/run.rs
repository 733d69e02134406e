//! The training loop that all networks share: resumable at every checkpoint, logged, measured on samples never trained on.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::Tensor;
use maquette_prior::nn::Weights;

use crate::checkpoint;
use crate::optimizer::{AdamSettings, AdamW};
use crate::plot::plot;
use crate::{Error, Result};

/// Where to train and for how long.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Folder of checkpoints and logs; a run in it goes on.
    pub folder: PathBuf,
    /// Seed of weights and samples.
    pub seed: u64,
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

impl Schedule {
    /// Learning rate of a step: rise, plateau, linear fall.
    fn rate_at(&self, step: usize) -> f32 {
        let rise = (step + 1) as f32 / self.warm_up.max(1) as f32;
        let fall = self.steps.saturating_sub(step) as f32 / self.cool_down.max(1).min(self.steps) as f32;
        self.rate * rise.min(fall).min(1.0)
    }
}

/// A network in training: its parameters, its samples and its loss.
pub(crate) trait Task {
    /// What one step takes.
    type Batch;
    /// Stem of the exported file.
    const NAME: &'static str;
    /// Names of the loss terms, with commas between.
    const LOSSES: &'static str;
    /// Names of the columns of a score, with commas between.
    const SCORES: &'static str;

    /// The next batch and how many of its samples are new; `None` when the threads that make samples have died.
    fn batch(&mut self) -> Option<(Self::Batch, usize)>;
    /// What to descend at a step, and the terms to log.
    fn losses(&self, batch: Self::Batch, step: usize) -> Result<(Tensor, Vec<f32>)>;
    /// All parameters of the exported file: the averaged ones and those that are not trained.
    fn complete(&self, averages: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
        averages
    }
    /// Scores of [`Task::complete`] parameters on samples that are never trained on, one line a set.
    fn measure(&self, averages: BTreeMap<String, Tensor>) -> Result<Vec<String>>;
}

/// Steps between lines of the log.
const LOG_EVERY: usize = 20;
/// Seed that no training run may use.
pub(crate) const HELD_OUT_SEED: u64 = u64::MAX;

/// Trains the parameters that `weights` has handed out until [`Schedule::steps`]; writes `checkpoint.safetensors`,
/// `NAME.safetensors` (averaged weights, F16), `log.csv` and `scores.csv`, the tables also as pictures. `open` starts the task at a number of samples.
pub(crate) fn train<T: Task>(schedule: &Schedule, weights: Weights, open: impl FnOnce(u64) -> Result<T>) -> Result<()> {
    let folder = &schedule.folder;
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
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
    let mut task = open(samples_seen)?;
    let header = format!("step,samples,seconds,rate,{},gradient", T::LOSSES);
    let mut log = Table::open(&folder.join("log.csv"), &header)?;
    let mut scores = Table::open(&folder.join("scores.csv"), &format!("step,samples,{}", T::SCORES))?;
    let (start, first) = (Instant::now(), optimizer.step_count());
    let mut sums = vec![0.0f32; T::LOSSES.split(',').count() + 1];
    while optimizer.step_count() < schedule.steps {
        let Some((batch, fresh)) = task.batch() else {
            return Err(Error::File { path: folder.clone(), reason: "the threads that make samples died".to_owned() });
        };
        let rate = schedule.rate_at(optimizer.step_count());
        let (loss, mut terms) = task.losses(batch, optimizer.step_count())?;
        terms.push(optimizer.step(&loss.backward()?, rate)?);
        for (sum, term) in sums.iter_mut().zip(&terms) {
            *sum += term;
        }
        samples_seen += fresh as u64;
        let step = optimizer.step_count();
        if step.is_multiple_of(LOG_EVERY) {
            let seconds = start.elapsed().as_secs_f32();
            let means: Vec<String> = sums.iter().map(|sum| format!("{:.4}", sum / LOG_EVERY as f32)).collect();
            sums.fill(0.0);
            let line = format!("{step},{samples_seen},{seconds:.1},{rate:.6},{}", means.join(","));
            println!("{line}  {:.1} ms/sample", 1000.0 * seconds / ((step - first) * schedule.batch) as f32);
            log.line(&line)?;
        }
        let last = step >= schedule.steps;
        if step.is_multiple_of(schedule.checkpoint_every) || last {
            let told = BTreeMap::from([
                ("step".to_owned(), step.to_string()),
                ("samples".to_owned(), samples_seen.to_string()),
                ("seed".to_owned(), schedule.seed.to_string()),
            ]);
            checkpoint::write(&path, &optimizer.state()?, &told, false)?;
            let exported = folder.join(format!("{}.safetensors", T::NAME));
            checkpoint::write(&exported, &task.complete(optimizer.averages()?), &told, true)?;
        }
        if step.is_multiple_of(schedule.measure_every) || last {
            for score in task.measure(task.complete(optimizer.averages()?))? {
                println!("{step}: {score}");
                scores.line(&format!("{step},{samples_seen},{score}"))?;
            }
            for table in ["log", "scores"] {
                plot(&folder.join(format!("{table}.csv")), &folder.join(format!("{table}.png")))?;
            }
        }
    }
    Ok(())
}

/// A CSV file that grows.
pub(crate) struct Table {
    path: PathBuf,
    file: std::fs::File,
}

impl Table {
    pub(crate) fn open(path: &Path, header: &str) -> Result<Self> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let is_new = !path.exists();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        let mut table = Self { path: path.to_owned(), file };
        if is_new {
            table.line(header)?;
        }
        Ok(table)
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.file, "{line}").map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A short run.
    pub(crate) fn schedule(folder: &Path, steps: usize) -> Schedule {
        Schedule {
            folder: folder.to_owned(),
            seed: 3,
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
    fn the_rate_rises_stays_and_falls() {
        let schedule = Schedule { warm_up: 10, cool_down: 20, steps: 100, ..schedule(Path::new(""), 0) };
        let rates: Vec<f32> = (0..100).map(|step| schedule.rate_at(step) / 1e-3).collect();
        assert!((rates[0] - 0.1).abs() < 1e-6 && rates[9] == 1.0 && rates[79] == 1.0);
        assert!((rates[90] - 0.5).abs() < 1e-6 && rates[99] > 0.0);
    }
}

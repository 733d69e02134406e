//! The latent initialisation network as a task of the training loop (LatentDreamer's LIN): spoilt views of random shapes to
//! the latents that the autoencoder gives them.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use maquette_prior::lin::Lin;
use maquette_prior::lin::channels_last;
use maquette_prior::lin::network::{LinNet, VIEW_CHANNELS, VIEW_PX, VIEWS};
use maquette_prior::nn::Weights;
use maquette_prior::sae::Sae;
use maquette_prior::sae::network::{LATENT, SIZE};
use maquette_prior::shapes::Dice;

use crate::data::cubes::{Kind, shape_of_kind, shape_sample};
use crate::data::views::{spoilt, views_of};
use crate::groups::Groups;
use crate::run::{self, HELD_OUT_SEED, Schedule, Task};
use crate::sae::measure::Likeness;
use crate::{Error, Result};

/// What to train and for how long.
#[derive(Clone, Debug)]
pub struct LinTraining {
    /// Where to train and for how long.
    pub schedule: Schedule,
    /// The autoencoder whose latents it learns.
    pub sae: Sae,
}

/// A shape as the loop takes it.
struct Prepared {
    /// Its views, spoilt anew for each use, channels last.
    views: Vec<Vec<f32>>,
    latent: Vec<f32>,
}

/// Times that each shape is used, spoilt in another way.
const USES: u64 = 3;

/// Trains until the end of the schedule; writes `checkpoint.safetensors`, `lin.safetensors` (averaged weights, F16),
/// `log.csv` and `scores.csv`.
///
/// # Errors
/// When a file cannot be written, or a checkpoint in the folder does not fit.
pub fn train(settings: &LinTraining) -> Result<()> {
    let schedule = &settings.schedule;
    let mut weights = Weights::fresh(schedule.seed, &Device::Cpu);
    let net = LinNet::new(&mut weights)?;
    run::train(schedule, weights, |samples_seen| {
        let (seed, sae) = (schedule.seed, settings.sae.clone());
        let make = move |number| {
            let shape = shape_sample(seed, number, SIZE);
            let clean = views_of(&shape, VIEW_PX);
            let mut dice = Dice::new(seed, &format!("spoilt views {number}"));
            let views = (0..USES).map(|_| channels_last(&spoilt(&clean, VIEW_PX, &mut dice))).collect();
            sae.encode(&shape).map(|latent| Prepared { views, latent })
        };
        let shapes = Groups::new(samples_seen, USES, schedule.sample_threads, make);
        Ok(LinTask { settings, net, shapes })
    })
}

struct LinTask<'a> {
    settings: &'a LinTraining,
    net: LinNet,
    shapes: Groups<maquette_prior::Result<Prepared>>,
}

impl Task for LinTask<'_> {
    /// Views and latents of all samples, one after another; an error of the autoencoder's is handed on.
    type Batch = std::result::Result<(Vec<f32>, Vec<f32>), String>;
    const NAME: &'static str = "lin";
    const LOSSES: &'static str = "loss";
    const SCORES: &'static str = "set,loss,iou,iou_of_zero";

    fn batch(&mut self) -> Option<(Self::Batch, usize)> {
        let size = self.settings.schedule.batch;
        let (mut views, mut latents) = (Vec::new(), Vec::new());
        for _ in 0..size {
            let next = self.shapes.next()?;
            match next.sample {
                Ok(sample) => {
                    views.extend_from_slice(&sample.views[next.used as usize]);
                    latents.extend_from_slice(&sample.latent);
                }
                Err(error) => return Some((Err(error.to_string()), 0)),
            }
        }
        Some((Ok((views, latents)), size))
    }

    fn losses(&self, batch: Self::Batch, _step: usize) -> Result<(Tensor, Vec<f32>)> {
        let (views, latents) = batch.map_err(Error::Samples)?;
        let count = latents.len() / LATENT;
        let views = Tensor::from_vec(views, (count * VIEWS, VIEW_PX, VIEW_PX, VIEW_CHANNELS), &Device::Cpu)?;
        let latents = Tensor::from_vec(latents, (count, LATENT), &Device::Cpu)?;
        let loss = (self.net.forward(&views)? - latents)?.sqr()?.mean_all()?;
        let told = vec![loss.to_scalar()?];
        Ok((loss, told))
    }

    /// Mean squared error of the latents, and the overlap of the shapes that they decode to with the truth: of the network's
    /// latent and, to compare, of the latent zero.
    fn measure(&self, averages: BTreeMap<String, Tensor>) -> Result<Vec<String>> {
        let (lin, sae) = (Lin::from_tensors(averages)?, &self.settings.sae);
        let zero = sae.decode(&[0.0; LATENT])?;
        let measured = self.settings.schedule.measured;
        [Kind::Random, Kind::Family]
            .into_iter()
            .map(|kind| {
                let mut sums = [0.0f64; 3];
                for index in 0..measured {
                    let truth = shape_of_kind(HELD_OUT_SEED, index, SIZE, kind);
                    let mut dice = Dice::new(HELD_OUT_SEED, &format!("spoilt views {index}"));
                    let latent = lin.latent(&spoilt(&views_of(&truth, VIEW_PX), VIEW_PX, &mut dice))?;
                    let off = latent.iter().zip(sae.encode(&truth)?).map(|(a, b)| f64::from((a - b).powi(2)));
                    sums[0] += off.sum::<f64>() / LATENT as f64;
                    sums[1] += Likeness::of(&sae.decode(&latent)?, &truth).iou;
                    sums[2] += Likeness::of(&zero, &truth).iou;
                }
                let [loss, iou, iou_of_zero] = sums.map(|sum| sum / measured.max(1) as f64);
                Ok(format!("{},{loss:.4},{iou:.4},{iou_of_zero:.4}", kind.name()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint;
    use crate::run::tests::schedule;

    #[test]
    fn a_run_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        crate::sae::train(&crate::sae::SaeTraining { schedule: schedule(folder.path(), 1), encoder: None }).unwrap();
        let sae = Sae::from_safetensors(&std::fs::read(folder.path().join("sae.safetensors")).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run = |steps| train(&LinTraining { schedule: schedule(folder.path(), steps), sae: sae.clone() }).unwrap();
        run(2);
        let exported = std::fs::read(folder.path().join("lin.safetensors")).unwrap();
        assert!(exported.len() < 8_500_000, "{}", exported.len());
        Lin::from_safetensors(&exported).unwrap();
        run(4);
        let (_, told) = checkpoint::read(&folder.path().join("checkpoint.safetensors")).unwrap();
        assert_eq!((told["step"].as_str(), told["samples"].as_str()), ("4", "8"));
    }
}

//! The shape autoencoder as a task of the training loop (LatentDreamer's SAE).

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use maquette_prior::nn::Weights;
use maquette_prior::sae::Sae;
use maquette_prior::sae::network::{Decoder, Encoder, LATENT, Posterior, SIZE, from_blocks, to_blocks};
use maquette_prior::shapes::Dice;
use rayon::prelude::*;

use super::loss::{Terms, distance_loss};
use super::measure::Likeness;
use super::stream::{ShapeSample, ShapeStream};
use crate::Result;
use crate::data::cubes::{Kind, shape_of_kind};
use crate::run::{self, HELD_OUT_SEED, Schedule, Task};

/// Weight of the divergence from the standard normal distribution, mean over the numbers of a latent.
const DIVERGENCE_WEIGHT: f64 = 1e-3;
/// Samples of one shape.
const VOLUME: usize = SIZE * SIZE * SIZE;

/// What to train and for how long.
#[derive(Clone, Debug)]
pub struct SaeTraining {
    /// Where to train and for how long.
    pub schedule: Schedule,
}

/// Trains until the end of the schedule; writes `checkpoint.safetensors`, `sae.safetensors` (averaged weights, F16),
/// `log.csv` and `scores.csv`.
///
/// # Errors
/// When a file cannot be written, or a checkpoint in the folder does not fit.
pub fn train(settings: &SaeTraining) -> Result<()> {
    let schedule = &settings.schedule;
    let mut weights = Weights::fresh(schedule.seed, &Device::Cpu);
    let (encoder, decoder) = (Encoder::new(&mut weights)?, Decoder::new(&mut weights)?);
    run::train(schedule, weights, |samples_seen| {
        let stream = ShapeStream::new(schedule.seed, samples_seen, schedule.sample_threads);
        Ok(SaeTask { schedule, encoder, decoder, stream })
    })
}

struct SaeTask<'a> {
    schedule: &'a Schedule,
    encoder: Encoder,
    decoder: Decoder,
    stream: ShapeStream,
}

impl Task for SaeTask<'_> {
    type Batch = Vec<ShapeSample>;
    const NAME: &'static str = "sae";
    const LOSSES: &'static str = "distance,sign,slope,divergence";
    const SCORES: &'static str = "set,iou,normal_degrees,extra_pieces";

    fn batch(&mut self) -> Option<(Vec<ShapeSample>, usize)> {
        let size = self.schedule.batch;
        Some(((0..size).map(|_| self.stream.next()).collect::<Option<_>>()?, size))
    }

    fn losses(&self, batch: Vec<ShapeSample>, _step: usize) -> Result<(Tensor, Vec<f32>)> {
        let count = batch.len();
        let (mut targets, mut noise) = (Vec::with_capacity(count * VOLUME), Vec::with_capacity(count * LATENT));
        for ShapeSample { distances, index } in batch {
            targets.extend(distances);
            let mut dice = Dice::new(self.schedule.seed, &format!("latent noise {index}"));
            noise.extend((0..LATENT).map(|_| dice.normal()));
        }
        let distances = Tensor::from_slice(&targets, (count, SIZE, SIZE, SIZE, 1), &Device::Cpu)?;
        let Posterior { mean, log_variance } = self.encoder.forward(&distances)?;
        let deviation = (&log_variance * 0.5)?.exp()?;
        let noise = Tensor::from_vec(noise, (count, LATENT), &Device::Cpu)?;
        let output = self.decoder.forward(&(&mean + (deviation * noise)?)?)?;
        // KL(N(m, s²) ‖ N(0, 1)) = (m² + s² - 1 - ln s²) / 2.
        let divergence = (((mean.sqr()? + log_variance.exp()?)? - &log_variance)? - 1.0)?.mean_all()?;
        let divergence = (divergence * (0.5 * DIVERGENCE_WEIGHT))?;

        let values = output.flatten_all()?.to_vec1::<f32>()?;
        let mut gradient = vec![0.0f32; values.len()];
        let terms: Vec<Terms> = gradient
            .par_chunks_mut(VOLUME)
            .zip(values.par_chunks(VOLUME))
            .zip(targets.par_chunks(VOLUME))
            .map_init(
                || (vec![0.0; VOLUME], vec![0.0; VOLUME]),
                |(plain, plain_gradient), ((gradient, values), target)| {
                    from_blocks(values, plain);
                    let terms = distance_loss(plain, target, plain_gradient);
                    to_blocks(plain_gradient, gradient);
                    terms
                },
            )
            .collect();
        let share = 1.0 / count as f64;
        let gradient = (Tensor::from_vec(gradient, output.shape(), &Device::Cpu)? * share)?;
        let mean_of = |term: fn(&Terms) -> f32| terms.iter().map(term).sum::<f32>() * share as f32;
        let told = vec![
            mean_of(|terms| terms.distance),
            mean_of(|terms| terms.sign),
            mean_of(|terms| terms.slope),
            divergence.to_scalar()?,
        ];
        // The loss of the distances enters by its gradient.
        Ok((((output * gradient)?.sum_all()? + divergence)?, told))
    }

    fn measure(&self, averages: BTreeMap<String, Tensor>) -> Result<Vec<String>> {
        let sae = Sae::from_tensors(averages)?;
        [Kind::Random, Kind::Family]
            .into_iter()
            .map(|kind| {
                let Likeness { iou, normal_degrees, extra_pieces } = unseen(&sae, kind, self.schedule.measured)?;
                Ok(format!("{},{iou:.4},{normal_degrees:.2},{extra_pieces:.2}", kind.name()))
            })
            .collect()
    }
}

/// Mean likeness of `count` shapes, never trained on, to what becomes of them through the latent.
pub fn unseen(sae: &Sae, kind: Kind, count: u64) -> Result<Likeness> {
    let mut sum = Likeness::default();
    for index in 0..count {
        let truth = shape_of_kind(HELD_OUT_SEED, index, SIZE, kind);
        let one = Likeness::of(&sae.decode(&sae.encode(&truth)?)?, &truth);
        sum.iou += one.iou;
        sum.normal_degrees += one.normal_degrees;
        sum.extra_pieces += one.extra_pieces;
    }
    let share = 1.0 / count.max(1) as f64;
    Ok(Likeness {
        iou: sum.iou * share,
        normal_degrees: sum.normal_degrees * share,
        extra_pieces: sum.extra_pieces * share,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint;
    use crate::run::tests::schedule;

    #[test]
    fn a_run_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let run = |steps| train(&SaeTraining { schedule: schedule(folder.path(), steps) }).unwrap();
        run(2);
        let exported = std::fs::read(folder.path().join("sae.safetensors")).unwrap();
        assert!(exported.len() < 7_500_000, "{}", exported.len());
        Sae::from_safetensors(&exported).unwrap();
        run(4);
        let (_, told) = checkpoint::read(&folder.path().join("checkpoint.safetensors")).unwrap();
        assert_eq!((told["step"].as_str(), told["samples"].as_str()), ("4", "8"));
        let scores = std::fs::read_to_string(folder.path().join("scores.csv")).unwrap();
        assert_eq!(scores.lines().count(), 5, "{scores}");
    }
}

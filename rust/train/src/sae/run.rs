//! The shape autoencoder as a task of the training loop (LatentDreamer's SAE).

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use maquette_prior::nn::Weights;
use maquette_prior::sae::Sae;
use maquette_prior::sae::network::{Decoder, Encoder, LATENT, Posterior, SIZE, from_blocks, to_blocks};
use maquette_prior::shapes::{Dice, SdfCube};
use rayon::prelude::*;

use super::loss::{Terms, distance_loss};
use super::measure::Likeness;
use crate::Result;
use crate::data::cubes::{Kind, WAYS, shape_sample, turned};
use crate::eval::shapes::{mean, unseen};
use crate::groups::{Groups, Use};
use crate::run::{self, Schedule, Task};

/// Weight of the divergence from the standard normal distribution, mean over the numbers of a latent.
const DIVERGENCE_WEIGHT: f64 = 1e-3;
/// Samples of one shape.
const VOLUME: usize = SIZE * SIZE * SIZE;

/// What to train and for how long.
#[derive(Clone, Debug)]
pub struct SaeTraining {
    /// Where to train and for how long.
    pub schedule: Schedule,
    /// Parameters among which those of an encoder are taken as they are, so that latents keep their meaning and only the
    /// decoder learns.
    pub encoder: Option<BTreeMap<String, Tensor>>,
}

/// Trains until the end of the schedule; writes `checkpoint.safetensors`, `sae.safetensors` (averaged weights, F16),
/// `log.csv` and `scores.csv`.
///
/// # Errors
/// When a file cannot be written, or a checkpoint in the folder does not fit.
pub fn train(settings: &SaeTraining) -> Result<()> {
    let schedule = &settings.schedule;
    let mut weights = Weights::fresh(schedule.seed, &Device::Cpu);
    let encoder = match &settings.encoder {
        Some(given) => Encoder::new(&mut Weights::given(given.clone(), &Device::Cpu))?,
        None => Encoder::new(&mut weights)?,
    };
    let decoder = Decoder::new(&mut weights)?;
    let given = settings.encoder.iter().flatten().filter(|(name, _)| name.starts_with("encoder."));
    let fixed: BTreeMap<String, Tensor> = given.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
    run::train(schedule, weights, |samples_seen| {
        let seed = schedule.seed;
        let make = move |number| {
            let cube = shape_sample(seed, number, SIZE);
            cube.values.iter().map(|value| (value / SdfCube::REACH / UNIT).round() as i16).collect()
        };
        let shapes = Groups::new(samples_seen, USES, schedule.sample_threads, make);
        Ok(SaeTask { schedule, fixed, encoder, decoder, shapes })
    })
}

struct SaeTask<'a> {
    schedule: &'a Schedule,
    /// Parameters that are not trained.
    fixed: BTreeMap<String, Tensor>,
    encoder: Encoder,
    decoder: Decoder,
    /// Distances in [`UNIT`].
    shapes: Groups<Vec<i16>>,
}

/// Times that each shape is used, turned and mirrored.
const USES: u64 = 4;
/// Unit of a stored distance, in units of [`SdfCube::REACH`].
const UNIT: f32 = 1.0 / 32_000.0;

/// One training sample.
struct ShapeSample {
    /// Distances in units of [`SdfCube::REACH`], -1..=1.
    distances: Vec<f32>,
    /// Its place in the stream.
    index: u64,
}

impl Task for SaeTask<'_> {
    type Batch = Vec<ShapeSample>;
    const NAME: &'static str = "sae";
    const LOSSES: &'static str = "distance,sign,slope,divergence";
    const SCORES: &'static str = "set,iou,normal_degrees,extra_pieces";

    fn batch(&mut self) -> Option<(Vec<ShapeSample>, usize)> {
        let Schedule { seed, batch, .. } = *self.schedule;
        let mut samples = Vec::with_capacity(batch);
        for _ in 0..batch {
            let Use { sample, number, used, index } = self.shapes.next()?;
            let first = Dice::new(seed, &format!("way {number}")).below(WAYS);
            // Three has no divisor in common with the number of ways, so no way comes twice.
            let way = (first + 3 * used as usize) % WAYS;
            let values: Vec<f32> = sample.iter().map(|&value| f32::from(value) * UNIT).collect();
            samples.push(ShapeSample { distances: turned(&values, SIZE, way), index });
        }
        Some((samples, batch))
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

    fn complete(&self, mut averages: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
        averages.extend(self.fixed.clone());
        averages
    }

    fn measure(&self, averages: BTreeMap<String, Tensor>) -> Result<Vec<String>> {
        let sae = Sae::from_tensors(averages)?;
        [Kind::Random, Kind::Family]
            .into_iter()
            .map(|kind| {
                let all: Vec<Likeness> =
                    (0..self.schedule.measured).map(|index| unseen(&sae, kind, index)).collect::<Result<_>>()?;
                let Likeness { iou, normal_degrees, extra_pieces } = mean(&all);
                Ok(format!("{},{iou:.4},{normal_degrees:.2},{extra_pieces:.2}", kind.name()))
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
        let run = |steps, encoder| train(&SaeTraining { schedule: schedule(folder.path(), steps), encoder }).unwrap();
        run(2, None);
        let exported = std::fs::read(folder.path().join("sae.safetensors")).unwrap();
        assert!(exported.len() < 7_500_000, "{}", exported.len());
        Sae::from_safetensors(&exported).unwrap();
        let (before, _) = checkpoint::read(&folder.path().join("sae.safetensors")).unwrap();
        run(4, Some(before.clone()));
        let (after, told) = checkpoint::read(&folder.path().join("sae.safetensors")).unwrap();
        let same = |name: &str| before[name].to_vec1::<f32>().unwrap() == after[name].to_vec1::<f32>().unwrap();
        assert!(same("encoder.stem.bias") && !same("decoder.last.bias"));
        assert_eq!((told["step"].as_str(), told["samples"].as_str()), ("4", "8"));
        let scores = std::fs::read_to_string(folder.path().join("scores.csv")).unwrap();
        assert_eq!(scores.lines().count(), 5, "{scores}");
    }
}

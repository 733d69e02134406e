//! Loss of the draft network: cross-entropy over the layers of every pixel of the mask, and soft Dice.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use maquette_prior::draft::network::{PATCH, SIDE, patch_order};
use maquette_prior::frustum::{DEPTH_BINS, PICTURE_PX};
use rayon::prelude::*;

use crate::data::DraftSample;

/// Numbers of one picture's output.
const VOLUME: usize = PICTURE_PX * PICTURE_PX * DEPTH_BINS;
/// Coverage from which a pixel counts.
const LEAST_COVERAGE: f32 = 0.05;
/// Weight of Dice beside cross-entropy.
const DICE_WEIGHT: f32 = 0.5;
/// Weight of the elevation's smooth L1.
const ELEVATION_WEIGHT: f64 = 2.0;

/// What a sample's output should be, in the order of the network's output.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which pixels count.
    pub seen: Vec<bool>,
    /// Inside or not, `DEPTH_BINS` for each pixel.
    pub inside: Vec<bool>,
}

impl Target {
    /// From a sample.
    pub fn of(sample: &DraftSample) -> Self {
        let area = PICTURE_PX * PICTURE_PX;
        let seen = patch_order().map(|pixel| sample.mask[pixel] > LEAST_COVERAGE).collect();
        let inside = patch_order()
            .flat_map(|pixel| (0..DEPTH_BINS).map(move |bin| sample.occupancy[bin * area + pixel] > 0))
            .collect();
        Self { seen, inside }
    }

    /// Numbers that count.
    fn count(&self) -> f32 {
        (self.seen.iter().filter(|&&seen| seen).count() * DEPTH_BINS).max(1) as f32
    }
}

/// Mean over the batch of cross-entropy and Dice; `logits` `[batch, SIDE, SIDE, PATCH² · DEPTH_BINS]`.
pub fn occupancy_loss(logits: &Tensor, targets: Vec<Target>) -> Result<Tensor> {
    logits.apply_op1(Occupancy { targets })
}

/// Smooth L1 of the elevation, both in the network's unit, weighted.
pub fn elevation_loss(predicted: &Tensor, truth: &Tensor) -> Result<Tensor> {
    let off = (predicted - truth)?.abs()?;
    // 0.5 d² below 1, d - 0.5 above.
    let inner = off.minimum(1.0)?;
    ((&inner * (&off - (&inner * 0.5)?)?)?.mean_all()? * ELEVATION_WEIGHT)?.reshape(())
}

struct Occupancy {
    targets: Vec<Target>,
}

/// Sums for Dice: inside probability, inside truth, both.
struct Overlap {
    cross_entropy: f32,
    both: f32,
    total: f32,
}

impl Overlap {
    fn of(logits: &[f32], target: &Target) -> Self {
        let (mut cross_entropy, mut both, mut total) = (0.0f64, 0.0f64, 0.0f64);
        for (pixel, _) in target.seen.iter().enumerate().filter(|(_, seen)| **seen) {
            let range = pixel * DEPTH_BINS..(pixel + 1) * DEPTH_BINS;
            let (mut ce, mut overlap, mut sum) = (0.0f32, 0.0f32, 0.0f32);
            for (&logit, &inside) in logits[range.clone()].iter().zip(&target.inside[range]) {
                let truth = f32::from(u8::from(inside));
                let small = (-logit.abs()).exp();
                let high = 1.0 / (1.0 + small);
                let share = if logit >= 0.0 { high } else { small * high };
                ce += logit.max(0.0) - logit * truth + small.ln_1p();
                overlap += share * truth;
                sum += share + truth;
            }
            cross_entropy += f64::from(ce);
            both += f64::from(overlap);
            total += f64::from(sum);
        }
        Self { cross_entropy: cross_entropy as f32, both: both as f32, total: total as f32 }
    }

    fn loss(&self, target: &Target) -> f32 {
        self.cross_entropy / target.count() + DICE_WEIGHT * (1.0 - (2.0 * self.both + 1.0) / (self.total + 1.0))
    }
}

impl CustomOp1 for Occupancy {
    fn name(&self) -> &'static str {
        "occupancy loss"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("expected contiguous logits, got {layout:?}");
        };
        if layout.dims() != [self.targets.len(), SIDE, SIDE, PATCH * PATCH * DEPTH_BINS] {
            candle_core::bail!("logits {layout:?} do not fit {} targets", self.targets.len());
        }
        let logits = &logits.as_slice::<f32>()?[start..end];
        let losses: Vec<f32> = logits
            .par_chunks(VOLUME)
            .zip(&self.targets)
            .map(|(logits, target)| Overlap::of(logits, target).loss(target))
            .collect();
        let mean = losses.iter().sum::<f32>() / losses.len() as f32;
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let scale = grad.to_scalar::<f32>()? / self.targets.len() as f32;
        let values = logits.flatten_all()?.to_vec1::<f32>()?;
        let mut out = vec![0.0f32; values.len()];
        out.par_chunks_mut(VOLUME).zip(values.par_chunks(VOLUME)).zip(&self.targets).for_each(
            |((out, logits), target)| {
                let sums = Overlap::of(logits, target);
                let count = target.count();
                // d dice / d share = a truth + b.
                let a = -DICE_WEIGHT * 2.0 / (sums.total + 1.0);
                let b = DICE_WEIGHT * (2.0 * sums.both + 1.0) / (sums.total + 1.0).powi(2);
                for (pixel, _) in target.seen.iter().enumerate().filter(|(_, seen)| **seen) {
                    for index in pixel * DEPTH_BINS..(pixel + 1) * DEPTH_BINS {
                        let truth = f32::from(u8::from(target.inside[index]));
                        let share = 1.0 / (1.0 + (-logits[index]).exp());
                        let dice = (a * truth + b) * share * (1.0 - share);
                        out[index] = scale * ((share - truth) / count + dice);
                    }
                }
            },
        );
        Ok(Some(Tensor::from_vec(out, logits.shape(), logits.device())?))
    }
}

/// Intersection over union of what the logits plus `bias` call inside and the truth, within the mask.
pub fn overlap(logits: &[f32], target: &Target, bias: f32) -> f64 {
    let (mut both, mut either) = (0u32, 0u32);
    for (pixel, &seen) in target.seen.iter().enumerate() {
        for index in pixel * DEPTH_BINS..(pixel + 1) * DEPTH_BINS {
            let (ours, truth) = (seen && logits[index] + bias > 0.0, target.inside[index]);
            both += u32::from(ours && truth);
            either += u32::from(ours || truth);
        }
    }
    f64::from(both) / f64::from(either.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// A ball before the camera.
    fn ball(radius: f32) -> DraftSample {
        let inside = |bin: usize, row: usize, column: usize| {
            let at = |index: usize, count: usize| (index as f32 + 0.5) / count as f32 - 0.5;
            let squares = [at(bin, DEPTH_BINS), at(row, PICTURE_PX), at(column, PICTURE_PX)].map(|x| x * x);
            squares.iter().sum::<f32>() < radius * radius
        };
        let pixels = || (0..PICTURE_PX * PICTURE_PX).map(|index| (index / PICTURE_PX, index % PICTURE_PX));
        let mask = pixels().map(|(row, column)| f32::from(u8::from(inside(DEPTH_BINS / 2, row, column)))).collect();
        let occupancy = (0..DEPTH_BINS)
            .flat_map(|bin| pixels().map(move |(row, column)| u8::from(inside(bin, row, column))))
            .collect();
        let rgb = vec![0.0; 3 * PICTURE_PX * PICTURE_PX];
        DraftSample { mask, rgb, occupancy, elevation_degrees: 10.0, tight: false, family: 0 }
    }

    #[test]
    fn gradient_is_the_central_difference_and_truth_has_no_loss() {
        let target = Target::of(&ball(0.3));
        let start: Vec<f32> = (0..VOLUME).map(|k| ((k * 7919) % 41) as f32 * 0.1 - 2.0).collect();
        let shape = (1, SIDE, SIDE, PATCH * PATCH * DEPTH_BINS);
        let logits = Var::from_vec(start.clone(), shape, &Device::Cpu).unwrap();
        let loss = |values: Vec<f32>| {
            let logits = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            f64::from(occupancy_loss(&logits, vec![target.clone()]).unwrap().to_scalar::<f32>().unwrap())
        };
        let gradients = occupancy_loss(&logits, vec![target.clone()]).unwrap().backward().unwrap();
        let gradient = gradients.get(&logits).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // One number hardly moves the mean, so a whole column of the picture is moved.
        let column = target.seen.iter().position(|&seen| seen).unwrap() * DEPTH_BINS;
        let at = |step: f32| {
            let mut moved = start.clone();
            moved[column..column + DEPTH_BINS].iter_mut().for_each(|x| *x += step);
            loss(moved)
        };
        let slope = (at(0.5) - at(-0.5)) as f32;
        let sum: f32 = gradient[column..column + DEPTH_BINS].iter().sum();
        assert!((slope - sum).abs() < 0.05 * sum.abs() && sum != 0.0, "{slope} {sum}");
        assert!(gradient.iter().zip(&start).enumerate().all(|(k, (g, _))| target.seen[k / DEPTH_BINS] || *g == 0.0));

        let truth: Vec<f32> = target.inside.iter().map(|&inside| if inside { 20.0 } else { -20.0 }).collect();
        assert_eq!(overlap(&truth, &target, 0.8), 1.0);
        assert!(loss(truth) < 1e-3);
    }

    #[test]
    fn elevation_loss_is_smooth_l1() {
        let predicted = Tensor::new(&[0.5f32, 3.0], &Device::Cpu).unwrap();
        let truth = Tensor::new(&[0.0f32, 0.0], &Device::Cpu).unwrap();
        let loss = elevation_loss(&predicted, &truth).unwrap().to_scalar::<f32>().unwrap();
        assert!((loss - 2.0 * (0.125 + 2.5) / 2.0).abs() < 1e-6, "{loss}");
    }
}

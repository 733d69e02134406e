//! Loss of decoded distances: L1 of the clipped distance, cross-entropy of the sign, L1 of the slope.
//!
//! The slope is what normals are made of; its term keeps surfaces smooth and blocks of the decoder without seams.

use maquette_prior::sae::network::SIZE;

/// What samples count whose distance is clipped, against those near the surface.
const FAR_WEIGHT: f32 = 0.1;
/// Weight of the sign's cross-entropy.
const SIGN_WEIGHT: f32 = 0.3;
/// Logit of being inside at one unit of distance, that is [`maquette_prior::shapes::SdfCube::REACH`].
const SIGN_LOGIT: f32 = 8.0;
/// Logits farther from zero than this are sure.
const SURE: f32 = 16.0;
/// Weight of the slope, which is in units of a distance's own slope.
const SLOPE_WEIGHT: f32 = 0.5;
/// A distance's change between neighbours, in units of the reach.
const STEP: f32 = 16.0 / SIZE as f32;

/// The terms of one shape, weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// L1 of the distance.
    pub distance: f32,
    /// Cross-entropy of the sign.
    pub sign: f32,
    /// L1 of the slope.
    pub slope: f32,
}

/// Terms of one shape and, into `gradient`, their derivatives with respect to `output`; all in units of the reach and in
/// plain order, `SIZE` cubed. `target` is clipped to -1..=1; where it is clipped, `output` may be farther.
pub fn distance_loss(output: &[f32], target: &[f32], gradient: &mut [f32]) -> Terms {
    let near = |value: f32| value.abs() < 1.0;
    let near_count = target.iter().filter(|value| near(**value)).count();
    let total = near_count as f32 + FAR_WEIGHT * (target.len() - near_count) as f32;
    let (mut distance, mut sign) = (0.0f64, 0.0f64);
    for ((&value, &truth), gradient) in output.iter().zip(target).zip(gradient.iter_mut()) {
        let (weight, off) = if near(truth) {
            (1.0 / total, value - truth)
        } else {
            (FAR_WEIGHT / total, (value * truth - 1.0).min(0.0) * truth)
        };
        distance += f64::from(weight * off.abs());
        *gradient = if off == 0.0 { 0.0 } else { weight * off.signum() };
        let (logit, inside) = (-SIGN_LOGIT * value, f32::from(u8::from(truth < 0.0)));
        if logit.abs() < SURE || (logit > 0.0) != (truth < 0.0) {
            let weight = SIGN_WEIGHT * weight;
            let small = (-logit.abs()).exp();
            let share = if logit >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) };
            sign += f64::from(weight * (logit.max(0.0) - logit * inside + small.ln_1p()));
            *gradient -= SIGN_LOGIT * weight * (share - inside);
        }
    }
    let scale = SLOPE_WEIGHT / (STEP * near_count.max(1) as f32);
    let mut slope = 0.0f64;
    for stride in [1, SIZE, SIZE * SIZE] {
        for index in 0..target.len() - stride {
            if index / stride % SIZE == SIZE - 1 || !near(target[index]) || !near(target[index + stride]) {
                continue;
            }
            let off = (output[index + stride] - output[index]) - (target[index + stride] - target[index]);
            slope += f64::from(off.abs());
            let push = scale * off.signum();
            gradient[index + stride] += push;
            gradient[index] -= push;
        }
    }
    Terms { distance: distance as f32, sign: sign as f32, slope: scale * slope as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ball(radius: f32) -> Vec<f32> {
        (0..SIZE * SIZE * SIZE)
            .map(|index| {
                let p = [index % SIZE, index / SIZE % SIZE, index / SIZE / SIZE]
                    .map(|k| (k as f32 + 0.5) / SIZE as f32 - 0.5);
                (16.0 * (p.iter().map(|x| x * x).sum::<f32>().sqrt() - radius)).clamp(-1.0, 1.0)
            })
            .collect()
    }

    #[test]
    fn gradient_is_the_central_difference_and_truth_is_best() {
        let target = ball(0.3);
        let output: Vec<f32> =
            target.iter().enumerate().map(|(k, value)| 1.1 * value + ((k * 7919) % 41) as f32 * 0.02 - 0.4).collect();
        let mut gradient = vec![0.0; output.len()];
        let start = distance_loss(&output, &target, &mut gradient);
        assert!(start.distance > 0.01 && start.sign > 0.01 && start.slope > 0.01, "{start:?}");
        let total = |values: &[f32]| {
            let Terms { distance, sign, slope } = distance_loss(values, &target, &mut vec![0.0; values.len()]);
            f64::from(distance) + f64::from(sign) + f64::from(slope)
        };
        // Every other slab moves at once: single samples hardly change the sum.
        let pattern = |k: usize| if (k / 97).is_multiple_of(2) { 1.0 } else { -0.5 };
        let moved = |step: f32| -> Vec<f32> { output.iter().enumerate().map(|(k, x)| x + step * pattern(k)).collect() };
        let slope = (total(&moved(2e-3)) - total(&moved(-2e-3))) / 4e-3;
        let along: f64 = gradient.iter().enumerate().map(|(k, g)| f64::from(g * pattern(k))).sum();
        assert!((slope - along).abs() < 0.02 * along.abs() + 1e-3, "{slope} {along}");

        let far: Vec<f32> = target.iter().map(|x| if x.abs() == 1.0 { 3.0 * x } else { *x }).collect();
        let best = distance_loss(&far, &target, &mut gradient);
        assert!(best.distance == 0.0 && best.slope == 0.0 && best.sign < 0.1, "{best:?}");
    }
}

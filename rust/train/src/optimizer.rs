//! AdamW (Loshchilov and Hutter 2019) with a clipped gradient and an exponential average of the parameters.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};
use rayon::prelude::*;

/// Settings of [`AdamW`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// Decay of the two running moments of the gradient.
    pub betas: [f32; 2],
    /// Share of a parameter that a step of rate 1 takes away; scales, shifts and biases keep theirs.
    pub weight_decay: f32,
    /// Longest gradient, over all parameters together.
    pub clip: f32,
    /// Decay of the average of the parameters; in the first steps it is shorter.
    pub average_decay: f32,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { betas: [0.9, 0.98], weight_decay: 0.01, clip: 1.0, average_decay: 0.998 }
    }
}

/// One parameter and its state.
struct Slot {
    name: String,
    variable: Var,
    value: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    average: Vec<f32>,
}

/// The optimiser and all of its state.
pub struct AdamW {
    settings: AdamSettings,
    slots: Vec<Slot>,
    step: usize,
}

const KINDS: [&str; 4] = ["value", "first", "second", "average"];

impl AdamW {
    /// Optimises `variables` from where they are.
    pub fn new(variables: Vec<(String, Var)>, settings: AdamSettings) -> Result<Self> {
        let slot = |(name, variable): (String, Var)| {
            let value = values(&variable)?;
            let zeros = vec![0.0; value.len()];
            Ok(Slot { name, variable, first: zeros.clone(), second: zeros, average: value.clone(), value })
        };
        Ok(Self { settings, slots: variables.into_iter().map(slot).collect::<Result<_>>()?, step: 0 })
    }

    /// Steps taken.
    pub fn step_count(&self) -> usize {
        self.step
    }

    /// How many numbers are optimised.
    pub fn parameter_count(&self) -> usize {
        self.slots.iter().map(|slot| slot.value.len()).sum()
    }

    /// One step of `rate` along `gradients`, whose length before clipping it gives. A gradient that is not finite is
    /// passed over.
    pub fn step(&mut self, gradients: &GradStore, rate: f32) -> Result<f32> {
        let gradients: Vec<Vec<f32>> = self
            .slots
            .iter()
            .map(|slot| gradients.get(&slot.variable).map_or_else(|| Ok(vec![0.0; slot.value.len()]), values))
            .collect::<Result<_>>()?;
        let length = gradients
            .par_iter()
            .map(|gradient| gradient.iter().map(|x| f64::from(x * x)).sum::<f64>())
            .collect::<Vec<f64>>()
            .iter()
            .sum::<f64>()
            .sqrt() as f32;
        if !length.is_finite() {
            return Ok(length);
        }
        self.step += 1;
        let AdamSettings { betas: [decay1, decay2], weight_decay, clip, average_decay } = self.settings;
        let scale = (clip / length.max(1e-12)).min(1.0);
        let power = self.step as i32;
        let (unbias1, unbias2) = (1.0 / (1.0 - decay1.powi(power)), 1.0 / (1.0 - decay2.powi(power)));
        let keep = average_decay.min((1.0 + self.step as f32) / (10.0 + self.step as f32));
        self.slots.par_iter_mut().zip(&gradients).try_for_each(|(slot, gradient)| {
            let shrink = if slot.variable.rank() > 1 { 1.0 - rate * weight_decay } else { 1.0 };
            let state = slot.value.iter_mut().zip(&mut slot.first).zip(&mut slot.second).zip(&mut slot.average);
            for ((((value, first), second), average), gradient) in state.zip(gradient) {
                let gradient = gradient * scale;
                *first = decay1 * *first + (1.0 - decay1) * gradient;
                *second = decay2 * *second + (1.0 - decay2) * gradient * gradient;
                let along = *first * unbias1 / ((*second * unbias2).sqrt() + 1e-8);
                *value = *value * shrink - rate * along;
                *average = keep * *average + (1.0 - keep) * *value;
            }
            slot.write()
        })?;
        Ok(length)
    }

    /// The averaged parameters.
    pub fn averages(&self) -> Result<BTreeMap<String, Tensor>> {
        self.slots.iter().map(|slot| Ok((slot.name.clone(), slot.tensor(&slot.average)?))).collect()
    }

    /// Everything that [`AdamW::restore`] needs but the number of steps.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for slot in &self.slots {
            for (kind, values) in KINDS.iter().zip([&slot.value, &slot.first, &slot.second, &slot.average]) {
                state.insert(format!("{kind}/{}", slot.name), slot.tensor(values)?);
            }
        }
        Ok(state)
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>, step: usize) -> Result<()> {
        for slot in &mut self.slots {
            for kind in KINDS {
                let name = format!("{kind}/{}", slot.name);
                let Some(tensor) = state.get(&name).filter(|tensor| tensor.shape() == slot.variable.shape()) else {
                    candle_core::bail!("the checkpoint does not fit: {name} is missing or has another shape");
                };
                let saved = values(tensor)?;
                match kind {
                    "value" => slot.value = saved,
                    "first" => slot.first = saved,
                    "second" => slot.second = saved,
                    _ => slot.average = saved,
                }
            }
            slot.write()?;
        }
        self.step = step;
        Ok(())
    }
}

impl Slot {
    fn tensor(&self, values: &[f32]) -> Result<Tensor> {
        Tensor::from_slice(values, self.variable.shape(), &Device::Cpu)
    }

    fn write(&self) -> Result<()> {
        self.variable.set(&self.tensor(&self.value)?.to_device(self.variable.device())?)
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bowl(x: &Var) -> Tensor {
        let target = Tensor::new(&[1.0f32, -2.0], &Device::Cpu).unwrap();
        (x.as_tensor() - target).unwrap().sqr().unwrap().sum_all().unwrap()
    }

    #[test]
    fn finds_the_bottom_and_resumes_exactly() {
        let fresh = || {
            let x = Var::new(&[5.0f32, 5.0], &Device::Cpu).unwrap();
            (AdamW::new(vec![("x".to_owned(), x.clone())], AdamSettings::default()).unwrap(), x)
        };
        let run = |optimizer: &mut AdamW, x: &Var, steps: usize| {
            for _ in 0..steps {
                optimizer.step(&bowl(x).backward().unwrap(), 0.05).unwrap();
            }
            x.to_vec1::<f32>().unwrap()
        };
        let (mut whole, x) = fresh();
        let straight = run(&mut whole, &x, 400);
        assert!((straight[0] - 1.0).abs() < 0.01 && (straight[1] + 2.0).abs() < 0.01, "{straight:?}");

        let (mut first, x) = fresh();
        run(&mut first, &x, 150);
        let (mut second, y) = fresh();
        second.restore(&first.state().unwrap(), first.step_count()).unwrap();
        assert_eq!(run(&mut second, &y, 250), straight);
        let averages = |optimizer: &AdamW| optimizer.averages().unwrap()["x"].to_vec1::<f32>().unwrap();
        assert_eq!(averages(&second), averages(&whole));
        assert!(second.restore(&BTreeMap::new(), 0).unwrap_err().to_string().contains("value/x"));
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let x = Var::new(&[f32::INFINITY, 1.0], &Device::Cpu).unwrap();
        let mut optimizer = AdamW::new(vec![("x".to_owned(), x.clone())], AdamSettings::default()).unwrap();
        let length = optimizer.step(&bowl(&x).backward().unwrap(), 0.1).unwrap();
        assert!(!length.is_finite() && optimizer.step_count() == 0);
        assert_eq!(x.to_vec1::<f32>().unwrap(), [f32::INFINITY, 1.0]);
    }
}

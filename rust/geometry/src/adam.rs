//! Adam over flat buffers.
//!
//! Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization". The shared second moment follows Nicolet, Jacobson
//! and Jakob 2021, "Large Steps in Inverse Rendering of Geometry": the largest one serves every parameter, so that a step
//! keeps the gradient's direction.

use rayon::prelude::*;

use crate::{Error, Result};

/// Entries a parallel task updates.
const BLOCK: usize = 1 << 14;

/// Which second moment divides the step of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondMoment {
    /// Its own, as in plain Adam.
    #[default]
    Own,
    /// The largest of all parameters.
    Shared,
}

/// Decay rates and the guard of the division.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// Decay rate of the first moment, in 0..1.
    pub beta1: f32,
    /// Decay rate of the second moment, in 0..1.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Which second moment divides.
    pub second_moment: SecondMoment,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, second_moment: SecondMoment::Own }
    }
}

/// State of the optimiser of one flat buffer of parameters.
#[derive(Clone, Debug)]
pub struct Adam {
    settings: AdamSettings,
    steps: i32,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    /// Optimiser of `len` parameters. Decay rates must lie in 0..1, epsilon above 0.
    pub fn new(len: usize, settings: AdamSettings) -> Result<Self> {
        let AdamSettings { beta1, beta2, epsilon, .. } = settings;
        if !((0.0..1.0).contains(&beta1) && (0.0..1.0).contains(&beta2) && epsilon > 0.0 && epsilon.is_finite()) {
            return Err(Error::invalid(format!(
                "Adam has decay rates {beta1} and {beta2} and epsilon {epsilon}; rates must be from 0 to below 1, epsilon above 0"
            )));
        }
        Ok(Self { settings, steps: 0, first: vec![0.0; len], second: vec![0.0; len] })
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there is nothing to optimise.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Forgets all moments and takes `len` parameters from now on, as after remeshing.
    pub fn reset(&mut self, len: usize) {
        self.steps = 0;
        for moment in [&mut self.first, &mut self.second] {
            moment.clear();
            moment.resize(len, 0.0);
        }
    }

    /// Moves every parameter one step against its gradient. Refuses a gradient that is not finite, and changes nothing
    /// then.
    pub fn step(&mut self, parameters: &mut [f32], gradients: &[f32], learning_rate: f32) -> Result<()> {
        self.check(parameters, gradients, learning_rate)?;
        if let Some(index) = gradients.par_iter().position_first(|gradient| !gradient.is_finite()) {
            return Err(not_finite(index));
        }
        self.steps = self.steps.saturating_add(1);
        let settings = self.settings;
        let (first_scale, second_scale) = self.bias_corrections();
        match settings.second_moment {
            SecondMoment::Own => {
                let moments = self.first.par_chunks_mut(BLOCK).zip(self.second.par_chunks_mut(BLOCK));
                let blocks = parameters.par_chunks_mut(BLOCK).zip(gradients.par_chunks(BLOCK));
                blocks.zip(moments).for_each(|((parameters, gradients), (first, second))| {
                    let entries = parameters.iter_mut().zip(gradients).zip(first.iter_mut().zip(second));
                    for ((parameter, &gradient), (first, second)) in entries {
                        settings.update(first, second, gradient);
                        let root = (*second * second_scale).sqrt() + settings.epsilon;
                        *parameter -= learning_rate * (*first * first_scale) / root;
                    }
                });
            }
            SecondMoment::Shared => {
                let moments = self.first.par_chunks_mut(BLOCK).zip(self.second.par_chunks_mut(BLOCK));
                let largest = moments
                    .zip(gradients.par_chunks(BLOCK))
                    .map(|((first, second), gradients)| {
                        let mut largest = 0.0f32;
                        for ((first, second), &gradient) in first.iter_mut().zip(second).zip(gradients) {
                            settings.update(first, second, gradient);
                            largest = largest.max(*second);
                        }
                        largest
                    })
                    .reduce(|| 0.0, f32::max);
                let scale = learning_rate * first_scale / ((largest * second_scale).sqrt() + settings.epsilon);
                let blocks = parameters.par_chunks_mut(BLOCK).zip(self.first.par_chunks(BLOCK));
                blocks.for_each(|(parameters, first)| {
                    for (parameter, &first) in parameters.iter_mut().zip(first) {
                        *parameter -= scale * first;
                    }
                });
            }
        }
        Ok(())
    }

    /// As [`Adam::step`], but only for the rows `rows` of `width` parameters each; the others keep their parameters and
    /// moments. Rows must be distinct. Costs nothing for the rest, which suits parameters of surface cubes. With a shared
    /// second moment it is the largest of these rows.
    pub fn step_rows(
        &mut self,
        parameters: &mut [f32],
        gradients: &[f32],
        learning_rate: f32,
        rows: &[u32],
        width: usize,
    ) -> Result<()> {
        self.check(parameters, gradients, learning_rate)?;
        if width == 0 || !self.len().is_multiple_of(width) {
            return Err(Error::invalid(format!("{} parameters do not divide into rows of {width}", self.len())));
        }
        let count = self.len() / width;
        for &row in rows {
            if row as usize >= count {
                return Err(Error::invalid(format!("row {row} is not among the {count} rows of the parameters")));
            }
            let start = row as usize * width;
            if let Some(column) = gradients[start..start + width].iter().position(|gradient| !gradient.is_finite()) {
                return Err(not_finite(start + column));
            }
        }
        self.steps = self.steps.saturating_add(1);
        let settings = self.settings;
        let (first_scale, second_scale) = self.bias_corrections();
        let mut largest = 0.0f32;
        for &row in rows {
            for index in row as usize * width..(row as usize + 1) * width {
                settings.update(&mut self.first[index], &mut self.second[index], gradients[index]);
                largest = largest.max(self.second[index]);
            }
        }
        for &row in rows {
            for index in row as usize * width..(row as usize + 1) * width {
                let second = match settings.second_moment {
                    SecondMoment::Own => self.second[index],
                    SecondMoment::Shared => largest,
                };
                let root = (second * second_scale).sqrt() + settings.epsilon;
                parameters[index] -= learning_rate * (self.first[index] * first_scale) / root;
            }
        }
        Ok(())
    }

    fn check(&self, parameters: &[f32], gradients: &[f32], learning_rate: f32) -> Result<()> {
        Error::check_length("parameters", parameters.len(), self.len(), "as many as the optimiser was made for")?;
        Error::check_length("gradients", gradients.len(), self.len(), "one a parameter")?;
        if !(learning_rate >= 0.0 && learning_rate.is_finite()) {
            return Err(Error::invalid(format!("learning rate is {learning_rate}; give a finite one, 0 or above")));
        }
        Ok(())
    }

    /// Factors that make the moments unbiased, as both start from 0.
    fn bias_corrections(&self) -> (f32, f32) {
        let unbias = |beta: f32| (1.0 / (1.0 - f64::from(beta).powi(self.steps))) as f32;
        (unbias(self.settings.beta1), unbias(self.settings.beta2))
    }
}

impl AdamSettings {
    fn update(self, first: &mut f32, second: &mut f32, gradient: f32) {
        *first = self.beta1 * *first + (1.0 - self.beta1) * gradient;
        *second = self.beta2 * *second + (1.0 - self.beta2) * gradient * gradient;
    }
}

fn not_finite(index: usize) -> Error {
    Error::NotFinite { what: "gradient", index, remedy: "check the loss and lower the learning rate" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain Adam of one parameter in f64, straight from the paper's algorithm 1.
    fn reference(gradients: &[f64], rate: f64, beta1: f64, beta2: f64) -> f64 {
        let (mut x, mut m, mut v) = (0.0, 0.0, 0.0);
        for (t, g) in gradients.iter().enumerate() {
            m = beta1 * m + (1.0 - beta1) * g;
            v = beta2 * v + (1.0 - beta2) * g * g;
            let t = t as i32 + 1;
            x -= rate * (m / (1.0 - beta1.powi(t))) / ((v / (1.0 - beta2.powi(t))).sqrt() + 1e-8);
        }
        x
    }

    #[test]
    fn follows_the_published_algorithm() {
        let sequence = [0.3, -1.2, 0.05, 2.0, 2.0, -0.4];
        let mut adam = Adam::new(2, AdamSettings::default()).unwrap();
        let mut rows = adam.clone();
        let (mut x, mut y) = ([0.0f32; 2], [0.0f32; 2]);
        for g in sequence {
            let gradients = [g as f32, -g as f32];
            adam.step(&mut x, &gradients, 0.1).unwrap();
            rows.step_rows(&mut y, &gradients, 0.1, &[1], 1).unwrap();
        }
        let expected = reference(&sequence, 0.1, 0.9, 0.999) as f32;
        assert!((x[0] - expected).abs() < 1e-6 && (x[1] + expected).abs() < 1e-6, "{x:?} {expected}");
        assert_eq!(y, [0.0, x[1]]);
    }

    #[test]
    fn shared_moment_keeps_the_direction() {
        let settings = AdamSettings { second_moment: SecondMoment::Shared, ..AdamSettings::default() };
        let mut adam = Adam::new(3, settings).unwrap();
        let mut rows = adam.clone();
        let (mut x, mut y) = ([0.0f32; 3], [0.0f32; 3]);
        for _ in 0..3 {
            adam.step(&mut x, &[4.0, -2.0, 0.0], 0.1).unwrap();
            rows.step_rows(&mut y, &[4.0, -2.0, 0.0], 0.1, &[0, 1, 2], 1).unwrap();
        }
        assert!((x[0] + 0.3).abs() < 1e-5 && (x[1] - 0.15).abs() < 1e-5 && x[2] == 0.0, "{x:?}");
        assert!(x.iter().zip(y).all(|(a, b)| (a - b).abs() < 1e-6), "{x:?} {y:?}");
    }

    #[test]
    fn finds_the_minimum_of_a_bowl() {
        let target: Vec<f32> = (0..50_000).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut x = vec![0.0f32; target.len()];
        let mut adam = Adam::new(x.len(), AdamSettings { beta2: 0.99, ..AdamSettings::default() }).unwrap();
        for _ in 0..400 {
            let gradients: Vec<f32> = x.iter().zip(&target).map(|(x, t)| x - t).collect();
            adam.step(&mut x, &gradients, 0.02).unwrap();
        }
        assert!(x.iter().zip(&target).all(|(x, t)| (x - t).abs() < 1e-2));
        adam.reset(3);
        assert_eq!((adam.len(), adam.is_empty()), (3, false));
    }

    #[test]
    fn bad_input_is_refused_and_changes_nothing() {
        assert!(Adam::new(1, AdamSettings { beta1: 1.0, ..AdamSettings::default() }).is_err());
        assert!(Adam::new(1, AdamSettings { epsilon: f32::NAN, ..AdamSettings::default() }).is_err());
        let mut adam = Adam::new(2, AdamSettings::default()).unwrap();
        let mut x = [1.0, 2.0];
        let error = adam.step(&mut x, &[0.0, f32::NAN], 0.1).unwrap_err().to_string();
        assert!(error.contains("gradient 1 is not finite"), "{error}");
        let error = adam.step(&mut x, &[0.0], 0.1).unwrap_err().to_string();
        assert!(error.contains("gradients has 1 entries, but 2"), "{error}");
        assert!(adam.step(&mut x, &[0.0; 2], f32::INFINITY).is_err());
        assert!(adam.step_rows(&mut x, &[0.0; 2], 0.1, &[2], 1).is_err());
        assert!(adam.step_rows(&mut x, &[0.0; 2], 0.1, &[0], 3).is_err());
        assert!(adam.step_rows(&mut x, &[0.0; 2], 0.1, &[0], 0).is_err());
        assert!(adam.step_rows(&mut x, &[f32::NAN, 0.0], 0.1, &[0], 2).is_err());
        assert_eq!(x, [1.0, 2.0]);
    }
}

//! Where layers take their parameters from: fresh random variables to train, or tensors of a file.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// How a fresh parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with variance one over the number of inputs.
    Normal {
        /// Inputs of one output.
        fan_in: usize,
    },
    /// The same value everywhere.
    Constant(f32),
}

/// Parameters by name.
pub struct Weights {
    device: Device,
    source: Source,
}

enum Source {
    Fresh { random: Box<ChaCha8Rng>, variables: Vec<(String, Var)> },
    Given(BTreeMap<String, Tensor>),
}

impl Weights {
    /// Variables that start as their layers ask, from `seed`.
    pub fn fresh(seed: u64, device: &Device) -> Self {
        let random = Box::new(maquette_core::random::stream(seed, "network weights"));
        Self { device: device.clone(), source: Source::Fresh { random, variables: Vec::new() } }
    }

    /// Parameters that exist already, in any float type.
    pub fn given(tensors: BTreeMap<String, Tensor>, device: &Device) -> Self {
        Self { device: device.clone(), source: Source::Given(tensors) }
    }

    /// The variables that layers have asked for, in their order; none for given weights.
    pub fn into_variables(self) -> Vec<(String, Var)> {
        match self.source {
            Source::Fresh { variables, .. } => variables,
            Source::Given(_) => Vec::new(),
        }
    }

    /// The parameter `name` as F32.
    ///
    /// # Errors
    /// When it is not among the given ones, or has another shape there.
    pub fn tensor(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        match &mut self.source {
            Source::Given(tensors) => {
                let Some(tensor) = tensors.get(name) else {
                    candle_core::bail!("the weights have no parameter {name}; give a file of this version");
                };
                if tensor.dims() != shape {
                    candle_core::bail!(
                        "parameter {name} is {:?}, but the network takes {shape:?}; give a file of this version",
                        tensor.dims()
                    );
                }
                tensor.to_device(&self.device)?.to_dtype(DType::F32)
            }
            Source::Fresh { random, variables } => {
                let count = shape.iter().product();
                let values: Vec<f32> = match init {
                    Init::Constant(value) => vec![value; count],
                    Init::Normal { fan_in } => {
                        let scale = 1.0 / (fan_in as f32).sqrt();
                        (0..count).map(|_| scale * normal(random)).collect()
                    }
                };
                let variable = Var::from_vec(values, shape, &self.device)?;
                let tensor = variable.as_tensor().clone();
                variables.push((name.to_owned(), variable));
                Ok(tensor)
            }
        }
    }
}

/// A standard normal number (Box and Muller).
fn normal(random: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f32>()).max(f32::MIN_POSITIVE).ln()).sqrt();
    radius * (std::f32::consts::TAU * random.random::<f32>()).cos()
}

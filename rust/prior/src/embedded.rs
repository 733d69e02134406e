//! Networks whose weights are built into the library.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// A network whose weights are read from the library itself, once, when they are first asked for.
pub(crate) struct Embedded<N> {
    /// Safetensors in F16.
    weights: &'static [u8],
    network: OnceLock<std::result::Result<N, String>>,
}

impl<N> Embedded<N> {
    pub(crate) const fn new(weights: &'static [u8]) -> Self {
        Self { weights, network: OnceLock::new() }
    }

    /// The network, which `build` makes of its parameters.
    ///
    /// # Errors
    /// When this build's weights do not fit its network.
    pub(crate) fn get(&self, build: impl FnOnce(BTreeMap<String, Tensor>) -> Result<N>) -> Result<&N> {
        let network =
            self.network.get_or_init(|| tensors_of(self.weights).and_then(build).map_err(|error| error.to_string()));
        network.as_ref().map_err(|reason| Error::Weights(reason.clone()))
    }
}

/// The tensors of a safetensors file, by their names.
pub(crate) fn tensors_of(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    Ok(candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_do_not_fit_are_told_each_time() {
        let broken: Embedded<()> = Embedded::new(b"nonsense");
        for _ in 0..2 {
            let error = broken.get(|_| Ok(())).unwrap_err().to_string();
            assert!(error.contains("built-in weights"), "{error}");
        }
    }
}

//! Layers of the built-in networks: channels-last, on the CPU with kernels of their own, forward and backward.

pub mod attention;
mod conv;
mod norm;
mod pointwise;
mod upsample;
mod weights;

pub use conv::{Window, conv2d, conv3d};
pub use norm::group_norm_silu;
pub use pointwise::{seed, silu, softmax, sum};
pub use upsample::upsample;
pub use weights::{Init, Weights};

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};

/// The values of a contiguous CPU tensor of type F32.
fn slice_of<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("expected a contiguous tensor, got {layout:?}"),
    }
}

/// Shows the values of contiguous CPU tensors of type F32.
fn with_slices<const N: usize, R>(tensors: [&Tensor; N], look: impl FnOnce([&[f32]; N]) -> R) -> Result<R> {
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut slices: [&[f32]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        match &**storage {
            Storage::Cpu(storage) => *slice = slice_of(storage, layout)?,
            _ => candle_core::bail!("expected a tensor on the CPU"),
        }
    }
    Ok(look(slices))
}

/// Groups of every group norm.
const GROUPS: usize = 8;

/// Convolution of pictures (two axes) or volumes (three).
#[derive(Clone, Debug)]
pub struct Convolution<const AXES: usize> {
    kernel: Tensor,
    bias: Tensor,
    window: Window,
}

/// 2D convolution of `[batch, height, width, channels]`.
pub type Conv2d = Convolution<2>;
/// 3D convolution of `[batch, depth, height, width, channels]`.
pub type Conv3d = Convolution<3>;

impl<const AXES: usize> Convolution<AXES> {
    /// Takes `NAME.kernel` `[side, …, inputs, outputs]` and `NAME.bias` `[outputs]` from `weights`.
    pub fn new(weights: &mut Weights, name: &str, inputs: usize, outputs: usize, window: Window) -> Result<Self> {
        let fan_in = window.side().pow(AXES as u32) * inputs;
        Self::with(weights, name, inputs, outputs, window, Init::Normal { fan_in })
    }

    /// As [`Convolution::new`], but a fresh layer gives zero.
    pub fn new_zero(weights: &mut Weights, name: &str, inputs: usize, outputs: usize, window: Window) -> Result<Self> {
        Self::with(weights, name, inputs, outputs, window, Init::Constant(0.0))
    }

    fn with(
        weights: &mut Weights,
        name: &str,
        inputs: usize,
        outputs: usize,
        window: Window,
        init: Init,
    ) -> Result<Self> {
        let mut shape = vec![window.side(); AXES];
        shape.extend([inputs, outputs]);
        Ok(Self {
            kernel: weights.tensor(&format!("{name}.kernel"), &shape, init)?,
            bias: weights.tensor(&format!("{name}.bias"), &[outputs], Init::Constant(0.0))?,
            window,
        })
    }

    /// `x` is `[batch, …, inputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if AXES == 2 {
            conv2d(x, &self.kernel, &self.bias, self.window)
        } else {
            conv3d(x, &self.kernel, &self.bias, self.window)
        }
    }
}

/// Group normalisation followed by SiLU.
#[derive(Clone, Debug)]
pub struct NormSilu {
    scale: Tensor,
    shift: Tensor,
}

impl NormSilu {
    /// Takes `NAME.scale` and `NAME.shift` `[channels]` from `weights`.
    pub fn new(weights: &mut Weights, name: &str, channels: usize) -> Result<Self> {
        Ok(Self {
            scale: weights.tensor(&format!("{name}.scale"), &[channels], Init::Constant(1.0))?,
            shift: weights.tensor(&format!("{name}.shift"), &[channels], Init::Constant(0.0))?,
        })
    }

    /// `x` is `[batch, …, channels]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        group_norm_silu(x, &self.scale, &self.shift, GROUPS)
    }
}

/// `y = x W + b` on the last axis.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Takes `NAME.weight` `[inputs, outputs]` and `NAME.bias` `[outputs]` from `weights`.
    pub fn new(weights: &mut Weights, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with(weights, name, inputs, outputs, Init::Normal { fan_in: inputs })
    }

    /// As [`Linear::new`], but a fresh layer gives zero.
    pub fn new_zero(weights: &mut Weights, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with(weights, name, inputs, outputs, Init::Constant(0.0))
    }

    fn with(weights: &mut Weights, name: &str, inputs: usize, outputs: usize, init: Init) -> Result<Self> {
        Ok(Self {
            weight: weights.tensor(&format!("{name}.weight"), &[inputs, outputs], init)?,
            bias: weights.tensor(&format!("{name}.bias"), &[outputs], Init::Constant(0.0))?,
        })
    }

    /// `x` is `[batch, inputs]`. On the CPU this is a convolution of one pixel: candle's own product keeps threads that
    /// outlive the job and are missing in a forked process.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !x.device().is_cpu() {
            return x.matmul(&self.weight)?.broadcast_add(&self.bias);
        }
        let (rows, inputs) = x.dims2()?;
        let (taken, outputs) = self.weight.dims2()?;
        let kernel = self.weight.reshape((1, 1, taken, outputs))?;
        conv2d(&x.reshape((1, rows, 1, inputs))?, &kernel, &self.bias, Window::Centred(1))?.reshape((rows, outputs))
    }
}

/// Two residual convolutions, each after its norm; a fresh block is the identity.
#[derive(Clone, Debug)]
pub struct ResidualBlock<const AXES: usize> {
    norms: [NormSilu; 2],
    convs: [Convolution<AXES>; 2],
}

/// A block for pictures.
pub type Residual = ResidualBlock<2>;
/// A block for volumes.
pub type Residual3d = ResidualBlock<3>;

impl<const AXES: usize> ResidualBlock<AXES> {
    /// A block of `channels` under `NAME`.
    pub fn new(weights: &mut Weights, name: &str, channels: usize) -> Result<Self> {
        let window = Window::Centred(3);
        Ok(Self {
            norms: [
                NormSilu::new(weights, &format!("{name}.norm1"), channels)?,
                NormSilu::new(weights, &format!("{name}.norm2"), channels)?,
            ],
            convs: [
                Convolution::new(weights, &format!("{name}.conv1"), channels, channels, window)?,
                Convolution::new_zero(weights, &format!("{name}.conv2"), channels, channels, window)?,
            ],
        })
    }

    /// `x` is `[batch, …, channels]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut inner = x.clone();
        for (norm, conv) in self.norms.iter().zip(&self.convs) {
            inner = conv.forward(&norm.forward(&inner)?)?;
        }
        sum(x, &inner)
    }
}

#[cfg(test)]
mod tests;

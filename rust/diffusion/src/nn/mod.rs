//! Layers. On the CPU in F32 they run the kernels of this crate, whatever type their weights are kept in; elsewhere,
//! and where gradients are wanted, they run candle's operations.

mod attention;
mod resnet;

pub use attention::{Attention, scaled_dot_product};
pub use resnet::Resnet;

use candle_core::{D, DType, Device, Module as _, Storage, Tensor};

use crate::kernels::{self, conv::Shape, linear::Layer};
use crate::weights::Weights;
use crate::{Error, Result, Run};

/// Shows the values of a CPU tensor of type F32, made contiguous.
pub(crate) fn with_slice<R>(tensor: &Tensor, look: impl FnOnce(&[f32]) -> R) -> candle_core::Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => {
            let values = storage.as_slice::<f32>()?;
            Ok(look(&values[layout.start_offset()..][..layout.shape().elem_count()]))
        }
        _ => candle_core::bail!("expected a tensor on the CPU"),
    }
}

/// As [`with_slice`]; shows nothing for no tensor.
fn with_slice_or_empty<R>(tensor: Option<&Tensor>, look: impl FnOnce(&[f32]) -> R) -> candle_core::Result<R> {
    match tensor {
        Some(tensor) => with_slice(tensor, look),
        None => Ok(look(&[])),
    }
}

/// True where the kernels of this crate apply.
pub(crate) fn is_fast(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32 && !x.track_op()
}

fn from_vec(values: Vec<f32>, shape: &[usize]) -> candle_core::Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// Weights may be kept in half precision on the CPU; kernels see them as F32.
fn wide(weight: &Tensor) -> candle_core::Result<Tensor> {
    weight.to_dtype(DType::F32)
}

fn expect_dim(what: &str, found: usize, wanted: usize) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what} has {found} channels, but the network takes {wanted}; give a tensor of that size"
    )))
}

/// `y = x Wᵀ + b` on the last axis.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    /// Reads `weight` `[outputs, inputs]` and, when `bias`, `bias` `[outputs]`.
    pub fn new(weights: &Weights, inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        Ok(Self {
            weight: weights.tensor("weight", &[outputs, inputs])?,
            bias: if bias { Some(weights.tensor("bias", &[outputs])?) } else { None },
            inputs,
            outputs,
        })
    }

    /// As [`Linear::new`] with a bias, from the first of two prefixes that is there.
    pub fn new_named(weights: &Weights, prefixes: [&str; 2], inputs: usize, outputs: usize) -> Result<Self> {
        let [usual, older] = prefixes;
        let names = |leaf: &str| [format!("{usual}.{leaf}"), format!("{older}.{leaf}")];
        let (weight, bias) = (names("weight"), names("bias"));
        Ok(Self {
            weight: weights.tensor_named(&weight.each_ref().map(String::as_str), &[outputs, inputs])?,
            bias: Some(weights.tensor_named(&bias.each_ref().map(String::as_str), &[outputs])?),
            inputs,
            outputs,
        })
    }

    /// `x` is `[.., inputs]`; gives `[.., outputs]`.
    pub fn forward(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        self.apply(x, None, run)
    }

    /// As [`Linear::forward`], added to `onto` `[.., outputs]`.
    pub fn forward_onto(&self, onto: &Tensor, x: &Tensor, run: &Run) -> Result<Tensor> {
        self.apply(x, Some(onto), run)
    }

    fn apply(&self, x: &Tensor, onto: Option<&Tensor>, run: &Run) -> Result<Tensor> {
        expect_dim("input of a linear layer", x.dim(D::Minus1)?, self.inputs)?;
        let mut shape = x.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.outputs;
        }
        if !is_fast(x) || onto.is_some_and(|onto| !is_fast(onto) || onto.dims() != shape) {
            let bias = self.bias.as_ref().map(|bias| bias.to_dtype(x.dtype())).transpose()?;
            let layer = candle_nn::Linear::new(self.weight.to_dtype(x.dtype())?, bias);
            let out = run.finish(layer.forward(x))?;
            return onto.map_or(Ok(out.clone()), |onto| add(onto, &out));
        }
        let stop = || run.progress.is_cancelled();
        let out = with_slice(x, |x| {
            self.with_layer(|layer| {
                with_slice_or_empty(onto, |onto| {
                    kernels::linear::linear(x, layer, onto, self.inputs, self.outputs, &stop)
                })
            })
        })???;
        run.progress.check()?;
        Ok(from_vec(out, &shape)?)
    }

    /// Shows weights and bias as F32.
    fn with_layer<R>(&self, look: impl FnOnce(Layer<'_>) -> R) -> candle_core::Result<R> {
        let (weight, bias) = (wide(&self.weight)?, self.bias.as_ref().map(wide).transpose()?);
        with_slice(&weight, |weight| with_slice_or_empty(bias.as_ref(), |bias| look(Layer { weight, bias })))?
    }
}

/// Two linear layers around a gate, GEGLU: Shazeer, "GLU variants improve transformer" (2020).
#[derive(Clone, Debug)]
pub struct GatedMlp {
    gate: Linear,
    last: Linear,
}

impl GatedMlp {
    /// Reads `net.0.proj` and `net.2`, with four times as many channels between them.
    pub fn new(weights: &Weights, channels: usize) -> Result<Self> {
        Ok(Self {
            gate: Linear::new(&weights.at("net.0.proj"), channels, 8 * channels, true)?,
            last: Linear::new(&weights.at("net.2"), 4 * channels, channels, true)?,
        })
    }

    /// Both are `[.., channels]`; gives `onto + mlp(x)`.
    pub fn forward_onto(&self, onto: &Tensor, x: &Tensor, run: &Run) -> Result<Tensor> {
        let Self { gate, last } = self;
        if !is_fast(x) || !is_fast(onto) || x.dims() != onto.dims() || x.dim(D::Minus1)? != gate.inputs {
            return last.forward_onto(onto, &gated_gelu(&gate.forward(x, run)?)?, run);
        }
        let stop = || run.progress.is_cancelled();
        let out = with_slice(x, |x| {
            with_slice(onto, |onto| {
                gate.with_layer(|first| {
                    last.with_layer(|second| {
                        kernels::linear::gated_linear(x, first, second, onto, gate.inputs, last.inputs, &stop)
                    })
                })
            })
        })????;
        run.progress.check()?;
        Ok(from_vec(out, onto.dims())?)
    }
}

/// 2D convolution.
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// `[k * k, outputs, inputs]` on the CPU, `[outputs, inputs, k, k]` elsewhere.
    weight: Tensor,
    bias: Option<Tensor>,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    pad_before: usize,
    pad_after: usize,
}

impl Conv2d {
    /// Reads `weight` `[outputs, inputs, kernel, kernel]` and `bias` `[outputs]`; stride 1, padded to keep the size.
    pub fn new(weights: &Weights, inputs: usize, outputs: usize, kernel: usize) -> Result<Self> {
        let pad = kernel / 2;
        Self::with(weights, inputs, outputs, kernel, 1, (pad, pad), true)
    }

    /// As [`Conv2d::new`], with stride and zero padding (before, after) on both axes given.
    pub fn with(
        weights: &Weights,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        (pad_before, pad_after): (usize, usize),
        bias: bool,
    ) -> Result<Self> {
        Ok(Self {
            weight: weights.kernel("weight", [outputs, inputs, kernel, kernel])?,
            bias: if bias { Some(weights.tensor("bias", &[outputs])?) } else { None },
            inputs,
            outputs,
            kernel,
            stride,
            pad_before,
            pad_after,
        })
    }

    /// `x` is `[batch, inputs, height, width]`.
    pub fn forward(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        self.forward_plus(x, None, run)
    }

    /// As [`Conv2d::forward`], with `offset` `[batch, outputs]` added to every pixel.
    pub fn forward_plus(&self, x: &Tensor, offset: Option<&Tensor>, run: &Run) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        expect_dim("input of a convolution", channels, self.inputs)?;
        if height + self.pad_before + self.pad_after < self.kernel
            || width + self.pad_before + self.pad_after < self.kernel
        {
            return Err(Error::invalid(format!(
                "a picture of {width}x{height} is smaller than the network's {0}x{0} kernel; give a larger one",
                self.kernel
            )));
        }
        if !is_fast(x) {
            return self.forward_candle(x, offset, run);
        }
        let bias = match &self.bias {
            Some(bias) => wide(bias)?,
            None => Tensor::zeros(self.outputs, DType::F32, &Device::Cpu)?,
        };
        let bias = match offset {
            Some(offset) => offset.broadcast_add(&bias)?,
            None => bias,
        };
        let shape = Shape {
            batch,
            inputs: self.inputs,
            outputs: self.outputs,
            height,
            width,
            kernel: self.kernel,
            stride: self.stride,
            pad_before: self.pad_before,
            pad_after: self.pad_after,
        };
        let weight = wide(&self.weight)?;
        let out = with_slice(x, |x| {
            with_slice(&weight, |taps| {
                with_slice(&bias, |offset| {
                    kernels::conv::conv2d(x, taps, offset, shape, &|| run.progress.is_cancelled())
                })
            })
        })???;
        run.progress.check()?;
        Ok(from_vec(out, &[batch, self.outputs, shape.out_height(), shape.out_width()])?)
    }

    fn forward_candle(&self, x: &Tensor, offset: Option<&Tensor>, run: &Run) -> Result<Tensor> {
        let mut weight = self.weight.to_dtype(x.dtype())?;
        if weight.rank() == 3 {
            let shape = (self.kernel, self.kernel, self.outputs, self.inputs);
            weight = weight.reshape(shape)?.permute((2, 3, 0, 1))?.contiguous()?;
        }
        let (x, padding) = if self.pad_before == self.pad_after {
            (x.clone(), self.pad_before)
        } else {
            let x = x.pad_with_zeros(2, self.pad_before, self.pad_after)?;
            (x.pad_with_zeros(3, self.pad_before, self.pad_after)?, 0)
        };
        let mut out = run.finish(x.conv2d(&weight, padding, self.stride, 1, 1))?;
        if let Some(bias) = &self.bias {
            out = out.broadcast_add(&bias.to_dtype(out.dtype())?.reshape((1, self.outputs, 1, 1))?)?;
        }
        if let Some(offset) = offset {
            out = out.broadcast_add(&offset.unsqueeze(2)?.unsqueeze(3)?)?;
        }
        Ok(out)
    }
}

/// Group normalisation, alone or followed by SiLU.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// Reads `weight` and `bias` `[channels]`.
    pub fn new(weights: &Weights, channels: usize, groups: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: weights.tensor("weight", &[channels])?,
            bias: weights.tensor("bias", &[channels])?,
            groups,
            eps,
        })
    }

    /// `x` is `[batch, channels, height, width]`.
    pub fn forward(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        self.apply(x, false, run)
    }

    /// As [`GroupNorm::forward`], then SiLU.
    pub fn forward_silu(&self, x: &Tensor, run: &Run) -> Result<Tensor> {
        self.apply(x, true, run)
    }

    fn apply(&self, x: &Tensor, silu: bool, run: &Run) -> Result<Tensor> {
        let (_, channels, height, width) = x.dims4()?;
        expect_dim("input of a group norm", channels, self.weight.elem_count())?;
        run.progress.check()?;
        if !is_fast(x) {
            let (weight, bias) = (self.weight.to_dtype(x.dtype())?, self.bias.to_dtype(x.dtype())?);
            let layer = candle_nn::GroupNorm::new(weight, bias, channels, self.groups, self.eps)?;
            let out = run.finish(layer.forward(x))?;
            return Ok(if silu { out.silu()? } else { out });
        }
        let (weight, bias) = (wide(&self.weight)?, wide(&self.bias)?);
        let out = with_slice(x, |x| {
            with_slice(&weight, |weight| {
                with_slice(&bias, |bias| {
                    kernels::norm::group_norm(x, weight, bias, height * width, self.groups, self.eps, silu)
                })
            })
        })???;
        Ok(from_vec(out, x.dims())?)
    }
}

/// Layer normalisation of the last axis.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Reads `weight` and `bias` `[channels]`.
    pub fn new(weights: &Weights, channels: usize, eps: f64) -> Result<Self> {
        Ok(Self { weight: weights.tensor("weight", &[channels])?, bias: weights.tensor("bias", &[channels])?, eps })
    }

    /// `x` is `[.., channels]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        expect_dim("input of a layer norm", x.dim(D::Minus1)?, self.weight.elem_count())?;
        if !is_fast(x) {
            let (weight, bias) = (self.weight.to_dtype(x.dtype())?, self.bias.to_dtype(x.dtype())?);
            return Ok(candle_nn::LayerNorm::new(weight, bias, self.eps).forward(x)?);
        }
        let (weight, bias) = (wide(&self.weight)?, wide(&self.bias)?);
        let out = with_slice(x, |x| {
            with_slice(&weight, |weight| with_slice(&bias, |bias| kernels::norm::layer_norm(x, weight, bias, self.eps)))
        })???;
        Ok(from_vec(out, x.dims())?)
    }
}

/// Sum of two tensors of one shape.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !is_fast(a) || !is_fast(b) || a.dims() != b.dims() {
        return Ok(a.add(b)?);
    }
    let out = with_slice(a, |left| with_slice(b, |right| kernels::pointwise::add(left, right)))??;
    Ok(from_vec(out, a.dims())?)
}

/// Two tensors that differ in their second axis alone, joined along it.
pub fn join(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let alike = a.rank() == b.rank() && (0..a.rank()).all(|axis| axis == 1 || a.dims()[axis] == b.dims()[axis]);
    if !is_fast(a) || !is_fast(b) || !alike || a.rank() < 2 {
        return Ok(Tensor::cat(&[a, b], 1)?);
    }
    let mut shape = a.dims().to_vec();
    shape[1] += b.dims()[1];
    let out = with_slice(a, |left| with_slice(b, |right| kernels::pointwise::join(left, right, shape[0])))??;
    Ok(from_vec(out, &shape)?)
}

/// SiLU.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    if !is_fast(x) {
        return Ok(x.silu()?);
    }
    Ok(from_vec(with_slice(x, kernels::pointwise::silu)?, x.dims())?)
}

/// GELU, the exact form.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if !is_fast(x) {
        return Ok(x.gelu_erf()?);
    }
    Ok(from_vec(with_slice(x, kernels::pointwise::gelu)?, x.dims())?)
}

/// The type that networks compute in: F32 on the CPU, whatever their weights are kept in; the weights' type elsewhere.
pub(crate) fn compute_dtype(like: &Tensor) -> DType {
    if like.device().is_cpu() { DType::F32 } else { like.dtype() }
}

/// `a gelu(b)` of `[.., a b]`.
pub fn gated_gelu(x: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)? / 2;
    if !is_fast(x) {
        return Ok((x.narrow(D::Minus1, 0, width)? * x.narrow(D::Minus1, width, width)?.gelu_erf()?)?);
    }
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = width;
    }
    Ok(from_vec(with_slice(x, |x| kernels::pointwise::gated_gelu(x, width))?, &shape)?)
}

/// Enlarges `[batch, channels, height, width]` by two, repeating pixels.
pub fn double(x: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    if !is_fast(x) {
        return Ok(x.upsample_nearest2d(2 * height, 2 * width)?);
    }
    let out = with_slice(x, |x| kernels::pointwise::double(x, width))?;
    Ok(from_vec(out, &[batch, channels, 2 * height, 2 * width])?)
}

/// `[batch, channels, height, width]` as `[batch, height * width, channels]`.
pub fn to_tokens(x: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    if !is_fast(x) {
        return Ok(x.flatten_from(2)?.transpose(1, 2)?.contiguous()?);
    }
    let out = with_slice(x, |x| kernels::pointwise::transpose(x, channels, height * width))?;
    Ok(from_vec(out, &[batch, height * width, channels])?)
}

/// `[batch, height * width, channels]` as `[batch, channels, height, width]`.
pub fn from_tokens(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (batch, tokens, channels) = x.dims3()?;
    if !is_fast(x) {
        return Ok(x.transpose(1, 2)?.reshape((batch, channels, height, width))?.contiguous()?);
    }
    let out = with_slice(x, |x| kernels::pointwise::transpose(x, tokens, channels))?;
    Ok(from_vec(out, &[batch, channels, height, width])?)
}

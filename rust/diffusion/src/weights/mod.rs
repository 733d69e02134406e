//! Tensors by name: from a safetensors file (mapped), from a pickled PyTorch file, random for measuring, or none at
//! all for finding out what a network would ask for.

mod map;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::{Error, Result};

/// A tensor that a network asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Names it may have, the usual one first.
    pub names: Vec<String>,
    /// Its shape in the file.
    pub shape: Vec<usize>,
}

enum Source {
    Mapped(map::MappedFile),
    Pickled(PthTensors),
    Random(u64),
    Outline(Mutex<Vec<Expected>>),
}

/// Hands tensors to a network while it is built, checked for name, shape and finite values.
#[derive(Clone)]
pub struct Weights {
    source: Arc<Source>,
    path: Arc<PathBuf>,
    prefix: String,
    dtype: DType,
    device: Device,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Weights")
            .field("path", &self.path)
            .field("prefix", &self.prefix)
            .field("dtype", &self.dtype)
            .finish_non_exhaustive()
    }
}

impl Weights {
    /// Opens a `.safetensors` or a pickled `.bin` or `.pth` file; tensors are converted to `dtype` (F32, F16 or BF16)
    /// and put on `device`.
    pub fn open(path: &Path, dtype: DType, device: &Device) -> Result<Self> {
        let length = std::fs::metadata(path).map_err(|error| maquette_core::Error::io("reading", path, error))?.len();
        if length == 0 {
            return Err(Error::weights(path, "is empty; fetch it again"));
        }
        let source = if path.extension().is_some_and(|extension| extension == "safetensors") {
            Source::Mapped(map::MappedFile::open(path)?)
        } else {
            let bad =
                |reason: &str| Error::weights(path, format!("is not a whole PyTorch file ({reason}); fetch it again"));
            // candle's reader runs no code from the file, but a file of another shape can make it panic.
            let read = std::panic::catch_unwind(|| PthTensors::new(path, None));
            let file = read
                .map_err(|_| bad("its content is of another kind"))?
                .map_err(|error| bad(error.to_string().lines().next().unwrap_or_default()))?;
            Source::Pickled(file)
        };
        Self::from_source(source, path.to_owned(), dtype, device)
    }

    /// Random weights of sensible size, the same for the same seed; for measuring time and memory.
    pub fn random(seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        Self::from_source(Source::Random(seed), "random weights".into(), dtype, device)
    }

    /// No weights: networks built from this cannot run, but afterwards [`Weights::expected`] lists what they need.
    pub fn outline() -> Self {
        Self {
            source: Arc::new(Source::Outline(Mutex::default())),
            path: Arc::new("outline".into()),
            prefix: String::new(),
            dtype: DType::F32,
            device: Device::Cpu,
        }
    }

    fn from_source(source: Source, path: PathBuf, dtype: DType, device: &Device) -> Result<Self> {
        if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16) {
            return Err(Error::invalid(format!("weights cannot be kept as {dtype:?}; use F32, F16 or BF16")));
        }
        Ok(Self {
            source: Arc::new(source),
            path: Arc::new(path),
            prefix: String::new(),
            dtype,
            device: device.clone(),
        })
    }

    /// What was asked of an [`Weights::outline`] so far, in order; empty for others.
    pub fn expected(&self) -> Vec<Expected> {
        match &*self.source {
            Source::Outline(list) => list.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            _ => Vec::new(),
        }
    }

    /// The tensors whose names start with `name` and a dot.
    #[must_use]
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: self.full(&name.to_string()) + ".", ..self.clone() }
    }

    /// Where the tensors come from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device that tensors are put on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The tensor `name` of `shape`.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.tensor_named(&[name], shape)
    }

    /// As [`Weights::tensor`], under the first of `names` that is there.
    pub fn tensor_named(&self, names: &[&str], shape: &[usize]) -> Result<Tensor> {
        Ok(self.stored(names, shape)?.to_device(&self.device)?)
    }

    /// A convolution's weight `[outputs, inputs, k, k]`, as `[k * k, outputs, inputs]` on the CPU.
    pub(crate) fn kernel(&self, name: &str, shape: [usize; 4]) -> Result<Tensor> {
        let stored = self.stored(&[name], &shape)?;
        if !self.device.is_cpu() || matches!(*self.source, Source::Outline(_)) {
            return Ok(stored.to_device(&self.device)?);
        }
        let [outputs, inputs, height, width] = shape;
        Ok(stored.permute((2, 3, 0, 1))?.reshape((height * width, outputs, inputs))?.contiguous()?)
    }

    fn stored(&self, names: &[&str], shape: &[usize]) -> Result<Tensor> {
        let names: Vec<String> = names.iter().map(|name| self.full(name)).collect();
        let bad = |reason: String| Error::weights(&self.path, reason);
        let misfit = |name: &str, found: &[usize]| {
            bad(format!(
                "{name} has shape {found:?}, but config.json asks for {shape:?}; weights and configuration are of different models"
            ))
        };
        let missing =
            || bad(format!("{} is missing; the file is of another model, or not whole: fetch it again", names[0]));
        let (name, tensor) = match &*self.source {
            Source::Outline(list) => {
                list.lock().unwrap_or_else(PoisonError::into_inner).push(Expected { names, shape: shape.to_vec() });
                return Ok(Tensor::zeros((), self.dtype, &Device::Cpu)?.broadcast_as(shape)?);
            }
            Source::Random(seed) => return Ok(random(*seed, &names[0], shape)?.to_dtype(self.dtype)?),
            Source::Mapped(file) => {
                let (name, found) =
                    names.iter().find_map(|name| file.shape(name).map(|found| (name, found))).ok_or_else(missing)?;
                if found != shape {
                    return Err(misfit(name, &found));
                }
                (name, file.load(name)?)
            }
            Source::Pickled(file) => {
                let name = names.iter().find(|name| file.tensor_infos().contains_key(*name)).ok_or_else(missing)?;
                let found = file.tensor_infos()[name].layout.dims();
                if found != shape {
                    return Err(misfit(name, found));
                }
                let tensor = file
                    .get(name)
                    .map_err(|error| bad(format!("{name} cannot be read: {error}; fetch the file again")))?;
                (name, tensor.ok_or_else(missing)?)
            }
        };
        if !matches!(tensor.dtype(), DType::F64 | DType::F32 | DType::F16 | DType::BF16) {
            return Err(bad(format!("{name} is stored as {:?}; use a file of floating point weights", tensor.dtype())));
        }
        if !is_finite(&tensor)? {
            return Err(bad(format!("{name} holds NaN or infinite values; fetch the file again")));
        }
        if tensor.dtype() == self.dtype {
            return Ok(tensor.contiguous()?);
        }
        let converted = tensor.to_dtype(self.dtype)?.contiguous()?;
        if !is_finite(&converted)? {
            return Err(bad(format!("{name} does not fit into {:?}; use BF16 or F32", self.dtype)));
        }
        Ok(converted)
    }
}

/// A tensor as a file lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Stored type, as it is usually written.
    pub dtype: String,
}

/// What a weight file holds, without reading its values; sorted by name.
pub fn list(path: &Path) -> Result<Vec<Listed>> {
    let mut found = match &*Weights::open(path, DType::F32, &Device::Cpu)?.source {
        Source::Mapped(file) => file.list(),
        Source::Pickled(file) => {
            let mut found = Vec::new();
            #[allow(clippy::iter_over_hash_type, reason = "sorted below")]
            for (name, info) in file.tensor_infos() {
                let (shape, dtype) = (info.layout.dims().to_vec(), format!("{:?}", info.dtype));
                found.push(Listed { name: name.clone(), shape, dtype });
            }
            found
        }
        Source::Random(_) | Source::Outline(_) => Vec::new(),
    };
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    let wide = if tensor.dtype() == DType::F32 { tensor.clone() } else { tensor.to_dtype(DType::F32)? };
    Ok(crate::nn::with_slice(&wide, |values| {
        values.par_chunks(1 << 16).all(|chunk| chunk.iter().fold(true, |fine, value| fine & value.is_finite()))
    })?)
}

/// Uniform values of variance 1 / fan-in; ones for the scales of norms, zeros for biases.
fn random(seed: u64, name: &str, shape: &[usize]) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    if shape.len() == 1 {
        let value = if name.ends_with("weight") { 1.0f32 } else { 0.0 };
        return Ok(Tensor::full(value, shape, &Device::Cpu)?);
    }
    let mut hasher = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    for byte in name.bytes() {
        hasher = (hasher ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let width = (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt();
    let mut values = vec![0.0f32; count];
    values.par_chunks_mut(1 << 14).enumerate().for_each(|(chunk, values)| {
        let mut state = hasher.wrapping_add((chunk as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        for value in values {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *value = ((state >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * width;
        }
    });
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

//! How much memory a run needs, and which mode fits.

use std::fmt;

use candle_core::{DType, Device};

use super::folder::{Component, ControlNetFolder, ModelFolder};
use crate::weights::Expected;
use crate::{Error, Result};

/// How networks are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Type that weights are kept in. The CPU computes in F32 whatever this is; a GPU computes in this type.
    pub dtype: DType,
    /// Keep every network for the next run, instead of one at a time.
    pub keep: bool,
    /// Decode pictures in overlapping tiles: close to the whole, not equal to it.
    pub tiled: bool,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = match self.dtype {
            DType::F16 => "half precision",
            DType::BF16 => "bfloat16",
            _ => "single precision",
        };
        let keep = if self.keep { "all networks kept" } else { "one network at a time" };
        let tiled = if self.tiled { ", decoded in tiles" } else { "" };
        write!(formatter, "{dtype}, {keep}{tiled}")
    }
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct StageMemory {
    /// What runs.
    pub name: &'static str,
    /// Weights held then, in bytes.
    pub weights: u64,
    /// Everything else, in bytes; an upper estimate.
    pub working: u64,
}

/// What a run needs.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryPlan {
    /// How.
    pub mode: Mode,
    /// Stage by stage.
    pub stages: Vec<StageMemory>,
    /// Free memory when the plan was made; `None` where it cannot be asked.
    pub free: Option<u64>,
}

impl MemoryPlan {
    /// Largest need, in bytes.
    pub fn peak(&self) -> u64 {
        self.stages.iter().map(|stage| stage.weights + stage.working).max().unwrap_or(0)
    }

    /// False when more is needed than is free.
    pub fn fits(&self) -> bool {
        self.free.is_none_or(|free| self.peak() <= free)
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "needs {}", gigabytes(self.peak()))?;
        match self.free {
            Some(free) => write!(formatter, ", {} free", gigabytes(free))?,
            None => write!(formatter, ", free memory of this device unknown")?,
        }
        write!(formatter, " ({}", self.mode)?;
        for stage in &self.stages {
            write!(formatter, "; {} {} + {}", stage.name, gigabytes(stage.weights), gigabytes(stage.working))?;
        }
        write!(formatter, ")")
    }
}

/// Memory that can be had now, where the device can be asked.
pub fn free_memory(device: &Device) -> Option<u64> {
    if !device.is_cpu() {
        return None;
    }
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_memory();
    // Containers may be given less than the machine has.
    let allowed = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    Some(system.available_memory().min(allowed)).filter(|&bytes| bytes > 0)
}

fn bytes(expected: &[Expected], dtype: DType) -> u64 {
    let count: usize = expected.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    (count * dtype.size_in_bytes()) as u64
}

/// Plans a run over latents of `size` (height, width) with `batch` items.
pub fn plan(
    folder: &ModelFolder,
    control: Option<&ControlNetFolder>,
    device: &Device,
    mode: Mode,
    size: [usize; 2],
    batch: usize,
) -> Result<MemoryPlan> {
    let compute = if device.is_cpu() { 4 } else { mode.dtype.size_in_bytes() } as u64;
    let weights = |component| -> Result<u64> { Ok(bytes(&folder.expected(component)?, mode.dtype)) };
    let (vision, text) = (weights(Component::Vision)?, weights(Component::Text)?);
    let (vae, unet) = (weights(Component::Vae)?, weights(Component::Unet)?);
    let control = control.map(|control| -> Result<u64> { Ok(bytes(&control.expected()?, mode.dtype)) }).transpose()?;
    let denoiser = unet + control.unwrap_or(0);
    let all = vision + text + vae + denoiser;
    let held = |own: u64| if mode.keep { all } else { own };
    let levels = &folder.unet.block_out_channels;
    let cells = (size[0] * size[1] * batch) as u64;
    let widest = folder.vae.block_out_channels.iter().take(2).max().copied().unwrap_or(0) as u64;
    let factor = folder.vae.factor();
    let input = u64::from(folder.vae_extractor.size).pow(2);
    let output = (size[0] * size[1] * factor * factor) as u64;
    let decoded = if mode.tiled { output.min(((DECODE_TILE * factor) as u64).pow(2)) } else { output };
    let patches = (folder.vision.image_size / folder.vision.patch_size).pow(2) as u64;
    let stage = |name, weights, working| StageMemory { name, weights, working };
    Ok(MemoryPlan {
        mode,
        free: free_memory(device),
        stages: vec![
            stage("vision", held(vision), 8 * compute * patches * folder.vision.intermediate_size as u64),
            stage(
                "text",
                held(text),
                8 * compute * folder.text.max_position_embeddings as u64 * folder.text.intermediate_size as u64,
            ),
            stage("encode", held(vae), VAE_TENSORS * compute * input * folder.vae.block_out_channels[0] as u64),
            stage("denoise", held(denoiser), UNET_TENSORS * compute * cells * levels[0] as u64),
            stage("decode", held(vae), VAE_TENSORS * compute * decoded * widest + 4 * output * 8),
        ],
    })
}

/// Side of a decoder tile, in latent cells.
pub(super) const DECODE_TILE: usize = 64;
/// Cells that neighbouring tiles share.
pub(super) const DECODE_OVERLAP: usize = 16;
/// Tensors of the first level's size that the denoiser holds at its peak: skip connections, the gated MLP's 8 + 4,
/// reference tokens, and the scratch of half-precision weights.
const UNET_TENSORS: u64 = 34;
/// Tensors of the widest full-size feature map that the autoencoder holds at its peak.
const VAE_TENSORS: u64 = 5;

/// Modes from the most comfortable to the smallest.
pub fn modes(device: &Device, dtype: Option<DType>) -> Vec<Mode> {
    let full = dtype.unwrap_or(if device.is_cpu() { DType::F32 } else { DType::BF16 });
    let mut modes = vec![
        Mode { dtype: full, keep: true, tiled: false },
        Mode { dtype: full, keep: false, tiled: false },
        Mode { dtype: full, keep: false, tiled: true },
    ];
    // Smaller numbers change results a little, so they come last and only where the caller left the choice.
    if dtype.is_none() && full == DType::F32 {
        modes.push(Mode { dtype: DType::BF16, keep: false, tiled: true });
    }
    modes
}

/// True for errors of a device that ran out of memory.
pub fn is_out_of_memory(error: &Error) -> bool {
    match error {
        Error::Memory(_) => true,
        Error::Tensor(error) => {
            let text = error.to_string().to_lowercase();
            text.contains("out of memory") || text.contains("out_of_memory")
        }
        _ => false,
    }
}

/// Tries `modes` in turn until one does not run out of memory; `warn` is told of every step down.
pub fn first_that_fits<T>(
    modes: &[Mode],
    mut warn: impl FnMut(String),
    mut attempt: impl FnMut(Mode) -> Result<T>,
) -> Result<T> {
    let mut last = Error::Memory("no mode to run in was given".into());
    for (index, &mode) in modes.iter().enumerate() {
        match attempt(mode) {
            Err(error) if is_out_of_memory(&error) => {
                if let Some(next) = modes.get(index + 1) {
                    warn(format!("not enough memory in {mode} ({error}); going on in {next}"));
                }
                last = error;
            }
            other => return other,
        }
    }
    Err(match last {
        Error::Memory(text) => Error::Memory(text),
        other => Error::Memory(format!("not enough memory even in the smallest mode: {other}; close other programs")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_smaller_mode_is_taken() {
        let modes = modes(&Device::Cpu, None);
        assert_eq!(modes.len(), 4);
        let mut warnings = Vec::new();
        let mut tried = Vec::new();
        let result = first_that_fits(
            &modes,
            |text| warnings.push(text),
            |mode| {
                tried.push(mode);
                if mode.tiled {
                    Ok(mode)
                } else {
                    Err(Error::Tensor(candle_core::Error::Msg("CUDA_ERROR_OUT_OF_MEMORY".into())))
                }
            },
        );
        assert_eq!(result.unwrap(), modes[2]);
        assert_eq!((tried.len(), warnings.len()), (3, 2));
        assert!(warnings[0].contains("one network at a time"), "{}", warnings[0]);

        let none =
            first_that_fits(&modes, |_| {}, |_| -> Result<()> { Err(Error::Memory("needs 9 GB, 1 GB free".into())) });
        assert!(none.unwrap_err().to_string().contains("needs 9 GB"));
        let other = first_that_fits(&modes, |_| {}, |_| -> Result<()> { Err(Error::invalid("no")) });
        assert_eq!(other.unwrap_err().to_string(), "no");
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(free_memory(&Device::Cpu).unwrap() > 1 << 20);
    }
}

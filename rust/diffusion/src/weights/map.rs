//! Memory-mapped safetensors.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{Device, Tensor};

use super::Listed;
use crate::{Error, Result};

/// Bytes read before the file is mapped anew, so that pages already copied stop counting as this process's memory.
const WINDOW: usize = 256 << 20;

/// A safetensors file, mapped.
pub(super) struct MappedFile {
    path: PathBuf,
    map: Mutex<(MmapedSafetensors, usize)>,
}

impl MappedFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), map: Mutex::new((map(path)?, 0)) })
    }

    /// Shape of a tensor, if there is one of this name.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let map = self.map.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        map.0.get(name).ok().map(|view| view.shape().to_vec())
    }

    /// Every tensor.
    pub(super) fn list(&self) -> Vec<Listed> {
        let map = self.map.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let views = map.0.tensors().into_iter();
        views
            .map(|(name, view)| Listed { name, shape: view.shape().to_vec(), dtype: format!("{:?}", view.dtype()) })
            .collect()
    }

    /// A copy of a tensor.
    pub(super) fn load(&self, name: &str) -> Result<Tensor> {
        let mut map = self.map.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if map.1 > WINDOW {
            *map = (self::map(&self.path)?, 0);
        }
        let tensor = map.0.load(name, &Device::Cpu).map_err(|error| Error::weights(&self.path, error.to_string()))?;
        map.1 += tensor.elem_count() * tensor.dtype().size_in_bytes();
        Ok(tensor)
    }
}

/// Checks the header against the file's length and maps it.
#[allow(unsafe_code, reason = "candle offers mapping as an unsafe function only; this is its one caller")]
fn map(path: &Path) -> Result<MmapedSafetensors> {
    // SAFETY: the mapping is read only, stays private to this module, and is copied from before anything looks at the
    // values, which are then checked to be finite numbers; any bytes are valid ones. Nobody may truncate the file
    // while it is mapped: model folders are written by renaming finished files, which leaves an old mapping whole.
    unsafe { MmapedSafetensors::new(path) }.map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default();
        Error::weights(
            path,
            format!("is not a whole safetensors file ({reason}); it was cut short or is another kind of file: fetch it again"),
        )
    })
}

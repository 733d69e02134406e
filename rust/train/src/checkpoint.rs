//! Checkpoints of a run: one safetensors file, replaced in one step, with what is needed to go on in its metadata.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, TensorView};

use crate::{Error, Result};

/// Writes `tensors`, as F16 when `half`, and `metadata`.
pub fn write(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &BTreeMap<String, String>,
    half: bool,
) -> Result<()> {
    let mut bytes = Vec::new();
    for (name, tensor) in tensors {
        let flat = tensor.flatten_all()?;
        let raw: Vec<u8> = if half {
            flat.to_dtype(DType::F16)?.to_vec1::<half::f16>()?.iter().flat_map(|x| x.to_le_bytes()).collect()
        } else {
            flat.to_vec1::<f32>()?.iter().flat_map(|x| x.to_le_bytes()).collect()
        };
        bytes.push((name.clone(), tensor.dims().to_vec(), raw));
    }
    let kind = if half { Dtype::F16 } else { Dtype::F32 };
    let mut views = Vec::new();
    for (name, shape, raw) in &bytes {
        views.push((name.as_str(), TensorView::new(kind, shape.clone(), raw).map_err(|error| bad(path, &error))?));
    }
    let packed = safetensors::serialize(views, Some(metadata.clone().into_iter().collect()))
        .map_err(|error| bad(path, &error))?;
    write_whole(path, &packed)
}

/// Replaces a file in one step.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Reads what [`write()`] wrote, as F32.
pub fn read(path: &Path) -> Result<(BTreeMap<String, Tensor>, BTreeMap<String, String>)> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).map_err(|error| bad(path, &error))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
    let tensors = tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?)))
        .collect::<candle_core::Result<_>>()?;
    Ok((tensors, metadata))
}

fn bad(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::File { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensor = Tensor::new(&[[1.0f32, -2.5], [0.5, 3.0]], &Device::Cpu).unwrap();
        let tensors = BTreeMap::from([("a.b".to_owned(), tensor)]);
        for half in [false, true] {
            let metadata = BTreeMap::from([("step".to_owned(), "7".to_owned())]);
            write(&path, &tensors, &metadata, half).unwrap();
            let (back, told) = read(&path).unwrap();
            assert_eq!(back["a.b"].to_vec2::<f32>().unwrap(), [[1.0, -2.5], [0.5, 3.0]]);
            assert_eq!(told, metadata);
        }
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("a.safetensors"));
    }
}

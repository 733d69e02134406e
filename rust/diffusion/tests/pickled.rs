//! v1.1 is published as pickled PyTorch files; they give the same networks as safetensors.

#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

mod common;

use std::io::Write as _;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use maquette_core::Progress;
use maquette_diffusion::models::{self, Severity};
use maquette_diffusion::weights::{Weights, list};

/// Writes tensors as `torch.save` does: a zip of a pickle, protocol 2, and one file a storage.
fn torch_save(path: &Path, tensors: &[(String, Tensor)]) {
    fn text(out: &mut Vec<u8>, text: &str) {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    }
    fn int(out: &mut Vec<u8>, value: usize) {
        out.push(b'J');
        out.extend((value as i32).to_le_bytes());
    }
    fn ints(out: &mut Vec<u8>, values: &[usize]) {
        out.push(b'(');
        for &value in values {
            int(out, value);
        }
        out.push(b't');
    }
    const EMPTY_ORDERED_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
    let mut pickle = b"\x80\x02".to_vec();
    pickle.extend(EMPTY_ORDERED_DICT);
    pickle.push(b'(');
    for (index, (name, tensor)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        let class = if tensor.dtype() == DType::F16 { "HalfStorage" } else { "FloatStorage" };
        pickle.extend(format!("ctorch\n{class}\n").bytes());
        text(&mut pickle, &index.to_string());
        text(&mut pickle, "cpu");
        int(&mut pickle, tensor.elem_count());
        pickle.extend(b"tQ");
        int(&mut pickle, 0);
        ints(&mut pickle, tensor.dims());
        ints(&mut pickle, tensor.contiguous().unwrap().stride());
        pickle.push(0x89);
        pickle.extend(EMPTY_ORDERED_DICT);
        pickle.extend(b"tR");
    }
    pickle.extend(b"u.");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", options).unwrap();
    zip.write_all(&pickle).unwrap();
    for (index, (_, tensor)) in tensors.iter().enumerate() {
        zip.start_file(format!("archive/data/{index}"), options).unwrap();
        let mut bytes = Vec::new();
        tensor.write_bytes(&mut bytes).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn a_pickled_model_is_the_same_model() {
    let Some(shared) = common::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let control = shared.join("tiny_controlnet");
    std::fs::copy(control.join("config.json"), folder.path().join("config.json")).unwrap();
    let source = control.join("diffusion_pytorch_model.safetensors");
    let names: Vec<String> = list(&source).unwrap().into_iter().map(|listed| listed.name).collect();
    let tensors = candle_core::safetensors::load(&source, &Device::Cpu).unwrap();
    let tensors: Vec<(String, Tensor)> = names.iter().map(|name| (name.clone(), tensors[name].clone())).collect();
    let path = folder.path().join("diffusion_pytorch_model.bin");
    torch_save(&path, &tensors);
    assert_eq!(models::verify(folder.path(), true, &Progress::new()).unwrap(), []);
    let weights = Weights::open(&path, DType::F32, &Device::Cpu).unwrap();
    for (name, tensor) in &tensors {
        let read = weights.tensor(name, tensor.dims()).unwrap();
        let off = (read - tensor).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        assert_eq!(off.to_scalar::<f32>().unwrap(), 0.0, "{name}");
    }
    // Half precision, as published.
    let half: Vec<(String, Tensor)> =
        tensors.iter().map(|(name, tensor)| (name.clone(), tensor.to_dtype(DType::F16).unwrap())).collect();
    torch_save(&path, &half);
    let weights = Weights::open(&path, DType::F32, &Device::Cpu).unwrap();
    let (name, tensor) = &half[0];
    let read = weights.tensor(name, tensor.dims()).unwrap();
    let off = (read - tensor.to_dtype(DType::F32).unwrap()).unwrap().abs().unwrap().flatten_all().unwrap();
    assert_eq!(off.max(0).unwrap().to_scalar::<f32>().unwrap(), 0.0);
    // A tensor less, and files that are no pickles.
    torch_save(&path, &half[1..]);
    let findings = models::verify(folder.path(), false, &Progress::new()).unwrap();
    assert!(findings.len() == 1 && findings[0].text.contains(name) && findings[0].severity == Severity::Error);
    let whole = std::fs::read(&path).unwrap();
    for bytes in [&whole[..whole.len() / 2], b"not a zip", b"PK\x03\x04"] {
        std::fs::write(&path, bytes).unwrap();
        let error = Weights::open(&path, DType::F32, &Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("not a whole PyTorch file"), "{error}");
    }
    // A pickle that is not a model: a tensor made of nothing.
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    zip.start_file("a/data.pkl", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"\x80\x02}(X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n)Ru.").unwrap();
    zip.finish().unwrap();
    assert!(Weights::open(&path, DType::F32, &Device::Cpu).is_err());
}

//! Whether a model folder is whole.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use maquette_core::Progress;

use crate::weights::{Expected, Weights, list};
use crate::zero123plus::{Component, ControlNetFolder, ModelFolder};
use crate::{Error, Result};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The model cannot run.
    Error,
    /// Worth knowing; the model runs.
    Note,
}

/// Something about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong, and the remedy.
    pub text: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Note => "note",
        };
        write!(formatter, "{kind}: {}: {}", self.path.display(), self.text)
    }
}

fn finding(severity: Severity, path: &Path, text: impl Into<String>) -> Finding {
    Finding { severity, path: path.to_owned(), text: text.into() }
}

/// Checks a folder of Zero123++ or of a ControlNet: files, configuration, tokenizer, and every tensor's name and shape;
/// with `values`, also that every number is finite, which reads all weights. An empty list means that all is well.
pub fn verify(folder: &Path, values: bool, progress: &Progress) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if folder.join("model_index.json").is_file() {
        verify_model(folder, values, progress, &mut findings)?;
    } else if folder.join("config.json").is_file() {
        match ControlNetFolder::open(folder) {
            Ok(control) => {
                let path = control.weight_file();
                verify_component(folder, path, control.expected(), values, progress, &mut findings)?;
            }
            Err(error) => findings.push(said(folder, &error)),
        }
    } else {
        let text = "holds neither model_index.json nor config.json; give the folder of a model, or fetch it again";
        findings.push(finding(Severity::Error, folder, text));
    }
    Ok(findings)
}

fn verify_model(folder: &Path, values: bool, progress: &Progress, findings: &mut Vec<Finding>) -> Result<()> {
    for wanted in super::wanted(super::Kind::Views) {
        if !wanted.present_in(folder) {
            let names: Vec<String> = wanted.paths().collect();
            findings.push(finding(
                Severity::Error,
                folder,
                format!("{} is missing; fetch the model again", names.join(" or ")),
            ));
        }
    }
    let model = match ModelFolder::open(folder) {
        Ok(model) => model,
        Err(error) => {
            // A missing file has been named above.
            if !matches!(&error, Error::Core(maquette_core::Error::Io { .. })) {
                findings.push(said(folder, &error));
            }
            return Ok(());
        }
    };
    if let Err(error) = model.tokenizer()
        && !matches!(&error, Error::Core(maquette_core::Error::Io { .. }))
    {
        findings.push(said(&folder.join("tokenizer"), &error));
    }
    for component in Component::ALL {
        let Ok(path) = model.weight_file(component) else { continue };
        verify_component(folder, Ok(path), model.expected(component), values, progress, findings)?;
    }
    Ok(())
}

/// An error as a finding, under its own path where it has one.
fn said(path: &Path, error: &Error) -> Finding {
    match error {
        Error::Config { path, reason } | Error::Weights { path, reason } => {
            finding(Severity::Error, path, reason.clone())
        }
        other => finding(Severity::Error, path, other.to_string()),
    }
}

fn verify_component(
    folder: &Path,
    path: Result<PathBuf>,
    expected: Result<Vec<Expected>>,
    values: bool,
    progress: &Progress,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    progress.check()?;
    let (path, expected) = match (path, expected) {
        (Ok(path), Ok(expected)) => (path, expected),
        (Err(error), _) | (_, Err(error)) => {
            findings.push(said(folder, &error));
            return Ok(());
        }
    };
    let mut stored = match list(&path) {
        Ok(stored) => stored,
        Err(error) => {
            findings.push(said(&path, &error));
            return Ok(());
        }
    };
    let weights = if values { Some(Weights::open(&path, DType::F32, &Device::Cpu)?) } else { None };
    for (index, tensor) in expected.iter().enumerate() {
        let Some(at) = stored.iter().position(|stored| tensor.names.contains(&stored.name)) else {
            findings.push(finding(
                Severity::Error,
                &path,
                format!("tensor {} is missing; fetch the file again", tensor.names[0]),
            ));
            continue;
        };
        let found = stored.swap_remove(at);
        if found.shape != tensor.shape {
            let text = format!(
                "tensor {} has shape {:?}, but config.json asks for {:?}",
                found.name, found.shape, tensor.shape
            );
            findings.push(finding(Severity::Error, &path, text));
        } else if let Some(weights) = &weights {
            progress.step(index, expected.len())?;
            if let Err(error) = weights.tensor(&found.name, &found.shape) {
                findings.push(said(&path, &error));
            }
        }
    }
    stored.retain(|left| !left.name.ends_with("position_ids"));
    stored.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(first) = stored.first() {
        let text = format!("{} tensors are not used, the first is {}", stored.len(), first.name);
        findings.push(finding(Severity::Note, &path, text));
    }
    Ok(())
}

//! Known models, where they are on this machine, whether they are whole, and (feature `pull`) how they get here.
//!
//! Models live in the hub's own cache (`HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`), shared with every
//! other program that uses it; any folder of the same layout works as well, on a share too.

#[cfg(feature = "pull")]
pub mod pull;
mod verify;

use std::path::{Path, PathBuf};

pub use verify::{Finding, Severity, verify};

use crate::{Error, Result};

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Zero123++: six views of a picture.
    Views,
    /// ControlNet that turns the six views into normals.
    Normals,
    /// ControlNet that follows depth.
    Depth,
}

/// A model that this program knows how to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownModel {
    /// Short name.
    pub name: &'static str,
    /// Repository on the hub.
    pub repository: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// Licence of the weights.
    pub license: &'static str,
    /// What the licence means, in a sentence.
    pub license_note: &'static str,
    /// Size of the download, about.
    pub bytes: u64,
}

const NON_COMMERCIAL: &str = "Non-commercial use only: you may not use these weights for work that is sold or paid for, \
     unless their authors give you another licence; what that means for the meshes made with them is for your lawyer to say.";
const OPEN_RAIL: &str =
    "Commercial use is allowed within the use restrictions of the licence; read them at the model's page.";

/// All models that this program knows.
pub const KNOWN: [KnownModel; 4] = [
    KnownModel {
        name: "zero123plus-v1.2",
        repository: "sudo-ai/zero123plus-v1.2",
        kind: Kind::Views,
        license: "CC-BY-NC-4.0",
        license_note: NON_COMMERCIAL,
        bytes: 5_580_000_000,
    },
    KnownModel {
        name: "zero123plus-v1.2-normals",
        repository: "sudo-ai/controlnet-zp12-normal-gen-v1",
        kind: Kind::Normals,
        license: "CC-BY-NC-4.0",
        license_note: NON_COMMERCIAL,
        bytes: 1_460_000_000,
    },
    KnownModel {
        name: "zero123plus-v1.1",
        repository: "sudo-ai/zero123plus-v1.1",
        kind: Kind::Views,
        license: "OpenRAIL",
        license_note: OPEN_RAIL,
        bytes: 3_850_000_000,
    },
    KnownModel {
        name: "zero123plus-v1.1-depth",
        repository: "sudo-ai/controlnet-zp11-depth-v1",
        kind: Kind::Depth,
        license: "OpenRAIL",
        license_note: OPEN_RAIL,
        bytes: 1_460_000_000,
    },
];

impl KnownModel {
    /// The model called `name`.
    pub fn named(name: &str) -> Result<&'static Self> {
        KNOWN.iter().find(|model| model.name == name || model.repository == name).ok_or_else(|| {
            let names: Vec<&str> = KNOWN.iter().map(|model| model.name).collect();
            Error::invalid(format!("no model is called {name:?}; known are {}", names.join(", ")))
        })
    }

    /// What to show before a download: what it is, how large, under which licence, and what that means.
    pub fn license_text(&self) -> String {
        format!(
            "{} ({}), about {:.1} GB.\nLicence of the weights: {}. {}",
            self.name,
            self.repository,
            self.bytes as f64 / 1e9,
            self.license,
            self.license_note
        )
    }

    /// Its folder in a cache.
    fn folder_in(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}", self.repository.replace('/', "--")))
    }
}

/// The cache folder of this machine.
pub fn cache_folder() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache/huggingface/hub")))
        .ok_or_else(|| Error::invalid("no home folder is known; set HF_HOME to where models should be kept"))
}

/// Where a model is in `cache`: the folder that holds its `model_index.json` or `config.json`. `None` when it is not
/// there, or not all of it.
pub fn find(model: &KnownModel, cache: &Path) -> Option<PathBuf> {
    let folder = model.folder_in(cache);
    let commit = std::fs::read_to_string(folder.join("refs/main")).ok()?;
    let commit = commit.trim();
    let plain = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let snapshot = folder.join("snapshots").join(commit);
    let complete = wanted(model.kind).iter().all(|file| file.present_in(&snapshot));
    (plain && complete).then_some(snapshot)
}

/// As [`find`]; the error says how to get the model.
pub fn path(model: &KnownModel, cache: &Path) -> Result<PathBuf> {
    find(model, cache).ok_or_else(|| {
        Error::weights(
            &model.folder_in(cache),
            format!(
                "{} is not here; run `maquette models pull {}`, or give a folder that holds it",
                model.name, model.name
            ),
        )
    })
}

/// Removes a model from `cache`; false when there was nothing.
pub fn remove(model: &KnownModel, cache: &Path) -> Result<bool> {
    let folder = model.folder_in(cache);
    if !folder.is_dir() {
        return Ok(false);
    }
    std::fs::remove_dir_all(&folder).map_err(|error| maquette_core::Error::io("removing", &folder, error))?;
    Ok(true)
}

/// A file that a model needs, under one of several names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    folder: &'static str,
    names: &'static [&'static str],
    optional: bool,
}

impl Wanted {
    fn paths(&self) -> impl Iterator<Item = String> + '_ {
        self.names
            .iter()
            .map(|name| if self.folder.is_empty() { (*name).to_owned() } else { format!("{}/{name}", self.folder) })
    }

    fn present_in(&self, root: &Path) -> bool {
        self.optional || self.paths().any(|path| root.join(path).is_file())
    }
}

const DIFFUSION: &[&str] = &["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"];
const TRANSFORMER: &[&str] = &["model.safetensors", "pytorch_model.bin"];

const fn file(folder: &'static str, names: &'static [&'static str]) -> Wanted {
    Wanted { folder, names, optional: false }
}

const VIEWS_FILES: &[Wanted] = &[
    file("", &["model_index.json"]),
    file("feature_extractor_clip", &["preprocessor_config.json"]),
    file("feature_extractor_vae", &["preprocessor_config.json"]),
    file("scheduler", &["scheduler_config.json"]),
    file("tokenizer", &["vocab.json"]),
    file("tokenizer", &["merges.txt"]),
    Wanted { folder: "tokenizer", names: &["tokenizer_config.json"], optional: true },
    Wanted { folder: "tokenizer", names: &["special_tokens_map.json"], optional: true },
    file("text_encoder", &["config.json"]),
    file("text_encoder", TRANSFORMER),
    file("vision_encoder", &["config.json"]),
    file("vision_encoder", TRANSFORMER),
    file("vae", &["config.json"]),
    file("vae", DIFFUSION),
    file("unet", &["config.json"]),
    file("unet", DIFFUSION),
];
const CONTROL_FILES: &[Wanted] = &[file("", &["config.json"]), file("", DIFFUSION)];

fn wanted(kind: Kind) -> &'static [Wanted] {
    match kind {
        Kind::Views => VIEWS_FILES,
        Kind::Normals | Kind::Depth => CONTROL_FILES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_repositories_are_known() {
        assert_eq!(KnownModel::named("sudo-ai/zero123plus-v1.2").unwrap().name, "zero123plus-v1.2");
        let error = KnownModel::named("zero123").unwrap_err().to_string();
        assert!(error.contains("zero123plus-v1.1"), "{error}");
        assert!(KNOWN[0].license_text().contains("CC-BY-NC-4.0") && KNOWN[0].license_text().contains("Non-commercial"));
    }

    #[test]
    fn only_whole_models_are_found() {
        let cache = tempfile::tempdir().unwrap();
        let model = &KNOWN[1];
        assert!(find(model, cache.path()).is_none());
        assert!(path(model, cache.path()).unwrap_err().to_string().contains("maquette models pull"));
        let folder = model.folder_in(cache.path());
        let snapshot = folder.join("snapshots/abc123");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir_all(folder.join("refs")).unwrap();
        std::fs::write(folder.join("refs/main"), "abc123\n").unwrap();
        std::fs::write(snapshot.join("config.json"), "{}").unwrap();
        assert!(find(model, cache.path()).is_none());
        std::fs::write(snapshot.join("diffusion_pytorch_model.bin"), "x").unwrap();
        assert_eq!(find(model, cache.path()).unwrap(), snapshot);
        std::fs::write(folder.join("refs/main"), "../../..").unwrap();
        assert!(find(model, cache.path()).is_none());
        assert!(remove(model, cache.path()).unwrap() && !remove(model, cache.path()).unwrap());
    }
}

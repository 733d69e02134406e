//! Zero123++: six views drawn by a diffusion model from a folder of weights on this machine.
//!
//! Nothing is fetched: a model is a folder that the recipe names, one that the environment names, or a model of the
//! hub's cache, where `maquette models pull` puts it.

use std::path::{Path, PathBuf};

use maquette_core::recipe::{ViewSource, ViewSourceKind};
use maquette_core::{Image, Progress, Views};
use maquette_diffusion::models::{self, KnownModel};
use maquette_diffusion::zero123plus::memory::MemoryPlan;
use maquette_diffusion::zero123plus::{Options, Settings, Zero123Plus, best_device};

use crate::{Error, Result};

/// Folder of the model where the recipe names none.
pub const MODEL_VARIABLE: &str = "MAQUETTE_ZERO123PLUS";
/// Folder of the ControlNet for normals where the recipe names none.
pub const NORMAL_MODEL_VARIABLE: &str = "MAQUETTE_ZERO123PLUS_NORMALS";
/// The models taken where neither recipe nor environment names one.
const DEFAULT_MODEL: &str = "zero123plus-v1.2";
const DEFAULT_NORMAL_MODEL: &str = "zero123plus-v1.2-normals";
/// As `views.normal_model`: no normals are made.
const NO_MODEL: &str = "none";

/// The model's folders, found but not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The base model.
    pub model: PathBuf,
    /// The ControlNet that makes normals; without it views have none.
    pub normal_model: Option<PathBuf>,
    /// What to tell the artist, if anything.
    pub warning: Option<String>,
}

/// Where models are looked for.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Value of [`MODEL_VARIABLE`].
    pub model: Option<PathBuf>,
    /// Value of [`NORMAL_MODEL_VARIABLE`].
    pub normal_model: Option<PathBuf>,
    /// The hub's cache; none where the system has no home folder.
    pub cache: Option<PathBuf>,
}

impl Places {
    /// Those of this process.
    pub fn of_process() -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            model: folder(MODEL_VARIABLE),
            normal_model: folder(NORMAL_MODEL_VARIABLE),
            cache: models::cache_folder().ok(),
        }
    }

    /// The models that `settings` ask for. A value of the recipe is a folder or the name of a known model.
    ///
    /// # Errors
    /// When a model is not there; the error says how to get it.
    pub fn find(&self, settings: &ViewSource) -> Result<Found> {
        let (model, is_default) = match (settings.model.as_str(), &self.model) {
            ("", Some(folder)) => (existing(folder, MODEL_VARIABLE)?, false),
            ("", None) => (self.cached(KnownModel::named(DEFAULT_MODEL)?, "views.model", MODEL_VARIABLE)?, true),
            (given, _) => (self.given(given, "views.model", MODEL_VARIABLE)?, given == DEFAULT_MODEL),
        };
        let (normal_model, warning) = match (settings.normal_model.as_str(), &self.normal_model) {
            (NO_MODEL, _) => (None, None),
            ("", Some(folder)) => (Some(existing(folder, NORMAL_MODEL_VARIABLE)?), None),
            ("", None) => {
                // Another model may need another ControlNet, so only the default model gets the default one.
                let known = KnownModel::named(DEFAULT_NORMAL_MODEL)?;
                let found = self.cache.as_deref().filter(|_| is_default).and_then(|cache| models::find(known, cache));
                let warning = found.is_none().then(|| {
                    format!(
                        "the views have no normals, so the shape is rougher: no ControlNet for normals was found; run \
                         `maquette models pull {DEFAULT_NORMAL_MODEL}`, or set views.normal_model to its folder, or to \
                         \"{NO_MODEL}\" to go without"
                    )
                });
                (found, warning)
            }
            (given, _) => (Some(self.given(given, "views.normal_model", NORMAL_MODEL_VARIABLE)?), None),
        };
        Ok(Found { model, normal_model, warning })
    }

    fn given(&self, given: &str, key: &str, variable: &str) -> Result<PathBuf> {
        match KnownModel::named(given) {
            Ok(known) if !Path::new(given).is_dir() => self.cached(known, key, variable),
            Ok(_) => Ok(PathBuf::from(given)),
            Err(_) => existing(Path::new(given), key),
        }
    }

    fn cached(&self, known: &KnownModel, key: &str, variable: &str) -> Result<PathBuf> {
        self.cache.as_deref().and_then(|cache| models::find(known, cache)).ok_or_else(|| {
            let looked = self.cache.as_deref().map_or_else(String::new, |cache| format!(" in {}", cache.display()));
            Error::Request(format!(
                "the model {} is not on this machine (looked{looked}); run `maquette models pull {}`, or set {key} or the \
                 variable {variable} to a folder that holds it, or use views.source \"inflate\", which needs no model",
                known.name, known.name
            ))
        })
    }
}

/// `folder`, named by `by`, if it is one.
fn existing(folder: &Path, by: &str) -> Result<PathBuf> {
    if folder.is_dir() {
        return Ok(folder.to_owned());
    }
    let names: Vec<&str> = models::KNOWN.iter().map(|known| known.name).collect();
    Err(Error::Request(format!(
        "{by} is {}, which is neither a folder on this machine nor a known model ({}); run `maquette models list`",
        folder.display(),
        names.join(", ")
    )))
}

/// A model ready to draw, and what tells its views from those of another.
#[derive(Debug)]
pub struct Source {
    zero123plus: Zero123Plus,
    identity: Vec<(String, u64, u64)>,
}

impl Source {
    /// Reads the configuration of the models; their weights are read when they are needed.
    pub fn open(found: Found, progress: &Progress) -> Result<Self> {
        if let Some(warning) = found.warning {
            progress.warn(warning);
        }
        let device = best_device()?;
        let options = Options { normal_control: found.normal_model, device, ..Options::new(found.model) };
        let zero123plus = Zero123Plus::open(options)?;
        let identity = zero123plus.weight_files()?.iter().map(|path| stamp(path)).collect::<Result<_>>()?;
        Ok(Self { zero123plus, identity })
    }

    /// Paths, sizes and times of the weight files: other weights give other views.
    pub fn identity(&self) -> &[(String, u64, u64)] {
        &self.identity
    }

    /// Six views of the object in `picture`, which is cut out.
    pub fn views(&self, picture: &Image, settings: &ViewSource, seed: u64, progress: &Progress) -> Result<Views> {
        Ok(self.zero123plus.views(picture, &run_settings(settings), seed, progress)?)
    }

    /// What the run needs of this machine's memory, and how it would be made.
    pub fn memory_plan(&self, settings: &ViewSource) -> Result<MemoryPlan> {
        Ok(self.zero123plus.plan(&run_settings(settings))?)
    }
}

fn run_settings(settings: &ViewSource) -> Settings {
    let side = settings.size_px as usize;
    Settings {
        steps: settings.steps as usize,
        guidance: settings.guidance,
        normal_steps: settings.normal_steps as usize,
        normal_guidance: settings.normal_guidance,
        tile_px: [2 * side, 3 * side],
        ..Settings::default()
    }
}

/// What the views of `settings` will need, without reading any weights; `None` for sources that need no model.
pub fn memory_plan(settings: &ViewSource) -> Result<Option<MemoryPlan>> {
    if settings.source != ViewSourceKind::Zero123Plus {
        return Ok(None);
    }
    let found = Places::of_process().find(settings)?;
    Source::open(found, &Progress::new())?.memory_plan(settings).map(Some)
}

fn stamp(path: &Path) -> Result<(String, u64, u64)> {
    let read = || -> std::io::Result<(u64, u64)> {
        let data = std::fs::metadata(path)?;
        let time = data.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok((data.len(), time.as_secs()))
    };
    let (bytes, seconds) = read().map_err(|error| maquette_core::Error::io("reading", path, error))?;
    Ok((path.to_string_lossy().into_owned(), bytes, seconds))
}

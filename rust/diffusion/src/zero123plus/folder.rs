//! A model folder as its authors publish it: which files, which configuration, and networks built from them.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use crate::clip::{ClipText, ClipTokenizer, ClipVision};
use crate::config::{
    ClipTextConfig, ClipVisionConfig, ImageProcessorConfig, ModelIndex, SchedulerConfig, UnetConfig, VaeConfig,
};
use crate::controlnet::ControlNet;
use crate::unet::Unet;
use crate::vae::Vae;
use crate::weights::{Expected, Weights};
use crate::{Error, Result};

/// The networks of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// Picture to embedding.
    Vision,
    /// Text to tokens.
    Text,
    /// Pictures to latents and back.
    Vae,
    /// Denoiser.
    Unet,
}

impl Component {
    /// All, in the order they run.
    pub const ALL: [Self; 4] = [Self::Vision, Self::Text, Self::Vae, Self::Unet];

    /// Its folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Vision => "vision_encoder",
            Self::Text => "text_encoder",
            Self::Vae => "vae",
            Self::Unet => "unet",
        }
    }

    fn file_names(self) -> &'static [&'static str] {
        match self {
            Self::Vision | Self::Text => &["model.safetensors", "model.fp16.safetensors", "pytorch_model.bin"],
            Self::Vae | Self::Unet => DIFFUSION_FILES,
        }
    }
}

const DIFFUSION_FILES: &[&str] =
    &["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bin"];

/// The first of `names` that is a file in `folder`.
pub(crate) fn weight_file(folder: &Path, names: &[&str]) -> Result<PathBuf> {
    names
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::weights(folder, format!("holds none of {}; fetch the model again", names.join(", "))))
}

/// Zero123++ on disk, read up to its configuration.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    /// The folder.
    pub root: PathBuf,
    /// `model_index.json`.
    pub index: ModelIndex,
    /// `unet`.
    pub unet: UnetConfig,
    /// `vae`.
    pub vae: VaeConfig,
    /// `text_encoder`.
    pub text: ClipTextConfig,
    /// `vision_encoder`.
    pub vision: ClipVisionConfig,
    /// `scheduler`.
    pub scheduler: SchedulerConfig,
    /// `feature_extractor_vae`.
    pub vae_extractor: ImageProcessorConfig,
    /// `feature_extractor_clip`.
    pub clip_extractor: ImageProcessorConfig,
}

impl ModelFolder {
    /// Reads the configuration and checks that its parts fit each other.
    pub fn open(root: &Path) -> Result<Self> {
        if !root.is_dir() {
            return Err(Error::config(root, "is not a folder; give the folder that holds model_index.json"));
        }
        let folder = Self {
            root: root.to_owned(),
            index: ModelIndex::read(&root.join("model_index.json"))?,
            unet: UnetConfig::read_unet(&root.join("unet/config.json"))?,
            vae: VaeConfig::read(&root.join("vae/config.json"))?,
            text: ClipTextConfig::read(&root.join("text_encoder/config.json"))?,
            vision: ClipVisionConfig::read(&root.join("vision_encoder/config.json"))?,
            scheduler: SchedulerConfig::read(&root.join("scheduler/scheduler_config.json"))?,
            vae_extractor: ImageProcessorConfig::read(&root.join("feature_extractor_vae/preprocessor_config.json"))?,
            clip_extractor: ImageProcessorConfig::read(&root.join("feature_extractor_clip/preprocessor_config.json"))?,
        };
        folder.check()?;
        Ok(folder)
    }

    fn check(&self) -> Result<()> {
        let must_agree = [
            (
                "text_encoder hidden_size",
                self.text.hidden_size,
                "unet cross_attention_dim",
                self.unet.cross_attention_dim,
            ),
            (
                "vision_encoder projection_dim",
                self.vision.projection_dim,
                "text_encoder hidden_size",
                self.text.hidden_size,
            ),
            (
                "vision_encoder image_size",
                self.vision.image_size,
                "feature_extractor_clip size",
                self.clip_extractor.size as usize,
            ),
            ("vae latent_channels", self.vae.latent_channels, "unet in_channels", self.unet.in_channels),
            ("unet out_channels", self.unet.out_channels, "unet in_channels", self.unet.in_channels),
            (
                "number of ramping_coefficients",
                self.index.ramping_coefficients.len(),
                "text_encoder max_position_embeddings",
                self.text.max_position_embeddings,
            ),
        ];
        for (left, a, right, b) in must_agree {
            if a != b {
                return Err(Error::config(
                    &self.root,
                    format!("{left} is {a}, but {right} is {b}; these parts are of different models"),
                ));
            }
        }
        Ok(())
    }

    /// The weight file of a component.
    pub fn weight_file(&self, component: Component) -> Result<PathBuf> {
        weight_file(&self.root.join(component.folder()), component.file_names())
    }

    fn weights(&self, component: Component, dtype: DType, device: &Device) -> Result<Weights> {
        Weights::open(&self.weight_file(component)?, dtype, device)
    }

    /// Loads the vision encoder.
    pub fn load_vision(&self, dtype: DType, device: &Device) -> Result<ClipVision> {
        ClipVision::new(&self.vision, &self.weights(Component::Vision, dtype, device)?)
    }

    /// Loads the text encoder.
    pub fn load_text(&self, dtype: DType, device: &Device) -> Result<ClipText> {
        ClipText::new(&self.text, &self.weights(Component::Text, dtype, device)?)
    }

    /// Loads the autoencoder.
    pub fn load_vae(&self, dtype: DType, device: &Device) -> Result<Vae> {
        Vae::new(&self.vae, &self.weights(Component::Vae, dtype, device)?)
    }

    /// Loads the denoiser.
    pub fn load_unet(&self, dtype: DType, device: &Device) -> Result<Unet> {
        Unet::new(&self.unet, &self.weights(Component::Unet, dtype, device)?)
    }

    /// Reads the tokenizer.
    pub fn tokenizer(&self) -> Result<ClipTokenizer> {
        ClipTokenizer::read(&self.root.join("tokenizer"), self.text.max_position_embeddings)
    }

    /// The tensors that a component's file must hold.
    pub fn expected(&self, component: Component) -> Result<Vec<Expected>> {
        let outline = Weights::outline();
        match component {
            Component::Vision => drop(ClipVision::new(&self.vision, &outline)?),
            Component::Text => drop(ClipText::new(&self.text, &outline)?),
            Component::Vae => drop(Vae::new(&self.vae, &outline)?),
            Component::Unet => drop(Unet::new(&self.unet, &outline)?),
        }
        Ok(outline.expected())
    }
}

/// A ControlNet on disk: `config.json` and weights at the root of their folder.
#[derive(Clone, Debug)]
pub struct ControlNetFolder {
    /// The folder.
    pub root: PathBuf,
    /// Its configuration.
    pub config: UnetConfig,
}

impl ControlNetFolder {
    /// Reads the configuration.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { root: root.to_owned(), config: UnetConfig::read_controlnet(&root.join("config.json"))? })
    }

    /// The weight file.
    pub fn weight_file(&self) -> Result<PathBuf> {
        weight_file(&self.root, DIFFUSION_FILES)
    }

    /// Loads the network.
    pub fn load(&self, dtype: DType, device: &Device) -> Result<ControlNet> {
        ControlNet::new(&self.config, &Weights::open(&self.weight_file()?, dtype, device)?)
    }

    /// The tensors that its file must hold.
    pub fn expected(&self) -> Result<Vec<Expected>> {
        let outline = Weights::outline();
        drop(ControlNet::new(&self.config, &outline)?);
        Ok(outline.expected())
    }
}

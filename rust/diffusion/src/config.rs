//! The configuration files of a checkpoint folder, as published on the hub.
//!
//! Keys that change nothing here are ignored; keys that ask for something this crate does not compute are refused by
//! name, so that a checkpoint never runs as something it is not. Missing keys take diffusers' and transformers'
//! documented defaults only where published files do leave them out.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{Error, Result};

/// Reads a JSON file into `T`; the error names the file and the key.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|error| maquette_core::Error::io("reading", path, error))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::config(path, format!("cannot be used: {error}; fetch the file again from where the model came from"))
    })
}

/// Refuses keys whose value is neither absent, null, nor `allowed`.
fn refuse(path: &Path, json: &Value, rules: &[(&str, Value)]) -> Result<()> {
    for (key, allowed) in rules {
        match json.get(key) {
            None | Some(Value::Null) => {}
            Some(value) if value == allowed => {}
            Some(value) => {
                return Err(Error::config(
                    path,
                    format!("{key} is {value}, but only {allowed} can be run; this is another kind of model"),
                ));
            }
        }
    }
    Ok(())
}

fn check(path: &Path, fits: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::config(path, reason())) }
}

/// One value for every level, or one a level.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum PerLevel {
    /// The same on every level.
    Same(usize),
    /// One a level.
    Each(Vec<usize>),
}

impl PerLevel {
    /// The value of `level`.
    pub fn at(&self, level: usize) -> usize {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values.get(level).copied().unwrap_or(0),
        }
    }
}

fn one() -> PerLevel {
    PerLevel::Same(1)
}

fn three() -> usize {
    3
}

fn norm_eps() -> f64 {
    1e-5
}

fn truth() -> bool {
    true
}

/// `UNet2DConditionModel`, and the encoder half that a ControlNet shares with it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct UnetConfig {
    /// Channels of the noisy latent plus whatever is concatenated to it: 4, 5 (depth) or 8 (image).
    pub in_channels: usize,
    /// Channels of the prediction.
    #[serde(default)]
    pub out_channels: usize,
    /// Channels a level.
    pub block_out_channels: Vec<usize>,
    /// Resnets a level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Channels of the text tokens.
    pub cross_attention_dim: usize,
    /// Head COUNTS a level: the published name is a historic mistake.
    pub attention_head_dim: PerLevel,
    /// Overrides `attention_head_dim` where present.
    #[serde(default)]
    pub num_attention_heads: Option<PerLevel>,
    /// Spatial transformers project with Linear (SD2) or with a 1x1 convolution (SD1).
    #[serde(default)]
    pub use_linear_projection: bool,
    /// Transformer blocks in one spatial transformer.
    #[serde(default = "one")]
    pub transformer_layers_per_block: PerLevel,
    /// Groups of every `GroupNorm`.
    pub norm_num_groups: usize,
    /// Epsilon of the resnets' `GroupNorm`.
    #[serde(default = "norm_eps")]
    pub norm_eps: f64,
    /// `[cos, sin]` instead of `[sin, cos]`.
    #[serde(default = "truth")]
    pub flip_sin_to_cos: bool,
    /// Subtracted from half the width in the exponent of the time frequencies.
    #[serde(default)]
    pub freq_shift: f64,
    /// Kinds of the encoder's levels.
    pub down_block_types: Vec<String>,
    /// Kinds of the decoder's levels.
    #[serde(default)]
    pub up_block_types: Vec<String>,
    /// ControlNet: channels of the picture's embedding.
    #[serde(default)]
    pub conditioning_embedding_out_channels: Option<Vec<usize>>,
    /// ControlNet: channels of the control picture.
    #[serde(default = "three")]
    pub conditioning_channels: usize,
}

impl UnetConfig {
    /// Reads `config.json` of a UNet.
    pub fn read_unet(path: &Path) -> Result<Self> {
        let config = Self::read_any(path)?;
        check(path, config.out_channels > 0, || "out_channels is missing".into())?;
        check(path, config.up_block_types.len() == config.block_out_channels.len(), || {
            format!(
                "{} up_block_types for {} block_out_channels; give one a level",
                config.up_block_types.len(),
                config.block_out_channels.len()
            )
        })?;
        for (kinds, plain, cross) in [
            (&config.up_block_types, "UpBlock2D", "CrossAttnUpBlock2D"),
            (&config.down_block_types, "DownBlock2D", "CrossAttnDownBlock2D"),
        ] {
            for kind in kinds {
                check(path, kind == plain || kind == cross, || {
                    format!("block type {kind} cannot be run; known are {plain} and {cross}")
                })?;
            }
        }
        Ok(config)
    }

    /// Reads `config.json` of a ControlNet.
    pub fn read_controlnet(path: &Path) -> Result<Self> {
        let config = Self::read_any(path)?;
        let rungs = config.conditioning_embedding_out_channels.as_ref().map_or(0, Vec::len);
        check(path, rungs >= 2, || "conditioning_embedding_out_channels is missing; this is not a ControlNet".into())?;
        Ok(config)
    }

    fn read_any(path: &Path) -> Result<Self> {
        let json: Value = read(path)?;
        refuse(
            path,
            &json,
            &[
                ("act_fn", "silu".into()),
                ("addition_embed_type", Value::Null),
                ("attention_type", "default".into()),
                ("center_input_sample", false.into()),
                ("class_embed_type", Value::Null),
                ("conv_in_kernel", 3.into()),
                ("conv_out_kernel", 3.into()),
                ("cross_attention_norm", Value::Null),
                ("downsample_padding", 1.into()),
                ("dual_cross_attention", false.into()),
                ("encoder_hid_dim", Value::Null),
                ("encoder_hid_dim_type", Value::Null),
                ("mid_block_scale_factor", 1.into()),
                ("mid_block_type", "UNetMidBlock2DCrossAttn".into()),
                ("num_class_embeds", Value::Null),
                ("only_cross_attention", false.into()),
                ("projection_class_embeddings_input_dim", Value::Null),
                ("resnet_skip_time_act", false.into()),
                ("resnet_time_scale_shift", "default".into()),
                ("time_cond_proj_dim", Value::Null),
                ("time_embedding_type", "positional".into()),
                ("timestep_post_act", Value::Null),
                ("global_pool_conditions", false.into()),
                ("controlnet_conditioning_channel_order", "rgb".into()),
            ],
        )?;
        let config: Self = read(path)?;
        let levels = config.block_out_channels.len();
        check(path, levels > 0 && config.layers_per_block > 0 && config.in_channels > 0, || {
            "block_out_channels, layers_per_block and in_channels must not be empty or 0".into()
        })?;
        check(path, config.down_block_types.len() == levels, || {
            format!(
                "{} down_block_types for {levels} block_out_channels; give one a level",
                config.down_block_types.len()
            )
        })?;
        for (level, &channels) in config.block_out_channels.iter().enumerate() {
            let heads = config.heads(level);
            check(path, heads > 0 && channels.is_multiple_of(heads.max(1)), || {
                format!("level {level} has {channels} channels, which {heads} attention heads do not divide")
            })?;
            check(path, config.norm_num_groups > 0 && channels.is_multiple_of(config.norm_num_groups.max(1)), || {
                format!("level {level} has {channels} channels, which {} groups do not divide", config.norm_num_groups)
            })?;
            check(path, config.transformer_layers_per_block.at(level) > 0, || {
                "transformer_layers_per_block has a 0".into()
            })?;
        }
        Ok(config)
    }

    /// Attention heads of a level.
    pub fn heads(&self, level: usize) -> usize {
        self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim).at(level)
    }

    /// Width of the time embedding.
    pub fn time_channels(&self) -> usize {
        4 * self.block_out_channels[0]
    }
}

/// `AutoencoderKL`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct VaeConfig {
    /// Channels of pictures.
    pub in_channels: usize,
    /// Channels of decoded pictures.
    pub out_channels: usize,
    /// Channels a level.
    pub block_out_channels: Vec<usize>,
    /// Resnets a level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Channels of latents.
    pub latent_channels: usize,
    /// Groups of every `GroupNorm`.
    pub norm_num_groups: usize,
    /// Latents are multiplied by this before diffusion.
    #[serde(default = "sd_scaling")]
    pub scaling_factor: f64,
}

fn sd_scaling() -> f64 {
    0.18215
}

impl VaeConfig {
    /// Reads `vae/config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let json: Value = read(path)?;
        refuse(path, &json, &[("act_fn", "silu".into())])?;
        for (key, kind) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            for other in json.get(key).and_then(Value::as_array).into_iter().flatten() {
                check(path, other == kind, || format!("{key} holds {other}; only {kind} can be run"))?;
            }
        }
        let config: Self = read(path)?;
        check(path, !config.block_out_channels.is_empty() && config.layers_per_block > 0, || {
            "block_out_channels and layers_per_block must not be empty or 0".into()
        })?;
        let groups = config.norm_num_groups.max(1);
        check(
            path,
            config.norm_num_groups > 0 && config.block_out_channels.iter().all(|c| c.is_multiple_of(groups)),
            || {
                format!(
                    "{} groups do not divide block_out_channels {:?}",
                    config.norm_num_groups, config.block_out_channels
                )
            },
        )?;
        check(path, config.scaling_factor.is_finite() && config.scaling_factor > 0.0, || {
            format!("scaling_factor is {}, but must be positive", config.scaling_factor)
        })?;
        Ok(config)
    }

    /// Pixels a latent cell on each axis.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

/// Activation between the two layers of a CLIP MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipActivation {
    /// `x/2 (1 + erf(x/√2))`.
    Gelu,
    /// `x sigmoid(1.702 x)`, in `OpenAI`'s own models.
    QuickGelu,
}

impl<'de> Deserialize<'de> for ClipActivation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "gelu" => Ok(Self::Gelu),
            "quick_gelu" => Ok(Self::QuickGelu),
            other => Err(serde::de::Error::custom(format!(
                "hidden_act {other:?} is unknown; use \"gelu\" or \"quick_gelu\""
            ))),
        }
    }
}

/// `CLIPTextModel`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct ClipTextConfig {
    /// Channels of a token.
    pub hidden_size: usize,
    /// Channels inside of the MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads.
    pub num_attention_heads: usize,
    /// Words of the vocabulary.
    pub vocab_size: usize,
    /// Positions.
    pub max_position_embeddings: usize,
    /// Activation.
    pub hidden_act: ClipActivation,
    /// Epsilon of every `LayerNorm`.
    #[serde(default = "norm_eps")]
    pub layer_norm_eps: f64,
}

impl ClipTextConfig {
    /// Reads `text_encoder/config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let config: Self = read(path)?;
        check_heads(path, config.hidden_size, config.num_attention_heads)?;
        Ok(config)
    }
}

/// `CLIPVisionModelWithProjection`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct ClipVisionConfig {
    /// Channels of a token.
    pub hidden_size: usize,
    /// Channels inside of the MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads.
    pub num_attention_heads: usize,
    /// Channels of the input.
    #[serde(default = "three")]
    pub num_channels: usize,
    /// Side of the input in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Channels of the embedding.
    pub projection_dim: usize,
    /// Activation.
    pub hidden_act: ClipActivation,
    /// Epsilon of every `LayerNorm`.
    #[serde(default = "norm_eps")]
    pub layer_norm_eps: f64,
}

impl ClipVisionConfig {
    /// Reads `vision_encoder/config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let config: Self = read(path)?;
        check_heads(path, config.hidden_size, config.num_attention_heads)?;
        check(path, config.patch_size > 0 && config.image_size >= config.patch_size, || {
            format!("patch_size {} does not fit image_size {}", config.patch_size, config.image_size)
        })?;
        Ok(config)
    }
}

fn check_heads(path: &Path, hidden: usize, heads: usize) -> Result<()> {
    check(path, heads > 0 && hidden.is_multiple_of(heads.max(1)), || {
        format!("hidden_size {hidden} is not divided by num_attention_heads {heads}")
    })
}

/// How the noise level grows over the training steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly spaced betas.
    Linear,
    /// Evenly spaced square roots of betas (Stable Diffusion).
    ScaledLinear,
}

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum PredictionType {
    /// The noise.
    #[serde(rename = "epsilon")]
    Epsilon,
    /// `α ε − σ x₀`.
    #[serde(rename = "v_prediction")]
    Velocity,
}

/// Which training steps a short schedule visits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimestepSpacing {
    /// From the last to the first, evenly; fractional.
    #[default]
    Linspace,
    /// Evenly, ending above the first.
    Trailing,
    /// Evenly from the first, plus the offset.
    Leading,
}

/// A noise scheduler's configuration.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct SchedulerConfig {
    /// Steps of training.
    pub num_train_timesteps: usize,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// What is between.
    pub beta_schedule: BetaSchedule,
    /// What the network predicts.
    #[serde(default = "epsilon")]
    pub prediction_type: PredictionType,
    /// Added to the timesteps of leading spacing.
    #[serde(default)]
    pub steps_offset: usize,
    /// `None` where the file does not say: linspace.
    #[serde(default)]
    pub timestep_spacing: Option<TimestepSpacing>,
    /// DDIM: the level before the first step is no noise at all, instead of the first step's.
    #[serde(default = "truth")]
    pub set_alpha_to_one: bool,
}

fn epsilon() -> PredictionType {
    PredictionType::Epsilon
}

impl SchedulerConfig {
    /// Reads `scheduler/scheduler_config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let json: Value = read(path)?;
        refuse(path, &json, &[("trained_betas", Value::Null)])?;
        let config: Self = read(path)?;
        check(path, config.num_train_timesteps >= 2, || "num_train_timesteps must be at least 2".into())?;
        let ordered = config.beta_start > 0.0 && config.beta_end >= config.beta_start && config.beta_end < 1.0;
        check(path, ordered, || {
            format!("betas from {} to {}; they must grow inside of 0..1", config.beta_start, config.beta_end)
        })?;
        Ok(config)
    }
}

/// `model_index.json` of Zero123++.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct ModelIndex {
    /// Weight of the picture's embedding in every text token.
    pub ramping_coefficients: Vec<f64>,
}

impl ModelIndex {
    /// Reads `model_index.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let config: Self = read(path)?;
        check(path, config.ramping_coefficients.iter().all(|c| c.is_finite()), || {
            "ramping_coefficients holds a number that is not finite".into()
        })?;
        Ok(config)
    }
}

/// A side length, as the hub writes it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
enum Side {
    Plain(u32),
    Shortest { shortest_edge: u32 },
    Box { height: u32, width: u32 },
}

/// One number for all channels, or one a channel.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Channels {
    Same(f64),
    Each([f64; 3]),
}

impl Channels {
    fn each(&self) -> [f64; 3] {
        match self {
            Self::Same(value) => [*value; 3],
            Self::Each(values) => *values,
        }
    }
}

/// Pillow's filters, by their published numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// Windowed sinc of three lobes.
    Lanczos,
    /// Triangle.
    Bilinear,
    /// Cubic convolution with a = -1/2.
    Bicubic,
}

/// `preprocessor_config.json` of a `CLIPImageProcessor`: resize the shortest edge, crop the centre, normalise.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageProcessorConfig {
    /// Shortest edge after resizing, and side of the crop, in pixels.
    pub size: u32,
    /// Filter.
    pub resampling: Resampling,
    /// Subtracted, after division by 255.
    pub mean: [f64; 3],
    /// Divided by.
    pub std: [f64; 3],
}

impl ImageProcessorConfig {
    /// Reads a `preprocessor_config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            size: Side,
            crop_size: Side,
            image_mean: Channels,
            image_std: Channels,
            resample: u32,
        }
        let json: Value = read(path)?;
        refuse(
            path,
            &json,
            &[
                ("do_center_crop", true.into()),
                ("do_normalize", true.into()),
                ("do_rescale", true.into()),
                ("do_resize", true.into()),
                ("rescale_factor", (1.0 / 255.0).into()),
            ],
        )?;
        let file: File = read(path)?;
        let (Side::Plain(size) | Side::Shortest { shortest_edge: size }) = file.size else {
            return Err(Error::config(path, "size must give a shortest_edge"));
        };
        let (crop_width, crop_height) = match file.crop_size {
            Side::Plain(side) | Side::Shortest { shortest_edge: side } => (side, side),
            Side::Box { height, width } => (width, height),
        };
        check(path, size > 0 && size <= 4096 && crop_width == size && crop_height == size, || {
            format!(
                "resizes to {size} and crops {crop_width}x{crop_height}; only equal, square sides up to 4096 can be run"
            )
        })?;
        let std = file.image_std.each();
        check(path, std.iter().all(|s| s.is_finite() && *s > 0.0), || "image_std must be positive".into())?;
        let resampling = match file.resample {
            1 => Resampling::Lanczos,
            2 => Resampling::Bilinear,
            3 => Resampling::Bicubic,
            other => {
                return Err(Error::config(
                    path,
                    format!("resample is {other}; known are 1 (Lanczos), 2 (bilinear), 3 (bicubic)"),
                ));
            }
        };
        Ok(Self { size, resampling, mean: file.image_mean.each(), std })
    }
}

//! The whole road from a picture to six views.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use maquette_core::{Image, Progress, Views};

use super::folder::{ControlNetFolder, ModelFolder};
use super::memory::{self, MemoryPlan, Mode};
use super::noise::{Noise, Seeded};
use super::preprocess;
use super::preview::Previewer;
use super::rig::{self, Rig};
use super::sample::{self, Conditioning, Control, Denoising, OnPreview, is_guided};
use crate::clip::{ClipText, ClipTokenizer, ClipVision};
use crate::config::TimestepSpacing;
use crate::controlnet::ControlNet;
use crate::resample;
use crate::schedulers::EulerAncestral;
use crate::unet::Unet;
use crate::vae::Vae;
use crate::{Error, Result, Run};

/// Where the model is and how to run it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the base model.
    pub model: PathBuf,
    /// Folder of the normal-generating ControlNet; without it views have no normals.
    pub normal_control: Option<PathBuf>,
    /// Device to run on.
    pub device: Device,
    /// Type that weights are kept in; `None` leaves the choice to the memory plan.
    pub dtype: Option<DType>,
    /// Fixes the mode instead of taking the most comfortable that fits.
    pub mode: Option<Mode>,
}

impl Options {
    /// The model in `model` on the CPU, everything else by default.
    pub fn new(model: impl Into<PathBuf>) -> Self {
        Self { model: model.into(), normal_control: None, device: Device::Cpu, dtype: None, mode: None }
    }
}

/// The GPU where this build can use one, else the CPU.
pub fn best_device() -> Result<Device> {
    Ok(Device::cuda_if_available(0)?)
}

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Denoising steps of the colour tile; the authors use 28, and 75 for fine detail.
    pub steps: usize,
    /// Guidance of the colour tile; above 1 each step costs twice.
    pub guidance: f64,
    /// Denoising steps of the normal tile.
    pub normal_steps: usize,
    /// Guidance of the normal tile.
    pub normal_guidance: f64,
    /// Weight of the ControlNet.
    pub control_scale: f64,
    /// Spacing of the steps; `None` takes the model's.
    pub spacing: Option<TimestepSpacing>,
    /// Text beside the picture; usually empty.
    pub prompt: String,
    /// Text to stay away from; usually empty.
    pub negative_prompt: String,
    /// Width and height of the tile of six views in pixels.
    pub tile_px: [usize; 2],
    /// Cameras; `None` takes those of the model's version.
    pub rig: Option<Rig>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 28,
            guidance: 4.0,
            normal_steps: 50,
            normal_guidance: 1.0,
            control_scale: 1.0,
            spacing: None,
            prompt: String::new(),
            negative_prompt: String::new(),
            tile_px: [640, 960],
            rig: None,
        }
    }
}

impl Settings {
    fn check(&self, factor: usize, levels: usize) -> Result<()> {
        let step = factor << (levels - 1);
        let [width, height] = self.tile_px;
        if width == 0
            || height == 0
            || width > 4096
            || height > 4096
            || !width.is_multiple_of(step)
            || !height.is_multiple_of(step)
        {
            return Err(Error::invalid(format!(
                "tile of {width}x{height} pixels; both sides must be multiples of {step} up to 4096, 640x960 is what the model was trained on"
            )));
        }
        for (name, value) in [("guidance", self.guidance), ("normal_guidance", self.normal_guidance)] {
            if !(0.0..=100.0).contains(&value) {
                return Err(Error::invalid(format!("{name} is {value}; use 0 to 100, usually 1 to 4")));
            }
        }
        if !(0.0..=10.0).contains(&self.control_scale) {
            return Err(Error::invalid(format!("control_scale is {}; use 0 to 10, usually 1", self.control_scale)));
        }
        Ok(())
    }
}

/// Networks kept between runs.
#[derive(Default)]
struct Kept {
    dtype: Option<DType>,
    vision: Option<Arc<ClipVision>>,
    text: Option<Arc<ClipText>>,
    vae: Option<Arc<Vae>>,
    unet: Option<Arc<Unet>>,
    control: Option<Arc<ControlNet>>,
}

/// Which tile is being made, and its share of the steps.
struct Part<'a> {
    control_picture: Option<&'a Image>,
    steps: usize,
    guidance: f64,
    done: usize,
    total: usize,
    purpose: &'static str,
}

/// Zero123++ as a source of views.
pub struct Zero123Plus {
    options: Options,
    folder: ModelFolder,
    control: Option<ControlNetFolder>,
    tokenizer: ClipTokenizer,
    kept: Mutex<Kept>,
}

impl std::fmt::Debug for Zero123Plus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Zero123Plus").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Zero123Plus {
    /// Reads configuration and tokenizer and checks that weight files are there; loads no weights.
    pub fn open(options: Options) -> Result<Self> {
        let folder = ModelFolder::open(&options.model)?;
        for component in super::Component::ALL {
            folder.weight_file(component)?;
        }
        let control = options.normal_control.as_deref().map(ControlNetFolder::open).transpose()?;
        if let Some(control) = &control {
            control.weight_file()?;
            let (ours, theirs) = (&control.config, &folder.unet);
            if (&ours.block_out_channels, ours.layers_per_block, ours.cross_attention_dim)
                != (&theirs.block_out_channels, theirs.layers_per_block, theirs.cross_attention_dim)
            {
                return Err(Error::config(
                    &control.root.join("config.json"),
                    "describes a ControlNet of another model; its channels and layers must be those of the UNet",
                ));
            }
        }
        let tokenizer = folder.tokenizer()?;
        Ok(Self { options, folder, control, tokenizer, kept: Mutex::default() })
    }

    /// The model's configuration.
    pub fn folder(&self) -> &ModelFolder {
        &self.folder
    }

    /// Every weight file, in the order they are used.
    pub fn weight_files(&self) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> =
            super::Component::ALL.iter().map(|&component| self.folder.weight_file(component)).collect::<Result<_>>()?;
        if let Some(control) = &self.control {
            files.push(control.weight_file()?);
        }
        Ok(files)
    }

    /// The cameras of this version of the model.
    pub fn rig(&self) -> Rig {
        // The first version's scheduler file does not say its spacing yet.
        if self.folder.scheduler.timestep_spacing.is_some() { Rig::V1_2 } else { Rig::V1_1 }
    }

    /// What a run would need, in the mode it would take.
    pub fn memory_plan(&self, settings: &Settings) -> Result<MemoryPlan> {
        let plans: Vec<MemoryPlan> =
            self.modes().into_iter().map(|mode| self.plan_of(mode, settings)).collect::<Result<_>>()?;
        let chosen = plans.iter().position(MemoryPlan::fits).unwrap_or(plans.len().saturating_sub(1));
        plans.into_iter().nth(chosen).ok_or_else(|| Error::Memory("no mode to run in".into()))
    }

    fn modes(&self) -> Vec<Mode> {
        match self.options.mode {
            Some(mode) => vec![mode],
            None => memory::modes(&self.options.device, self.options.dtype),
        }
    }

    /// What a run needs: of the first mode that fits into the free memory, else of the smallest.
    pub fn plan(&self, settings: &Settings) -> Result<MemoryPlan> {
        let mut plans =
            self.modes().into_iter().map(|mode| self.plan_of(mode, settings)).collect::<Result<Vec<_>>>()?;
        let chosen = plans.iter().position(MemoryPlan::fits).unwrap_or(plans.len() - 1);
        Ok(plans.swap_remove(chosen))
    }

    fn plan_of(&self, mode: Mode, settings: &Settings) -> Result<MemoryPlan> {
        let factor = self.folder.vae.factor();
        settings.check(factor, self.folder.unet.block_out_channels.len())?;
        let [width, height] = settings.tile_px;
        let guided = is_guided(settings.guidance) || (self.control.is_some() && is_guided(settings.normal_guidance));
        let batch = if guided { 2 } else { 1 };
        let size = [height / factor, width / factor];
        memory::plan(&self.folder, self.control.as_ref(), &self.options.device, mode, size, batch)
    }

    /// Six views of the object in `picture`.
    ///
    /// A picture with transparency is cut to its opaque part and centred first; one without must be square and show
    /// the object on grey (127). Reports a step of the current stage for every denoising step. Colours are linear with
    /// straight alpha, normals are in the world (none without the ControlNet), cameras those of [`Zero123Plus::rig`].
    /// The same seed gives the same views on one device.
    pub fn views(&self, picture: &Image, settings: &Settings, seed: u64, progress: &Progress) -> Result<Views> {
        self.views_with(picture, settings, seed, &mut |_, _| {}, progress)
    }

    /// As [`Zero123Plus::views`], with a small picture of the latent after every denoising step of the colour tile.
    pub fn views_with(
        &self,
        picture: &Image,
        settings: &Settings,
        seed: u64,
        on_preview: &mut OnPreview<'_>,
        progress: &Progress,
    ) -> Result<Views> {
        let picture = framed(picture)?;
        let (colors, normals) = self.in_fitting_mode(settings, progress, |mode| {
            let normal_steps = if self.control.is_some() { settings.normal_steps } else { 0 };
            let total = settings.steps + normal_steps;
            let part = Part {
                control_picture: None,
                steps: settings.steps,
                guidance: settings.guidance,
                done: 0,
                total,
                purpose: "zero123plus colors",
            };
            let mut noise = Seeded::new(seed, part.purpose);
            let colors = self.make_tile(&picture, &part, settings, mode, &mut noise, on_preview, progress)?;
            if self.control.is_none() {
                return Ok((colors, None));
            }
            let part = Part {
                control_picture: Some(&colors),
                steps: settings.normal_steps,
                guidance: settings.normal_guidance,
                done: settings.steps,
                total,
                purpose: "zero123plus normals",
            };
            let mut noise = Seeded::new(seed, part.purpose);
            let normals = self.make_tile(&picture, &part, settings, mode, &mut noise, &mut |_, _| {}, progress)?;
            Ok((colors, Some(normals)))
        })?;
        rig::to_views(&colors, normals.as_ref(), settings.rig.unwrap_or_else(|| self.rig()), progress)
    }

    /// The tile alone, as the model paints it: three rows of two pictures. `control_picture`, of the tile's size, goes
    /// through the ControlNet; steps and guidance are then those for normals.
    pub fn tile(
        &self,
        picture: &Image,
        control_picture: Option<&Image>,
        settings: &Settings,
        noise: &mut dyn Noise,
        progress: &Progress,
    ) -> Result<Image> {
        if control_picture.is_some() && self.control.is_none() {
            return Err(Error::invalid(
                "a control picture was given, but no ControlNet; give its folder in the options",
            ));
        }
        let controlled = control_picture.is_some();
        let steps = if controlled { settings.normal_steps } else { settings.steps };
        let guidance = if controlled { settings.normal_guidance } else { settings.guidance };
        let part = Part { control_picture, steps, guidance, done: 0, total: steps, purpose: "" };
        self.in_fitting_mode(settings, progress, |mode| {
            self.make_tile(picture, &part, settings, mode, noise, &mut |_, _| {}, progress)
        })
    }

    fn in_fitting_mode<T>(
        &self,
        settings: &Settings,
        progress: &Progress,
        mut work: impl FnMut(Mode) -> Result<T>,
    ) -> Result<T> {
        memory::first_that_fits(
            &self.modes(),
            |text| progress.warn(text),
            |mode| {
                let plan = self.plan_of(mode, settings)?;
                // What is kept from the run before is counted as free.
                let kept = self.kept_bytes(mode)?;
                if plan.free.is_some_and(|free| plan.peak() > free + kept) {
                    return Err(Error::Memory(format!("{plan}; close other programs, or choose a smaller mode")));
                }
                work(mode)
            },
        )
    }

    fn kept_bytes(&self, mode: Mode) -> Result<u64> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(dtype) = kept.dtype else { return Ok(0) };
        let mut count = 0;
        for (is_kept, component) in [
            (kept.vision.is_some(), super::Component::Vision),
            (kept.text.is_some(), super::Component::Text),
            (kept.vae.is_some(), super::Component::Vae),
            (kept.unet.is_some(), super::Component::Unet),
        ] {
            if is_kept && mode.keep {
                let expected = self.folder.expected(component)?;
                count += expected.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum::<usize>();
            }
        }
        if let (Some(control), true) = (&self.control, kept.control.is_some() && mode.keep) {
            count += control.expected()?.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum::<usize>();
        }
        Ok((count * dtype.size_in_bytes()) as u64)
    }

    /// Forgets networks kept from earlier runs.
    pub fn free(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    /// A network: the one kept, or loaded now and kept where the mode says so.
    fn network<T>(
        &self,
        mode: Mode,
        slot: impl Fn(&mut Kept) -> &mut Option<Arc<T>>,
        load: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if !mode.keep || kept.dtype != Some(mode.dtype) {
                *kept = Kept { dtype: Some(mode.dtype), ..Kept::default() };
            }
            if let Some(network) = slot(&mut kept) {
                return Ok(Arc::clone(network));
            }
        }
        let network = Arc::new(load()?);
        if mode.keep {
            *slot(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner)) = Some(Arc::clone(&network));
        }
        Ok(network)
    }

    fn make_tile(
        &self,
        picture: &Image,
        part: &Part<'_>,
        settings: &Settings,
        mode: Mode,
        noise: &mut dyn Noise,
        on_preview: &mut OnPreview<'_>,
        progress: &Progress,
    ) -> Result<Image> {
        let (folder, device) = (&self.folder, &self.options.device);
        let factor = folder.vae.factor();
        settings.check(factor, folder.unet.block_out_channels.len())?;
        let [width, height] = settings.tile_px;
        if let Some(control) = part.control_picture
            && [control.width() as usize, control.height() as usize] != settings.tile_px
        {
            return Err(Error::invalid(format!(
                "control picture of {}x{} pixels for a tile of {width}x{height}; give one of the tile's size",
                control.width(),
                control.height()
            )));
        }
        check_square(picture)?;
        progress.step(part.done, part.total)?;
        let run = Run::new(progress);
        let compute = if device.is_cpu() { DType::F32 } else { mode.dtype };
        let place = |tensor: Tensor| -> Result<Tensor> { Ok(tensor.to_device(device)?.to_dtype(compute)?) };
        let schedule = EulerAncestral::new(&folder.scheduler, part.steps, settings.spacing)?;
        let flat = resample::flatten(picture, preprocess::GREY);

        let embedding = {
            let vision = self.network(mode, |kept| &mut kept.vision, || folder.load_vision(mode.dtype, device))?;
            vision.forward(&place(preprocess::extract(&flat, &folder.clip_extractor)?)?, &run)?
        };
        let tokens = {
            let text = self.network(mode, |kept| &mut kept.text, || folder.load_text(mode.dtype, device))?;
            let ramp = &folder.index.ramping_coefficients;
            let (prompt, negative) = (&settings.prompt, &settings.negative_prompt);
            sample::global_condition(&text, &self.tokenizer, &embedding, ramp, prompt, negative, part.guidance, &run)?
        };
        let pixels = preprocess::extract(&flat, &folder.vae_extractor)?;
        let latent = {
            let vae = self.network(mode, |kept| &mut kept.vae, || folder.load_vae(mode.dtype, device))?;
            sample::local_condition(&vae, &place(pixels.clone())?, part.guidance, noise, &run)?
        };
        let with = latent.narrow(0, latent.dim(0)? - 1, 1)?;
        let previewer = Previewer::fit(&pixels, &with, folder.vae.scaling_factor)?;
        let last = {
            let unet = self.network(mode, |kept| &mut kept.unet, || folder.load_unet(mode.dtype, device))?;
            let control = match (&self.control, part.control_picture) {
                (Some(control), Some(picture)) => {
                    let network = self.network(mode, |kept| &mut kept.control, || control.load(mode.dtype, device))?;
                    let embedding = network.embed(&place(preprocess::control(picture)?)?, &run)?;
                    Some((network, embedding))
                }
                _ => None,
            };
            let denoising = Denoising {
                unet: &unet,
                schedule: &schedule,
                guidance: part.guidance,
                control: control.as_ref().map(|(network, embedding)| Control {
                    network,
                    embedding,
                    scale: settings.control_scale,
                }),
                size: [height / factor, width / factor],
                previewer: Some(&previewer),
            };
            let mut on_step = |index: usize| -> Result<()> { Ok(progress.step(part.done + index, part.total)?) };
            denoising.run(&Conditioning { tokens, latent }, noise, &mut on_step, on_preview, &run)?
        };
        progress.step(part.done + part.steps, part.total)?;
        let vae = self.network(mode, |kept| &mut kept.vae, || folder.load_vae(mode.dtype, device))?;
        let latent = place(sample::to_vae_latent(&last, folder.vae.scaling_factor)?)?;
        let decoded = if mode.tiled {
            vae.decode_tiled(&latent, factor, memory::DECODE_TILE, memory::DECODE_OVERLAP, &run)?
        } else {
            vae.decode(&latent, &run)?
        };
        preprocess::to_image(&sample::to_unit(&decoded)?)
    }
}

/// A cut-out is centred as the authors do; anything else must fit as it is.
fn framed(picture: &Image) -> Result<Image> {
    if picture.has_transparency() {
        return resample::reframe(picture, 0.95, 512);
    }
    check_square(picture)?;
    Ok(picture.clone())
}

fn check_square(picture: &Image) -> Result<()> {
    let (width, height) = (picture.width(), picture.height());
    if width != height {
        return Err(Error::invalid(format!(
            "picture is {width}x{height} pixels; Zero123++ takes a square one: crop it, or give it transparency around the object"
        )));
    }
    Ok(())
}

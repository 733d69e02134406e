//! The comparison itself, shared by the example and the tests.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use maquette_core::{Image, Progress};
use maquette_diffusion::clip::{ClipText, ClipTokenizer, ClipVision};
use maquette_diffusion::config::{
    ClipTextConfig, ClipVisionConfig, ImageProcessorConfig, ModelIndex, SchedulerConfig, TimestepSpacing, UnetConfig,
    VaeConfig,
};
use maquette_diffusion::controlnet::ControlNet;
use maquette_diffusion::run::Observer;
use maquette_diffusion::schedulers::{EulerAncestral, alphas_cumprod};
use maquette_diffusion::unet::Unet;
use maquette_diffusion::unet::policy::{Own, Recorded, Referenced};
use maquette_diffusion::vae::Vae;
use maquette_diffusion::weights::Weights;
use maquette_diffusion::zero123plus::sample::{self, Conditioning, Control, Denoising};
use maquette_diffusion::zero123plus::{Draw, Noise, preprocess};
use maquette_diffusion::{Error, Result, Run, resample};

/// Largest relative error of one network or formula.
pub(crate) const STAGE_TOLERANCE: f64 = 1e-4;
/// Largest relative error, and largest error of a pixel in 0..=1, after a whole run.
pub(crate) const RUN_TOLERANCE: f64 = 1e-3;

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// One compared tensor.
pub(crate) struct Line {
    /// Its name in the golden file.
    pub name: String,
    /// What came out.
    pub outcome: Outcome,
}

/// What came out of a comparison.
pub(crate) enum Outcome {
    /// Relative error, largest error, and whether both are within tolerance.
    Compared { relative: f64, largest: f64, within: bool },
    /// The part of the model that it needs is not there.
    LeftOut(&'static str),
    /// This program does not compute it, or in another shape.
    Failed(String),
}

impl Line {
    /// Above tolerance, or not computed.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_) | Outcome::Compared { within: false, .. })
    }

    /// Compared at all.
    pub(crate) fn is_compared(&self) -> bool {
        !matches!(self.outcome, Outcome::LeftOut(_))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.outcome {
            Outcome::Compared { relative, largest, within } => {
                let verdict = if *within { "" } else { "  ABOVE TOLERANCE" };
                write!(formatter, "{name:<72} rel {relative:.2e}  max {largest:.2e}{verdict}")
            }
            Outcome::LeftOut(reason) => write!(formatter, "{name:<72} left out: {reason}"),
            Outcome::Failed(reason) => write!(formatter, "{name:<72} FAILED: {reason}"),
        }
    }
}

/// Relative and largest error of `ours` against `golden`.
pub(crate) fn errors(ours: &Tensor, golden: &Tensor) -> Result<(f64, f64)> {
    let flat =
        |tensor: &Tensor| -> Result<Vec<f64>> { Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?) };
    let (ours, golden) = (flat(ours)?, flat(golden)?);
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let distance = square(&mut ours.iter().zip(&golden).map(|(a, b)| a - b));
    let norm = square(&mut golden.iter().copied());
    let largest = ours
        .iter()
        .zip(&golden)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |a: f64, b| if b > a || b.is_nan() { b } else { a });
    Ok((if norm > 0.0 { distance / norm } else { distance }, largest))
}

fn judge(name: &str, ours: &Tensor, golden: &Tensor) -> Result<Outcome> {
    if ours.elem_count() != golden.elem_count() {
        return Ok(Outcome::Failed(format!("shape is {:?}, but {:?} was recorded", ours.dims(), golden.dims())));
    }
    let (relative, largest) = errors(ours, golden)?;
    // NaN is within nothing.
    let within = match name {
        _ if golden.dtype() == DType::U8 && name.starts_with("pre.") => largest == 0.0,
        _ if golden.dtype() == DType::U8 => largest <= 1.0,
        _ if golden.dtype() == DType::I64 => largest == 0.0,
        _ if name.rsplit('.').next() == Some("image") => relative <= RUN_TOLERANCE && largest <= RUN_TOLERANCE,
        _ if name.starts_with("run.") => relative <= RUN_TOLERANCE,
        _ => relative <= STAGE_TOLERANCE,
    };
    Ok(Outcome::Compared { relative, largest, within })
}

/// The parts of a model folder that are there.
pub(crate) struct Subject {
    pub unet: Option<Unet>,
    pub vae: Option<Vae>,
    pub scaling_factor: f64,
    pub text: Option<ClipText>,
    pub vision: Option<ClipVision>,
    pub tokenizer: Option<ClipTokenizer>,
    pub scheduler: Option<SchedulerConfig>,
    pub ramp: Option<Vec<f64>>,
    pub vae_extractor: Option<ImageProcessorConfig>,
    pub clip_extractor: Option<ImageProcessorConfig>,
    pub control: Option<ControlNet>,
}

impl Subject {
    /// Loads what `model` and `control` hold, in F32 on the CPU.
    pub(crate) fn load(model: &Path, control: Option<&Path>) -> Result<Self> {
        fn part<T>(model: &Path, config: &str, load: impl FnOnce(&Path) -> Result<T>) -> Result<Option<T>> {
            let config = model.join(config);
            if config.is_file() { load(&config).map(Some) } else { Ok(None) }
        }
        fn weights(config: &Path) -> Result<Weights> {
            let folder = config.parent().unwrap_or(Path::new("."));
            let names = [
                "diffusion_pytorch_model.safetensors",
                "model.safetensors",
                "diffusion_pytorch_model.bin",
                "pytorch_model.bin",
            ];
            let path = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            let path = path.ok_or_else(|| Error::weights(folder, "holds no weights"))?;
            Weights::open(&path, DType::F32, &Device::Cpu)
        }
        let vae_config = part(model, "vae/config.json", VaeConfig::read)?;
        let text_config = part(model, "text_encoder/config.json", ClipTextConfig::read)?;
        let length = text_config.as_ref().map_or(77, |config| config.max_position_embeddings);
        Ok(Self {
            unet: part(model, "unet/config.json", |path| Unet::new(&UnetConfig::read_unet(path)?, &weights(path)?))?,
            scaling_factor: vae_config.as_ref().map_or(1.0, |config| config.scaling_factor),
            vae: part(model, "vae/config.json", |path| Vae::new(&VaeConfig::read(path)?, &weights(path)?))?,
            text: part(model, "text_encoder/config.json", |path| {
                ClipText::new(&ClipTextConfig::read(path)?, &weights(path)?)
            })?,
            vision: part(model, "vision_encoder/config.json", |path| {
                ClipVision::new(&ClipVisionConfig::read(path)?, &weights(path)?)
            })?,
            tokenizer: part(model, "tokenizer/vocab.json", |path| {
                ClipTokenizer::read(path.parent().unwrap_or(Path::new(".")), length)
            })?,
            scheduler: part(model, "scheduler/scheduler_config.json", SchedulerConfig::read)?,
            ramp: part(model, "model_index.json", |path| Ok(ModelIndex::read(path)?.ramping_coefficients))?,
            vae_extractor: part(model, "feature_extractor_vae/preprocessor_config.json", ImageProcessorConfig::read)?,
            clip_extractor: part(model, "feature_extractor_clip/preprocessor_config.json", ImageProcessorConfig::read)?,
            control: match control {
                None => None,
                Some(root) => {
                    let path = root.join("config.json");
                    Some(ControlNet::new(&UnetConfig::read_controlnet(&path)?, &weights(&path)?)?)
                }
            },
        })
    }
}

/// Recorded tensors, with those of a fuller file to fall back on for inputs.
pub(crate) struct Golden {
    tensors: Tensors,
    inputs: Tensors,
}

impl Golden {
    /// Reads `path`, and a `golden.safetensors` beside it.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let read = |path: &Path| -> Result<Tensors> {
            let tensors = candle_core::safetensors::load(path, &Device::Cpu)
                .map_err(|error| Error::weights(path, format!("cannot be read: {error}")))?;
            Ok(tensors.into_iter().collect())
        };
        let beside = path.with_file_name("golden.safetensors");
        let inputs = if beside.is_file() && beside != path { read(&beside)? } else { Tensors::new() };
        Ok(Self { tensors: read(path)?, inputs })
    }

    /// A tensor by name.
    pub(crate) fn get(&self, name: &str) -> Result<Tensor> {
        self.tensors
            .get(name)
            .or_else(|| self.inputs.get(name))
            .cloned()
            .ok_or_else(|| Error::invalid(format!("the golden file has no {name}, which is needed as input")))
    }

    fn wants(&self, prefix: &str) -> bool {
        self.tensors.keys().any(|name| name.starts_with(prefix))
    }

    /// The tags of whole runs.
    pub(crate) fn runs(&self) -> Vec<String> {
        let mut tags: Vec<String> = self
            .tensors
            .keys()
            .filter_map(|name| name.strip_prefix("run.")?.strip_suffix(".noise.init_latents").map(str::to_owned))
            .collect();
        tags.sort();
        tags
    }
}

/// Compares everything that `golden` records.
pub(crate) fn compare(model: &Path, golden: &Path, control: Option<&Path>) -> Result<Vec<Line>> {
    let subject = Subject::load(model, control)?;
    let golden = Golden::load(golden)?;
    let mut ours = Tensors::new();
    stages(&subject, &golden, &mut ours)?;
    for tag in golden.runs() {
        if let Some(tensors) = whole_run(&subject, &golden, &tag, &Change::default())? {
            ours.extend(tensors.into_iter().map(|(name, tensor)| (format!("run.{tag}.{name}"), tensor)));
        }
    }
    let mut lines = Vec::new();
    for (name, golden_tensor) in &golden.tensors {
        let outcome = match ours.get(name) {
            Some(tensor) => judge(name, tensor, golden_tensor)?,
            None if is_input(name) => Outcome::LeftOut("is an input"),
            None if subject.control.is_none() && name.contains("control") => Outcome::LeftOut("needs CONTROLNET_DIR"),
            None => Outcome::Failed("not computed".into()),
        };
        lines.push(Line { name: name.clone(), outcome });
    }
    Ok(lines)
}

fn is_input(name: &str) -> bool {
    name.contains(".noise.")
        || matches!(
            name,
            "pre.input_rgba_u8"
                | "pre.control_rgb_u8"
                | "vae.dec.z"
                | "unet.sample"
                | "unet.noisy_cond_lat"
                | "unet.t"
                | "sched.step.sample"
                | "sched.step.noise"
                | "sched.step.model_output"
        )
}

/// Runs `pass` and collects what it shows, under `prefix`.
fn observe<T>(ours: &mut Tensors, prefix: &str, pass: impl FnOnce(&Run) -> Result<T>) -> Result<T> {
    let progress = Progress::new();
    let mut see = |name: &str, tensor: &Tensor| -> Result<()> {
        ours.insert(format!("{prefix}{name}"), tensor.clone());
        Ok(())
    };
    let see: &mut Observer<'_> = &mut see;
    pass(&Run::observed(&progress, see))
}

fn stages(subject: &Subject, golden: &Golden, ours: &mut Tensors) -> Result<()> {
    if golden.wants("pre.") {
        preprocessing(subject, golden, ours)?;
    }
    if let (Some(vae), true) = (&subject.vae, golden.wants("vae.")) {
        let pixels = golden.get("pre.vae_pixel_values")?;
        for (prefix, pixels) in [("vae.cond.", pixels.clone()), ("vae.neg.", pixels.zeros_like()?)] {
            let posterior = observe(ours, prefix, |run| vae.encode(&pixels, run))?;
            ours.insert(format!("{prefix}std"), posterior.std()?);
        }
        observe(ours, "vae.dec.", |run| vae.decode(&golden.get("vae.dec.z")?, run))?;
    }
    if let (Some(vision), true) = (&subject.vision, golden.wants("clip.")) {
        observe(ours, "clip.", |run| vision.forward(&golden.get("pre.clip_pixel_values")?, run))?;
    }
    if let (Some(text), true) = (&subject.text, golden.wants("text.")) {
        for text_name in ["empty", "prompt"] {
            if !golden.wants(&format!("text.{text_name}")) {
                continue;
            }
            let ids = golden.get(&format!("text.{text_name}_ids"))?.flatten_all()?.to_vec1::<i64>()?;
            let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
            let prefix = format!("text.{text_name}_");
            let last = observe(ours, &prefix, |run| text.forward(&ids, run))?;
            ours.insert(format!("{prefix}last_hidden_state"), last);
        }
        if let Some(tokenizer) = &subject.tokenizer {
            for (name, prompt) in [("empty", ""), ("prompt", "a photo of the red chair, front view!")] {
                let ids: Vec<i64> = tokenizer.encode(prompt)?.into_iter().map(i64::from).collect();
                ours.insert(format!("text.{name}_ids"), Tensor::new(ids, &Device::Cpu)?);
            }
        }
    }
    if let (Some(ramp), Some(text), Some(tokenizer), true) =
        (&subject.ramp, &subject.text, &subject.tokenizer, golden.wants("global."))
    {
        let progress = Progress::new();
        let run = Run::new(&progress);
        let embedding = golden.get("clip.image_embeds")?;
        for (name, guidance) in [("cond_embeds", 1.0), ("cfg_embeds", 4.0)] {
            let tokens = sample::global_condition(text, tokenizer, &embedding, ramp, "", "", guidance, &run)?;
            ours.insert(format!("global.{name}"), tokens);
        }
        ours.insert("global.ramp".into(), Tensor::new(&ramp[..], &Device::Cpu)?);
    }
    if let (Some(unet), true) = (&subject.unet, golden.wants("unet.")) {
        networks(unet, subject.control.as_ref(), golden, ours)?;
    }
    if let (Some(config), true) = (&subject.scheduler, golden.wants("sched.")) {
        schedules(config, golden, ours)?;
    }
    Ok(())
}

fn picture(tensor: &Tensor) -> Result<Image> {
    let (height, width, channels) = tensor.dims3()?;
    let bytes = tensor.flatten_all()?.to_vec1::<u8>()?;
    let pixels = bytes.chunks_exact(channels).map(|p| [p[0], p[1], p[2], p.get(3).copied().unwrap_or(255)]).collect();
    Ok(Image::new(width as u32, height as u32, pixels)?)
}

fn preprocessing(subject: &Subject, golden: &Golden, ours: &mut Tensors) -> Result<()> {
    let flat = resample::flatten(&picture(&golden.get("pre.input_rgba_u8")?)?, preprocess::GREY);
    if let Some(extractor) = &subject.vae_extractor {
        ours.insert("pre.vae_pixel_values".into(), preprocess::extract(&flat, extractor)?);
    }
    if let Some(extractor) = &subject.clip_extractor {
        ours.insert("pre.clip_pixel_values".into(), preprocess::extract(&flat, extractor)?);
    }
    let shape = (flat.height, flat.width, 3);
    ours.insert("pre.rgb_on_grey_u8".into(), Tensor::from_vec(flat.data.concat(), shape, &Device::Cpu)?);
    if golden.wants("pre.control_cond") {
        let control = preprocess::control(&picture(&golden.get("pre.control_rgb_u8")?)?)?;
        ours.insert("pre.control_cond".into(), control);
    }
    Ok(())
}

fn networks(unet: &Unet, control: Option<&ControlNet>, golden: &Golden, ours: &mut Tensors) -> Result<()> {
    let sample = golden.get("unet.sample")?;
    let noisy = golden.get("unet.noisy_cond_lat")?;
    let times = golden.get("unet.t")?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let text = golden.get("global.cfg_embeds")?;
    let time = times[0];
    observe(ours, "unet.plain.", |run| unet.forward(&sample, time, &text, &mut Own, None, run))?;
    if let Some(&second) = times.get(1) {
        let progress = Progress::new();
        let out = unet.forward(&sample, second, &text, &mut Own, None, &Run::new(&progress))?;
        ours.insert("unet.plain.out_t2".into(), out);
    }
    let mut written = Recorded::default();
    observe(ours, "unet.write.", |run| unet.forward(&noisy, time, &text, &mut written, None, run))?;
    for (site, tokens) in &written.tokens {
        ours.insert(format!("unet.write.ref.{site}"), tokens.clone());
    }
    observe(ours, "unet.read.", |run| {
        unet.forward(&sample, time, &text, &mut Referenced::new(&written.tokens), None, run)
    })?;
    // The unused flag of the original leaves the first item without reference and gives it to the rest.
    let (plain, read) = (ours["unet.plain.out"].clone(), ours["unet.read.out"].clone());
    let rest = read.narrow(0, 1, read.dim(0)? - 1)?;
    ours.insert("unet.read_cfgflag.out".into(), Tensor::cat(&[&plain.narrow(0, 0, 1)?, &rest], 0)?);
    let Some(control) = control else { return Ok(()) };
    let picture = golden.get("pre.control_cond")?;
    let picture = if picture.rank() == 3 { picture.unsqueeze(0)? } else { picture };
    for (scale, tag) in [(1.0, "1.0"), (0.75, "0.75")] {
        let mut seen = Tensors::new();
        let residuals = observe(&mut seen, "control.", |run| {
            let embedding = control.embed(&picture, run)?;
            control.forward(&sample, time, &text, &embedding, scale, run)
        })?;
        if scale == 1.0 {
            ours.extend(seen);
            for (index, tensor) in residuals.down.iter().enumerate() {
                ours.insert(format!("control.down_res.{index:02}"), tensor.clone());
            }
            ours.insert("control.mid_res".into(), residuals.mid.clone());
        }
        let progress = Progress::new();
        let mut read = Referenced::new(&written.tokens);
        let out = unet.forward(&sample, time, &text, &mut read, Some(&residuals), &Run::new(&progress))?;
        ours.insert(format!("control.unet_out.scale{tag}"), out);
    }
    Ok(())
}

fn schedules(config: &SchedulerConfig, golden: &Golden, ours: &mut Tensors) -> Result<()> {
    ours.insert("sched.alphas_cumprod".into(), Tensor::new(alphas_cumprod(config), &Device::Cpu)?);
    for name in golden.tensors.keys() {
        let parts: Vec<&str> = name.split('.').collect();
        match parts[..] {
            ["sched", "step", index, _] => {
                let Ok(index) = index.parse::<usize>() else { continue };
                let schedule = EulerAncestral::new(config, 28, Some(TimestepSpacing::Trailing))?;
                let (latent, noise) = (golden.get("sched.step.sample")?, golden.get("sched.step.noise")?);
                let step = schedule.step(&golden.get("sched.step.model_output")?, &latent, &noise, index)?;
                let mut put = |leaf: &str, tensor: Tensor| ours.insert(format!("sched.step.{index}.{leaf}"), tensor);
                put("scaled_input", schedule.scale_input(&latent, index)?);
                put("add_noise", schedule.add_noise(&latent, &noise, index)?);
                put("prev_sample", step.next);
                put("pred_x0", step.clean);
            }
            ["sched", spacing, steps, leaf] => {
                let (Some(spacing_value), Ok(count)) = (spacing_named(spacing), steps.parse::<usize>()) else {
                    continue;
                };
                let schedule = EulerAncestral::new(config, count, Some(spacing_value))?;
                let values = match leaf {
                    "timesteps_f64" => schedule.timesteps,
                    "sigmas" => schedule.sigmas,
                    "init_noise_sigma" => vec![schedule.initial_sigma],
                    _ => continue,
                };
                ours.insert(name.clone(), Tensor::new(values, &Device::Cpu)?);
            }
            _ => {}
        }
    }
    Ok(())
}

fn spacing_named(name: &str) -> Option<TimestepSpacing> {
    match name {
        "linspace" => Some(TimestepSpacing::Linspace),
        "trailing" => Some(TimestepSpacing::Trailing),
        "leading" => Some(TimestepSpacing::Leading),
        _ => None,
    }
}

/// Recorded noise, possibly changed.
struct Replay<'a> {
    golden: &'a Golden,
    tag: &'a str,
    change: &'a Change,
}

impl Noise for Replay<'_> {
    fn draw(&mut self, draw: Draw, shape: &[usize]) -> Result<Tensor> {
        let name = match draw {
            Draw::Condition => "vae_cond".to_owned(),
            Draw::Negative => "vae_neg".to_owned(),
            Draw::Initial => "init_latents".to_owned(),
            Draw::Reference(step) => format!("ref.{step}"),
            Draw::Step(step) => format!("step.{step}"),
        };
        let noise = self.golden.get(&format!("run.{}.noise.{name}", self.tag))?;
        if noise.dims() != shape {
            return Err(Error::invalid(format!("noise {name} is {:?}, but {shape:?} is needed", noise.dims())));
        }
        match &self.change.noise {
            Some(change) => {
                change(draw, noise, &mut |other| self.golden.get(&format!("run.{}.noise.ref.{other}", self.tag)))
            }
            None => Ok(noise),
        }
    }
}

/// Recorded reference noise of another step.
pub(crate) type Recall<'a> = dyn FnMut(usize) -> Result<Tensor> + 'a;
pub(crate) type NoiseChange = dyn Fn(Draw, Tensor, &mut Recall<'_>) -> Result<Tensor>;
pub(crate) type RampChange = dyn Fn(&[f64]) -> Vec<f64>;
pub(crate) type TensorChange = dyn Fn(Tensor) -> Result<Tensor>;

/// Deliberate mistakes, for showing that the comparison sees them. The default changes nothing.
#[derive(Default)]
pub(crate) struct Change {
    pub background: Option<[u8; 3]>,
    pub spacing: Option<TimestepSpacing>,
    pub ramp: Option<Box<RampChange>>,
    pub noise: Option<Box<NoiseChange>>,
    pub condition_latent: Option<Box<TensorChange>>,
    pub control_picture: Option<Box<TensorChange>>,
    pub control_scale: Option<f64>,
    pub guidance: Option<f64>,
}

/// A whole run from the recorded noise; none when a part of the model is not there.
pub(crate) fn whole_run(subject: &Subject, golden: &Golden, tag: &str, change: &Change) -> Result<Option<Tensors>> {
    let (
        Some(unet),
        Some(vae),
        Some(text),
        Some(vision),
        Some(tokenizer),
        Some(scheduler),
        Some(ramp),
        Some(vae_extractor),
        Some(clip_extractor),
    ) = (
        &subject.unet,
        &subject.vae,
        &subject.text,
        &subject.vision,
        &subject.tokenizer,
        &subject.scheduler,
        &subject.ramp,
        &subject.vae_extractor,
        &subject.clip_extractor,
    )
    else {
        return Ok(None);
    };
    let fields: Vec<&str> = tag.split('_').collect();
    let number = |letter: char| -> Option<f64> {
        let digits =
            fields.iter().find_map(|field| field.strip_prefix(letter)?.parse::<u32>().ok().map(|_| &field[1..]))?;
        if digits.len() > 1 && digits.starts_with('0') {
            format!("0.{}", &digits[1..]).parse().ok()
        } else {
            digits.parse().ok()
        }
    };
    let controlled = fields[0] == "control";
    if controlled && subject.control.is_none() {
        return Ok(None);
    }
    let guidance = change.guidance.or_else(|| number('g')).unwrap_or(4.0);
    let steps = (0..=1000).take_while(|i| golden.tensors.contains_key(&format!("run.{tag}.step{i}.t"))).count();
    let recorded: Vec<f64> = (0..steps)
        .map(|i| Ok(golden.get(&format!("run.{tag}.step{i}.t"))?.to_dtype(DType::F64)?.to_vec1::<f64>()?[0]))
        .collect::<Result<_>>()?;
    // The tags of control runs do not say their spacing.
    let spacing = change.spacing.or_else(|| spacing_named(fields[0])).or_else(|| {
        [TimestepSpacing::Trailing, TimestepSpacing::Linspace, TimestepSpacing::Leading].into_iter().find(|&spacing| {
            EulerAncestral::new(scheduler, steps, Some(spacing))
                .is_ok_and(|schedule| schedule.timesteps.iter().zip(&recorded).all(|(a, b)| (a - b).abs() < 0.5))
        })
    });
    let schedule = EulerAncestral::new(scheduler, steps, spacing)?;

    let progress = Progress::new();
    let quiet = Run::new(&progress);
    let mut noise = Replay { golden, tag, change };
    let background = change.background.unwrap_or(preprocess::GREY);
    let flat = resample::flatten(&picture(&golden.get("pre.input_rgba_u8")?)?, background);
    let embedding = vision.forward(&preprocess::extract(&flat, clip_extractor)?, &quiet)?;
    let ramp = change.ramp.as_ref().map_or_else(|| ramp.clone(), |change| change(ramp));
    let tokens = sample::global_condition(text, tokenizer, &embedding, &ramp, "", "", guidance, &quiet)?;
    let pixels = preprocess::extract(&flat, vae_extractor)?;
    let mut latent = sample::local_condition(vae, &pixels, guidance, &mut noise, &quiet)?;
    if let Some(change) = &change.condition_latent {
        latent = change(latent)?;
    }
    let control = match &subject.control {
        Some(network) if controlled => {
            let mut picture = preprocess::control(&picture(&golden.get("pre.control_rgb_u8")?)?)?;
            if let Some(change) = &change.control_picture {
                picture = change(picture)?;
            }
            Some((network, network.embed(&picture, &quiet)?))
        }
        _ => None,
    };
    let scale = change.control_scale.or_else(|| number('s')).unwrap_or(1.0);
    let dims = golden.get(&format!("run.{tag}.noise.init_latents"))?.dims().to_vec();
    let denoising = Denoising {
        unet,
        schedule: &schedule,
        guidance,
        control: control.as_ref().map(|(network, embedding)| Control { network, embedding, scale }),
        size: [dims[2], dims[3]],
        previewer: None,
    };
    let mut ours = Tensors::new();
    ours.insert("prompt_embeds".into(), tokens.clone());
    for (index, &time) in schedule.timesteps.iter().enumerate() {
        ours.insert(format!("step{index}.t"), Tensor::new(&[time], &Device::Cpu)?);
    }
    let conditioning = Conditioning { tokens, latent };
    let last =
        observe(&mut ours, "", |run| denoising.run(&conditioning, &mut noise, &mut |_| Ok(()), &mut |_, _| {}, run))?;
    let decode_in = sample::to_vae_latent(&last, subject.scaling_factor)?;
    let decode_out = vae.decode(&decode_in, &quiet)?;
    let image = sample::to_unit(&decode_out)?;
    let bytes: Vec<u8> = preprocess::to_image(&image)?.pixels().iter().flat_map(|p| [p[0], p[1], p[2]]).collect();
    let (_, _, height, width) = image.dims4()?;
    ours.insert("image_u8".into(), Tensor::from_vec(bytes, (height, width, 3), &Device::Cpu)?);
    ours.insert("decode_in".into(), decode_in);
    ours.insert("decode_out".into(), decode_out);
    ours.insert("image".into(), image);
    Ok(Some(ours))
}

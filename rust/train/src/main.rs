//! `maquette-train`: trains the weights that are built into Maquette, and shows what they learn from.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use maquette_prior::draft::Draft;
use maquette_prior::draft::network::Planes;
use maquette_prior::lin::Lin;
use maquette_prior::sae::Sae;
use maquette_train::checkpoint::{read, write_whole};
use maquette_train::data::cubes::Kind;
use maquette_train::data::views::views_sample;
use maquette_train::data::{DataSettings, draft_sample, family_names};
use maquette_train::draft::{DraftTraining, Meshes, set_name, train};
use maquette_train::eval;
use maquette_train::eval::latents::{self, Race, Search, mean_and_spread};
use maquette_train::eval::shapes;
use maquette_train::lin::{self, LinTraining};
use maquette_train::meshes::{MeshBank, Part};
use maquette_train::preview;
use maquette_train::run::Schedule;
use maquette_train::sae::{self, SaeTraining};
use rayon::prelude::*;

/// Trains the weights that are built into Maquette, and shows what they learn from.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trains the draft network.
    Draft(DraftArguments),
    /// Trains the shape autoencoder.
    Sae {
        #[command(flatten)]
        schedule: ScheduleArguments,
        /// Weights of an autoencoder whose encoder is kept as it is; only the decoder learns.
        #[arg(long)]
        encoder: Option<PathBuf>,
    },
    /// Trains the network that starts the search for a latent.
    Lin {
        #[command(flatten)]
        schedule: ScheduleArguments,
        /// Weights of the autoencoder whose latents it learns.
        #[arg(long)]
        sae: PathBuf,
    },
    /// Measures what the shape autoencoder and the latent initialisation reach on shapes never trained on.
    Eval(EvalArguments),
    /// Measures what the draft network reaches on shapes never trained on.
    EvalDraft {
        /// Weights of the network; the built-in ones where left out.
        #[arg(long)]
        draft: Option<PathBuf>,
        /// Folder of real meshes; procedural shapes alone where left out.
        #[arg(long)]
        meshes: Option<PathBuf>,
        /// Folder in which voxels of the real meshes are kept.
        #[arg(long)]
        voxels: Option<PathBuf>,
        /// Samples of each set.
        #[arg(long, default_value_t = 96)]
        count: u64,
        /// Where to write the table.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Writes a contact sheet of training samples.
    Preview {
        /// Family of procedural shapes, `real`, or `list` to name them; a mix where left out.
        #[arg(long)]
        family: Option<String>,
        /// Samples on the sheet.
        #[arg(long, default_value_t = 40)]
        count: usize,
        /// Samples in a row.
        #[arg(long, default_value_t = 4)]
        columns: usize,
        /// Seed of the stream.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Share of tight framing.
        #[arg(long, default_value_t = 0.5)]
        tight: f32,
        /// Folder of real meshes, for the family `real` and its share of a mix.
        #[arg(long)]
        meshes: Option<PathBuf>,
        /// File in which voxels of the real meshes are kept.
        #[arg(long)]
        voxels: Option<PathBuf>,
        /// Only the real meshes that are never trained on.
        #[arg(long)]
        held_out: bool,
        /// Share of real meshes in a mix.
        #[arg(long, default_value_t = 0.5)]
        real: f32,
        /// Random geometry in six views instead, as the autoencoder's and the view network's data.
        #[arg(long)]
        views: bool,
        /// Where to write the picture.
        #[arg(short, long, default_value = "sheet.png")]
        output: PathBuf,
    },
}

#[derive(Args)]
struct EvalArguments {
    /// Weights of the autoencoder; the built-in ones where left out.
    #[arg(long)]
    sae: Option<PathBuf>,
    /// Weights of the latent initialisation; the built-in ones where left out.
    #[arg(long)]
    lin: Option<PathBuf>,
    /// Folder of the evaluation set, whose `objects/NAME/mesh.glb` the autoencoder is measured on, too.
    #[arg(long)]
    objects: Option<PathBuf>,
    /// Shapes of each kind.
    #[arg(long, default_value_t = 50)]
    count: u64,
    /// Measures the autoencoder alone.
    #[arg(long)]
    shapes_only: bool,
    /// Steps of each search at most.
    #[arg(long, default_value_t = 600)]
    iterations: usize,
    /// Adam step of the latent.
    #[arg(long, default_value_t = 0.05)]
    rate: f32,
    /// Views as they are, without the spoiling of training.
    #[arg(long)]
    clean: bool,
    /// Folder of the tables.
    #[arg(short, long)]
    output: PathBuf,
}

/// Where to train and for how long.
#[derive(Args)]
struct ScheduleArguments {
    /// Folder of checkpoints and logs; a run in it goes on.
    #[arg(short, long)]
    output: PathBuf,
    /// Seed of weights and samples.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Step at which to end.
    #[arg(long, default_value_t = 10_000)]
    steps: usize,
    /// Last steps, in which the learning rate falls to 0.
    #[arg(long, default_value_t = 2_000)]
    cool_down: usize,
    /// Samples a step.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    rate: f32,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 100)]
    checkpoint_every: usize,
    /// Steps between measurements on samples never trained on.
    #[arg(long, default_value_t = 500)]
    measure_every: usize,
    /// Samples of each set that is measured.
    #[arg(long, default_value_t = 48)]
    measured: u64,
    /// Threads that make samples.
    #[arg(long, default_value_t = 1)]
    sample_threads: usize,
}

impl ScheduleArguments {
    fn schedule(&self) -> Schedule {
        Schedule {
            folder: self.output.clone(),
            seed: self.seed,
            batch: self.batch.max(1),
            rate: self.rate,
            warm_up: 100,
            steps: self.steps,
            cool_down: self.cool_down,
            checkpoint_every: self.checkpoint_every.max(1),
            measure_every: self.measure_every.max(1),
            measured: self.measured,
            sample_threads: self.sample_threads,
        }
    }
}

#[derive(Args)]
struct DraftArguments {
    #[command(flatten)]
    schedule: ScheduleArguments,
    /// Folder of real meshes.
    #[arg(long)]
    meshes: Option<PathBuf>,
    /// Folder in which voxels of the real meshes are kept.
    #[arg(long)]
    voxels: Option<PathBuf>,
    /// Share of real meshes among the samples, where their folder is given.
    #[arg(long, default_value_t = 0.5)]
    real_share: f32,
    /// Share of samples that are cropped to the object.
    #[arg(long, default_value_t = 0.5)]
    tight_share: f32,
    /// What of the picture the network sees.
    #[arg(long, value_enum, default_value_t = PlanesArgument::Mask)]
    planes: PlanesArgument,
    /// Share of samples without colours, for a network that sees them.
    #[arg(long, default_value_t = 0.4)]
    colorless_share: f32,
}

#[derive(Clone, Copy, ValueEnum)]
enum PlanesArgument {
    /// Its mask.
    Mask,
    /// Its mask and colours.
    Color,
}

impl DraftArguments {
    fn training(&self) -> DraftTraining {
        DraftTraining {
            schedule: self.schedule.schedule(),
            data: DataSettings {
                real_share: self.real_share,
                tight_share: self.tight_share,
                ..DataSettings::default()
            },
            planes: match self.planes {
                PlanesArgument::Mask => Planes::Mask,
                PlanesArgument::Color => Planes::Color,
            },
            colorless_share: self.colorless_share,
        }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maquette-train: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A network with the weights of a file.
fn read_network<N>(
    path: &Path,
    from_safetensors: fn(&[u8]) -> maquette_prior::Result<N>,
) -> Result<N, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(from_safetensors(&bytes)?)
}

/// Prints a table and writes it.
fn table(path: &Path, lines: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    println!("{}\n", lines.join("\n"));
    Ok(write_whole(path, (lines.join("\n") + "\n").as_bytes())?)
}

fn evaluate(arguments: &EvalArguments) -> Result<(), Box<dyn std::error::Error>> {
    let EvalArguments { sae, lin, objects, count, shapes_only, iterations, rate, clean, output } = arguments;
    std::fs::create_dir_all(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let sae = sae.as_deref().map(|path| read_network(path, Sae::from_safetensors)).transpose()?;
    let sae = match &sae {
        Some(sae) => sae,
        None => Sae::embedded()?,
    };
    let mut lines = vec![shapes::HEADER.to_owned()];
    for kind in [Kind::Random, Kind::Family] {
        let all = (0..*count).map(|index| shapes::unseen(sae, kind, index)).collect::<Result<Vec<_>, _>>()?;
        lines.push(shapes::line(kind.name(), &format!("mean of {count}"), &shapes::mean(&all)));
    }
    if let Some(folder) = objects {
        let folder = folder.join("objects");
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path().join("mesh.glb"))).collect();
        names.retain(|path| path.exists());
        names.sort();
        let mut all = Vec::new();
        for path in names {
            let likeness = shapes::through(sae, &shapes::cube_of_mesh(&path)?)?;
            let name = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            lines.push(shapes::line("objects", &name, &likeness));
            all.push(likeness);
        }
        lines.push(shapes::line("objects", &format!("mean of {}", all.len()), &shapes::mean(&all)));
    }
    table(&output.join("sae.csv"), &lines)?;
    if *shapes_only {
        return Ok(());
    }
    let given = lin.as_deref().map(|path| read_network(path, Lin::from_safetensors)).transpose()?;
    let lin = match &given {
        Some(lin) => lin,
        None => Lin::embedded()?,
    };
    let search = Search { iterations: *iterations, learning_rate: *rate, resolution: 40, spoilt: !clean };
    let mut rows =
        vec!["kind,index,steps_zero,steps_lin,settled_zero,settled_lin,loss_zero,loss_lin,iou_zero,iou_lin".to_owned()];
    let mut summary =
        vec!["kind,start,steps,steps_spread,settled,settled_spread,loss,loss_spread,iou,iou_spread".to_owned()];
    for kind in [Kind::Random, Kind::Family] {
        let races: Vec<Race> = (0..*count)
            .into_par_iter()
            .map(|index| latents::race(sae, lin, kind, index, &search))
            .collect::<Result<_, _>>()?;
        for (index, race) in races.iter().enumerate() {
            let ([zero, lin], [own_zero, own_lin]) = (race.iterations(), race.settled());
            let ([c, d], [e, f]) = (race.last(), race.iou);
            let steps = format!("{zero},{lin},{own_zero},{own_lin}");
            rows.push(format!("{},{index},{steps},{c:.5},{d:.5},{e:.4},{f:.4}", kind.name()));
        }
        for (k, start) in ["zero", "lin"].into_iter().enumerate() {
            let column = |value: &dyn Fn(&Race) -> f64, digits: usize| {
                let [mean, spread] = mean_and_spread(races.iter().map(value));
                format!("{mean:.digits$},{spread:.digits$}")
            };
            let steps = column(&|race| race.iterations()[k] as f64, 1);
            let settled = column(&|race| race.settled()[k] as f64, 1);
            let (loss, iou) = (column(&|race| race.last()[k], 5), column(&|race| race.iou[k], 4));
            summary.push(format!("{},{start},{steps},{settled},{loss},{iou}", kind.name()));
        }
    }
    write_whole(&output.join("lin_each.csv"), (rows.join("\n") + "\n").as_bytes())?;
    table(&output.join("lin.csv"), &summary)
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    match arguments.command {
        Command::Draft(arguments) => {
            let bank = |folder: &Path, part, name| {
                let voxels = arguments.voxels.as_ref().map(|voxels| voxels.join(name));
                MeshBank::open(folder, part, voxels.as_deref())
            };
            let meshes = match &arguments.meshes {
                Some(folder) => Some(Meshes {
                    training: bank(folder, Part::Training, "train.vox")?,
                    held_out: bank(folder, Part::HeldOut, "held.vox")?,
                }),
                None => None,
            };
            Ok(train(&arguments.training(), meshes)?)
        }
        Command::Sae { schedule, encoder } => {
            let encoder = encoder.map(|path| read(&path)).transpose()?.map(|(tensors, _)| tensors);
            Ok(sae::train(&SaeTraining { schedule: schedule.schedule(), encoder })?)
        }
        Command::Lin { schedule, sae } => Ok(lin::train(&LinTraining {
            schedule: schedule.schedule(),
            sae: read_network(&sae, Sae::from_safetensors)?,
        })?),
        Command::Eval(arguments) => evaluate(&arguments),
        Command::EvalDraft { draft, meshes, voxels, count, output } => {
            let given = draft.as_deref().map(|path| read_network(path, Draft::from_safetensors)).transpose()?;
            let draft = match &given {
                Some(draft) => draft,
                None => Draft::embedded()?,
            };
            let kept = voxels.map(|voxels| voxels.join("held.vox"));
            let bank = meshes.map(|folder| MeshBank::open(&folder, Part::HeldOut, kept.as_deref())).transpose()?;
            let mut lines = vec![eval::draft::HEADER.to_owned()];
            for bank in std::iter::once(None).chain(bank.as_ref().map(Some)) {
                for (tight, colored) in [(false, true), (false, false), (true, true), (true, false)] {
                    let score = eval::draft::score(draft, bank, tight, colored, count)?;
                    lines.extend(score.lines(&set_name(bank.is_some(), tight, colored)));
                }
            }
            table(&output, &lines)
        }
        Command::Preview { family, count, columns, seed, tight, meshes, voxels, held_out, real, views, output } => {
            if family.as_deref() == Some("list") {
                println!("{}", family_names().join("\n"));
                return Ok(());
            }
            if views {
                let samples: Vec<_> =
                    (0..count as u64).into_par_iter().map(|index| views_sample(seed, index, 64, 128)).collect();
                preview::views_sheet(&samples).save(&output)?;
                return Ok(());
            }
            let part = if held_out { Part::HeldOut } else { Part::Training };
            let bank = meshes.map(|folder| MeshBank::open(&folder, part, voxels.as_deref())).transpose()?;
            let only_real = family.as_deref() == Some("real");
            if only_real && bank.is_none() {
                return Err("the family real needs --meshes FOLDER".into());
            }
            let settings = DataSettings {
                real_share: if only_real { 1.0 } else { real },
                tight_share: tight,
                family: family.filter(|_| !only_real),
                ..DataSettings::default()
            };
            let start = std::time::Instant::now();
            let samples: Vec<_> = (0..count as u64)
                .into_par_iter()
                .map(|index| draft_sample(seed, index, &settings, bank.as_ref()))
                .collect();
            println!("{:.2} ms a sample", start.elapsed().as_secs_f64() * 1e3 / count.max(1) as f64);
            preview::sheet(&samples, columns).save(&output)?;
            Ok(())
        }
    }
}

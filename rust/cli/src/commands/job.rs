//! What the commands that run a job share.

use std::path::{Path, PathBuf};
use std::time::Instant;

use maquette_core::recipe::{Recipe, Task};
use maquette_core::{Progress, io};
use maquette_pipeline::{Cache, Outcome, Request, cache, sources};
use serde_json::{Value, json};

use crate::arguments::{Job, Preset};
use crate::error::{Error, Result};
use crate::reporter;

/// Runs a job on `input` and writes what it was asked for. `load` completes the request with what it reads.
pub(crate) fn run(
    arguments: &Job,
    input: &Path,
    task: Task,
    load: impl FnOnce(Request, &Progress) -> Result<Request>,
) -> Result<()> {
    let start = Instant::now();
    let output = output_path(arguments, input)?;
    // Fail before minutes of work, not after.
    io::MeshFormat::of(&output)?;
    let mut recipe = read_recipe(arguments.recipe.as_deref(), arguments.preset, &arguments.set)?;
    recipe.task = task;
    if let Some(seed) = arguments.seed {
        recipe = recipe.with("seed", &seed.to_string())?;
    }
    if let Some(triangles) = arguments.triangles {
        recipe = recipe.with("finish.triangles", &triangles.to_string())?;
    }
    if let Some(size) = arguments.texture_size {
        recipe = recipe.with("bake.texture_size", &size.to_string())?;
    }
    check_writable(&output)?;
    let cache = match &arguments.cache {
        _ if arguments.no_cache => Cache::none(),
        Some(folder) => Cache::at(folder, cache::Cache::DEFAULT_LIMIT_BYTES),
        None => Cache::of_user(),
    };
    let name = input.file_stem().map_or_else(|| "maquette".into(), |stem| stem.to_string_lossy().into_owned());
    let progress = reporter::watched(&arguments.output_style)?;
    let request = load(Request { name, recipe, ..Request::default() }, &progress)?;
    announce(arguments, &request)?;
    let outcome = maquette_pipeline::run(&request, &cache, &progress)?;
    write(arguments, &output, &outcome, &progress)?;
    summarise(arguments, &output, &outcome, start.elapsed().as_secs_f32())
}

/// Says what a model will need before it starts.
fn announce(arguments: &Job, request: &Request) -> Result<()> {
    // Given views take the place of a source.
    if request.views.is_some() || request.picture.is_none() {
        return Ok(());
    }
    if let Some(plan) = sources::zero123plus::memory_plan(&request.recipe.views)? {
        if arguments.output_style.json {
            reporter::print_line(json!({
                "event": "plan",
                "needed_bytes": plan.peak(),
                "free_bytes": plan.free,
                "text": plan.to_string(),
            }))?;
        } else if !arguments.output_style.quiet {
            eprintln!("views of Zero123++: {plan}");
        }
    }
    Ok(())
}

/// The recipe of `--recipe`, `--preset` and `--set`, in this order.
pub(crate) fn read_recipe(file: Option<&Path>, preset: Option<Preset>, sets: &[String]) -> Result<Recipe> {
    let mut value = match file {
        None => json!({}),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
            serde_json::from_str(&text)
                .map_err(|error| Error::Usage(format!("{}: not valid JSON: {error}", path.display())))?
        }
    };
    if let (Some(preset), Value::Object(fields)) = (preset, &mut value) {
        fields.insert("preset".to_owned(), preset.name().into());
    }
    let mut recipe = Recipe::from_value(&value)?;
    for setting in sets {
        let (key, text) = setting.split_once('=').ok_or_else(|| {
            Error::Usage(format!("--set {setting}: write it as KEY=VALUE, as in bake.texture_size=2048"))
        })?;
        recipe = recipe.with(key, text)?;
    }
    Ok(recipe)
}

fn output_path(arguments: &Job, input: &Path) -> Result<PathBuf> {
    if let Some(output) = &arguments.output {
        return Ok(output.clone());
    }
    let stem = input
        .file_stem()
        .ok_or_else(|| Error::Usage(format!("{}: give -o FILE, the input has no name", input.display())))?;
    Ok(PathBuf::from(stem).with_added_extension("glb"))
}

/// Refuses an output folder that does not exist or takes no files, before any work is done.
fn check_writable(output: &Path) -> Result<()> {
    let folder = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    tempfile_probe(folder).map_err(|source| {
        Error::Core(maquette_core::Error::Io { action: "writing to the folder of", path: output.to_owned(), source })
    })
}

fn tempfile_probe(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".maquette-probe-{}", std::process::id()));
    std::fs::File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}

fn write(arguments: &Job, output: &Path, outcome: &Outcome, progress: &Progress) -> Result<()> {
    progress.check()?;
    if let Some(folder) = &arguments.views_out {
        sources::save_views(folder, &outcome.views)?;
    }
    io::write_mesh(output, &outcome.asset)?;
    if let Some(path) = &arguments.report {
        io::write_atomic(path, format!("{:#}\n", outcome.report).as_bytes())?;
    }
    Ok(())
}

fn summarise(arguments: &Job, output: &Path, outcome: &Outcome, seconds: f32) -> Result<()> {
    let mesh = &outcome.asset.mesh;
    if arguments.output_style.json {
        return reporter::print_line(json!({
            "event": "result",
            "output": output,
            "seconds": seconds,
            "report": outcome.report,
        }));
    }
    if !arguments.output_style.quiet {
        for warning in outcome.report["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            eprintln!("note: {warning}");
        }
        let texture = outcome
            .asset
            .base_color
            .as_ref()
            .map_or(String::new(), |picture| format!(", {}x{} texture", picture.width(), picture.height()));
        reporter::print_line(format_args!(
            "{}: {} triangles, {} vertices{texture}, {seconds:.1} s",
            output.display(),
            mesh.triangles.len(),
            mesh.positions.len()
        ))?;
    }
    Ok(())
}

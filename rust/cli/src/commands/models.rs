//! `maquette models`: the only command that opens a connection, and only for `pull`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use maquette_diffusion::models::pull::{PullOptions, pull};
use maquette_diffusion::models::{self, KNOWN, KnownModel, Severity};
use serde_json::json;

use crate::arguments::Models;
use crate::error::{Error, Result};
use crate::reporter;

pub(crate) fn models(what: &Models) -> Result<()> {
    match what {
        Models::List { json } => list(*json),
        Models::Pull { model, accept_license, quiet } => fetch(KnownModel::named(model)?, *accept_license, *quiet),
        Models::Verify { model, values } => verify(model, *values),
        Models::Path { model } => {
            reporter::print_line(models::path(KnownModel::named(model)?, &models::cache_folder()?)?.display())
        }
        Models::Remove { model } => {
            let (model, cache) = (KnownModel::named(model)?, models::cache_folder()?);
            let removed = models::remove(model, &cache)?;
            let words = if removed { "removed from" } else { "was not in" };
            reporter::print_line(format_args!("{} {words} {}", model.name, cache.display()))
        }
    }
}

fn list(as_json: bool) -> Result<()> {
    let cache = models::cache_folder()?;
    let found = KNOWN.iter().map(|model| (model, models::find(model, &cache)));
    if as_json {
        let models: Vec<_> = found
            .map(|(model, folder)| {
                json!({
                    "name": model.name,
                    "repository": model.repository,
                    "license": model.license,
                    "license_note": model.license_note,
                    "bytes": model.bytes,
                    "folder": folder,
                })
            })
            .collect();
        return reporter::print_line(format_args!("{:#}", json!({ "cache": cache, "models": models })));
    }
    reporter::print_line(format_args!("models in {}:", cache.display()))?;
    for (model, folder) in found {
        let here = folder.map_or_else(|| "not here".to_owned(), |folder| format!("in {}", folder.display()));
        let gigabytes = model.bytes as f64 / 1e9;
        let line = format_args!("  {:26} {gigabytes:4.1} GB  {:14} {here}", model.name, model.license);
        reporter::print_line(line)?;
    }
    Ok(())
}

fn fetch(model: &'static KnownModel, accepted: bool, quiet: bool) -> Result<()> {
    if !quiet || !accepted {
        eprintln!("{}", model.license_text());
    }
    if !accepted && !asked("Accept the licence and fetch the model? [y/N] ")? {
        return Err(Error::Usage(
            "nothing was fetched: the licence was not accepted; answer y, or give --accept-license".to_owned(),
        ));
    }
    let progress = reporter::cancellable()?;
    let bar = if quiet || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new(0) };
    // The template is a constant; were it wrong, the default style would do.
    if let Ok(style) = ProgressStyle::with_template("[{bar:32}] {bytes}/{total_bytes} {bytes_per_sec} {eta}  {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    let watch = progress.clone();
    let mut report = |done: u64, total: u64, file: &str| {
        if watch.check().is_err() {
            // A file may take an hour; what is here of it stays, and the next pull goes on from there.
            bar.finish_and_clear();
            eprintln!("maquette: cancelled; pull again to go on");
            std::process::exit(130);
        }
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(file.to_owned());
    };
    let folder = pull(model, &PullOptions::from_env()?, &mut report, &progress)?;
    bar.finish_and_clear();
    if !quiet {
        reporter::print_line(format_args!("{} is in {}", model.name, folder.display()))?;
    }
    Ok(())
}

/// The answer of whoever sits at the terminal; no where nobody does.
fn asked(question: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    let failed = |source| Error::Read { path: PathBuf::from("the answer"), source };
    eprint!("{question}");
    std::io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn verify(model: &str, values: bool) -> Result<()> {
    let folder = match KnownModel::named(model) {
        Ok(known) if !Path::new(model).is_dir() => models::path(known, &models::cache_folder()?)?,
        Err(error) if !Path::new(model).is_dir() => return Err(error.into()),
        _ => PathBuf::from(model),
    };
    let findings = models::verify(&folder, values, &reporter::cancellable()?)?;
    for finding in &findings {
        reporter::print_line(finding)?;
    }
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        0 => reporter::print_line(format_args!("{} is whole", folder.display())),
        count => Err(Error::Faulty { folder: folder.display().to_string(), count }),
    }
}

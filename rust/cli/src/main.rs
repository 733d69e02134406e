//! The command line `maquette`: the pipeline for terminals, scripts and farms.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 130 cancelled.

mod arguments;
mod commands;
mod error;
mod reporter;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command, Eval};
use crate::error::Result;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("maquette: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Generate(arguments) => commands::generate(&arguments),
        Command::Reconstruct(arguments) => commands::reconstruct(&arguments),
        Command::Texture(arguments) => commands::texture(&arguments),
        Command::Refine(arguments) => commands::refine(&arguments),
        Command::Eval { what: Eval::Views(arguments) } => commands::eval_views(&arguments),
        Command::Turntable(arguments) => commands::turntable(&arguments),
        Command::Inspect(arguments) => commands::inspect(&arguments),
        Command::Models { what } => commands::models(&what),
        Command::Recipe(arguments) => commands::recipe(&arguments),
        Command::Completions { shell } => commands::completions(shell),
    }
}

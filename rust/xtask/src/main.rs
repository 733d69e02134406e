//! Every habit of the project as one command: `cargo xtask test | header | package | bench`.

mod package;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Every habit of the project as one command")]
struct Arguments {
    #[command(subcommand)]
    habit: Habit,
}

#[derive(Subcommand)]
enum Habit {
    /// Formatting, lints, licences, documentation and all tests: what CI runs.
    Test,
    /// Compares the C header with the library: constants, structs, functions, symbols.
    Header,
    /// What artists install, into the folder `dist`: one zip for each host, with the library inside.
    Package {
        /// The library to put in; without it a release build is made.
        #[arg(long)]
        library: Option<PathBuf>,
    },
    /// Benchmarks; with a filter, those whose name holds it.
    Bench {
        /// Part of a benchmark's name.
        filter: Option<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().habit {
        Habit::Test => test(),
        Habit::Header => cargo(&["test", "-p", "maquette-capi", "--test", "header"]),
        Habit::Package { library } => package(library),
        Habit::Bench { filter } => bench(filter.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    if Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|output| output.status.success()) {
        cargo(&["deny", "check", "licenses", "bans", "sources"])?;
    } else {
        println!("xtask: skipped `cargo deny`: install it with `cargo install cargo-deny --locked`");
    }
    // Links to private items help whoever reads the source.
    let flags = "-D warnings -A rustdoc::private-intra-doc-links";
    run(Command::new("cargo").args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", flags))?;
    cargo(&["test", "--workspace"])?;
    test_gltf()?;
    test_houdini()
}

/// Results against Khronos' validator; a shell script, so not on Windows.
fn test_gltf() -> Result<(), String> {
    if cfg!(windows) {
        println!("xtask: skipped tests/gltf: needs a shell");
        return Ok(());
    }
    run(&mut Command::new("tests/gltf/run"))
}

/// The Houdini asset, without Houdini.
fn test_houdini() -> Result<(), String> {
    let python = if cfg!(windows) { "python" } else { "python3" };
    if !Command::new(python).arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("xtask: skipped tests/houdini: needs {python}");
        return Ok(());
    }
    cargo(&["build", "-p", "maquette-capi"])?;
    run(Command::new(python)
        .arg("tests/houdini/run")
        .env("MAQUETTE_LIBRARY", target().join("debug").join(package::LIBRARY)))
}

fn package(library: Option<PathBuf>) -> Result<(), String> {
    let library = if let Some(library) = library {
        library
    } else {
        cargo(&["build", "--release", "-p", "maquette-capi"])?;
        target().join("release").join(package::LIBRARY)
    };
    let out = root().join("dist");
    println!("{}", package::blender(&root(), &library, &out)?.display());
    println!("{}", package::houdini(&root(), &library, &out)?.display());
    Ok(())
}

fn bench(filter: Option<&str>) -> Result<(), String> {
    let mut arguments = vec!["bench", "--workspace", "--benches"];
    if let Some(filter) = filter {
        arguments.extend(["--", filter]);
    }
    cargo(&arguments)
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    run(Command::new("cargo").args(arguments))
}

fn run(command: &mut Command) -> Result<(), String> {
    println!("xtask: {command:?}");
    let status = command.current_dir(root()).status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed ({status})")) }
}

/// Where cargo builds.
fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The repository's root.
fn root() -> PathBuf {
    // This crate lies at rust/xtask.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map_or_else(PathBuf::new, Path::to_path_buf)
}

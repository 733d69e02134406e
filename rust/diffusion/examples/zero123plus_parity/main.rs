//! Compares this crate with recorded activations of the original implementation.
//!
//! `zero123plus_parity MODEL_DIR GOLDEN.safetensors [CONTROLNET_DIR]` prints one line a tensor (name, relative error,
//! largest error) and fails when one is above its tolerance. Inputs that GOLDEN lacks are taken from a
//! `golden.safetensors` beside it.

mod parity;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, golden, control) = match &arguments[..] {
        [model, golden] => (model, golden, None),
        [model, golden, control] => (model, golden, Some(Path::new(control))),
        _ => {
            eprintln!("usage: zero123plus_parity MODEL_DIR GOLDEN.safetensors [CONTROLNET_DIR]");
            return ExitCode::from(2);
        }
    };
    let lines = match parity::compare(Path::new(model), Path::new(golden), control) {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    for line in &lines {
        println!("{line}");
    }
    let failed = lines.iter().filter(|line| line.is_failure()).count();
    let compared = lines.iter().filter(|line| line.is_compared()).count();
    println!("{compared} tensors compared, {} left out, {failed} failed", lines.len() - compared);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

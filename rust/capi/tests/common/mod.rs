//! Compilers, the library under test, and the repository.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Folder of the shared library that was built together with this test.
pub(crate) fn library_folder() -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    assert!(library(&folder).is_file(), "{} is missing", library(&folder).display());
    folder
}

/// The shared library in `folder`.
pub(crate) fn library(folder: &Path) -> PathBuf {
    folder.join(format!("{}maquette{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// Languages of host programs.
#[derive(Clone, Copy)]
pub(crate) enum Language {
    C,
    Cpp,
}

/// A compiler with all warnings as errors and the header's folder; `$CC` and `$CXX` name others.
pub(crate) fn compiler(language: Language) -> Command {
    let (variable, default, standard) = match language {
        Language::C => ("CC", "cc", "-std=c11"),
        Language::Cpp => ("CXX", "c++", "-std=c++17"),
    };
    let mut command = Command::new(std::env::var(variable).unwrap_or_else(|_| default.to_owned()));
    command.args([standard, "-Wall", "-Wextra", "-Wshadow", "-pedantic", "-Werror", "-g", "-O1", "-I"]);
    command.arg(root().join("cpp/include"));
    command
}

/// Compiles a host program and links it with the library.
pub(crate) fn build_host(language: Language, source: &str, folder: &Path) -> PathBuf {
    let libraries = library_folder();
    let program = folder.join(Path::new(source).file_name().unwrap()).with_extension("host");
    let mut command = compiler(language);
    command.arg(root().join(source)).arg("-o").arg(&program);
    command.arg("-L").arg(&libraries).args(["-lmaquette", "-pthread"]);
    command.arg(format!("-Wl,-rpath,{}", libraries.display()));
    passed(&mut command);
    program
}

/// Runs a command that must succeed and, as the library must be silent, print no errors.
pub(crate) fn passed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    output
}

//! The shared library in programs of other languages: C, C++ and Python hosts, valgrind.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![cfg(unix)]

mod common;

use std::process::Command;

use common::{Language, build_host, library, library_folder, passed, root};
use maquette::{abi, exports};
use serde_json::json;

/// A recipe for a job of a second or less.
const QUICK: &str = r#"{"preset": "draft", "coarse": {"resolution": 24, "iterations": 10}, "refine": {"iterations": 2},
    "texture": {"cell": 0.01, "iterations": 20}, "bake": {"texture_size": 128}, "finish": {"triangles": 1000}}"#;

fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: needs {program}");
    }
    found
}

/// Runs cases of `tests/abi/host.c`, each in a process of its own.
fn cases(names: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let host = build_host(Language::C, "tests/abi/host.c", folder.path());
    for name in names {
        let output = passed(Command::new(&host).arg(name).env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"));
        assert!(output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn wrong_use_gets_an_answer() {
    cases(&["names", "strings", "structs", "requests", "handles"]);
}

#[test]
fn a_job_keeps_its_promises() {
    cases(&["whole_job", "sdf", "texture_from_picture"]);
}

#[test]
fn jobs_stop_when_told() {
    cases(&["cancel_at_each_stage", "cancel_before_start", "busy"]);
}

#[test]
fn jobs_leave_nothing_behind() {
    cases(&["rounds"]);
}

#[test]
fn threads_and_contexts_do_not_disturb_each_other() {
    cases(&["two_contexts", "many_threads"]);
}

#[test]
fn a_forked_child_works_on_its_own() {
    cases(&["forks"]);
}

/// Memory errors, and leaks of what the library or the host still owned at the end.
#[test]
fn valgrind_finds_nothing() {
    if !is_there("valgrind") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = build_host(Language::C, "tests/abi/host.c", folder.path());
    let mut command = Command::new("valgrind");
    command.args([
        "--quiet",
        "--error-exitcode=9",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
        "--show-leak-kinds=definite",
    ]);
    command.arg("--fair-sched=yes").env("SLOW", "1").arg(&host);
    command.args(["names", "strings", "structs", "requests", "handles", "whole_job", "cancel_before_start", "rounds"]);
    let output = passed(&mut command);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_examples_run() {
    let folder = tempfile::tempdir().unwrap();
    let picture = root().join("examples/rocket.png");
    let file = |name: &str| folder.path().join(name);

    let program = build_host(Language::C, "cpp/examples/minimal.c", folder.path());
    passed(Command::new(&program).arg(&picture).arg(file("c.glb")).arg(QUICK));
    assert!(file("c.glb").metadata().unwrap().len() > 1000);
    let missing = Command::new(&program).arg(file("no.png")).arg(file("no.glb")).output().unwrap();
    assert!(!missing.status.success() && !file("no.glb").exists());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no.png"));

    let program = build_host(Language::Cpp, "cpp/examples/minimal.cpp", folder.path());
    passed(Command::new(&program).arg(&picture).arg(file("plain.glb")).arg(file("painted.glb")).arg(QUICK));
    assert!(file("painted.glb").metadata().unwrap().len() > 1000);
    let wrong = Command::new(&program).arg(&picture).args(["a.glb", "b.glb", r#"{"sede": 1}"#]).output().unwrap();
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean seed?"));
}

#[test]
fn cpp_handles_move_and_throw() {
    let folder = tempfile::tempdir().unwrap();
    passed(&mut Command::new(build_host(Language::Cpp, "tests/abi/host.cpp", folder.path())));
}

#[test]
fn python_drives_the_whole_abi() {
    if !is_there("python3") {
        return;
    }
    let structs: serde_json::Map<_, _> = abi::structs()
        .into_iter()
        .map(|(name, size, fields)| {
            let fields: Vec<_> = fields.iter().map(|field| json!([field.name, field.offset, field.size])).collect();
            (name.to_owned(), json!({"size": size, "fields": fields}))
        })
        .collect();
    let unsigned = [abi::DEVICE_KINDS, abi::STAGES, abi::IMAGE_KINDS].concat();
    let signed = abi::STATUSES.iter().map(|&(name, value)| (name.to_owned(), json!(value)));
    let constants: serde_json::Map<_, _> =
        signed.chain(unsigned.into_iter().map(|(name, value)| (name.to_owned(), json!(value)))).collect();
    let functions: serde_json::Map<_, _> = exports::declarations()
        .into_iter()
        .map(|(name, declaration)| {
            let count = if declaration.contains("(void)") { 0 } else { declaration.matches(',').count() + 1 };
            (name.to_owned(), json!(count))
        })
        .collect();
    let rust = json!({"structs": structs, "constants": constants, "functions": functions});
    let output = passed(
        Command::new("python3")
            .args(["-B", "-W", "error"])
            .arg(root().join("tests/abi/test_native.py"))
            .env("MAQUETTE_LIBRARY", library(&library_folder()))
            .env("MAQ_ABI_JSON", rust.to_string()),
    );
    print!("{}", String::from_utf8_lossy(&output.stderr));
}

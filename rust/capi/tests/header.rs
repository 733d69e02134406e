//! `cpp/include/maquette.h` and Rust say the same: constants, structs, functions, exported symbols.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use common::{Language, compiler, library, library_folder, passed, root};
use maquette::abi::{
    self, DEVICE_KINDS, IMAGE_KINDS, MAQ_ABI, MAQ_ABI_MAJOR, MAQ_ABI_MINOR, MAQ_FOREVER, STAGES, STATUSES,
};
use maquette::exports;
use object::{Object as _, ObjectSymbol as _};

/// Every constant of the ABI.
fn constants() -> Vec<(&'static str, i64)> {
    let versions = [
        ("MAQ_ABI_MAJOR", i64::from(MAQ_ABI_MAJOR)),
        ("MAQ_ABI_MINOR", i64::from(MAQ_ABI_MINOR)),
        ("MAQ_ABI", i64::from(MAQ_ABI)),
        ("MAQ_FOREVER", i64::from(MAQ_FOREVER)),
    ];
    let unsigned = [DEVICE_KINDS, STAGES, IMAGE_KINDS].concat();
    versions
        .into_iter()
        .chain(STATUSES.iter().map(|&(name, value)| (name, i64::from(value))))
        .chain(unsigned.into_iter().map(|(name, value)| (name, i64::from(value))))
        .collect()
}

/// A C and C++ source that compiles only when the header agrees with Rust.
fn comparison() -> String {
    let mut source =
        String::from("#include \"maquette.h\"\n#ifndef __cplusplus\n#define static_assert _Static_assert\n#endif\n");
    for (name, value) in constants() {
        writeln!(source, "static_assert((long long){name} == {value}LL, \"{name}\");").unwrap();
    }
    for (name, size, fields) in abi::structs() {
        writeln!(source, "static_assert(sizeof({name}) == {size}, \"size of {name}\");").unwrap();
        for field in fields {
            let place = format!("{name}.{}", field.name);
            writeln!(source, "static_assert(offsetof({name}, {}) == {}, \"{place}\");", field.name, field.offset)
                .unwrap();
            writeln!(source, "static_assert(sizeof((({name} *)0)->{}) == {}, \"{place}\");", field.name, field.size)
                .unwrap();
        }
    }
    // A second declaration of other types is an error.
    source.push_str("#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    for (_, declaration) in exports::declarations() {
        writeln!(source, "{declaration}").unwrap();
    }
    source.push_str("#ifdef __cplusplus\n}\n#endif\n");
    source
}

fn compiles(language: Language, folder: &Path, source: &str) -> bool {
    let path = folder.join(match language {
        Language::C => "comparison.c",
        Language::Cpp => "comparison.cpp",
    });
    std::fs::write(&path, source).unwrap();
    let output = compiler(language).arg("-fsyntax-only").arg(&path).output().unwrap();
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

#[test]
fn constants_structs_and_functions_agree() {
    let folder = tempfile::tempdir().unwrap();
    let source = comparison();
    assert!(compiles(Language::C, folder.path(), &source));
    assert!(compiles(Language::Cpp, folder.path(), &source));
}

#[test]
fn a_difference_would_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let source = comparison();
    for (right, wrong) in [
        ("(long long)MAQ_ERROR_IO == -11LL", "(long long)MAQ_ERROR_IO == -12LL"),
        ("offsetof(maq_mesh, triangles) == 40", "offsetof(maq_mesh, triangles) == 48"),
        ("int32_t maq_job_wait(uint32_t, uint32_t);", "int32_t maq_job_wait(uint32_t, size_t);"),
        ("int32_t maq_job_mesh(uint32_t, maq_mesh *);", "int32_t maq_job_mesh(uint32_t, const maq_mesh *);"),
    ] {
        assert!(source.contains(right), "{right}");
        assert!(!compiles(Language::C, folder.path(), &source.replace(right, wrong)), "{wrong}");
    }
}

/// Words of the header's code that start with `prefix`.
fn header_words(prefix: &str) -> BTreeSet<String> {
    let header = std::fs::read_to_string(root().join("cpp/include/maquette.h")).unwrap();
    let mut code = String::new();
    let mut rest = header.as_str();
    while let Some((before, after)) = rest.split_once("/*") {
        code.push_str(before);
        rest = after.split_once("*/").unwrap().1;
    }
    code.push_str(rest);
    let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn the_header_has_nothing_that_rust_has_not() {
    let constants: BTreeSet<String> = constants().iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut in_header = header_words("MAQ_");
    assert!(in_header.remove("MAQ_API"));
    assert_eq!(in_header, constants);

    let mut known: BTreeSet<String> = exports::declarations().iter().map(|(name, _)| (*name).to_owned()).collect();
    known.extend(abi::structs().iter().map(|(name, ..)| (*name).to_owned()));
    known.extend(
        ["maq_context", "maq_job", "maq_status", "maq_stage", "maq_device_kind", "maq_image_kind"].map(str::to_owned),
    );
    assert_eq!(header_words("maq_"), known);
}

#[test]
fn the_library_exports_the_functions_and_nothing_else() {
    let bytes = std::fs::read(library(&library_folder())).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let exported: BTreeSet<String> = file
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition() && symbol.is_global())
        .map(|symbol| symbol.name().unwrap().to_owned())
        .collect();
    let declared: BTreeSet<String> = exports::declarations().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(exported, declared);
}

#[test]
fn the_header_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (language, header) in
        [(Language::C, "maquette.h"), (Language::Cpp, "maquette.h"), (Language::Cpp, "maquette.hpp")]
    {
        assert!(compiles(language, folder.path(), &format!("#include \"{header}\"\n#include \"{header}\"\n")));
    }
    // As old a C as hosts use.
    passed(compiler(Language::C).args(["-std=c99", "-fsyntax-only"]).arg(folder.path().join("comparison.c")));
}

//! What artists install: one zip for each host, with the library inside.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// File name of the library on this system.
pub(crate) const LIBRARY: &str = if cfg!(windows) {
    "maquette.dll"
} else if cfg!(target_os = "macos") {
    "libmaquette.dylib"
} else {
    "libmaquette.so"
};

/// What an entry of an archive holds.
pub(crate) enum Content {
    File(PathBuf),
    Text(String),
}

/// Writes the Blender package into the folder `out`: the folder `maquette` with the library in `lib`. Blender 4.2 and later
/// install it as an extension, earlier ones as an add-on.
pub(crate) fn blender(root: &Path, library: &Path, out: &Path) -> Result<PathBuf, String> {
    let addon = root.join("blender_addon");
    let mut entries = files(&addon, "maquette")?;
    let manifest = addon.join("blender_manifest.toml");
    let text = fs::read_to_string(&manifest).map_err(|error| format!("reading {}: {error}", manifest.display()))?;
    let platform = blender_platform();
    for (content, name) in &mut entries {
        if name == "maquette/blender_manifest.toml" {
            // In the tree the add-on has no library, so it is here that it gets a platform.
            let stamped =
                text.replacen("\n[permissions]", &format!("platforms = [\"{platform}\"]\n\n[permissions]"), 1);
            *content = Content::Text(stamped);
        }
    }
    entries.extend([
        (Content::File(library.to_owned()), format!("maquette/lib/{LIBRARY}")),
        (Content::File(root.join("LICENSE-MIT")), "maquette/lib/LICENSE-MIT".to_owned()),
        (Content::File(root.join("LICENSE-APACHE")), "maquette/lib/LICENSE-APACHE".to_owned()),
    ]);
    let path = out.join(format!("maquette-blender-{}-{platform}.zip", env!("CARGO_PKG_VERSION")));
    write_zip(&entries, &path)?;
    Ok(path)
}

/// This system as Blender's extensions name it.
fn blender_platform() -> String {
    let system = if cfg!(target_os = "macos") { "macos" } else { std::env::consts::OS };
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    format!("{system}-{processor}")
}

/// Writes the Houdini package into the folder `out`: `maquette.json`, and beside it the folder `maquette` with the asset and
/// the library in `lib`.
pub(crate) fn houdini(root: &Path, library: &Path, out: &Path) -> Result<PathBuf, String> {
    let asset = root.join("houdini_otl");
    let mut entries: Vec<_> = [
        (asset.join("maquette.json"), "maquette.json".to_owned()),
        (library.to_owned(), format!("maquette/lib/{LIBRARY}")),
        (root.join("docs/houdini.md"), "maquette/README.md".to_owned()),
        (root.join("docs/pictures/houdini.png"), "maquette/pictures/houdini.png".to_owned()),
        (root.join("LICENSE-MIT"), "maquette/LICENSE-MIT".to_owned()),
        (root.join("LICENSE-APACHE"), "maquette/LICENSE-APACHE".to_owned()),
    ]
    .map(|(path, name)| (Content::File(path), name))
    .into();
    for folder in ["otls", "scripts", "help", "toolbar"] {
        entries.extend(files(&asset.join(folder), &format!("maquette/{folder}"))?);
    }
    let name = format!(
        "maquette-houdini-{}-{}-{}.zip",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let path = out.join(name);
    write_zip(&entries, &path)?;
    Ok(path)
}

/// The files below `folder`, each with its name in the archive, in the order of the names; no caches of Python.
pub(crate) fn files(folder: &Path, name: &str) -> Result<Vec<(Content, String)>, String> {
    let failed = |error| format!("reading {}: {error}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            if entry.file_name() != "__pycache__" {
                entries.extend(files(&entry.path(), &name)?);
            }
        } else {
            entries.push((Content::File(entry.path()), name));
        }
    }
    entries.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(entries)
}

/// Writes files, each under its name, into a zip archive; the same files give the same bytes.
pub(crate) fn write_zip(entries: &[(Content, String)], path: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("writing {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    // Without a time of its own an entry has the earliest that the format knows.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    let mut archive = ZipWriter::new(fs::File::create(path).map_err(|error| failed(&error))?);
    for (content, name) in entries {
        let content = match content {
            Content::File(file) => fs::read(file).map_err(|error| format!("reading {}: {error}", file.display()))?,
            Content::Text(text) => text.clone().into_bytes(),
        };
        let mode = if Path::new(name).extension().is_some_and(|extension| extension == "so") { 0o755 } else { 0o644 };
        archive.start_file(name.as_str(), options.unix_permissions(mode)).map_err(|error| failed(&error))?;
        archive.write_all(&content).map_err(|error| failed(&error))?;
    }
    archive.finish().map_err(|error| failed(&error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

    use std::collections::BTreeSet;
    use std::io::Read;

    use super::*;

    #[test]
    fn the_houdini_package_is_whole_and_the_same_each_time() {
        let root = crate::root();
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("library");
        fs::write(&library, b"library").unwrap();
        let path = houdini(&root, &library, folder.path()).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(houdini(&root, &library, folder.path()).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), first);

        let archive = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
        let names: BTreeSet<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        for name in [
            "maquette.json",
            "maquette/scripts/python/maquette_houdini/cook.py",
            "maquette/scripts/python/maquette_houdini/native.py",
            "maquette/otls/maquette.image_to_3d.1.0.hda/houdini.hdalibrary",
            "maquette/otls/maquette.image_to_3d.1.0.hda/maquette_8_8Sop_1image__to__3d_8_81.0/DialogScript",
            "maquette/help/nodes/sop/maquette--image_to_3d-1.0.txt",
            "maquette/toolbar/maquette.shelf",
        ] {
            assert!(names.contains(name), "{name} is missing");
        }
        assert!(names.contains(&format!("maquette/lib/{LIBRARY}")));
        assert!(!names.iter().any(|name| name.contains("__pycache__")));
    }

    #[test]
    fn the_blender_package_is_whole_and_the_same_each_time() {
        let root = crate::root();
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("library");
        fs::write(&library, b"library").unwrap();
        let path = blender(&root, &library, folder.path()).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(blender(&root, &library, folder.path()).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), first);

        let mut archive = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
        let mut manifest = String::new();
        archive.by_name("maquette/blender_manifest.toml").unwrap().read_to_string(&mut manifest).unwrap();
        assert!(manifest.contains(&format!("platforms = [\"{}\"]", blender_platform())), "{manifest}");
        assert!(manifest.contains(concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "\"")), "{manifest}");
        for name in ["__init__.py", "native.py", "operators/generate.py", "LICENSE"] {
            archive.by_name(&format!("maquette/{name}")).unwrap();
        }
        archive.by_name(&format!("maquette/lib/{LIBRARY}")).unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = houdini(&crate::root(), &folder.path().join("none.so"), folder.path()).unwrap_err();
        assert!(error.contains("none.so"), "{error}");
    }
}

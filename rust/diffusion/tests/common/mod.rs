//! Where the goldens are.

use std::path::PathBuf;

/// The folder of goldens that lie beside the repository; `None`, said aloud, where it is absent.
pub(crate) fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("MAQUETTE_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let folder = root.join("golden/zero123plus");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: needs ../shared");
    None
}

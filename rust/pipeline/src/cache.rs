//! Stage results on disk, found again by the hash of what they were made from.
//!
//! Entries are whole or absent (written under a temporary name, then renamed), so any number of processes may share a
//! folder. A corrupted entry counts as absent and is replaced. A cache that cannot be written costs time, never the job.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use borsh::{BorshDeserialize, BorshSerialize};
use maquette_core::{Progress, Recipe, io};

use crate::Result;

/// Layout of the entries; another layout lives in another folder.
const LAYOUT: &str = "stages-1";
/// Length of the checksum that each entry starts with.
const CHECKSUM_BYTES: usize = 32;

/// A folder of stage results, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
    limit_bytes: u64,
}

impl Cache {
    /// Size that the folder is kept under unless told otherwise.
    pub const DEFAULT_LIMIT_BYTES: u64 = 2 << 30;

    /// No cache: every stage is computed.
    pub fn none() -> Self {
        Self::default()
    }

    /// A cache in `folder`, which is made when first written to.
    pub fn at(folder: &Path, limit_bytes: u64) -> Self {
        Self { folder: Some(folder.join(LAYOUT)), limit_bytes }
    }

    /// The cache in the user's own cache folder; none where the system has no such folder.
    pub fn of_user() -> Self {
        use etcetera::BaseStrategy as _;
        etcetera::choose_base_strategy().map_or_else(
            |_| Self::none(),
            |base| Self::at(&base.cache_dir().join("maquette"), Self::DEFAULT_LIMIT_BYTES),
        )
    }

    /// The result of a stage: from the cache if it has one made from the same `input` and `settings` by the same
    /// `code_version`, else computed and kept.
    pub fn through<I: BorshSerialize + ?Sized, O: BorshSerialize + BorshDeserialize>(
        &self,
        stage: &Stage<'_>,
        input: &I,
        progress: &Progress,
        compute: impl FnOnce() -> Result<O>,
    ) -> Result<O> {
        let Some(folder) = &self.folder else { return compute() };
        let Some(path) = entry_path(folder, stage, input) else { return compute() };
        if let Some(found) = read_entry(&path) {
            return Ok(found);
        }
        let output = compute()?;
        if let Err(reason) = self.write_entry(folder, &path, &output) {
            progress.warn(format!("cache {} is not used: {reason}", folder.display()));
        }
        Ok(output)
    }

    fn write_entry<O: BorshSerialize>(
        &self,
        folder: &Path,
        path: &Path,
        output: &O,
    ) -> std::result::Result<(), String> {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let mut bytes = vec![0; CHECKSUM_BYTES];
        borsh::to_writer(&mut bytes, output).map_err(|error| error.to_string())?;
        let checksum = *blake3::hash(&bytes[CHECKSUM_BYTES..]).as_bytes();
        bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum);
        if bytes.len() as u64 > self.limit_bytes {
            return Err(format!("one result has {} bytes, the limit is {}", bytes.len(), self.limit_bytes));
        }
        io::write_atomic(path, &bytes).map_err(|error| error.to_string())?;
        prune(folder, self.limit_bytes, path);
        Ok(())
    }

    /// Folder of the entries, if there is a cache.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}

/// What tells one stage's results from another's, besides the input.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// Name of the stage.
    pub name: &'a str,
    /// Raised whenever the stage's code gives other results.
    pub code_version: u32,
    /// The recipe sections that the stage reads.
    pub settings: &'a [serde_json::Value],
}

/// Names the sections of `recipe` that a stage reads.
pub(crate) fn sections(recipe: &Recipe, names: &[&str]) -> Vec<serde_json::Value> {
    let value = recipe.to_value();
    names.iter().map(|name| value[*name].clone()).collect()
}

fn entry_path<I: BorshSerialize + ?Sized>(folder: &Path, stage: &Stage<'_>, input: &I) -> Option<PathBuf> {
    let mut hasher = blake3::Hasher::new_derive_key("maquette stage cache 1");
    let settings = serde_json::to_string(stage.settings).ok()?;
    (stage.name, stage.code_version, env!("CARGO_PKG_VERSION"), settings).serialize(&mut hasher).ok()?;
    // NaN has no canonical encoding; such an input is not cached.
    input.serialize(&mut hasher).ok()?;
    Some(folder.join(format!("{}-{}", stage.name, &hasher.finalize().to_hex()[..40])))
}

fn read_entry<O: BorshDeserialize>(path: &Path) -> Option<O> {
    let bytes = fs::read(path).ok()?;
    let (checksum, payload) = bytes.split_at_checked(CHECKSUM_BYTES)?;
    if blake3::hash(payload).as_bytes() != checksum {
        return None;
    }
    let output = borsh::from_slice(payload).ok()?;
    // The time of last use decides what is pruned; failing to set it only makes the entry look older.
    let _ = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    Some(output)
}

/// Removes the entries used longest ago until the folder is under its limit. Another process may remove the same ones.
fn prune(folder: &Path, limit_bytes: u64, newest: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            Some((meta.modified().ok()?, meta.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if total <= limit_bytes {
            break;
        }
        if path != newest && fs::remove_file(&path).is_ok() {
            total -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(settings: &[serde_json::Value]) -> Stage<'_> {
        Stage { name: "test", code_version: 1, settings }
    }

    fn computed(cache: &Cache, input: &[u32], settings: &[serde_json::Value]) -> (Vec<u32>, bool) {
        let mut ran = false;
        let output = cache
            .through(&stage(settings), input, &Progress::new(), || {
                ran = true;
                Ok(input.iter().map(|x| x + 1).collect())
            })
            .unwrap();
        (output, ran)
    }

    #[test]
    fn same_input_is_computed_once_and_corruption_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), 1 << 20);
        let (one, two) = ([serde_json::json!(1)], [serde_json::json!(2)]);
        assert_eq!(computed(&cache, &[1, 2], &one), (vec![2, 3], true));
        assert_eq!(computed(&cache, &[1, 2], &one), (vec![2, 3], false));
        assert!(computed(&cache, &[1, 2], &two).1);
        assert!(computed(&cache, &[1, 3], &one).1);
        for entry in fs::read_dir(cache.folder().unwrap()).unwrap().flatten() {
            let mut bytes = fs::read(entry.path()).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(entry.path(), &bytes).unwrap();
        }
        assert!(computed(&cache, &[1, 2], &one).1);
        assert!(!computed(&cache, &[1, 2], &one).1);
    }

    #[test]
    fn the_folder_stays_under_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), 4096);
        for round in 0..20u32 {
            let input: Vec<u32> = (0..200).map(|k| k + round).collect();
            computed(&cache, &input, &[]);
        }
        let total: u64 =
            fs::read_dir(cache.folder().unwrap()).unwrap().flatten().map(|e| e.metadata().unwrap().len()).sum();
        assert!(total > 0 && total <= 4096, "{total}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_only_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, b"not a folder").unwrap();
        let progress = Progress::new();
        let cache = Cache::at(&blocked, 1 << 20);
        let output = cache.through(&stage(&[]), &[1u32][..], &progress, || Ok(vec![7u32])).unwrap();
        assert_eq!(output, [7]);
        assert_eq!(progress.warnings().len(), 1);
    }
}

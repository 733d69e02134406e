//! Fetching models from a hub: the one place that opens connections, behind the feature `pull`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use maquette_core::Progress;
use sha2::{Digest as _, Sha256};

use super::KnownModel;
use crate::{Error, Result};

/// Where from and where to.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// Address of the hub; `HF_ENDPOINT`, else the public one.
    pub endpoint: Option<String>,
    /// Access token; `HF_TOKEN`, else the one stored in the cache's home.
    pub token: Option<String>,
    /// Cache folder; see [`super::cache_folder`].
    pub cache: PathBuf,
    /// New attempts after a broken connection; each goes on where the last one stopped.
    pub retries: usize,
    /// Free bytes on the cache's disk, where already known; else it is asked.
    pub free: Option<u64>,
}

impl PullOptions {
    /// From the environment.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Ok(Self {
            endpoint: variable("HF_ENDPOINT"),
            token: variable("HF_TOKEN").or_else(|| Cache::from_env().token()),
            cache: super::cache_folder()?,
            retries: 5,
            free: None,
        })
    }
}

/// Told how far a download is.
pub trait OnPull {
    /// Bytes of all files so far and in all, and the file at work.
    fn at(&mut self, done: u64, total: u64, file: &str);
}

impl<F: FnMut(u64, u64, &str)> OnPull for F {
    fn at(&mut self, done: u64, total: u64, file: &str) {
        self(done, total, file);
    }
}

/// A file of the repository.
struct Remote {
    path: String,
    etag: String,
    size: u64,
}

/// Reports bytes of one file as bytes of all.
struct FileProgress<'a> {
    before: u64,
    current: u64,
    total: u64,
    file: &'a str,
    on_pull: &'a mut dyn OnPull,
}

impl hf_hub::api::Progress for FileProgress<'_> {
    fn init(&mut self, _size: usize, _filename: &str) {
        self.current = 0;
    }

    fn update(&mut self, size: usize) {
        self.current += size as u64;
        self.on_pull.at(self.before + self.current, self.total, self.file);
    }

    fn finish(&mut self) {}
}

/// Fetches `model` into the cache, goes on with what an interrupted pull left, and checks the size of every file and the
/// SHA-256 of weights; gives its folder. The model counts as present only once all of it is here.
///
/// Ask the user to accept [`KnownModel::license_text`] before. `progress` is asked for cancellation between files.
pub fn pull(
    model: &KnownModel,
    options: &PullOptions,
    on_pull: &mut dyn OnPull,
    progress: &Progress,
) -> Result<PathBuf> {
    let api = api(options)?;
    let endpoint = options.endpoint.as_deref().unwrap_or("the hub");
    let info =
        api.model(model.repository.to_owned()).info().map_err(|error| explain(&error, endpoint, model.repository))?;
    if info.sha.is_empty() || !info.sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::Network(format!(
            "{endpoint} names no valid revision of {}; try again later",
            model.repository
        )));
    }
    // One revision for all files, whatever is pushed meanwhile.
    let repo = || Repo::with_revision(model.repository.to_owned(), RepoType::Model, info.sha.clone());
    let remote = api.repo(repo());
    let files = choose(model, &info.siblings, &api, &remote, endpoint)?;
    let cached = Cache::new(options.cache.clone()).repo(repo());

    let total: u64 = files.iter().map(|file| file.size).sum();
    let present = |file: &Remote| fs::metadata(cached.blob_path(&file.etag)).is_ok_and(|meta| meta.len() == file.size);
    let missing: u64 = files.iter().filter(|file| !present(file)).map(|file| file.size).sum();
    fs::create_dir_all(&options.cache).map_err(|error| maquette_core::Error::io("creating", &options.cache, error))?;
    if let Some(free) = options.free.or_else(|| fs4::available_space(&options.cache).ok())
        && missing > free
    {
        return Err(Error::Network(format!(
            "{} needs {:.1} GB more, but the disk of {} has {:.1} GB free; make room, or set HF_HOME to a larger disk",
            model.name,
            missing as f64 / 1e9,
            options.cache.display(),
            free as f64 / 1e9
        )));
    }

    let mut before = 0;
    for file in &files {
        progress.check()?;
        on_pull.at(before, total, &file.path);
        let blob = cached.blob_path(&file.etag);
        let pointer = cached.pointer_path(&info.sha).join(&file.path);
        if !(present(file) && pointer.is_file()) {
            // A part as long as the whole was cut off before it got its name; asking for the rest of it is an error.
            let part = blob.with_extension("part");
            if fs::metadata(&part).is_ok_and(|meta| meta.len() >= file.size) {
                remove_file(&part)?;
            }
            let report = FileProgress { before, current: 0, total, file: &file.path, on_pull };
            remote.download_with_progress(&file.path, report).map_err(|error| explain(&error, endpoint, &file.path))?;
        }
        check_file(&blob, &pointer, file)?;
        before += file.size;
        on_pull.at(before, total, &file.path);
    }
    // Only now does `find` see it.
    let refs = super::KnownModel::folder_in(model, &options.cache).join("refs");
    let write = |path: &Path, text: &str| -> std::io::Result<()> {
        let fresh = path.with_extension("new");
        fs::write(&fresh, text)?;
        fs::rename(fresh, path)
    };
    let main = refs.join("main");
    fs::create_dir_all(&refs)
        .and_then(|()| write(&main, &info.sha))
        .map_err(|error| maquette_core::Error::io("writing", &main, error))?;
    super::path(model, &options.cache)
}

fn api(options: &PullOptions) -> Result<Api> {
    let mut builder = ApiBuilder::from_cache(Cache::new(options.cache.clone()))
        .with_progress(false)
        .with_token(options.token.clone())
        .with_retries(options.retries);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    builder.build().map_err(|error| Error::Network(format!("cannot prepare a connection: {error}")))
}

/// Which files to fetch: of several names for the same thing, the first that the repository has.
fn choose(
    model: &KnownModel,
    siblings: &[hf_hub::api::Siblings],
    api: &Api,
    remote: &ApiRepo,
    endpoint: &str,
) -> Result<Vec<Remote>> {
    let has = |path: &str| siblings.iter().any(|sibling| sibling.rfilename == path);
    let mut files = Vec::new();
    for wanted in super::wanted(model.kind) {
        let Some(path) = wanted.paths().find(|path| has(path)) else {
            if wanted.optional {
                continue;
            }
            let names: Vec<String> = wanted.paths().collect();
            return Err(Error::Network(format!(
                "{} at {endpoint} has no {}; it is not the model this program knows",
                model.repository,
                names.join(" or ")
            )));
        };
        let metadata = api.metadata(&remote.url(&path)).map_err(|error| explain(&error, endpoint, &path))?;
        let etag = metadata.etag().to_owned();
        // It becomes a file name.
        if etag.is_empty() || !etag.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::Network(format!(
                "{endpoint} gives {path} the tag {etag:?}, which is not a hash; use another endpoint"
            )));
        }
        files.push(Remote { path, etag, size: metadata.size() as u64 });
    }
    Ok(files)
}

/// Weights are tagged with their SHA-256, small files with another hash: those are checked by size.
fn check_file(blob: &Path, pointer: &Path, file: &Remote) -> Result<()> {
    // Where links are not allowed the file itself is at the pointer.
    let path = if blob.is_file() { blob } else { pointer };
    let length = fs::metadata(path).map_err(|error| maquette_core::Error::io("reading", path, error))?.len();
    let bad = if length != file.size {
        Some(format!("has {length} bytes instead of {}", file.size))
    } else if file.etag.len() == 64 && sha256(path)? != file.etag {
        Some("does not have the SHA-256 that the hub states".to_owned())
    } else {
        None
    };
    let Some(reason) = bad else { return Ok(()) };
    remove_file(pointer)?;
    remove_file(blob)?;
    Err(Error::Network(format!("{} {reason}; it was removed, pull again", file.path)))
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(maquette_core::Error::io("removing", path, error).into())
        }
        _ => Ok(()),
    }
}

fn sha256(path: &Path) -> Result<String> {
    let failed = |error| maquette_core::Error::io("reading", path, error);
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    Ok(hasher.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

/// The error in the user's terms, with the remedy.
fn explain(error: &ApiError, endpoint: &str, what: &str) -> Error {
    let status = |code: u16| match code {
        401 | 403 => {
            format!("{endpoint} refuses access to {what} ({code}); accept the licence on its page and set HF_TOKEN")
        }
        404 => format!("{endpoint} has no {what} ({code}); check HF_ENDPOINT"),
        429 => format!("{endpoint} asks for a pause ({code}); pull again later, what is here is kept"),
        _ => format!("{endpoint} answers {code} for {what}; pull again later, what is here is kept"),
    };
    let text = match error {
        ApiError::TooManyRetries(inner) => return explain(inner, endpoint, what),
        ApiError::RequestError(request) => match &**request {
            ureq::Error::StatusCode(code) => status(*code),
            ureq::Error::Io(io) => return explain_io(io, endpoint, what),
            other => format!(
                "cannot reach {endpoint} for {what}: {other}; check the connection and HF_ENDPOINT, or copy the model's folder from another machine and give its path"
            ),
        },
        ApiError::IoError(io) => return explain_io(io, endpoint, what),
        ApiError::LockAcquisition(path) => {
            format!("{what} is being fetched by another program (lock {}); wait for it", path.display())
        }
        other => format!("{endpoint} does not answer like a hub for {what}: {other}; check HF_ENDPOINT"),
    };
    Error::Network(text)
}

fn explain_io(error: &std::io::Error, endpoint: &str, what: &str) -> Error {
    Error::Network(match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            format!("no space left while writing {what}; make room and pull again, what is here is kept")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("may not write {what} into the cache: {error}; set HF_HOME to a folder of your own")
        }
        _ => format!(
            "connection to {endpoint} broke at {what}: {error}; pull again, it goes on from there; or copy the model's folder from another machine and give its path"
        ),
    })
}

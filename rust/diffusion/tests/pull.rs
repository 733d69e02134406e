//! Pulling models from a server that speaks the hub's protocol, on this machine, that can be told to misbehave.

#![cfg(feature = "pull")]
#![allow(clippy::unwrap_used, reason = "test helpers are tests too")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use maquette_core::Progress;
use maquette_diffusion::models::pull::{PullOptions, pull};
use maquette_diffusion::models::{self, KNOWN, KnownModel};
use maquette_diffusion::zero123plus::{Options, Settings, Zero123Plus};
use sha2::{Digest as _, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Misbehaviour.
#[derive(Clone, Default)]
struct Faults {
    /// Bytes of this file's body before the connection breaks, and how many times it does.
    cut: Option<(String, usize, usize)>,
    /// A file whose bytes are not those that its hash was made of.
    corrupt: Option<String>,
    /// A file that is answered with this status.
    status: Option<(String, u16)>,
    /// Weights come from another address, as on the hub.
    redirect: bool,
}

struct Hub {
    endpoint: String,
    /// Requests by path.
    requests: Arc<Mutex<Vec<String>>>,
    faults: Arc<Mutex<Faults>>,
    cuts: Arc<AtomicUsize>,
}

impl Hub {
    fn serve(model: &'static KnownModel, files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let hub =
            Self { endpoint: endpoint.clone(), requests: Arc::default(), faults: Arc::default(), cuts: Arc::default() };
        let (requests, faults, cuts) = (hub.requests.clone(), hub.faults.clone(), hub.cuts.clone());
        // Ends with the process.
        std::thread::Builder::new()
            .name("test hub".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { continue };
                    let _ = answer(stream, model, &files, &endpoint, &requests, &faults, &cuts);
                }
            })
            .unwrap();
        hub
    }

    fn options(&self, cache: &Path) -> PullOptions {
        PullOptions {
            endpoint: Some(self.endpoint.clone()),
            token: Some("secret".into()),
            cache: cache.to_owned(),
            retries: 0,
            free: None,
        }
    }

    fn downloads_of(&self, file: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|r| r.ends_with(file) && !r.starts_with("bytes=0-0 ")).count()
    }
}

fn answer(
    mut stream: TcpStream,
    model: &KnownModel,
    files: &BTreeMap<String, Vec<u8>>,
    endpoint: &str,
    requests: &Mutex<Vec<String>>,
    faults: &Mutex<Faults>,
    cuts: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut range, mut authorized) = (String::new(), false);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("range:") {
            value.trim().clone_into(&mut range);
        }
        authorized |= lower.starts_with("authorization:") && line.contains("Bearer secret");
    }
    requests.lock().unwrap().push(format!("{range} {path}"));
    let faults = faults.lock().unwrap().clone();
    if !authorized && !path.starts_with("/cdn/") {
        return write!(stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if path == format!("/api/models/{}/revision/main", model.repository)
        || path == format!("/api/models/{}", model.repository)
    {
        let siblings: Vec<String> = files.keys().map(|name| format!(r#"{{"rfilename":"{name}"}}"#)).collect();
        let body = format!(r#"{{"sha":"{COMMIT}","siblings":[{}],"more":1}}"#, siblings.join(","));
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }
    let name = path
        .strip_prefix(&format!("/{}/resolve/{COMMIT}/", model.repository))
        .or_else(|| path.strip_prefix("/cdn/"))
        .unwrap_or_default();
    let Some(content) = files.get(name) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    if let Some((_, status)) = faults.status.filter(|(file, _)| file == name) {
        return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let is_weight = Path::new(name).extension().is_some_and(|kind| kind == "safetensors" || kind == "bin");
    let hash = sha256(content);
    // Small files are tagged with a hash of another kind.
    let etag = if is_weight { hash } else { hash[..40].to_owned() };
    if faults.redirect && is_weight && !path.starts_with("/cdn/") {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nx-repo-commit: {COMMIT}\r\nx-linked-etag: \"{etag}\"\r\nLocation: {endpoint}/cdn/{name}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let mut content = content.clone();
    if faults.corrupt.as_deref() == Some(name) {
        let middle = content.len() / 2;
        content[middle] ^= 1;
    }
    let mut bounds = range.trim_start_matches("bytes=").split('-');
    let start: usize = bounds.next().and_then(|s| s.parse().ok()).unwrap_or(0);
    let end: usize =
        bounds.next().and_then(|s| s.parse().ok()).map_or(content.len(), |end: usize| end + 1).min(content.len());
    if start >= content.len() {
        return write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nx-repo-commit: {COMMIT}\r\netag: \"{etag}\"\r\nContent-Range: bytes {start}-{}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        end - 1,
        content.len(),
        end - start
    )?;
    let mut body = &content[start..end];
    if let Some((_, bytes, times)) = faults.cut.filter(|(file, ..)| file == name)
        && body.len() > 1
        && cuts.load(Ordering::SeqCst) < times
    {
        cuts.fetch_add(1, Ordering::SeqCst);
        body = &body[..bytes.min(body.len())];
    }
    stream.write_all(body)
}

fn sha256(content: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap();
    Sha256::digest(content).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A ControlNet's repository; what is in the files does not matter to a pull.
fn repository() -> (&'static KnownModel, BTreeMap<String, Vec<u8>>) {
    let weights: Vec<u8> = (0..300_000u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let files = [
        ("config.json", b"{}".to_vec()),
        ("diffusion_pytorch_model.safetensors", weights),
        ("README.md", b"not fetched".to_vec()),
        ("../../escape", b"not fetched".to_vec()),
    ];
    (&KNOWN[1], files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())
}

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

fn quiet(hub: &Hub, model: &KnownModel, cache: &Path) -> maquette_diffusion::Result<std::path::PathBuf> {
    pull(model, &hub.options(cache), &mut |_: u64, _: u64, _: &str| {}, &Progress::new())
}

#[test]
fn a_model_arrives_whole_and_only_once() {
    let (model, files) = repository();
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files.clone());
    hub.faults.lock().unwrap().redirect = true;
    let mut seen = Vec::new();
    let mut on_pull = |done: u64, total: u64, file: &str| seen.push((done, total, file.to_owned()));
    let folder = pull(model, &hub.options(cache.path()), &mut on_pull, &Progress::new()).unwrap();
    assert_eq!(models::find(model, cache.path()).unwrap(), folder);
    for name in ["config.json", WEIGHTS] {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), files[name]);
    }
    assert!(!folder.join("README.md").exists());
    let total = (files["config.json"].len() + files[WEIGHTS].len()) as u64;
    assert_eq!(seen.last().unwrap().0, total);
    assert!(seen.iter().all(|(done, all, _)| done <= all && *all == total) && seen.is_sorted());
    let downloads = hub.downloads_of(WEIGHTS);
    assert_eq!(quiet(&hub, model, cache.path()).unwrap(), folder);
    assert_eq!(hub.downloads_of(WEIGHTS), downloads, "fetched again");
    assert!(models::remove(model, cache.path()).unwrap());
    assert!(models::find(model, cache.path()).is_none());
}

#[test]
fn a_cut_connection_is_resumed_where_it_broke() {
    let (model, files) = repository();
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files.clone());
    hub.faults.lock().unwrap().cut = Some((WEIGHTS.into(), 100_000, 1));
    let error = quiet(&hub, model, cache.path()).unwrap_err().to_string();
    assert!(error.contains("broke") && error.contains("pull again"), "{error}");
    assert!(models::find(model, cache.path()).is_none());
    let folder = quiet(&hub, model, cache.path()).unwrap();
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), files[WEIGHTS]);
    let requests = hub.requests.lock().unwrap();
    assert!(requests.iter().any(|r| r.starts_with("bytes=100000- ")), "{requests:?}");
}

#[test]
fn retries_go_on_by_themselves() {
    let (model, files) = repository();
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files.clone());
    hub.faults.lock().unwrap().cut = Some((WEIGHTS.into(), 100_000, 2));
    let options = PullOptions { retries: 3, ..hub.options(cache.path()) };
    let folder = pull(model, &options, &mut |_: u64, _: u64, _: &str| {}, &Progress::new()).unwrap();
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), files[WEIGHTS]);
}

#[test]
fn wrong_bytes_are_not_kept() {
    let (model, files) = repository();
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files.clone());
    hub.faults.lock().unwrap().corrupt = Some(WEIGHTS.into());
    let error = quiet(&hub, model, cache.path()).unwrap_err().to_string();
    assert!(error.contains("SHA-256") && error.contains(WEIGHTS), "{error}");
    assert!(models::find(model, cache.path()).is_none());
    hub.faults.lock().unwrap().corrupt = None;
    let folder = quiet(&hub, model, cache.path()).unwrap();
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), files[WEIGHTS]);
}

#[test]
fn a_part_that_was_whole_is_fetched_anew() {
    let (model, files) = repository();
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files.clone());
    let hash = sha256(&files[WEIGHTS]);
    let blobs = cache.path().join(format!("models--{}/blobs", model.repository.replace('/', "--")));
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{hash}.part")), &files[WEIGHTS]).unwrap();
    quiet(&hub, model, cache.path()).unwrap();
}

#[test]
fn no_space_is_said_before_anything_is_fetched() {
    let (model, files) = repository();
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files);
    let options = PullOptions { free: Some(1000), ..hub.options(cache.path()) };
    let error = pull(model, &options, &mut |_: u64, _: u64, _: &str| {}, &Progress::new()).unwrap_err().to_string();
    assert!(error.contains("free") && error.contains("HF_HOME"), "{error}");
    assert_eq!(hub.downloads_of(WEIGHTS), 0);
}

#[test]
fn no_network_names_the_way_out() {
    let (model, _) = repository();
    let cache = tempfile::tempdir().unwrap();
    // A port that nobody listens on.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = PullOptions {
        endpoint: Some(format!("http://{address}")),
        token: None,
        cache: cache.path().to_owned(),
        retries: 0,
        free: None,
    };
    let error = pull(model, &options, &mut |_: u64, _: u64, _: &str| {}, &Progress::new()).unwrap_err().to_string();
    assert!(error.contains("another machine"), "{error}");
}

#[test]
fn refusals_are_explained() {
    let (model, mut files) = repository();
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files.clone());
    let options = PullOptions { token: None, ..hub.options(cache.path()) };
    let error = pull(model, &options, &mut |_: u64, _: u64, _: &str| {}, &Progress::new()).unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("HF_TOKEN"), "{error}");
    hub.faults.lock().unwrap().status = Some((WEIGHTS.into(), 503));
    let error = quiet(&hub, model, cache.path()).unwrap_err().to_string();
    assert!(error.contains("503"), "{error}");
    files.remove(WEIGHTS);
    let hub = Hub::serve(model, files);
    let error = quiet(&hub, model, cache.path()).unwrap_err().to_string();
    assert!(error.contains("has no diffusion_pytorch_model.safetensors or"), "{error}");
}

#[test]
fn a_cancelled_pull_leaves_no_model() {
    let (model, files) = repository();
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files);
    let progress = Progress::new();
    progress.cancel();
    let error = pull(model, &hub.options(cache.path()), &mut |_: u64, _: u64, _: &str| {}, &progress).unwrap_err();
    assert!(error.is_cancelled() && models::find(model, cache.path()).is_none());
}

/// Every file below `folder` by its path from `root`.
fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn a_pulled_model_verifies_and_runs() {
    let Some(shared) = common::shared() else { return };
    let mut files = BTreeMap::new();
    collect(&shared.join("tiny"), &shared.join("tiny"), &mut files);
    let model = &KNOWN[0];
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::serve(model, files);
    let folder = quiet(&hub, model, cache.path()).unwrap();
    assert_eq!(models::verify(&folder, true, &Progress::new()).unwrap(), []);
    let source = Zero123Plus::open(Options::new(folder)).unwrap();
    let settings = Settings { steps: 1, tile_px: [64, 96], ..Settings::default() };
    let picture = maquette_core::Image::filled(80, 80, [200, 10, 10, 255]).unwrap();
    source.views(&picture, &settings, 1, &Progress::new()).unwrap().validate().unwrap();
}

//! `MAQ_LOG`: one line for each start, stage and end of a job, on stderr or in a file. Off unless asked for.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Where lines go.
#[derive(Clone)]
pub(crate) struct Log {
    target: Target,
    start: Instant,
}

#[derive(Clone)]
enum Target {
    Nowhere,
    Stderr,
    File(Arc<PathBuf>),
}

impl Log {
    /// As the environment variable `MAQ_LOG` says.
    pub(crate) fn from_environment() -> Self {
        let target = match std::env::var_os("MAQ_LOG") {
            None => Target::Nowhere,
            Some(value) if value.is_empty() => Target::Nowhere,
            Some(value) if value == "stderr" => Target::Stderr,
            Some(value) => Target::File(Arc::new(value.into())),
        };
        Self { target, start: Instant::now() }
    }

    /// True when lines go somewhere.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.target, Target::Nowhere)
    }

    /// Writes one line. One that cannot be written is lost: logging must not disturb a job.
    pub(crate) fn line(&self, text: &str) {
        let line = format!("maquette {} {:9.3} s: {text}\n", std::process::id(), self.start.elapsed().as_secs_f64());
        let _ = match &self.target {
            Target::Nowhere => Ok(()),
            Target::Stderr => std::io::stderr().write_all(line.as_bytes()),
            // Opened for each line, so that processes may share the file and the host may remove it.
            Target::File(path) => std::fs::File::options()
                .create(true)
                .append(true)
                .open(path.as_path())
                .and_then(|mut file| file.write_all(line.as_bytes())),
        };
    }
}

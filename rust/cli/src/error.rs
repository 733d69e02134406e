use std::path::PathBuf;

/// What ends a command without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Core(#[from] maquette_core::Error),
    #[error(transparent)]
    Pipeline(#[from] maquette_pipeline::Error),
    #[error(transparent)]
    Geometry(#[from] maquette_geometry::Error),
    #[error(transparent)]
    Diffusion(#[from] maquette_diffusion::Error),
    #[error("{folder} has faults: {count}")]
    Faulty { folder: String, count: usize },
    #[error("{0}")]
    Usage(String),
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("writing to standard output: {0}")]
    Print(std::io::Error),
    #[error("Ctrl-C cannot be caught: {0}")]
    Signal(#[from] ctrlc::Error),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The documented exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Pipeline(error) if error.is_cancelled() => 130,
            Self::Core(maquette_core::Error::Cancelled)
            | Self::Diffusion(maquette_diffusion::Error::Core(maquette_core::Error::Cancelled)) => 130,
            _ => 1,
        }
    }
}

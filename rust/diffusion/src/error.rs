use std::path::{Path, PathBuf};

/// What can go wrong with checkpoints and with running them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Images, views, files, cancellation.
    #[error(transparent)]
    Core(#[from] maquette_core::Error),
    /// A tensor operation failed: shapes or devices do not fit, or the device refused.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A configuration file is missing something or holds a value this program cannot run.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The JSON file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
    /// A weight file is damaged or does not fit its configuration.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The weight file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
    /// Not enough memory for the mode asked for.
    #[error("{0}")]
    Memory(String),
    /// A download could not be finished.
    #[error("{0}")]
    Network(String),
}

impl Error {
    /// An [`Error::Config`] for `path`.
    pub fn config(path: &Path, reason: impl Into<String>) -> Self {
        Self::Config { path: path.to_owned(), reason: reason.into() }
    }

    /// An [`Error::Weights`] for `path`.
    pub fn weights(path: &Path, reason: impl Into<String>) -> Self {
        Self::Weights { path: path.to_owned(), reason: reason.into() }
    }

    /// An argument outside of its documented range.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Core(maquette_core::Error::invalid(message))
    }

    /// True when the job was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Core(maquette_core::Error::Cancelled))
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

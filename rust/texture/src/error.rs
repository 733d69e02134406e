/// What can go wrong while a mesh is textured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bad input or a cancelled job.
    #[error(transparent)]
    Core(#[from] maquette_core::Error),
    /// The operating system gives no more threads.
    #[error("no thread for unwrapping could be started: {0}; close other programs and try again")]
    Thread(String),
}

impl Error {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Core(maquette_core::Error::invalid(message))
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

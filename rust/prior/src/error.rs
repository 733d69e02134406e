/// What can go wrong in the built-in prior.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bad input or a cancelled job.
    #[error(transparent)]
    Core(#[from] maquette_core::Error),
    /// The tensor library refused an operation.
    #[error("the network could not be run: {0}; report this with the model's file")]
    Candle(#[from] candle_core::Error),
    /// The weights that are built in do not fit their network.
    #[error("the built-in weights cannot be used: {0}; this build of the library is broken, report it")]
    Weights(String),
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

use std::path::PathBuf;

/// What can go wrong with volume files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be written whole.
    #[error(transparent)]
    Core(#[from] maquette_core::Error),
    /// The field is not one that can be kept.
    #[error(transparent)]
    Geometry(#[from] maquette_geometry::Error),
    /// OpenVDB refused a file.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// OpenVDB's reason.
        reason: String,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

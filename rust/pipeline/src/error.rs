/// What can go wrong with a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// From images, meshes, views, recipes and files; also cancellation.
    #[error(transparent)]
    Core(#[from] maquette_core::Error),
    /// From reconstruction.
    #[error(transparent)]
    Geometry(#[from] maquette_geometry::Error),
    /// From the built-in network.
    #[error(transparent)]
    Prior(#[from] maquette_prior::Error),
    /// From texturing.
    #[error(transparent)]
    Texture(#[from] maquette_texture::Error),
    /// From view diffusion: its models and its runs.
    #[error(transparent)]
    Diffusion(#[from] maquette_diffusion::Error),
    /// The request does not hold what its task needs.
    #[error("{0}")]
    Request(String),
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// True when the job ended because somebody cancelled it.
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Core(maquette_core::Error::Cancelled)
                | Self::Geometry(maquette_geometry::Error::Core(maquette_core::Error::Cancelled))
                | Self::Diffusion(maquette_diffusion::Error::Core(maquette_core::Error::Cancelled))
                | Self::Prior(maquette_prior::Error::Core(maquette_core::Error::Cancelled))
                | Self::Texture(maquette_texture::Error::Core(maquette_core::Error::Cancelled))
        )
    }
}

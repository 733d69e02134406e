/// What can go wrong between fields, meshes and views.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the shared vocabulary, cancellation among them.
    #[error(transparent)]
    Core(#[from] maquette_core::Error),
    /// An argument has a value outside of its documented range; the text says which, the value, and the remedy.
    #[error("{0}")]
    InvalidArgument(String),
    /// A buffer does not fit the grid or the mesh it belongs to.
    #[error("{name} has {given} entries, but {needed} are needed; give {needs}")]
    Length {
        /// Which buffer.
        name: &'static str,
        /// Its length.
        given: usize,
        /// The length that fits.
        needed: usize,
        /// What its entries stand for.
        needs: &'static str,
    },
    /// A field that follows from parameters could not be computed.
    #[error("the field could not be computed: {0}")]
    Field(String),
    /// A number is NaN or infinite, or becomes so.
    #[error("{what} {index} is not finite; {remedy}")]
    NotFinite {
        /// What kind of entry.
        what: &'static str,
        /// Its index.
        index: usize,
        /// What to do.
        remedy: &'static str,
    },
}

impl Error {
    /// An [`Error::InvalidArgument`] from anything printable.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidArgument(message.into())
    }

    /// `Ok` when `given == needed`, else an [`Error::Length`].
    pub(crate) fn check_length(name: &'static str, given: usize, needed: usize, needs: &'static str) -> Result<()> {
        if given == needed { Ok(()) } else { Err(Self::Length { name, given, needed, needs }) }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

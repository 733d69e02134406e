use maquette_core::Error as Core;
use maquette_geometry::Error as Geometry;
use maquette_pipeline::Error as Pipeline;
use maquette_texture::Error as Texture;

use crate::abi;

/// What an entry point failed with: a code and its words.
#[derive(Clone, Debug)]
pub struct Error {
    /// One of the `MAQ_ERROR_` codes, or `MAQ_PENDING`.
    pub status: i32,
    /// What was wrong, the value, the remedy.
    pub message: String,
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(status: i32, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(abi::MAQ_ERROR_INVALID_ARGUMENT, message)
    }

    pub(crate) fn handle(message: impl Into<String>) -> Self {
        Self::new(abi::MAQ_ERROR_INVALID_HANDLE, message)
    }

    pub(crate) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(abi::MAQ_ERROR_INTERNAL, format!("internal error: {message}; please report it"))
    }

    pub(crate) fn out_of_memory(bytes: usize) -> Self {
        Self::new(abi::MAQ_ERROR_OUT_OF_MEMORY, format!("no memory for another {} MiB", bytes.div_ceil(1 << 20)))
    }

    /// Says which argument the message is about.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl From<Core> for Error {
    fn from(error: Core) -> Self {
        let status = match &error {
            Core::Cancelled => abi::MAQ_ERROR_CANCELLED,
            Core::InvalidArgument(_) | Core::Recipe(_) => abi::MAQ_ERROR_INVALID_ARGUMENT,
            Core::Io { source, .. } if source.kind() == std::io::ErrorKind::OutOfMemory => abi::MAQ_ERROR_OUT_OF_MEMORY,
            Core::Io { .. } | Core::File { .. } => abi::MAQ_ERROR_IO,
            _ => abi::MAQ_ERROR_INTERNAL,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Pipeline> for Error {
    fn from(error: Pipeline) -> Self {
        match error {
            Pipeline::Core(error)
            | Pipeline::Geometry(Geometry::Core(error))
            | Pipeline::Texture(Texture::Core(error)) => error.into(),
            Pipeline::Request(reason) => Self::argument(reason),
            // What geometry itself refuses are views and meshes.
            Pipeline::Geometry(error) => Self::argument(error.to_string()),
            Pipeline::Texture(error @ Texture::Thread(_)) => Self::new(abi::MAQ_ERROR_OUT_OF_MEMORY, error.to_string()),
            other => Self::new(abi::MAQ_ERROR_INTERNAL, other.to_string()),
        }
    }
}

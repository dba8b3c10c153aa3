//! Why a runtime call failed.
//!
//! In: system errors with the step that met them. Out: one type with a text that a person can act on.
//! Never: wraps a container's own failure; that is an `Exit`.

/// Failure of a runtime call (not of a container).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such sandbox or container: {0}")]
    NotFound(String),
    /// What the machine lacks and what to do about it (missing privileges, nft, kernel features).
    #[error("{0}")]
    Unsupported(String),
    #[error("{context}: {source}")]
    Io {
        context: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{0}")]
    Failed(String),
}

/// Adds the step that failed to a system error.
pub(crate) trait Context<T> {
    fn context(self, step: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<std::io::Error>> Context<T> for Result<T, E> {
    fn context(self, step: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { context: step(), source: source.into() })
    }
}

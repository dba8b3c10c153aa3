//! What can go wrong at the store's boundary.
//!
//! In: refusals of the memory and failures of the disk. Out: one error type that tells a caller what to do next.
//! Never: a Kubernetes reason; the API server translates.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Entry, Revision};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An expectation failed; `actual` is the key's state now. Re-read and retry.
    #[error("conflict on {key}")]
    Conflict { key: Arc<str>, actual: Option<Entry> },
    /// The revision is older than history, or was lost in a crash, or was never given out by this store. List again.
    #[error("revision {requested} was compacted (oldest is {oldest})")]
    Compacted { requested: Revision, oldest: Revision },
    #[error("the store is closed")]
    Closed,
    #[error("store directory {0} is in use by another server")]
    InUse(PathBuf),
    #[error("store: {0}")]
    Backend(String),
}

impl Error {
    /// A failure of the disk or the database, with what was being done.
    pub(crate) fn backend(doing: &str, cause: impl std::fmt::Display) -> Self {
        Error::Backend(format!("{doing}: {cause}"))
    }

    /// A copy for another waiter of the same group commit.
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Error::Conflict { key, actual } => Error::Conflict { key: key.clone(), actual: actual.clone() },
            Error::Compacted { requested, oldest } => Error::Compacted { requested: *requested, oldest: *oldest },
            Error::Closed => Error::Closed,
            Error::InUse(directory) => Error::InUse(directory.clone()),
            Error::Backend(message) => Error::Backend(message.clone()),
        }
    }
}

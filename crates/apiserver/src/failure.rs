//! Why a request was not carried out.
//!
//! In: `Status` values of the api crate and errors of the store. Out: one error type that every handler returns and that
//! becomes the response. Never: text that reveals another object's content.

use piecework_api::status::Status;
use piecework_store::Error as StoreError;

/// A refused or failed request.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// Answered as a `metav1.Status` (spec/api.md 6.8).
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// No such path: answered as the plain text `404 page not found` (spec/api.md 2).
    #[error("404 page not found")]
    PageNotFound,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::Status(Box::new(status))
    }
}

impl From<Box<Status>> for Failure {
    fn from(status: Box<Status>) -> Self {
        Failure::Status(status)
    }
}

impl From<StoreError> for Failure {
    /// Conflicts are resolved where the write was made; one that arrives here was lost too often.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Compacted { requested, oldest } => too_old(requested, oldest).into(),
            StoreError::Closed => Status::unavailable("the server is shutting down").into(),
            other => Status::internal(other.to_string()).into(),
        }
    }
}

/// 410 for a revision that history no longer holds.
pub(crate) fn too_old(requested: u64, oldest: u64) -> Status {
    Status::expired(format!("too old resource version: {requested} ({oldest})"))
}

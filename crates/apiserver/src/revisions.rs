//! Waiting for a revision that a client has seen elsewhere (spec/api.md 6.3).
//!
//! In: the revision asked for. Out: nothing once the store is that new, or 504. Never: polling; the store's watch tells.

use std::time::Duration;

use piecework_api::status::Status;
use piecework_store::Revision;

use crate::{failure::Outcome, state::State};

/// How long a read waits for a revision that does not exist yet.
pub const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns when the store has reached `wanted`.
pub(crate) async fn reached(state: &State, wanted: Revision) -> Outcome<()> {
    let current = state.store.revision().await?;
    if current >= wanted {
        return Ok(());
    }
    let waited = tokio::time::timeout(FRESHNESS_TIMEOUT, async {
        let mut changes = state.store.watch("/", current).await?;
        while let Some(batch) = changes.recv().await {
            if batch?.iter().any(|change| change.revision >= wanted) {
                return Ok(true);
            }
        }
        Ok::<bool, piecework_store::Error>(false)
    });
    match waited.await {
        Ok(Ok(true)) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(false)) | Err(_) => {
            let message = format!("Too large resource version: {wanted}, current: {current}");
            Err(Status::timeout(message, Some(Status::version_too_large_cause())).into())
        }
    }
}

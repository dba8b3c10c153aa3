//! Events are forgotten after a while (as upstream's `--event-ttl`).
//!
//! In: the store and the present instant. Out: expired Events deleted. Never: another kind; a clock of its own.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use piecework_api::kinds;
use piecework_store::{Error as StoreError, Expect, Op, Transaction};
use serde_json::Value;

use crate::{failure::Outcome, keys, state::State};

/// How long an Event is kept after it last happened.
pub const EVENT_TIME_TO_LIVE: Duration = Duration::from_secs(3600);
/// How often expired Events are looked for.
pub const EVENT_EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// Most Events looked at in one read of the store.
pub const EVENT_EXPIRY_BATCH: usize = 500;

/// Runs until the server is dropped.
pub(crate) fn spawn(state: &Arc<State>) {
    let weak: Weak<State> = Arc::downgrade(state);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVENT_EXPIRY_INTERVAL).await;
            let Some(state) = weak.upgrade() else { return };
            if let Err(error) = expire(&state, state.now()).await {
                tracing::warn!(%error, "deleting expired events");
            }
        }
    });
}

/// Deletes the Events whose last sign of life is older than the limit. Out: how many.
pub(crate) async fn expire(state: &State, now: Timestamp) -> Outcome<usize> {
    let Some(kind) = kinds::by_kind("v1", "Event") else { return Ok(0) };
    let prefix = keys::collection(kind, None);
    let mut start: Option<String> = None;
    let mut deleted = 0;
    loop {
        let page = state.store.list(&prefix, start.as_deref(), EVENT_EXPIRY_BATCH, None).await?;
        for entry in &page.entries {
            let event: Value = keys::decode(kind, entry)?;
            if !expired(&event, now) {
                continue;
            }
            // One by one: an Event that was counted up meanwhile must not keep the others.
            let op = Op::Delete { key: entry.key.clone(), expect: Expect::Revision(entry.mod_revision) };
            match state.store.commit(Transaction { ops: vec![op], relaxed: true }).await {
                Ok(_) => deleted += 1,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match page.next {
            Some(next) => start = Some(next.to_string()),
            None => return Ok(deleted),
        }
    }
}

fn expired(event: &Value, now: Timestamp) -> bool {
    let times =
        [&event["lastTimestamp"], &event["series"]["lastObservedTime"], &event["eventTime"], &event["metadata"]["creationTimestamp"]];
    let newest = times.iter().filter_map(|time| time.as_str()).filter_map(|time| time.parse::<Timestamp>().ok()).max();
    newest.is_some_and(|newest| newest.duration_until(now) > jiff::SignedDuration::try_from(EVENT_TIME_TO_LIVE).unwrap_or_default())
}

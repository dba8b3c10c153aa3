//! Workers on a queue: take a key, sync it, come back when told.
//!
//! In: a queue and a sync function. Out: calls, each key with one worker at a time. Never: gives up on a key; failures come back with growing delay.

use piecework_client::workqueue::Workqueue;
use std::{fmt::Display, future::Future, time::Duration};

/// When to look at a key again without an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    No,
    After(Duration),
}

/// One worker; ends when the queue is shut down. `what` names the work in logs.
pub async fn work<K, E, F>(queue: Workqueue<K>, what: &'static str, sync: impl Fn(K) -> F)
where
    K: Ord + Clone + std::fmt::Debug,
    E: Display,
    F: Future<Output = Result<Again, E>>,
{
    while let Some(key) = queue.get().await {
        match sync(key.clone()).await {
            Ok(again) => {
                queue.forget(&key);
                if let Again::After(delay) = again {
                    queue.add_after(key.clone(), delay);
                }
            }
            Err(error) => {
                tracing::debug!(what, ?key, %error, "sync failed; it will be tried again");
                queue.add_rate_limited(key.clone());
            }
        }
        queue.done(&key);
    }
}

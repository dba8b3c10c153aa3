//! Hands published changes to watchers, each behind a bounded buffer.
//!
//! In: registrations with their replay, and groups of changes. Out: batches per watcher, or `Compacted` as the last word to one that is too slow.
//! Never: waits for a receiver; splits a transaction over two batches.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::options::WATCH_BUFFER_BATCHES;
use super::staging::Recorded;
use crate::contract::Watch;
use crate::error::Error;
use crate::model::{Change, Revision};

type Batch = Result<Vec<Change>, Error>;

#[derive(Debug)]
struct Watcher {
    sender: mpsc::Sender<Batch>,
    /// Room kept free so that a full buffer can still be followed by an error.
    last_word: mpsc::OwnedPermit<Batch>,
}

impl Watcher {
    /// Gives the watcher back if it goes on.
    fn offer(self, batch: &[Change], newest: Revision) -> Option<Watcher> {
        if self.sender.is_closed() {
            return None;
        }
        let Some(first) = batch.first() else {
            return Some(self);
        };
        if self.sender.try_send(Ok(batch.to_vec())).is_ok() {
            return Some(self);
        }
        tracing::debug!(newest, "a watcher is too slow and is dropped");
        self.last_word.send(Err(Error::Compacted { requested: first.revision - 1, oldest: newest }));
        None
    }
}

#[derive(Debug)]
pub(super) struct Watchers {
    by_prefix: BTreeMap<String, Vec<Watcher>>,
    buffer: usize,
}

impl Default for Watchers {
    fn default() -> Self {
        Watchers { by_prefix: BTreeMap::new(), buffer: WATCH_BUFFER_BATCHES }
    }
}

impl Watchers {
    pub(super) fn set_buffer(&mut self, batches: usize) {
        self.buffer = batches.max(1);
    }

    pub(super) fn register(&mut self, prefix: &str, replay: Vec<Change>) -> Watch {
        // The replay and the last word have places of their own.
        let (sender, receiver) = mpsc::channel(self.buffer + 2);
        let last_word = sender.clone().try_reserve_owned().expect("a new channel has room");
        if !replay.is_empty() {
            sender.try_send(Ok(replay)).expect("a new channel has room for the replay");
        }
        self.by_prefix.entry(prefix.to_owned()).or_default().push(Watcher { sender, last_word });
        receiver
    }

    pub(super) fn publish(&mut self, changes: &[Recorded], newest: Revision) {
        self.by_prefix.retain(|prefix, watchers| {
            let batch: Vec<Change> = changes
                .iter()
                .filter(|recorded| recorded.change.key.starts_with(prefix.as_str()))
                .map(|recorded| recorded.change.clone())
                .collect();
            *watchers = std::mem::take(watchers).into_iter().filter_map(|watcher| watcher.offer(&batch, newest)).collect();
            !watchers.is_empty()
        });
    }

    pub(super) fn clear(&mut self) {
        self.by_prefix.clear();
    }
}

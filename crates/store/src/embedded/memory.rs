//! The present and the recent past, in memory: what every read is served from.
//!
//! In: groups of recorded changes, from the committer alone. Out: entries, pages at a revision, watch registrations, rows that became needless.
//! Never: I/O; a reader that waits for the disk.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::database::{Gap, Loaded};
use super::options::EmbeddedOptions;
use super::staging::{Recorded, Stored};
use super::watchers::Watchers;
use crate::contract::Watch;
use crate::error::Error;
use crate::model::{Change, Entry, Page, Revision};

/// What a change costs beside its key and value, roughly.
const CHANGE_OVERHEAD_BYTES: usize = 256;

/// The memory behind its lock. Readers hold it briefly; only the committer publishes.
#[derive(Debug, Clone)]
pub(super) struct SharedMemory(Arc<RwLock<Memory>>);

impl SharedMemory {
    pub(super) fn new(memory: Memory) -> Self {
        SharedMemory(Arc::new(RwLock::new(memory)))
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Remembered {
    recorded: Recorded,
    /// The clock when it was published (or loaded).
    at: Duration,
}

impl Remembered {
    fn bytes(&self) -> usize {
        let change = &self.recorded.change;
        let value = change.entry.as_ref().map_or(0, |entry| entry.value.len());
        CHANGE_OVERHEAD_BYTES + change.key.len() + value
    }
}

#[derive(Debug)]
pub(super) struct Memory {
    current: BTreeMap<Arc<str>, Stored>,
    revision: Revision,
    /// The oldest revision whose state can still be told.
    compacted: Revision,
    gaps: Vec<Gap>,
    /// Changes after `compacted`, in order.
    history: VecDeque<Remembered>,
    history_bytes: usize,
    watchers: Watchers,
    closed: bool,
}

impl Memory {
    pub(super) fn load(loaded: Loaded, now: Duration) -> Self {
        let mut memory = Memory {
            current: BTreeMap::new(),
            revision: loaded.revision,
            compacted: loaded.compacted,
            gaps: loaded.gaps,
            history: VecDeque::new(),
            history_bytes: 0,
            watchers: Watchers::default(),
            closed: false,
        };
        for row in loaded.rows {
            let previous = memory.current.get(&row.key).cloned();
            let key = previous.as_ref().map_or(row.key, |stored| stored.entry.key.clone());
            let recorded = Recorded {
                change: Change {
                    key: key.clone(),
                    revision: row.revision,
                    entry: row.value.map(|value| Entry { key, value, create_revision: row.create_revision, mod_revision: row.revision }),
                    previous: previous.as_ref().map(|stored| stored.entry.clone()),
                },
                row: row.row,
                previous_row: previous.map(|stored| stored.row),
            };
            memory.set_current(&recorded);
            if row.revision > memory.compacted {
                memory.remember(recorded, now);
            }
        }
        memory
    }

    fn set_current(&mut self, recorded: &Recorded) {
        let change = &recorded.change;
        match &change.entry {
            Some(entry) => {
                let stored = Stored { entry: entry.clone(), row: recorded.row };
                self.current.insert(change.key.clone(), stored);
            }
            None => {
                self.current.remove(&change.key);
            }
        }
    }

    fn remember(&mut self, recorded: Recorded, at: Duration) {
        let remembered = Remembered { recorded, at };
        self.history_bytes += remembered.bytes();
        self.history.push_back(remembered);
    }

    /// The newest revision, for the committer (which works also while the store closes).
    pub(super) fn newest(&self) -> Revision {
        self.revision
    }

    pub(super) fn stored(&self, key: &str) -> Option<&Stored> {
        self.current.get(key)
    }

    pub(super) fn revision(&self) -> Result<Revision, Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        Ok(self.revision)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.current.get(key).map(|stored| &stored.entry)
    }

    /// Makes a group visible: to readers and to watchers, in one step.
    pub(super) fn publish(&mut self, changes: Vec<Recorded>, revision: Revision, now: Duration) {
        self.watchers.publish(&changes, revision);
        for recorded in changes {
            self.set_current(&recorded);
            self.remember(recorded, now);
        }
        self.revision = revision;
    }

    /// Forgets what exceeds the limits; answers with the rows that nothing needs any more.
    pub(super) fn evict(&mut self, options: &EmbeddedOptions, now: Duration) -> Vec<i64> {
        let mut rows = Vec::new();
        while let Some(oldest) = self.history.front() {
            let too_much = self.history.len() > options.history_changes || self.history_bytes > options.history_bytes;
            let too_old = now.saturating_sub(oldest.at) > options.history_age;
            if !too_much && !too_old {
                break;
            }
            let revision = oldest.recorded.change.revision;
            self.forget_through(revision, &mut rows);
        }
        rows
    }

    /// Forgets history before `revision`; answers with the rows that nothing needs any more.
    pub(super) fn compact(&mut self, revision: Revision) -> Vec<i64> {
        let mut rows = Vec::new();
        self.forget_through(revision.min(self.revision), &mut rows);
        rows
    }

    fn forget_through(&mut self, revision: Revision, rows: &mut Vec<i64>) {
        let kept_from = self.history.partition_point(|remembered| remembered.recorded.change.revision <= revision);
        for remembered in self.history.drain(..kept_from) {
            self.history_bytes -= remembered.bytes();
            let recorded = remembered.recorded;
            rows.extend(recorded.previous_row);
            if recorded.change.entry.is_none() {
                rows.push(recorded.row);
            }
        }
        self.compacted = self.compacted.max(revision);
        self.gaps.retain(|gap| gap.resumed > self.compacted);
    }

    pub(super) fn compacted(&self) -> Revision {
        self.compacted
    }

    /// Refuses revisions whose state or whose following changes are not known.
    fn check_known(&self, requested: Revision) -> Result<(), Error> {
        self.revision()?;
        let unknown = |oldest| Err(Error::Compacted { requested, oldest });
        if requested < self.compacted || requested > self.revision {
            return unknown(self.compacted);
        }
        let lost = |gap: &&Gap| gap.last_known < requested && requested < gap.resumed;
        match self.gaps.iter().find(lost) {
            Some(gap) => unknown(gap.resumed),
            None => Ok(()),
        }
    }

    fn changes_after(&self, after: Revision) -> impl Iterator<Item = &Change> {
        let first = self.history.partition_point(|remembered| remembered.recorded.change.revision <= after);
        self.history.range(first..).map(|remembered| &remembered.recorded.change)
    }

    pub(super) fn list(&self, prefix: &str, start: Option<&str>, limit: usize, at: Option<Revision>) -> Result<Page, Error> {
        let revision = at.unwrap_or(self.revision);
        self.check_known(revision)?;
        let from = start.map_or(prefix, |start| start.max(prefix));
        // The first change after `revision` tells a key's state at it.
        let mut past: BTreeMap<&str, Option<&Entry>> = BTreeMap::new();
        for change in self.changes_after(revision) {
            if change.key.starts_with(prefix) && &*change.key >= from {
                past.entry(&change.key).or_insert(change.previous.as_ref());
            }
        }
        let unchanged = self
            .current
            .range::<str, _>((Bound::Included(from), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| !past.contains_key(&***key))
            .map(|(_, stored)| &stored.entry);
        let entries = merge(unchanged, past.values().copied().flatten());
        Ok(page(entries, limit, revision))
    }

    /// Registers a watcher whose first batch is all of history after `after`; nothing can come between the two.
    pub(super) fn watch(&mut self, prefix: &str, after: Revision) -> Result<Watch, Error> {
        self.check_known(after)?;
        let replay: Vec<Change> = self.changes_after(after).filter(|change| change.key.starts_with(prefix)).cloned().collect();
        Ok(self.watchers.register(prefix, replay))
    }

    pub(super) fn set_watch_buffer(&mut self, batches: usize) {
        self.watchers.set_buffer(batches);
    }

    /// Ends all watches and refuses reads from now on.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.watchers.clear();
    }
}

/// Two ascending runs without a common key, as one.
fn merge<'a>(left: impl Iterator<Item = &'a Entry>, right: impl Iterator<Item = &'a Entry>) -> impl Iterator<Item = &'a Entry> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some(from_left), Some(from_right)) if from_right.key < from_left.key => right.next(),
        (Some(_), _) => left.next(),
        (None, _) => right.next(),
    })
}

fn page<'a>(mut entries: impl Iterator<Item = &'a Entry>, limit: usize, revision: Revision) -> Page {
    let size = if limit == 0 { usize::MAX } else { limit };
    let taken: Vec<Entry> = entries.by_ref().take(size).cloned().collect();
    let following = entries.next();
    let next = following.map(|entry| entry.key.clone());
    let remaining = following.map_or(0, |_| 1 + entries.count());
    Page { entries: taken, revision, next, remaining }
}

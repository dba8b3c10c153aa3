//! The one thread that writes: group commit.
//!
//! In: requests from a bounded queue. Out: one synced SQLite transaction per group, then memory and watchers, then the acknowledgements, in this order.
//! Never: shows or acknowledges a strict write before its sync; lets a relaxed write see a revision that a crash could give out again.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::checkpoint::Checkpoints;
use super::database::{Database, Group};
use super::memory::SharedMemory;
use super::options::{
    CHECKPOINT_BYTES, EmbeddedOptions, GROUP_BYTES, GROUP_TRANSACTIONS, RELAXED_SYNC_DELAY, RELAXED_UNSYNCED, RESERVED_REVISIONS,
};
use super::staging::{Recorded, Staged, Staging};
use crate::error::Error;
use crate::model::{Committed, Op, Revision, Transaction};

/// Needless rows that are collected before a group deletes them.
const NEEDLESS_ROWS: usize = 512;
/// Growth of the log per group beside the values: the pages a transaction touches at least.
const GROUP_OVERHEAD_BYTES: usize = 16 << 10;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

#[derive(Debug)]
pub(super) enum Request {
    Commit {
        transaction: Transaction,
        reply: Reply<Committed>,
        _slot: OwnedSemaphorePermit,
    },
    Compact {
        revision: Revision,
        reply: Reply<()>,
        _slot: OwnedSemaphorePermit,
    },
    /// Takes no slot: closing never waits behind a full queue of callers.
    Close {
        reply: Reply<()>,
    },
}

/// A transaction that waits for its acknowledgement.
struct Commit {
    transaction: Transaction,
    reply: Reply<Committed>,
}

/// Outcomes that wait for the group's sync.
type Outcomes = Vec<(Reply<Committed>, Result<Committed, Error>)>;

pub(super) struct Committer {
    database: Database,
    memory: SharedMemory,
    checkpoints: Checkpoints,
    options: EmbeddedOptions,
    /// Durable promise: no revision up to this one is given out again after a crash.
    reserved: Revision,
    next_row: i64,
    /// Relaxed changes that are visible but not yet written.
    unsynced: Vec<Recorded>,
    unsynced_since: Option<Duration>,
    needless_rows: Vec<i64>,
    log_growth: usize,
}

impl Committer {
    pub(super) fn new(
        database: Database,
        memory: SharedMemory,
        checkpoints: Checkpoints,
        options: EmbeddedOptions,
        reserved: Revision,
        next_row: i64,
    ) -> Self {
        memory.write().set_watch_buffer(options.watch_buffer_batches);
        Committer {
            database,
            memory,
            checkpoints,
            options,
            reserved,
            next_row,
            unsynced: Vec::new(),
            unsynced_since: None,
            needless_rows: Vec::new(),
            log_growth: 0,
        }
    }

    /// Works until told to close, or until every handle is gone.
    pub(super) fn run(mut self, queue: &Receiver<Request>) {
        loop {
            let Ok(request) = self.next_request(queue) else {
                // No handle is left, so nobody is there to tell.
                let _ = self.close();
                return;
            };
            let mut commits = Vec::new();
            let last = self.gather(request, queue, &mut commits);
            if !commits.is_empty() {
                self.commit(commits);
            }
            match last {
                Some(Request::Close { reply }) => {
                    let outcome = self.close();
                    let _ = reply.send(outcome);
                    return;
                }
                Some(Request::Compact { revision, reply, .. }) => {
                    let outcome = self.compact(revision);
                    let _ = reply.send(outcome);
                }
                Some(Request::Commit { .. }) | None => {}
            }
            self.sync_overdue();
            self.tend_log();
        }
    }

    /// One transaction in the caller's own time; a strict one is synced before it returns, a relaxed one with the next strict one (or when overdue).
    pub(super) fn commit_now(&mut self, transaction: Transaction) -> Result<Committed, Error> {
        let (reply, mut answer) = oneshot::channel();
        self.commit(vec![Commit { transaction, reply }]);
        self.sync_overdue();
        self.tend_log();
        answer.try_recv().unwrap_or(Err(Error::Closed))
    }

    /// None: the time for unsynced relaxed writes has come.
    fn next_request(&self, queue: &Receiver<Request>) -> Result<Option<Request>, ()> {
        let Some(since) = self.unsynced_since else {
            return queue.recv().map(Some).map_err(|_| ());
        };
        let waited = self.now().saturating_sub(since);
        match queue.recv_timeout(RELAXED_SYNC_DELAY.saturating_sub(waited)) {
            Ok(request) => Ok(Some(request)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    /// Takes what is queued, up to a group's limits or to a request of another kind, which is returned.
    fn gather(&mut self, first: Option<Request>, queue: &Receiver<Request>, commits: &mut Vec<Commit>) -> Option<Request> {
        if first.is_none() {
            self.sync_unsynced();
        }
        let mut bytes = 0;
        let mut next = first;
        loop {
            match next? {
                Request::Commit { transaction, reply, .. } => {
                    bytes += transaction_bytes(&transaction);
                    commits.push(Commit { transaction, reply });
                }
                other => return Some(other),
            }
            if commits.len() >= GROUP_TRANSACTIONS || bytes >= GROUP_BYTES {
                return None;
            }
            next = queue.try_recv().ok();
        }
    }

    fn commit(&mut self, commits: Vec<Commit>) {
        let (relaxed, strict): (Vec<Commit>, Vec<Commit>) = commits.into_iter().partition(|commit| commit.transaction.relaxed);
        let mut waiting = strict;
        let has_relaxed = !relaxed.is_empty();
        if has_relaxed {
            if self.may_show_unsynced(&relaxed) {
                self.commit_relaxed(relaxed);
            } else {
                waiting.splice(0..0, relaxed);
            }
        }
        if !waiting.is_empty() {
            self.commit_synced(waiting, has_relaxed);
        }
    }

    fn may_show_unsynced(&self, relaxed: &[Commit]) -> bool {
        let changes: usize = relaxed.iter().map(|commit| commit.transaction.ops.len()).sum();
        let last = self.memory.read().newest() + relaxed.len() as Revision;
        last <= self.reserved && self.unsynced.len() + changes <= RELAXED_UNSYNCED
    }

    fn stage(&self, commits: Vec<Commit>) -> (Staged, Outcomes) {
        let memory = self.memory.read();
        let mut staging = Staging::new(&memory, self.next_row);
        let outcomes = commits
            .into_iter()
            .map(|commit| {
                let outcome = staging.apply(&commit.transaction);
                (commit.reply, outcome)
            })
            .collect();
        (staging.finish(), outcomes)
    }

    fn commit_relaxed(&mut self, commits: Vec<Commit>) {
        let (staged, outcomes) = self.stage(commits);
        if !staged.changes.is_empty() {
            self.unsynced.extend(staged.changes.iter().cloned());
            let now = self.now();
            self.unsynced_since.get_or_insert(now);
        }
        self.show(staged);
        acknowledge(outcomes);
    }

    fn commit_synced(&mut self, commits: Vec<Commit>, has_relaxed: bool) {
        let (staged, outcomes) = self.stage(commits);
        let reserve = has_relaxed || !self.unsynced.is_empty();
        match self.write(&staged.changes, staged.revision, reserve) {
            Ok(()) => {
                self.show(staged);
                acknowledge(outcomes);
            }
            // Outcomes may rest on changes of this group that now don't exist, so all of it failed.
            Err(error) => {
                tracing::error!(%error, "a group of writes failed");
                for (reply, _) in outcomes {
                    // A caller that went away needs no answer.
                    let _ = reply.send(Err(error.duplicate()));
                }
            }
        }
    }

    fn show(&mut self, staged: Staged) {
        self.next_row = staged.next_row;
        if staged.changes.is_empty() {
            return;
        }
        let now = self.now();
        let mut memory = self.memory.write();
        memory.publish(staged.changes, staged.revision, now);
        let needless = memory.evict(&self.options, now);
        drop(memory);
        self.needless_rows.extend(needless);
    }

    /// Makes `changes` durable together with everything that was shown before.
    fn write(&mut self, changes: &[Recorded], newest: Revision, reserve: bool) -> Result<(), Error> {
        let reserved = (reserve && self.reserved < newest + RESERVED_REVISIONS / 2).then_some(newest + RESERVED_REVISIONS);
        let delete = self.needless_rows.len() >= NEEDLESS_ROWS;
        self.write_group(changes, delete, reserved)
    }

    fn write_group(&mut self, changes: &[Recorded], delete: bool, reserved: Option<Revision>) -> Result<(), Error> {
        let all = || self.unsynced.iter().chain(changes);
        let group = Group {
            changes: all().collect(),
            needless_rows: if delete { &self.needless_rows } else { &[] },
            compacted: delete.then(|| self.memory.read().compacted()),
            reserved,
        };
        if group.is_empty() {
            return Ok(());
        }
        let bytes: usize = all().map(recorded_bytes).sum();
        self.database.write(&group)?;
        self.log_growth += bytes + GROUP_OVERHEAD_BYTES;
        self.unsynced.clear();
        self.unsynced_since = None;
        if delete {
            self.needless_rows.clear();
        }
        self.reserved = reserved.unwrap_or(self.reserved);
        Ok(())
    }

    fn sync_overdue(&mut self) {
        let overdue = self.unsynced_since.is_some_and(|since| self.now().saturating_sub(since) >= RELAXED_SYNC_DELAY);
        if overdue {
            self.sync_unsynced();
        }
    }

    fn sync_unsynced(&mut self) {
        let newest = self.memory.read().newest();
        if let Err(error) = self.write(&[], newest, true) {
            tracing::error!(%error, "relaxed writes could not be synced, trying again");
            self.unsynced_since = Some(self.now());
        }
    }

    pub(super) fn compact(&mut self, revision: Revision) -> Result<(), Error> {
        let needless = self.memory.write().compact(revision);
        self.needless_rows.extend(needless);
        self.write_group(&[], true, None)
    }

    pub(super) fn close(&mut self) -> Result<(), Error> {
        let newest = {
            let mut memory = self.memory.write();
            memory.close();
            memory.newest()
        };
        // Nothing beyond `newest` was shown, so the next opening goes on right there.
        let outcome = self.write_group(&[], true, Some(newest));
        if let Err(error) = &outcome {
            tracing::error!(%error, "the last sync failed");
        }
        outcome
    }

    fn tend_log(&mut self) {
        if self.log_growth >= CHECKPOINT_BYTES {
            self.log_growth = 0;
            self.checkpoints.nudge();
        }
        if self.checkpoints.take_log_too_long()
            && let Err(error) = self.database.restart_log()
        {
            tracing::warn!(%error, "the write-ahead log stays long");
        }
    }

    fn now(&self) -> Duration {
        (self.options.clock)()
    }
}

fn acknowledge(outcomes: Outcomes) {
    for (reply, outcome) in outcomes {
        // A caller that went away needs no answer; its write stays.
        let _ = reply.send(outcome);
    }
}

fn transaction_bytes(transaction: &Transaction) -> usize {
    transaction
        .ops
        .iter()
        .map(|op| match op {
            Op::Put { key, value, .. } => key.len() + value.len(),
            Op::Delete { key, .. } => key.len(),
        })
        .sum()
}

fn recorded_bytes(recorded: &Recorded) -> usize {
    let change = &recorded.change;
    change.key.len() + change.entry.as_ref().map_or(0, |entry| entry.value.len())
}

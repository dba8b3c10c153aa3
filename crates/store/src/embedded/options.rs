//! Limits of the embedded store, and the clock that it is given.
//!
//! In: choices of the opener. Out: named numbers. Never: a limit written down elsewhere.

use std::sync::Arc;
use std::time::Duration;

/// Requests that wait for the committer before further callers wait for a slot.
pub const QUEUED_REQUESTS: usize = 4096;
/// Transactions that one group commit (one sync) takes at most.
pub const GROUP_TRANSACTIONS: usize = 1024;
/// Bytes of keys and values after which a group takes no further transaction.
pub const GROUP_BYTES: usize = 8 << 20;
/// How long a relaxed write that nobody else's sync carries along may stay unsynced.
pub const RELAXED_SYNC_DELAY: Duration = Duration::from_millis(100);
/// Relaxed changes that may be unsynced; beyond, relaxed writes wait for the sync like all others.
pub const RELAXED_UNSYNCED: usize = 1024;
/// Revisions reserved durably ahead of relaxed writes, so that after a crash none that was shown is given out again.
pub const RESERVED_REVISIONS: u64 = 10_000;
/// Batches a watcher may be behind before it is told `Compacted` and dropped. A batch holds what one sync made visible.
pub const WATCH_BUFFER_BATCHES: usize = 4096;
/// Changes kept in memory and on disk for watches and for lists at a revision.
pub const HISTORY_CHANGES: usize = 500_000;
/// Bytes of keys and values (plus a fixed cost per change) kept as history.
pub const HISTORY_BYTES: usize = 512 << 20;
/// Age from which a change is forgotten although the other limits have room. The promise is 5 minutes (spec/api.md 6.4).
pub const HISTORY_AGE: Duration = Duration::from_secs(600);
/// Estimated growth of the write-ahead log after which it is copied into the database, beside the commit path.
pub const CHECKPOINT_BYTES: usize = 4 << 20;
/// Size of the write-ahead log from which the committer itself restarts it between two groups.
pub const WAL_LIMIT_BYTES: usize = 64 << 20;

/// Time since some fixed moment; must never go back.
pub type MonotonicClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Where commits are done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CommitMode {
    /// In a thread of their own, in groups. What a server uses.
    #[default]
    Thread,
    /// In the caller, one at a time; relaxed ones are synced by the next strict commit, or when a later commit finds them overdue. For simulations on tokio's paused clock: that clock runs away to the
    /// next timer whenever a task waits for another thread, and runs would not replay. A commit then blocks its task for the sync.
    Caller,
}

/// How an embedded store is opened. `default()` is what a server uses.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// See [`HISTORY_CHANGES`].
    pub history_changes: usize,
    /// See [`HISTORY_BYTES`].
    pub history_bytes: usize,
    /// See [`HISTORY_AGE`].
    pub history_age: Duration,
    /// See [`WATCH_BUFFER_BATCHES`]; at least 1.
    pub watch_buffer_batches: usize,
    pub commit_mode: CommitMode,
    pub clock: MonotonicClock,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        EmbeddedOptions {
            history_changes: HISTORY_CHANGES,
            history_bytes: HISTORY_BYTES,
            history_age: HISTORY_AGE,
            watch_buffer_batches: WATCH_BUFFER_BATCHES,
            commit_mode: CommitMode::default(),
            clock: monotonic_clock(),
        }
    }
}

/// The machine's monotonic clock as a value: the only place in this crate that reads one.
#[allow(clippy::disallowed_methods)] // Named adapter: the age of history is real time unless the opener passes its own clock.
fn monotonic_clock() -> MonotonicClock {
    let start = std::time::Instant::now();
    Arc::new(move || start.elapsed())
}

//! The embedded backend: SQLite for durability, memory for every read.
//!
//! In: the contract's calls. Out: answers from memory; writes go through one committer thread that syncs whole groups.
//! Never: touches the database on a read path; acknowledges a strict write before its sync.

mod checkpoint;
mod commit_path;
mod committer;
mod database;
mod directory_lock;
mod memory;
mod options;
mod staging;
mod watchers;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use options::{
    CHECKPOINT_BYTES, CommitMode, EmbeddedOptions, GROUP_BYTES, GROUP_TRANSACTIONS, HISTORY_AGE, HISTORY_BYTES, HISTORY_CHANGES,
    MonotonicClock, QUEUED_REQUESTS, RELAXED_SYNC_DELAY, RELAXED_UNSYNCED, RESERVED_REVISIONS, WAL_LIMIT_BYTES, WATCH_BUFFER_BATCHES,
};

use crate::contract::{Store, Watch};
use crate::error::Error;
use crate::model::{Committed, Entry, Page, Revision, Transaction};
use commit_path::CommitPath;
use committer::Committer;
use database::Database;
use directory_lock::DirectoryLock;
use memory::SharedMemory;

/// Name of the database file inside the store's directory.
pub const DATABASE_FILE: &str = "store.db";

/// A store in one directory of this machine, owned by one process at a time.
pub struct EmbeddedStore {
    memory: SharedMemory,
    /// Dropped (and so closed) before the lock is released.
    commits: CommitPath,
    directory: PathBuf,
    _lock: DirectoryLock,
}

impl EmbeddedStore {
    /// Opens (or creates) the store in `directory`, which this process then owns until the store is dropped or the process dies.
    ///
    /// Errors: `InUse` when another process (or another handle in this one) owns it; `Backend` when the file is of a newer version or unreadable.
    pub fn open(directory: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, Error> {
        directory_lock::create_private(directory)?;
        let lock = DirectoryLock::acquire(directory)?;
        let file = directory.join(DATABASE_FILE);
        let (database, loaded) = Database::open(&file)?;
        let (reserved, next_row) = (loaded.reserved, loaded.next_row);
        let memory = SharedMemory::new(memory::Memory::load(loaded, (options.clock)()));
        let checkpoints = checkpoint::start(&file)?;
        let mode = options.commit_mode;
        let committer = Committer::new(database, memory.clone(), checkpoints, options, reserved, next_row);
        Ok(Arc::new(EmbeddedStore {
            memory,
            commits: CommitPath::start(committer, mode)?,
            directory: directory.to_path_buf(),
            _lock: lock,
        }))
    }

    /// The directory this store owns.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Syncs everything, ends all watches and refuses further calls with `Closed`. Also done on drop, which alone releases the directory.
    pub async fn close(&self) -> Result<(), Error> {
        self.commits.close().await
    }
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
    async fn revision(&self) -> Result<Revision, Error> {
        self.memory.read().revision()
    }

    async fn get(&self, key: &str) -> Result<(Option<Entry>, Revision), Error> {
        let memory = self.memory.read();
        let revision = memory.revision()?;
        Ok((memory.entry(key).cloned(), revision))
    }

    async fn list(&self, prefix: &str, start: Option<&str>, limit: usize, at: Option<Revision>) -> Result<Page, Error> {
        self.memory.read().list(prefix, start, limit, at)
    }

    async fn commit(&self, transaction: Transaction) -> Result<Committed, Error> {
        self.commits.commit(transaction).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, Error> {
        self.memory.write().watch(prefix, after)
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.commits.compact(revision).await
    }
}

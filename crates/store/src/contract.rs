//! The one trait every backend implements.
//!
//! In: keys, prefixes, revisions, transactions. Out: entries, pages, watch streams. Never: a promise that only one backend can keep.

use crate::error::Error;
use crate::model::{Change, Committed, Entry, Page, Revision, Transaction};

/// Batches of changes in order; changes of one transaction are never split over two batches. Ends after an `Err`, or when the store closes.
pub type Watch = tokio::sync::mpsc::Receiver<Result<Vec<Change>, Error>>;

#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// The newest revision that readers can see.
    async fn revision(&self) -> Result<Revision, Error>;
    /// The key's state and the store's revision at that moment.
    async fn get(&self, key: &str) -> Result<(Option<Entry>, Revision), Error>;
    /// Entries whose key begins with `prefix`, in key order, from `start` (inclusive) on, at most `limit` (0: all), as of `at` (None: now).
    /// `Compacted` when `at` is not in history (too old, lost in a crash, or never given out).
    async fn list(&self, prefix: &str, start: Option<&str>, limit: usize, at: Option<Revision>) -> Result<Page, Error>;
    /// Applies the transaction. Dropping the future after its first poll does not undo the write.
    async fn commit(&self, transaction: Transaction) -> Result<Committed, Error>;
    /// Changes to keys beginning with `prefix` after revision `after`. A slow receiver never blocks writers: past a named limit it gets `Compacted`.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, Error>;
    /// Forgets history before `revision` (at most up to the present one).
    async fn compact(&self, revision: Revision) -> Result<(), Error>;
}

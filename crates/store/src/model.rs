//! The values that cross the store's boundary: entries, writes with expectations, pages, changes.
//!
//! In and out: plain data, cheap to clone (keys and values are shared, never copied). Never: behaviour of a backend.

use std::sync::Arc;

use bytes::Bytes;

/// A point in the store's history. An empty new store is at 1, so 0 is never a revision.
pub type Revision = u64;

/// A key's present (or once present) state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Arc<str>,
    pub value: Bytes,
    /// Revision of the transaction that created the key (again, after a delete).
    pub create_revision: Revision,
    /// Revision of the transaction that wrote this value.
    pub mod_revision: Revision,
}

/// What a write demands of the key's present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Anything,
    Absent,
    /// The key exists and its `mod_revision` is this one.
    Revision(Revision),
}

#[derive(Debug, Clone)]
pub enum Op {
    Put {
        key: Arc<str>,
        expect: Expect,
        value: Bytes,
    },
    /// Deleting an absent key (with `Expect::Anything` or `Absent`) changes nothing.
    Delete {
        key: Arc<str>,
        expect: Expect,
    },
}

impl Op {
    pub fn key(&self) -> &Arc<str> {
        match self {
            Op::Put { key, .. } | Op::Delete { key, .. } => key,
        }
    }

    pub fn expect(&self) -> Expect {
        match self {
            Op::Put { expect, .. } | Op::Delete { expect, .. } => *expect,
        }
    }
}

/// Writes of a transaction apply all or not at all, at one revision. A key may appear only once.
///
/// A transaction whose puts all equal the stored bytes (and that deletes nothing) changes nothing: no revision, no event.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    pub ops: Vec<Op>,
    /// May be acknowledged before it is synced (Events, Leases).
    pub relaxed: bool,
}

/// `revision` is the transaction's revision. When nothing changed it is the newest `mod_revision` of the keys named
/// (the store's revision if none of them exists): for one key, the revision its value carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub revision: Revision,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// The revision the page is a snapshot of.
    pub revision: Revision,
    /// Key to pass as `start` for the next page.
    pub next: Option<Arc<str>>,
    /// How many entries follow this page.
    pub remaining: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: Arc<str>,
    pub revision: Revision,
    /// None: deleted.
    pub entry: Option<Entry>,
    /// State before the change.
    pub previous: Option<Entry>,
}

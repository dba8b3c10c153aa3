//! Checks transactions against the present and turns them into recorded changes, before anything is written or shown.
//!
//! In: the memory as published, plus what earlier transactions of the same group staged. Out: one outcome per transaction, and the group's changes.
//! Never: I/O; a change to the memory itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::memory::Memory;
use crate::error::Error;
use crate::model::{Change, Committed, Entry, Expect, Op, Revision, Transaction};

/// An entry with the database row that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub entry: Entry,
    pub row: i64,
}

/// A change with its own row and the row of the state before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub change: Change,
    pub row: i64,
    pub previous_row: Option<i64>,
}

/// The outcome of a group: `changes` in order, and the counters after it.
#[derive(Debug)]
pub(super) struct Staged {
    pub changes: Vec<Recorded>,
    pub revision: Revision,
    pub next_row: i64,
}

#[derive(Debug)]
pub(super) struct Staging<'a> {
    memory: &'a Memory,
    /// Keys that this group touched already; None: deleted.
    touched: BTreeMap<Arc<str>, Option<Stored>>,
    staged: Staged,
}

impl<'a> Staging<'a> {
    pub(super) fn new(memory: &'a Memory, next_row: i64) -> Self {
        Staging { memory, touched: BTreeMap::new(), staged: Staged { changes: Vec::new(), revision: memory.newest(), next_row } }
    }

    pub(super) fn finish(self) -> Staged {
        self.staged
    }

    fn present(&self, key: &str) -> Option<&Stored> {
        match self.touched.get(key) {
            Some(staged) => staged.as_ref(),
            None => self.memory.stored(key),
        }
    }

    /// All or nothing: on an error nothing of the transaction is staged.
    pub(super) fn apply(&mut self, transaction: &Transaction) -> Result<Committed, Error> {
        self.check(transaction)?;
        if !self.changes_something(transaction) {
            let newest = transaction.ops.iter().filter_map(|op| self.present(op.key())).map(|stored| stored.entry.mod_revision).max();
            return Ok(Committed { revision: newest.unwrap_or(self.staged.revision) });
        }
        let revision = self.staged.revision + 1;
        for op in &transaction.ops {
            self.record(op, revision);
        }
        self.staged.revision = revision;
        Ok(Committed { revision })
    }

    fn check(&self, transaction: &Transaction) -> Result<(), Error> {
        let mut keys: Vec<&str> = transaction.ops.iter().map(|op| &**op.key()).collect();
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::Backend(format!("a transaction names key {} twice", twice[0])));
        }
        for op in &transaction.ops {
            let present = self.present(op.key());
            let holds = match op.expect() {
                Expect::Anything => true,
                Expect::Absent => present.is_none(),
                Expect::Revision(revision) => present.is_some_and(|stored| stored.entry.mod_revision == revision),
            };
            if !holds {
                return Err(Error::Conflict { key: op.key().clone(), actual: present.map(|stored| stored.entry.clone()) });
            }
        }
        Ok(())
    }

    fn changes_something(&self, transaction: &Transaction) -> bool {
        transaction.ops.iter().any(|op| {
            let present = self.present(op.key());
            match op {
                Op::Put { value, .. } => present.is_none_or(|stored| stored.entry.value != *value),
                Op::Delete { .. } => present.is_some(),
            }
        })
    }

    fn record(&mut self, op: &Op, revision: Revision) {
        let previous = self.present(op.key()).cloned();
        // One shared copy of the key for all its revisions.
        let key = previous.as_ref().map_or_else(|| op.key().clone(), |stored| stored.entry.key.clone());
        let row = self.staged.next_row;
        let entry = match op {
            Op::Put { value, .. } => Some(Entry {
                key: key.clone(),
                value: value.clone(),
                create_revision: previous.as_ref().map_or(revision, |stored| stored.entry.create_revision),
                mod_revision: revision,
            }),
            Op::Delete { .. } if previous.is_none() => return,
            Op::Delete { .. } => None,
        };
        self.staged.next_row += 1;
        self.touched.insert(key.clone(), entry.clone().map(|entry| Stored { entry, row }));
        let previous_row = previous.as_ref().map(|stored| stored.row);
        self.staged.changes.push(Recorded {
            change: Change { key, revision, entry, previous: previous.map(|stored| stored.entry) },
            row,
            previous_row,
        });
    }
}

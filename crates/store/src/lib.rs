//! Revisioned keys and bytes with watches, durable before acknowledged. Knows no Kubernetes.
//!
//! In: transactions of compare + put/delete. Out: entries, pages at one revision, watch streams. Never: parses a value, reads a clock.
//! Laws: one global revision, strictly increasing by one per committed transaction that changes something; a commit is durable before `commit` returns
//! (unless it is marked relaxed); every watcher sees every change after its start revision exactly once and in order, or is told `Compacted`.

mod contract;
pub mod embedded;
mod error;
mod model;

pub use contract::{Store, Watch};
pub use embedded::{CommitMode, EmbeddedOptions, EmbeddedStore};
pub use error::Error;
pub use model::{Change, Committed, Entry, Expect, Op, Page, Revision, Transaction};

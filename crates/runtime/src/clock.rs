//! The wall clock of this crate: start, finish and log times come from the kernel of the node.
//!
//! In: nothing. Out: timestamps. Never: used for a decision; timestamps here are only recorded.

use jiff::Timestamp;

/// Now, in UTC with nanoseconds.
#[allow(clippy::disallowed_methods)] // the named adapter for this crate: the shim and the agent stamp records and log lines
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

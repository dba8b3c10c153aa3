//! The wall clock as a value that is passed in.
//!
//! In: nothing. Out: the present instant, from the machine or from whoever injected another source. Never: read anywhere else in this crate.

use std::sync::Arc;

use jiff::Timestamp;

/// Answers "what time is it": the machine's clock in production, a scripted one in tests and simulation.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(now)
}

/// The only place of this crate that reads the wall clock.
#[allow(clippy::disallowed_methods)] // The named adapter that everything else receives as an argument.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// RFC 3339 in UTC with whole seconds: how object metadata holds instants (spec/api.md 6.1).
pub(crate) fn whole_seconds(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

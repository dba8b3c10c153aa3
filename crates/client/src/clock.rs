//! Time as a value: the one place (with the binary) that reads the wall clock.
//!
//! In: nothing. Out: timestamps, through a trait that tests and simulations implement. Never: a timer; those are tokio's, which tests can pause.

use jiff::Timestamp;

pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // The named adapter: everything else takes a Clock.
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

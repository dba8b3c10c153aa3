//! Simulated wall clock: tokio's paused time plus what the clock has leapt.
//!
//! In: tokio's time, leaps. Out: timestamps. Never: the machine's clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use piecework_client::clock::Clock;
use tokio::time::Instant;

/// Seconds since 1970 at which every simulation begins: 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: i64 = 1_767_225_600;

/// Clones are the same clock.
#[derive(Debug, Clone)]
pub struct SimulatedClock {
    started: Instant,
    leapt_seconds: Arc<AtomicI64>,
}

impl SimulatedClock {
    /// Starts at the epoch now. Needs a tokio runtime with paused time.
    pub fn start() -> Self {
        SimulatedClock { started: Instant::now(), leapt_seconds: Arc::default() }
    }

    /// Simulated time since the start, without leaps.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn leap(&self, seconds: i64) {
        self.leapt_seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn epoch() -> Timestamp {
        Timestamp::from_second(EPOCH_SECONDS).expect("the year 2026 is in range")
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::ZERO);
        let leapt = SignedDuration::from_secs(self.leapt_seconds.load(Ordering::Relaxed));
        Self::epoch().checked_add(elapsed + leapt).unwrap_or(Timestamp::MAX)
    }
}

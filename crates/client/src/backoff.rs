//! Exponential delays without jitter, so that a run can be replayed.
//!
//! In: how often something failed in a row. Out: how long to wait. Never: sleeps; the caller does.

use std::time::Duration;

/// Bounds of an exponential backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimits {
    /// Delay after the first failure.
    pub base: Duration,
    /// No delay is longer.
    pub cap: Duration,
}

impl RetryLimits {
    /// The delay after `failures` earlier failures in a row: `base * 2^failures`, at most `cap`.
    pub fn delay(&self, failures: u32) -> Duration {
        let factor = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.base.checked_mul(factor).unwrap_or(self.cap).min(self.cap)
    }
}

/// Counts failures in a row and tells the next delay.
#[derive(Debug, Clone)]
pub struct Backoff {
    limits: RetryLimits,
    failures: u32,
}

impl Backoff {
    pub fn new(limits: RetryLimits) -> Self {
        Backoff { limits, failures: 0 }
    }

    /// Counts one more failure and answers with the delay before the next try.
    pub fn fail(&mut self) -> Duration {
        let delay = self.limits.delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let limits = RetryLimits { base: Duration::from_millis(5), cap: Duration::from_secs(1) };
        // (failures before, milliseconds)
        for (failures, expected) in [(0, 5), (1, 10), (4, 80), (7, 640), (8, 1000), (31, 1000), (32, 1000), (u32::MAX, 1000)] {
            assert_eq!(limits.delay(failures), Duration::from_millis(expected), "{failures}");
        }
    }

    #[test]
    fn a_success_starts_over() {
        let mut backoff = Backoff::new(RetryLimits { base: Duration::from_secs(1), cap: Duration::from_secs(10) });
        assert_eq!(backoff.fail(), Duration::from_secs(1));
        assert_eq!(backoff.fail(), Duration::from_secs(2));
        backoff.reset();
        assert_eq!(backoff.fail(), Duration::from_secs(1));
    }
}

//! Delay between retries (spec/jobs.md 4.7; cap and reset as the seed says).
//!
//! In: the record in memory and the Pods whose end is seen for the first time. Out: the next record, and until when no Pod is created.
//! Reset: a success sets the count to the failures that finished strictly after it in the same sync; a deletion by somebody else sets it to zero unless
//! another Pod failed in the 10 s before (`known::RESET_WINDOW`), and such a Pod itself never lengthens the delay.

use super::{
    known::{BackoffRecord, LastFailure, Settings},
    pods,
};
use crate::ownership;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

/// The record after the newly seen failures and successes of one sync.
pub fn next(record: &BackoffRecord, new_failed: &[&Pod], new_succeeded: &[&Pod]) -> BackoffRecord {
    let failures: Vec<LastFailure> = new_failed
        .iter()
        .filter(|pod| !pods::deleting(pod))
        .map(|pod| LastFailure { at: pods::finish_time(pod), pod_uid: ownership::uid(&pod.metadata).to_owned() })
        .collect();
    match new_succeeded.iter().map(|pod| pods::finish_time(pod)).max() {
        Some(success) => {
            let later: Vec<LastFailure> = failures.into_iter().filter(|failure| failure.at > success).collect();
            BackoffRecord { failures: count(&later), last: later.into_iter().max() }
        }
        None if failures.is_empty() => record.clone(),
        None => BackoffRecord {
            failures: record.failures.saturating_add(count(&failures)),
            last: failures.into_iter().chain(record.last.clone()).max(),
        },
    }
}

fn count(failures: &[LastFailure]) -> u32 {
    u32::try_from(failures.len()).unwrap_or(u32::MAX)
}

/// `base * 2^(failures - 1)`, at most the cap; zero without failures.
pub fn delay(failures: u32, settings: &Settings) -> SignedDuration {
    if failures == 0 {
        return SignedDuration::ZERO;
    }
    // 2^20 times any base is beyond any sensible cap, and keeps the product in range.
    let doubled = settings.backoff_base.saturating_mul(1 << (failures - 1).min(20));
    doubled.min(settings.backoff_cap)
}

/// Until when creation waits; None when it may go on.
pub fn waits_until(record: &BackoffRecord, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
    let last = record.last.as_ref()?;
    let until = last.at.saturating_add(delay(record.failures, settings)).unwrap_or(Timestamp::MAX);
    (until > now).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let settings = Settings::default();
        let seconds: Vec<i64> = (0..10).map(|n| delay(n, &settings).as_secs()).collect();
        assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 320, 360, 360, 360]);
        assert_eq!(delay(u32::MAX, &settings).as_secs(), 360);
        let upstream = Settings { backoff_cap: SignedDuration::from_mins(10), ..Settings::default() };
        assert_eq!(delay(7, &upstream).as_secs(), 600);
    }
}

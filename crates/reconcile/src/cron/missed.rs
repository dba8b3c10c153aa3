//! Which planned time to make up for (spec/jobs.md 7.4): never more than one.
//!
//! In: all planned times, since when they count, the time. Out: the run to do. Never: whether it may run (concurrency is decided later).

use super::planned::Times;
use jiff::{SignedDuration, Timestamp};

/// More missed runs than this are told (spec/jobs.md, appendix B).
pub const MANY_MISSED: i64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing is due until the next planned time.
    Nothing,
    /// No planned time within the bound of the search.
    Never,
    /// The latest planned time, and an estimate of how many were missed (0: none).
    Run { planned: Timestamp, missed: i64 },
    /// The latest planned time is past its starting deadline.
    TooLate { planned: Timestamp },
}

/// `since`: the last planned time that was started, or the creation. Two planned times are never closer than a second, so the rule about
/// closer ones has no case here.
pub fn due(times: &Times, since: Timestamp, deadline_seconds: Option<i64>, now: Timestamp) -> Due {
    let earliest =
        deadline_seconds.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok()).map_or(since, |cut| cut.max(since));
    let Some(first) = times.next(earliest) else { return Due::Never };
    if now < first {
        return match times.latest(since, now) {
            Some(planned) if earliest > since => Due::TooLate { planned },
            _ => Due::Nothing,
        };
    }
    let second = match times.next(first) {
        Some(second) if second <= now => second,
        _ => return Due::Run { planned: first, missed: 0 },
    };
    let missed = (now.as_second() - first.as_second()) / (second.as_second() - first.as_second()) + 1;
    Due::Run { planned: times.latest(first, now).unwrap_or(second), missed }
}

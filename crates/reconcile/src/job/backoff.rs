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
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use piecework_api::backoff_curve;

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

/// The settings with the Job's own curve in place of the usual one, where its annotations give it (`piecework_api::backoff_curve`). A text that is no
/// delay cannot be stored; should one turn up, the usual curve holds.
pub fn settings_of(job: &Job, settings: &Settings) -> Settings {
    let own = |name: &str| job.metadata.annotations.as_ref()?.get(name).and_then(|text| backoff_curve::delay(text));
    let mut settings = settings.clone();
    settings.backoff_base = own(backoff_curve::BASE_ANNOTATION).unwrap_or(settings.backoff_base);
    settings.backoff_cap = own(backoff_curve::CAP_ANNOTATION).unwrap_or(settings.backoff_cap);
    settings
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

    #[test]
    fn annotations_shape_the_curve_of_their_job() {
        // (base, cap, delays after 1, 2, 3, 4 and very many failures in milliseconds)
        let rows = [
            (None, None, [10_000, 20_000, 40_000, 80_000, 360_000]),
            (Some("500ms"), None, [500, 1000, 2000, 4000, 360_000]),
            (None, Some("30s"), [10_000, 20_000, 30_000, 30_000, 30_000]),
            (Some("1s"), Some("3s"), [1000, 2000, 3000, 3000, 3000]),
            (Some("10s"), Some("1s"), [1000; 5]),
            (Some("1h"), Some("24h"), [3_600_000, 7_200_000, 14_400_000, 28_800_000, 86_400_000]),
            (Some("soon"), Some(""), [10_000, 20_000, 40_000, 80_000, 360_000]),
            (Some("2562047788015h"), Some("2562047788015h"), [2_562_047_788_015 * 3_600_000; 5]),
        ];
        for (base, cap, expected) in rows {
            let mut job = Job::default();
            let annotations = job.metadata.annotations.get_or_insert_default();
            for (name, text) in [(backoff_curve::BASE_ANNOTATION, base), (backoff_curve::CAP_ANNOTATION, cap)] {
                annotations.extend(text.map(|text| (name.to_owned(), text.to_owned())));
            }
            let settings = settings_of(&job, &Settings::default());
            let delays = [1, 2, 3, 4, u32::MAX].map(|failures| delay(failures, &settings).as_millis());
            assert_eq!(delays, expected, "{base:?} {cap:?}");
        }
    }

    /// The curve holds for the Job that carries it, in the middle of its life too.
    #[test]
    fn a_job_waits_as_its_annotations_say() {
        let mut world = crate::job::world::World::job(|spec| spec.backoff_limit = Some(20));
        let annotate = |world: &mut crate::job::world::World, name: &str, text: &str| {
            world.job.metadata.annotations.get_or_insert_default().insert(name.into(), text.into());
            world.touch_job();
        };
        annotate(&mut world, backoff_curve::BASE_ANNOTATION, "3s");
        let mut waits = Vec::new();
        for round in 0..5 {
            if round == 3 {
                annotate(&mut world, backoff_curve::CAP_ANNOTATION, "5s");
            }
            world.settle();
            world.end_all(1);
            let until = world.settle().expect("the next Pod is waited for");
            waits.push(until.duration_since(world.now).as_secs());
            world.now = until;
        }
        assert_eq!(waits, [3, 6, 12, 5, 5]);
    }
}

//! What an edit of a CronJob means for its next sync (spec/jobs.md 7.3): a new schedule waits for its own next time.
//!
//! In: the CronJob before and after. Out: when to sync. Never: a run of a past time only because the schedule is new.

use super::{AFTER_PLANNED, Event, Settings, times};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob;
use piecework_api::cron;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    SyncNow,
    SyncAt(Timestamp),
    /// It does not run with this schedule; the reason.
    Unusable(Event),
}

pub fn edited(old: &CronJob, new: &CronJob, settings: &Settings, now: Timestamp) -> Edit {
    let (before, after) = (&old.spec, &new.spec);
    if before.schedule == after.schedule && before.time_zone == after.time_zone {
        return Edit::SyncNow;
    }
    if let Err(error) = cron::parse(&after.schedule) {
        let message = format!("unparseable schedule for cronjob: {:?}: {error}", after.schedule);
        return Edit::Unusable(Event::warning("UnParseableCronJobSchedule", message));
    }
    let since = super::since(new, &new.status.clone().unwrap_or_default());
    // Told when it is synced, not here.
    match times(new, since, settings, &mut Vec::new()).and_then(|times| times.next(now)).map(|next| next.checked_add(AFTER_PLANNED)) {
        Some(Ok(at)) => Edit::SyncAt(at),
        _ => Edit::SyncNow,
    }
}

//! One reconciliation of a CronJob (spec/jobs.md part 7).
//!
//! In: the CronJob, its Jobs, which listed Jobs are known to be gone, the time. Out: a `Plan`. Never: I/O, a clock, logging, a `Result`.
//! What upstream reads live in the middle of a sync is asked for beforehand: `forgotten` and `unseen` say what the shell has to look up.

pub mod child;
pub mod edit;
pub mod history;
pub mod missed;
pub mod plan;
pub mod planned;

#[cfg(test)]
mod laws_tests;
#[cfg(test)]
mod planned_tests;
#[cfg(test)]
mod scenario_tests;

use crate::ownership::{self, ObjectRef};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobStatus, Job},
        core::v1::ObjectReference,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use missed::{Due, MANY_MISSED};
use piecework_api::cron::{self, Schedule};
pub use plan::{Event, Plan, Stage, Start};
use planned::{SEARCH_YEARS, Times};
use std::{collections::BTreeSet, sync::Arc};

/// A sync comes this long after the planned time, so that it is not before it (spec/jobs.md 7.3).
pub const AFTER_PLANNED: SignedDuration = SignedDuration::from_millis(100);

/// What holds for all CronJobs of one controller.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides for CronJobs without a zone of their own.
    pub local_zone: TimeZone,
}

/// Whether a running Job is not in the status: the cached CronJob may be old, so it is to be read again before the sync.
pub fn forgotten(cron_job: &CronJob, jobs: &[Arc<Job>]) -> bool {
    children(cron_job, jobs).iter().any(|job| history::succeeded(job).is_none() && !listed(cron_job.status.as_ref(), job))
}

/// Entries of the status without a Job in the cache: each is to be read live. Those that are gone, or of another UID, go into `reconcile` as `gone`.
pub fn unseen(cron_job: &CronJob, jobs: &[Arc<Job>]) -> Vec<ObjectReference> {
    let known: BTreeSet<&str> = jobs.iter().map(|job| ownership::uid(&job.metadata)).collect();
    let active = cron_job.status.iter().flat_map(|status| status.active.iter().flatten());
    active.filter(|entry| !known.contains(entry.uid.as_deref().unwrap_or_default())).cloned().collect()
}

/// What to do about `cron_job` now. `jobs`: at least those it controls. `gone`: UIDs of listed Jobs that do not exist.
pub fn reconcile(cron_job: &CronJob, jobs: &[Arc<Job>], gone: &BTreeSet<String>, settings: &Settings, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let spec = &cron_job.spec;
    let children = children(cron_job, jobs);
    let stored = cron_job.status.clone().unwrap_or_default();
    let mut status = stored.clone();
    let mut told = Vec::new();
    observe(cron_job, &children, &mut status, &mut plan.events, &mut told);
    forget_gone(gone, &mut status, &mut told);
    let start = times(cron_job, since(cron_job, &status), settings, &mut plan.events)
        .and_then(|times| decide(cron_job, &status, &times, now, &mut plan));
    status.active = status.active.filter(|active| !active.is_empty());
    if status != stored {
        plan.stages.push(Stage::WriteStatus { status: status.clone(), events: told });
    }
    let surplus = history::surplus(spec, &children);
    if !surplus.is_empty() {
        plan.stages.push(Stage::DeleteJobs(surplus));
    }
    if let Some((planned, job)) = start {
        if spec.concurrency_policy.as_deref() == Some("Replace")
            && let Some(active) = status.active.take()
        {
            plan.stages.push(Stage::DeleteJobs(active.iter().map(|entry| reference(cron_job, entry)).collect()));
        }
        plan.stages.push(Stage::Start(Box::new(Start { job, planned, status })));
    }
    plan
}

/// The CronJob's Jobs in a fixed order.
fn children<'a>(cron_job: &CronJob, jobs: &'a [Arc<Job>]) -> Vec<&'a Arc<Job>> {
    let mut children: Vec<&Arc<Job>> =
        jobs.iter().filter(|job| job.metadata.namespace == cron_job.metadata.namespace && child::controlled(cron_job, job)).collect();
    children.sort_by_key(|job| (job.metadata.name.as_deref().unwrap_or_default(), ownership::uid(&job.metadata)));
    children
}

fn listed(status: Option<&CronJobStatus>, job: &Job) -> bool {
    let uid = ownership::uid(&job.metadata);
    status.is_some_and(|status| status.active.iter().flatten().any(|entry| entry.uid.as_deref() == Some(uid)))
}

/// What has become of the Jobs (7.3, step 2). One that this controller made and had no time to write down counts as if it had: or else, after a crash,
/// `Forbid` would not hold, and a short history could forget that it ran.
fn observe(cron_job: &CronJob, children: &[&Arc<Job>], status: &mut CronJobStatus, now: &mut Vec<Event>, once_written: &mut Vec<Event>) {
    for job in children {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let ended = history::succeeded(job);
        if let Some(planned) = child::planned_for(cron_job, job) {
            *status = child::started(status, job, planned);
        }
        match ended {
            None if !listed(Some(status), job) => {
                let message = format!("Saw a job that the controller did not create or forgot: {name}");
                now.push(Event::warning("UnexpectedJob", message));
            }
            Some(well) if listed(Some(status), job) => {
                let uid = ownership::uid(&job.metadata);
                status.active.iter_mut().for_each(|active| active.retain(|entry| entry.uid.as_deref() != Some(uid)));
                let condition = if well { "Complete" } else { "Failed" };
                once_written.push(Event::normal("SawCompletedJob", format!("Saw completed job: {name}, condition: {condition}")));
            }
            _ => {}
        }
        if ended == Some(true)
            && let Some(Time(at)) = job.status.as_ref().and_then(|status| status.completion_time.clone())
            && status.last_successful_time.as_ref().is_none_or(|last| at > last.0)
        {
            status.last_successful_time = Some(Time(at));
        }
    }
}

/// Listed Jobs that do not exist any more (7.3, step 3).
fn forget_gone(gone: &BTreeSet<String>, status: &mut CronJobStatus, told: &mut Vec<Event>) {
    let Some(active) = status.active.as_mut() else { return };
    active.retain(|entry| {
        let is_gone = gone.contains(entry.uid.as_deref().unwrap_or_default());
        if is_gone {
            let name = entry.name.as_deref().unwrap_or_default();
            told.push(Event::normal("MissingJob", format!("Active job went missing: {name}")));
        }
        !is_gone
    });
}

/// When it is planned to run; None, with the reason told, when it is not to run (7.3, step 4).
fn times(cron_job: &CronJob, since: Timestamp, settings: &Settings, events: &mut Vec<Event>) -> Option<Times> {
    let spec = &cron_job.spec;
    if cron_job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let named = match spec.time_zone.as_deref().map(|name| (name, cron::find_zone(name))) {
        None => None,
        Some((_, Ok(zone))) => Some(zone),
        Some((name, Err(error))) => {
            events.push(Event::warning("UnknownTimeZone", format!("invalid timeZone: {name:?}: {error}")));
            return None;
        }
    };
    if spec.suspend == Some(true) {
        return None;
    }
    let Schedule { zone, pattern } = match cron::parse(&spec.schedule) {
        Ok(schedule) => schedule,
        Err(error) => {
            events.push(Event::warning("UnparseableSchedule", format!("unparseable schedule: {:?}: {error}", spec.schedule)));
            return None;
        }
    };
    if cron::mentions_zone(&spec.schedule) {
        let message = format!("TZ or CRON_TZ in the schedule {:?} is not officially supported; use timeZone", spec.schedule);
        events.push(Event::warning("UnsupportedSchedule", message));
    }
    let inside = zone.and_then(|name| cron::find_zone(&name).ok());
    let zone = inside.or(named).unwrap_or_else(|| settings.local_zone.clone());
    Some(Times { pattern, zone, anchor: since })
}

/// The last planned time that was started, or the creation.
fn since(cron_job: &CronJob, status: &CronJobStatus) -> Timestamp {
    status.last_schedule_time.as_ref().or(cron_job.metadata.creation_timestamp.as_ref()).map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// Which planned time to start, if any, and its Job (7.3, steps 5 to 8).
fn decide(cron_job: &CronJob, status: &CronJobStatus, times: &Times, now: Timestamp, plan: &mut Plan) -> Option<(Timestamp, Job)> {
    let spec = &cron_job.spec;
    plan.requeue_at = times.next(now).and_then(|next| next.checked_add(AFTER_PLANNED).ok());
    let planned = match missed::due(times, times.anchor, spec.starting_deadline_seconds, now) {
        Due::Nothing => return None,
        Due::Never => {
            let message = format!("the schedule {:?} has no time within {SEARCH_YEARS} years", spec.schedule);
            plan.events.push(Event::warning("InvalidSchedule", message));
            return None;
        }
        Due::TooLate { planned } => {
            let time = planned.strftime("%a, %d %b %Y %H:%M:%S +0000");
            plan.events.push(Event::warning("MissSchedule", format!("Missed scheduled time to start a job: {time}")));
            return None;
        }
        Due::Run { planned, missed } => {
            if missed > MANY_MISSED {
                let advice = "set or lower .spec.startingDeadlineSeconds, or check the clocks";
                plan.events.push(Event::warning("TooManyMissedTimes", format!("too many missed start times: {missed}; {advice}")));
            }
            planned
        }
    };
    let name = child::name(cron_job, times, planned);
    let active = || status.active.iter().flatten();
    if active().any(|entry| entry.name.as_deref() == Some(&name)) {
        return None;
    }
    if spec.concurrency_policy.as_deref() == Some("Forbid") && active().next().is_some() {
        let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
        plan.events.push(Event::normal("JobAlreadyActive", message));
        return None;
    }
    Some((planned, child::job(cron_job, times, planned)))
}

fn reference(cron_job: &CronJob, entry: &ObjectReference) -> ObjectRef {
    ObjectRef {
        namespace: cron_job.metadata.namespace.clone().unwrap_or_default(),
        name: entry.name.clone().unwrap_or_default(),
        uid: entry.uid.clone().unwrap_or_default(),
        resource_version: entry.resource_version.clone().unwrap_or_default(),
    }
}

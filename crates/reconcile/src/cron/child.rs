//! The Job that a CronJob creates for a planned time (spec/jobs.md 7.6), and how the status refers to it.
//!
//! In: the CronJob, a planned time. Out: a Job whose name is the lock against a second one. Never: a change of the template.

use super::{history, planned::Times};
use crate::ownership;
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobStatus, Job},
        core::v1::ObjectReference,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
};
use piecework_api::cron::Pattern;

/// Annotation of a Job: the time it was planned for, in the CronJob's zone.
pub const SCHEDULED_TIMESTAMP: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

const MINUTE: i64 = 60;

/// `<cronjob>-<minutes since 1970>`. Runs of an interval below a minute would share that name, so theirs end in seconds since 1970 (ten digits, as
/// long as the 52 characters of a CronJob's name leave room for).
pub fn name(cron_job: &CronJob, times: &Times, planned: Timestamp) -> String {
    let unit = if matches!(times.pattern, Pattern::Every(seconds) if seconds < MINUTE) { 1 } else { MINUTE };
    format!("{}-{}", cron_job.metadata.name.as_deref().unwrap_or_default(), planned.as_second().div_euclid(unit))
}

pub fn job(cron_job: &CronJob, times: &Times, planned: Timestamp) -> Job {
    let template = &cron_job.spec.job_template;
    let meta = template.metadata.clone().unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED_TIMESTAMP.into(), written(cron_job, times, planned));
    let metadata = ObjectMeta {
        namespace: cron_job.metadata.namespace.clone(),
        name: Some(name(cron_job, times, planned)),
        labels: meta.labels,
        annotations: Some(annotations),
        owner_references: Some(vec![owner_reference(cron_job)]),
        ..ObjectMeta::default()
    };
    Job { metadata, spec: template.spec.clone(), status: None }
}

/// RFC 3339 with the offset of the CronJob's zone; UTC when it has none.
fn written(cron_job: &CronJob, times: &Times, planned: Timestamp) -> String {
    let named = cron_job.spec.time_zone.is_some();
    let offset = if named { times.zone.to_offset(planned) } else { TimeZone::UTC.to_offset(planned) };
    if offset.is_zero() {
        return planned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    }
    planned.to_zoned(TimeZone::fixed(offset)).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The time that this controller made the Job for; None for one that somebody else made. Name and annotation must agree.
pub fn planned_for(cron_job: &CronJob, job: &Job) -> Option<Timestamp> {
    let planned: Timestamp = job.metadata.annotations.as_ref()?.get(SCHEDULED_TIMESTAMP)?.parse().ok()?;
    let number: i64 = job.metadata.name.as_deref()?.strip_prefix(cron_job.metadata.name.as_deref()?)?.strip_prefix('-')?.parse().ok()?;
    [1, MINUTE].iter().any(|unit| planned.as_second().div_euclid(*unit) == number).then_some(planned)
}

fn owner_reference(cron_job: &CronJob) -> OwnerReference {
    OwnerReference {
        api_version: "batch/v1".into(),
        kind: "CronJob".into(),
        name: cron_job.metadata.name.clone().unwrap_or_default(),
        uid: ownership::uid(&cron_job.metadata).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether the CronJob controls the Job: the UID decides, not the name.
pub fn controlled(cron_job: &CronJob, job: &Job) -> bool {
    ownership::controller(&job.metadata).is_some_and(|owner| owner.kind == "CronJob" && owner.uid == ownership::uid(&cron_job.metadata))
}

/// The status once the Job for `planned` exists: it is listed while it runs. The last planned time never goes back.
pub fn started(status: &CronJobStatus, job: &Job, planned: Timestamp) -> CronJobStatus {
    let mut status = status.clone();
    if status.last_schedule_time.as_ref().is_none_or(|last| last.0 < planned) {
        status.last_schedule_time = Some(Time(planned));
    }
    let uid = ownership::uid(&job.metadata);
    let active = status.active.get_or_insert_default();
    if history::succeeded(job).is_none() && !active.iter().any(|entry| entry.uid.as_deref() == Some(uid)) {
        active.push(ObjectReference {
            api_version: Some("batch/v1".into()),
            kind: Some("Job".into()),
            namespace: job.metadata.namespace.clone(),
            name: job.metadata.name.clone(),
            uid: Some(uid.to_owned()),
            resource_version: job.metadata.resource_version.clone(),
            ..ObjectReference::default()
        });
    }
    status.active = status.active.filter(|active| !active.is_empty());
    status
}

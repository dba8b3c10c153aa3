//! Finished Jobs beyond the history limits (spec/jobs.md 7.5).
//!
//! In: limits, the CronJob's Jobs. Out: those to delete, oldest first. Never: a Job that runs, or one that is being deleted.

use crate::{
    job::conditions::{self, COMPLETE},
    ownership::ObjectRef,
};
use k8s_openapi::api::batch::v1::{CronJobSpec, Job};
use std::sync::Arc;

/// Whether the Job has ended well; None while it runs.
pub fn succeeded(job: &Job) -> Option<bool> {
    let complete = job.status.as_ref().is_some_and(|status| conditions::holds(status, COMPLETE).is_some());
    conditions::finished(job).then_some(complete)
}

pub fn surplus(spec: &CronJobSpec, children: &[&Arc<Job>]) -> Vec<ObjectRef> {
    [(true, spec.successful_jobs_history_limit), (false, spec.failed_jobs_history_limit)]
        .into_iter()
        .filter_map(|(well, limit)| Some((well, usize::try_from(limit?).ok()?)))
        .flat_map(|(well, limit)| {
            let mut finished: Vec<&Arc<Job>> = children.iter().copied().filter(|job| succeeded(job) == Some(well)).collect();
            finished.sort_by_key(|job| {
                let started = job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
                (started.is_none(), started, job.metadata.name.clone())
            });
            finished.truncate(finished.len().saturating_sub(limit));
            finished
        })
        .filter(|job| job.metadata.deletion_timestamp.is_none())
        .map(|job| ObjectRef::of(&job.metadata))
        .collect()
}

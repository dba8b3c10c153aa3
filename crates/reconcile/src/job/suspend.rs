//! Suspending and resuming (spec/jobs.md 4.11): the condition, the event, the clock of the deadline.
//!
//! In: spec.suspend and the status. Out: the changed status and what to tell. Never: deletes Pods (that is `manage`).

use super::conditions;
use jiff::Timestamp;
use k8s_openapi::{
    api::batch::v1::{JobSpec, JobStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

pub fn suspended(spec: &JobSpec) -> bool {
    spec.suspend == Some(true)
}

/// Sets the Suspended condition; returns (reason, message) of the Event when it changed.
pub fn update(spec: &JobSpec, status: &mut JobStatus, now: Timestamp) -> Option<(&'static str, &'static str)> {
    let exists = status.conditions.iter().flatten().any(|condition| condition.type_ == conditions::SUSPENDED);
    if suspended(spec) {
        let changed = conditions::set(status, conditions::SUSPENDED, "True", "JobSuspended", "Job suspended", now);
        if changed {
            status.start_time = None;
        }
        return changed.then_some(("Suspended", "Job suspended"));
    }
    if exists && conditions::set(status, conditions::SUSPENDED, "False", "JobResumed", "Job resumed", now) {
        status.start_time = Some(Time(conditions::whole_seconds(now)));
        return Some(("Resumed", "Job resumed"));
    }
    None
}

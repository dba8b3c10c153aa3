//! The status of a Job as it is compared and written (spec/jobs.md 3.1, 4.10).
//!
//! In: the stored status, the next one. Out: status writes in a plan. Never: a write that would change nothing.

use super::{known::BackoffRecord, plan::Plan};
use k8s_openapi::api::batch::v1::JobStatus;

/// What will be stored once the stages planned so far are applied.
pub struct Written(pub JobStatus);

impl Written {
    /// Plans a write of `status` unless it is there already.
    pub fn change(&mut self, plan: &mut Plan, status: &JobStatus, backoff: &BackoffRecord, terminal: bool) {
        if self.0 != *status {
            self.0 = status.clone();
            plan.write(status, backoff, terminal);
        }
    }
}

/// The status without the numbers that follow from the Pods alone.
pub fn counted(status: &JobStatus) -> JobStatus {
    JobStatus { active: None, ready: None, terminating: None, ..status.clone() }
}

/// Zero counters and empty lists in the one form that is compared and written.
pub fn normal(mut status: JobStatus) -> JobStatus {
    let zero = |value: &mut Option<i32>| *value = value.filter(|value| *value != 0);
    zero(&mut status.active);
    zero(&mut status.succeeded);
    zero(&mut status.failed);
    if let Some(lists) = status.uncounted_terminated_pods.as_mut() {
        lists.succeeded = lists.succeeded.take().filter(|list| !list.is_empty());
        lists.failed = lists.failed.take().filter(|list| !list.is_empty());
    }
    status.completed_indexes = status.completed_indexes.filter(|text| !text.is_empty());
    status
}

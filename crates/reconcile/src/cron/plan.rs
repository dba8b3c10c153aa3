//! What one reconciliation of a CronJob wants done, as a value.
//!
//! Stages are applied in order; the applier stops at the first one that fails and the next reconciliation carries on. Never: an action that depends on
//! a later stage.

use crate::ownership::ObjectRef;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJobStatus, Job};

/// What to tell at once, stages in order, and when to look again without an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    pub events: Vec<Event>,
    pub stages: Vec<Stage>,
    /// None: nothing to do until something changes.
    pub requeue_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// PUT of `/status` on the CronJob's resourceVersion; the Events are told once it is stored.
    WriteStatus { status: CronJobStatus, events: Vec<Event> },
    /// Background DELETE with a UID precondition; a missing Job counts as done. Tells SuccessfulDelete or FailedDelete per Job.
    DeleteJobs(Vec<ObjectRef>),
    /// Creates the Job, then writes the status that `started` makes of this one and the created Job. Tells SuccessfulCreate or FailedCreate.
    Start(Box<Start>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub job: Job,
    pub planned: Timestamp,
    /// As it is before the Job exists.
    pub status: CronJobStatus,
}

/// An Event on the CronJob (spec/jobs.md 7.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
}

impl Event {
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Event { warning: false, reason, message: message.into() }
    }

    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Event { warning: true, reason, message: message.into() }
    }
}

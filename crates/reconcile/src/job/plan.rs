//! What one reconciliation of a Job wants done, as a value.
//!
//! Stages are applied in order; the applier stops at the first one that fails and the next reconciliation carries on. Never: an action that depends on a later stage.

use super::known::BackoffRecord;
use crate::ownership::ObjectRef;
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::JobStatus, core::v1::Pod};

/// Stages in order, when to look again without an event, and what to tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    pub stages: Vec<Stage>,
    /// Reconcile again at this time even if nothing happens. Not after `now`: at once, the plan was cut by a limit.
    pub requeue_at: Option<Timestamp>,
    /// Told only when the stage they name was applied (None: at once).
    pub events: Vec<Event>,
    /// What keeps this Job from being handled at all.
    pub problems: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// One patch per Pod, conditional on its resourceVersion: drop the Job's owner reference and the tracking finalizer (spec/jobs.md 4.4).
    ReleasePods(Vec<ObjectRef>),
    /// One patch per Pod, conditional on its resourceVersion: add a controller reference and the tracking finalizer. Before the first one the applier
    /// reads the Job afresh and stops unless it has the same UID and no deletionTimestamp.
    AdoptPods(Vec<ObjectRef>),
    /// DELETE with a UID precondition; a missing Pod counts as done. With `uncounted` the tracking finalizer is patched away first, so the Pod never
    /// counts as failed (4.8), and that patch is conditional on the resourceVersion, so that a Pod that has succeeded meanwhile is not lost; without it,
    /// the finalizer stays until the Pod is counted. Tells SuccessfulDelete or FailedDelete per Pod.
    DeletePods { pods: Vec<ObjectRef>, uncounted: bool },
    /// PUT of `/status` on the Job's resourceVersion (that of the snapshot, or of the write before in the same plan).
    WriteStatus(Box<StatusWrite>),
    /// Patches the tracking finalizer away (UID precondition); a missing Pod counts as done.
    RemoveFinalizers(Vec<ObjectRef>),
    /// Creates in batches of 1, 2, 4, ...; no further batch after an error. Tells SuccessfulCreate or FailedCreate per Pod.
    CreatePods(Vec<Pod>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct StatusWrite {
    pub status: JobStatus,
    /// Becomes the record in memory when the write succeeded (4.7.1).
    pub backoff: BackoffRecord,
    /// The write adds `Complete` or `Failed`.
    pub terminal: bool,
}

/// An Event on the Job (5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Index into `Plan::stages`.
    pub after_stage: Option<usize>,
    pub warning: bool,
    pub reason: String,
    pub message: String,
}

/// Something in the Job that this controller cannot do; the Job is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub field: String,
    pub message: String,
}

impl Plan {
    /// Nothing to do and nothing to say.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.events.is_empty() && self.problems.is_empty()
    }

    /// An Event that is told once everything planned so far was applied.
    pub(super) fn tell(&mut self, warning: bool, reason: &str, message: &str) {
        let after_stage = self.stages.len().checked_sub(1);
        self.events.push(Event { after_stage, warning, reason: reason.into(), message: message.into() });
    }

    pub(super) fn write(&mut self, status: &JobStatus, backoff: &BackoffRecord, terminal: bool) {
        self.stages.push(Stage::WriteStatus(Box::new(StatusWrite { status: status.clone(), backoff: backoff.clone(), terminal })));
    }

    pub(super) fn requeue(&mut self, at: Timestamp) {
        self.requeue_at = Some(self.requeue_at.map_or(at, |earlier| earlier.min(at)));
    }
}

//! Exactly-once counting with tracking finalizers (spec/jobs.md 4.10).
//!
//! In: the status and the Pods. Out: the status with UIDs noted, whose finalizers may go, and the status once they are gone. Never: counts a Pod whose
//! UID is not in the stored status.

use super::{
    failure_policy::{self, Verdict},
    outcome::Outcome,
    pods, replacement,
};
use crate::ownership::{self, ObjectRef, TRACKING_FINALIZER};
use k8s_openapi::api::{
    batch::v1::{JobSpec, JobStatus, UncountedTerminatedPods},
    core::v1::Pod,
};
use std::{collections::BTreeSet, sync::Arc};

/// Most UIDs held in `status.uncountedTerminatedPods` (spec/jobs.md appendix B).
pub const UNCOUNTED_LIMIT: usize = 500;

/// `status.uncountedTerminatedPods` and the counters it feeds.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub succeeded: i64,
    pub failed: i64,
    pub uncounted_succeeded: Vec<String>,
    pub uncounted_failed: Vec<String>,
}

impl Tally {
    pub fn of(status: &JobStatus) -> Self {
        let lists = status.uncounted_terminated_pods.clone().unwrap_or_default();
        Tally {
            succeeded: i64::from(status.succeeded.unwrap_or(0)),
            failed: i64::from(status.failed.unwrap_or(0)),
            uncounted_succeeded: lists.succeeded.unwrap_or_default(),
            uncounted_failed: lists.failed.unwrap_or_default(),
        }
    }

    pub fn holds(&self, uid: &str) -> bool {
        self.uncounted_succeeded.iter().chain(&self.uncounted_failed).any(|held| held == uid)
    }

    pub fn uncounted(&self) -> usize {
        self.uncounted_succeeded.len() + self.uncounted_failed.len()
    }

    /// Steps 1 and 6: a UID whose finalizer is gone is worth one count.
    pub fn flush(&mut self, has_finalizer: impl Fn(&str) -> bool) {
        let before = self.uncounted_succeeded.len();
        self.uncounted_succeeded.retain(|uid| has_finalizer(uid));
        self.succeeded += (before - self.uncounted_succeeded.len()) as i64;
        let before = self.uncounted_failed.len();
        self.uncounted_failed.retain(|uid| has_finalizer(uid));
        self.failed += (before - self.uncounted_failed.len()) as i64;
    }

    pub fn write(&self, status: &mut JobStatus) {
        status.succeeded = counter(self.succeeded);
        status.failed = counter(self.failed);
        status.uncounted_terminated_pods = Some(UncountedTerminatedPods {
            succeeded: (!self.uncounted_succeeded.is_empty()).then(|| self.uncounted_succeeded.clone()),
            failed: (!self.uncounted_failed.is_empty()).then(|| self.uncounted_failed.clone()),
        });
    }
}

/// A counter as the API prints it: zero is left out.
pub fn counter(value: i64) -> Option<i32> {
    i32::try_from(value).ok().filter(|value| *value != 0)
}

/// The Pods that still carry the finalizer, as far as anybody knows.
pub fn tracked<'a>(mine: &'a [Arc<Pod>], removed: &BTreeSet<String>) -> Vec<&'a Pod> {
    mine.iter()
        .map(Arc::as_ref)
        .filter(|pod| ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER) && !removed.contains(ownership::uid(&pod.metadata)))
        .collect()
}

#[derive(Debug, Default)]
pub struct Noted {
    pub strip: Vec<ObjectRef>,
    /// The limit was reached; more are left for the next sync.
    pub limited: bool,
}

/// Step 2: notes UIDs in the tally and says whose finalizers may go.
pub fn note(tally: &mut Tally, tracked: &[&Pod], spec: &JobSpec, deleting: bool, outcome: Option<&Outcome>) -> Noted {
    let only_terminal = replacement::only_terminal(spec);
    let failing = matches!(outcome, Some(Outcome::Failure { .. }));
    let held: BTreeSet<String> = tally.uncounted_succeeded.iter().chain(&tally.uncounted_failed).cloned().collect();
    let mut noted = Noted::default();
    for pod in tracked {
        let uid = ownership::uid(&pod.metadata);
        let succeeded = pods::succeeded(pod);
        let failed = pods::failed(pod, only_terminal);
        if !(deleting || outcome.is_some() || succeeded || failed) {
            continue;
        }
        let ignored = failed && failure_policy::verdict(spec, pod) == Verdict::Ignore;
        let adds = !held.contains(uid) && (succeeded || failed || failing) && !ignored;
        if adds && tally.uncounted() >= UNCOUNTED_LIMIT {
            noted.limited = true;
            continue;
        }
        if adds && succeeded {
            tally.uncounted_succeeded.push(uid.to_owned());
        } else if adds {
            tally.uncounted_failed.push(uid.to_owned());
        }
        noted.strip.push(ObjectRef::of(&pod.metadata));
    }
    noted
}

//! Exactly-once counting with tracking finalizers (spec/jobs.md 4.10).
//!
//! In: the status and the Pods. Out: the status with UIDs noted, whose finalizers may go, and the status once they are gone. Never: counts a Pod whose
//! UID is not in the stored status.

use super::{
    failure_policy::{self, Verdict},
    indexed::Progress,
    outcome::Outcome,
    pods, replacement,
};
use crate::ownership::{self, ObjectRef, TRACKING_FINALIZER};
use k8s_openapi::api::{
    batch::v1::{JobSpec, JobStatus, UncountedTerminatedPods},
    core::v1::Pod,
};
use std::{collections::BTreeSet, sync::Arc};

/// Most UIDs held in `status.uncountedTerminatedPods` and indexes completed in one sync, together (spec/jobs.md appendix B).
pub const UNCOUNTED_LIMIT: usize = 500;

/// `status.uncountedTerminatedPods` and the counters it feeds.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub succeeded: i64,
    pub failed: i64,
    pub uncounted_succeeded: Vec<String>,
    pub uncounted_failed: Vec<String>,
    /// Of an Indexed Job: `succeeded` follows from it.
    pub progress: Option<Progress>,
}

impl Tally {
    pub fn of(spec: &JobSpec, status: &JobStatus) -> Self {
        let lists = status.uncounted_terminated_pods.clone().unwrap_or_default();
        Tally {
            succeeded: i64::from(status.succeeded.unwrap_or(0)),
            failed: i64::from(status.failed.unwrap_or(0)),
            uncounted_succeeded: lists.succeeded.unwrap_or_default(),
            uncounted_failed: lists.failed.unwrap_or_default(),
            progress: Progress::stored(spec, status),
        }
    }

    /// The UIDs in either list.
    pub fn held(&self) -> BTreeSet<String> {
        self.uncounted_succeeded.iter().chain(&self.uncounted_failed).cloned().collect()
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
        if let Some(progress) = &self.progress {
            progress.write(status);
        }
        status.succeeded = counter(self.progress.as_ref().map_or(self.succeeded, |progress| progress.completed.len()));
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

/// What step 2 needs to know beside the tally.
pub struct Ending<'a> {
    pub spec: &'a JobSpec,
    /// The Job is being deleted.
    pub deleting: bool,
    pub outcome: Option<&'a Outcome>,
    /// UIDs of failed Pods that keep their finalizer while the Job goes on (4.9.2).
    pub waiting: &'a BTreeSet<&'a str>,
}

/// Step 2: notes UIDs and completed indexes in the tally and says whose finalizers may go.
pub fn note(tally: &mut Tally, tracked: &[&Pod], ending: &Ending<'_>) -> Noted {
    let Ending { spec, deleting, outcome, waiting } = ending;
    let only_terminal = replacement::only_terminal(spec);
    let failing = matches!(outcome, Some(Outcome::Failure { .. }));
    let early = outcome.is_some_and(Outcome::early);
    let held_failed: BTreeSet<String> = tally.uncounted_failed.iter().cloned().collect();
    let held_succeeded: BTreeSet<String> = tally.uncounted_succeeded.iter().cloned().collect();
    let mut completed = BTreeSet::new();
    let mut noted = Noted::default();
    for pod in tracked {
        let uid = ownership::uid(&pod.metadata);
        let succeeded = pods::succeeded(pod);
        let failed = pods::failed(pod, only_terminal);
        let finishing = *deleting || outcome.is_some();
        if !(finishing || succeeded || failed) || (waiting.contains(uid) && !finishing) {
            continue;
        }
        let full = tally.uncounted() + completed.len() >= UNCOUNTED_LIMIT;
        let entry = if held_failed.contains(uid) || held_succeeded.contains(uid) {
            None
        } else if succeeded {
            Some(Entry::Succeeded)
        } else {
            let ignored = failed && failure_policy::verdict(spec, pod) == Verdict::Ignore;
            // What an early success stops has not failed, also when a crash lets this sync see it stopping or stopped (4.9.4).
            let stopped = early && pods::deleting(pod);
            ((failed || failing) && !ignored && !stopped).then_some(Entry::Failed)
        };
        // Indexed: a Pod without a good index counts for nothing, and a success counts once per index.
        let index = tally.progress.as_ref().map(|progress| progress.index_of(pod));
        let adds = match (entry, &tally.progress, index.flatten()) {
            (None, ..) | (_, Some(_), None) => None,
            (Some(Entry::Succeeded), Some(progress), Some(index)) => {
                (progress.open(index) && !completed.contains(&index)).then_some(Entry::Succeeded)
            }
            (entry, ..) => entry,
        };
        if adds.is_some() && full {
            noted.limited = true;
            continue;
        }
        match (adds, index.flatten()) {
            (Some(Entry::Succeeded), Some(index)) => {
                completed.insert(index);
            }
            (Some(Entry::Succeeded), None) => tally.uncounted_succeeded.push(uid.to_owned()),
            (Some(Entry::Failed), _) => tally.uncounted_failed.push(uid.to_owned()),
            (None, _) => {}
        }
        noted.strip.push(ObjectRef::of(&pod.metadata));
    }
    if let Some(progress) = tally.progress.as_mut() {
        progress.completed = progress.completed.with(completed);
    }
    noted
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    Succeeded,
    Failed,
}

//! One reconciliation of a Job (spec/jobs.md section 4; the seed where it says more).
//!
//! In: the Job and its Pods as the caches show them, what is known in memory, the time. Out: a `Plan`. Never: I/O, a clock, randomness, logging, a `Result`.
//! One file per concern, and one per policy: indexed, per_index, failure_policy, success_policy, replacement, suspend.

pub mod backoff;
pub mod claim;
pub mod conditions;
pub mod count;
pub mod creation;
pub mod failure_policy;
pub mod index_set;
pub mod indexed;
pub mod known;
pub mod manage;
pub mod orphan;
pub mod outcome;
pub mod per_index;
pub mod plan;
pub mod pods;
pub mod replacement;
pub mod status;
pub mod success_policy;
pub mod supported;
pub mod suspend;
pub mod template;

#[cfg(test)]
mod index_audit;
#[cfg(test)]
mod indexed_scenario_tests;
#[cfg(test)]
mod laws_tests;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod world;

use crate::ownership::{self, ObjectRef};
use count::Tally;
use failure_policy::Verdict;
use indexed::Busy;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec, JobStatus},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
pub use known::{Fact, Known, Settings};
use outcome::Outcome;
pub use plan::{Event, Plan, Problem, Stage, StatusWrite};
use status::Written;
use std::{collections::BTreeSet, sync::Arc};

/// The value of `spec.managedBy` that means the built-in controller (4.14).
pub const OWN_MANAGER: &str = "kubernetes.io/job-controller";

/// Whether this controller is the one to handle the Job.
pub fn managed(job: &Job, settings: &Settings) -> bool {
    match job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref()) {
        None => settings.unmanaged,
        Some(manager) => manager == settings.managed_by,
    }
}

/// What to do about `job` now. `pods`: at least the Pods it controls and the ones without a controller that its selector matches; more do no harm.
pub fn reconcile(job: &Job, pods: &[Arc<Pod>], known: &Known, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = job.spec.as_ref() else { return plan };
    if !managed(job, &known.settings) || conditions::finished(job) {
        return plan;
    }
    if spec.completion_mode.as_deref().is_some_and(|mode| mode != "NonIndexed") && !indexed::indexed(spec) {
        plan.tell(true, "UnknownCompletionMode", "Skipped Job sync because completion mode is unknown");
        return plan;
    }
    plan.problems = supported::problems(spec);
    if !plan.problems.is_empty() {
        return plan;
    }
    if let Some(until) = known.waits_until(job, now) {
        plan.requeue(until);
        return plan;
    }
    let claim = claim::claim(job, pods);
    if !claim.release.is_empty() {
        plan.stages.push(Stage::ReleasePods(claim.release));
    }
    if !claim.adopt.is_empty() {
        plan.stages.push(Stage::AdoptPods(claim.adopt));
    }
    Sync::new(job, spec, claim.mine, known, now).run(plan)
}

/// The numbers of `status` that follow from the Pods alone.
#[derive(Debug, Clone, Copy)]
struct Live {
    active: usize,
    ready: usize,
    terminating: usize,
}

struct Sync<'a> {
    job: &'a Job,
    spec: &'a JobSpec,
    known: &'a Known,
    now: Timestamp,
    mine: Vec<Arc<Pod>>,
    live: Live,
    deleting: bool,
}

impl<'a> Sync<'a> {
    fn new(job: &'a Job, spec: &'a JobSpec, mine: Vec<Arc<Pod>>, known: &'a Known, now: Timestamp) -> Self {
        let live = Live {
            active: mine.iter().filter(|pod| pods::active(pod)).count(),
            ready: mine.iter().filter(|pod| pods::active(pod) && pods::ready(pod)).count(),
            terminating: mine.iter().filter(|pod| pods::terminating(pod)).count(),
        };
        Sync { job, spec, known, now, mine, live, deleting: job.metadata.deletion_timestamp.is_some() }
    }

    fn run(mut self, mut plan: Plan) -> Plan {
        let stored = status::normal(self.job.status.clone().unwrap_or_default());
        let mut status = stored.clone();
        if status.start_time.is_none() && !suspend::suspended(self.spec) {
            status.start_time = Some(Time(conditions::whole_seconds(self.now)));
        }
        let only_terminal = replacement::only_terminal(self.spec);
        let mine = self.mine.clone();
        let tracked = count::tracked(&mine, &self.known.finalizers_removed);
        let tracked_uids: BTreeSet<&str> = tracked.iter().map(|pod| ownership::uid(&pod.metadata)).collect();

        // What is new in this sync, before anything is written (4.5).
        let mut tally = Tally::of(self.spec, &status);
        let progress = tally.progress.as_ref().map(|stored| stored.with_pods(self.spec, &tracked, &tally.uncounted_failed, only_terminal));
        let counts = |pod: &Pod| progress.as_ref().is_none_or(|progress| progress.index_of(pod).is_some());
        let held = tally.held();
        let fresh: Vec<&Pod> = tracked.iter().copied().filter(|pod| !held.contains(ownership::uid(&pod.metadata)) && counts(pod)).collect();
        let new_succeeded: Vec<&Pod> = fresh.iter().copied().filter(|pod| pods::succeeded(pod)).collect();
        let new_failed: Vec<&Pod> = fresh.iter().copied().filter(|pod| pods::failed(pod, only_terminal)).collect();
        let succeeded = match &progress {
            Some(progress) => progress.completed.len(),
            None => tally.succeeded + (new_succeeded.len() + tally.uncounted_succeeded.len()) as i64,
        };
        let against_limit = new_failed.iter().filter(|pod| failure_policy::verdict(self.spec, pod) != Verdict::Ignore).count();
        let failed = tally.failed + (against_limit + tally.uncounted_failed.len()) as i64;
        let backoff = match self.spec.backoff_limit_per_index {
            None => backoff::next(&self.known.backoff, &new_failed, &new_succeeded),
            // The Pods' annotations are the record (4.7.4).
            Some(_) => self.known.backoff.clone(),
        };
        let busy = progress.as_ref().map(|progress| Busy::of(progress, &mine)).unwrap_or_default();
        let waiting = match &progress {
            Some(progress) if self.spec.backoff_limit_per_index.is_some() => {
                let failed: Vec<&Pod> = tracked.iter().copied().filter(|pod| pods::failed(pod, only_terminal)).collect();
                Some(per_index::waiting(progress, &failed, &busy.active))
            }
            _ => None,
        };

        let mut told = None;
        let mut outcome = outcome::decide(self.spec, &status, &mine, failed, progress.as_ref(), self.now);
        let mut creations = Vec::new();
        let mut unlinked = BTreeSet::new();
        let deadline = outcome::deadline(self.spec, &status);
        if outcome.is_some() {
            let victims: Vec<Arc<Pod>> = mine.iter().filter(|pod| pods::active(pod)).cloned().collect();
            self.delete(&mut plan, &victims, false);
        } else {
            if !self.deleting {
                let active: Vec<Arc<Pod>> = mine.iter().filter(|pod| pods::active(pod)).cloned().collect();
                let changes = manage::manage(&manage::Situation {
                    spec: self.spec,
                    active: &active,
                    terminating: self.live.terminating,
                    succeeded,
                    indexes: progress.as_ref().map(|progress| manage::Indexes {
                        progress,
                        busy: if only_terminal { &busy.active_or_ending } else { &busy.active },
                        waiting: waiting.as_ref(),
                    }),
                    backoff: &backoff,
                    settings: &backoff::settings_of(self.job, &self.known.settings),
                    now: self.now,
                });
                unlinked = changes.delete.iter().map(|pod| ownership::uid(&pod.metadata).to_owned()).collect();
                self.delete(&mut plan, &changes.delete, true);
                creations = creation::pods(self.job, &changes.create, waiting.as_ref());
                if let Some(until) = changes.delayed_until {
                    plan.requeue(until);
                }
                if changes.cut {
                    plan.requeue(self.now);
                }
            }
            let done = match self.spec.completions {
                None => succeeded > 0 && self.live.active == 0,
                Some(completions) => succeeded >= i64::from(completions) && self.live.active == 0,
            };
            // A work queue that is paused or still has Pods to create is not done; creations are empty after a success.
            if done && creations.is_empty() {
                outcome = Some(Outcome::completions_reached());
            } else if !self.deleting {
                told = suspend::update(self.spec, &mut status, self.now);
            }
            if outcome.is_none()
                && let Some(deadline) = deadline
            {
                plan.requeue(deadline);
            }
        }

        // Count (4.10): what is already gone, then what is new.
        tally.flush(|uid| tracked_uids.contains(uid) && !unlinked.contains(uid));
        let remaining: Vec<&Pod> = tracked.into_iter().filter(|pod| !unlinked.contains(ownership::uid(&pod.metadata))).collect();
        if let (Some(stored), Some(progress)) = (tally.progress.as_mut(), &progress) {
            stored.failed = progress.failed.clone();
        }
        let waiting_uids: BTreeSet<&str> = waiting.iter().flatten().map(|(_, pod)| ownership::uid(&pod.metadata)).collect();
        let ending = count::Ending { spec: self.spec, deleting: self.deleting, outcome: outcome.as_ref(), waiting: &waiting_uids };
        let noted = count::note(&mut tally, &remaining, &ending);
        if noted.limited {
            plan.requeue(self.now);
        }
        tally.write(&mut status);
        self.live_numbers(&mut status);
        if let Some(outcome) = &outcome {
            let (interim, _, reason, message) = outcome.parts();
            conditions::set(&mut status, interim, "True", reason, message, self.now);
        }

        let mut written = Written(stored);
        if !noted.strip.is_empty() {
            if written.0 == status && backoff != self.known.backoff {
                // An ignored failure leaves no mark in the status, but the record of the delay must not get lost with its finalizer.
                plan.write(&status, &backoff, false);
            }
            written.change(&mut plan, &status, &backoff, false);
            let stripped: BTreeSet<&str> = noted.strip.iter().map(|pod| pod.uid.as_str()).collect();
            tally.flush(|uid| !stripped.contains(uid));
            tally.write(&mut status);
            plan.stages.push(Stage::RemoveFinalizers(noted.strip.clone()));
        }
        let terminal = outcome.filter(|_| !noted.limited && tally.uncounted() == 0 && self.live.terminating == 0 && self.live.active == 0);
        if let Some(outcome) = &terminal {
            let (_, terminal, reason, message) = outcome.parts();
            // A suspended Job has no start time, but may still end; a finished one must have it (3.4).
            status.start_time.get_or_insert(Time(conditions::whole_seconds(self.now)));
            conditions::set(&mut status, terminal, "True", reason, message, self.now);
            if matches!(outcome, Outcome::Success { .. }) {
                status.completion_time = Some(Time(conditions::whole_seconds(self.now)));
            }
        }
        // Before creating, only what must not be lost is written; the live numbers follow once the Pods exist.
        if creations.is_empty() || status::counted(&written.0) != status::counted(&status) {
            written.change(&mut plan, &status, &backoff, terminal.is_some());
        }
        if let Some(outcome) = &terminal {
            self.tell_end(&mut plan, outcome, tally.succeeded);
        }
        if let Some((reason, message)) = told {
            plan.tell(false, reason, message);
        }
        if !creations.is_empty() {
            self.live.active += creations.len();
            plan.stages.push(Stage::CreatePods(creations));
            self.live_numbers(&mut status);
            written.change(&mut plan, &status, &backoff, false);
        }
        plan
    }

    fn delete(&mut self, plan: &mut Plan, victims: &[Arc<Pod>], uncounted: bool) {
        if victims.is_empty() {
            return;
        }
        self.live.active -= victims.len();
        self.live.ready -= victims.iter().filter(|pod| pods::ready(pod)).count();
        self.live.terminating += victims.len();
        let pods = victims.iter().map(|pod| ObjectRef::of(&pod.metadata)).collect();
        plan.stages.push(Stage::DeletePods { pods, uncounted });
    }

    fn live_numbers(&self, status: &mut JobStatus) {
        status.active = count::counter(self.live.active as i64);
        status.ready = Some(self.live.ready as i32);
        status.terminating = Some(self.live.terminating as i32);
    }

    fn tell_end(&self, plan: &mut Plan, outcome: &Outcome, succeeded: i64) {
        match outcome {
            Outcome::Failure { reason, message } => plan.tell(true, reason, message),
            Outcome::Success { .. } => {
                if self.spec.completions.is_some_and(|completions| succeeded > i64::from(completions)) {
                    plan.tell(true, "TooManySucceededPods", "Too many succeeded pods running after completion count reached");
                }
                plan.tell(false, "Completed", "Job completed");
            }
        }
    }
}

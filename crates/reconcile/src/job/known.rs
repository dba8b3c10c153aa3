//! What the controller knows of one Job only in memory, and how facts change it (spec/jobs.md 4.2, 4.7.1).
//!
//! In: facts, from the applier (what it is about to do and what came of it) and from the caches (what they have seen). Out: the next `Known`.
//! Never: durable; losing it costs a shorter back-off delay and nothing else.

use super::pods;
use crate::ownership::{self, TRACKING_FINALIZER};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use std::collections::BTreeSet;

/// After this long an expectation that was not met is taken as lost (spec/jobs.md appendix B).
pub const EXPECTATION_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);
/// First back-off delay; doubles per consecutive failure (seed: 10s, 20s, 40s ...).
pub const BACKOFF_BASE: SignedDuration = SignedDuration::from_secs(10);
/// Default cap of the back-off delay (seed: six minutes; upstream: ten).
pub const BACKOFF_CAP: SignedDuration = SignedDuration::from_mins(6);
/// A deletion resets the back-off count unless another Pod failed this shortly before it (the seed's "around that time").
pub const RESET_WINDOW: SignedDuration = BACKOFF_BASE;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub backoff_base: SignedDuration,
    pub backoff_cap: SignedDuration,
    /// The value of `spec.managedBy` that names this controller; Jobs without the field are its own only when `unmanaged` is set.
    pub managed_by: String,
    /// Take Jobs without `spec.managedBy` (false against a cluster that has a Job controller of its own).
    pub unmanaged: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { backoff_base: BACKOFF_BASE, backoff_cap: BACKOFF_CAP, managed_by: super::OWN_MANAGER.to_owned(), unmanaged: true }
    }
}

/// Consecutive failures and the newest of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackoffRecord {
    pub failures: u32,
    pub last: Option<LastFailure>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastFailure {
    pub at: Timestamp,
    pub pod_uid: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub settings: Settings,
    pub backoff: BackoffRecord,
    /// Creations asked for and not yet seen in the cache.
    pub creations: u32,
    /// UIDs of Pods whose deletion was asked for and not yet seen.
    pub deletions: BTreeSet<String>,
    /// When creations or deletions were last asked for.
    pub expected_since: Option<Timestamp>,
    /// UIDs of Pods whose finalizer is gone although the cache may still show it.
    pub finalizers_removed: BTreeSet<String>,
    /// resourceVersion of this controller's last write of the Job.
    pub written: Option<u64>,
    /// UID of the Job this controller finished, until the cache shows it.
    pub finished: Option<String>,
}

/// One thing that happened. Facts about asking come before the request is sent, so that an answer on the watch cannot overtake them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    CreationsAsked {
        count: u32,
        at: Timestamp,
    },
    /// The cache shows a Pod of this Job for the first time.
    PodSeen,
    /// The API server refused a creation, or it was not sent after all.
    CreationsFailed {
        count: u32,
    },
    DeletionAsked {
        pod_uid: String,
        at: Timestamp,
    },
    DeletionFailed {
        pod_uid: String,
    },
    /// The cache shows a Pod of this Job with a deletionTimestamp, or gone, for the first time.
    DeletionSeen {
        pod_uid: String,
        at: Timestamp,
    },
    /// The finalizer was patched away, or the patch found no such Pod.
    FinalizerRemoved {
        pod_uid: String,
    },
    /// The cache shows the Pod without the finalizer or gone.
    FinalizerRemovalSeen {
        pod_uid: String,
    },
    StatusWritten {
        job_uid: String,
        resource_version: String,
        backoff: BackoffRecord,
        terminal: bool,
    },
}

impl Known {
    pub fn new(settings: Settings) -> Self {
        Known { settings, ..Known::default() }
    }

    /// This knowledge and one more fact.
    pub fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::CreationsAsked { count, at } => {
                self.creations += count;
                self.expected_since = Some(at);
            }
            Fact::PodSeen => self.creations = self.creations.saturating_sub(1),
            Fact::CreationsFailed { count } => self.creations = self.creations.saturating_sub(count),
            Fact::DeletionAsked { pod_uid, at } => {
                self.deletions.insert(pod_uid);
                self.expected_since = Some(at);
            }
            Fact::DeletionFailed { pod_uid } => {
                self.deletions.remove(&pod_uid);
            }
            Fact::DeletionSeen { pod_uid, at } => {
                // Our own deletions (scaling down, finishing) say nothing about the health of the Job; anybody else's reset the count.
                if !self.deletions.remove(&pod_uid) && !self.another_failed_around(&pod_uid, at) {
                    self.backoff = BackoffRecord::default();
                }
            }
            Fact::FinalizerRemoved { pod_uid } => {
                self.finalizers_removed.insert(pod_uid);
            }
            Fact::FinalizerRemovalSeen { pod_uid } => {
                self.finalizers_removed.remove(&pod_uid);
            }
            Fact::StatusWritten { job_uid, resource_version, backoff, terminal } => {
                self.backoff = if terminal { BackoffRecord::default() } else { backoff };
                self.written = resource_version.parse().ok().or(self.written);
                if terminal {
                    self.finished = Some(job_uid);
                }
            }
        }
    }

    fn another_failed_around(&self, pod_uid: &str, at: Timestamp) -> bool {
        self.backoff.last.as_ref().is_some_and(|last| last.pod_uid != pod_uid && at.duration_since(last.at) < RESET_WINDOW)
    }

    /// Until when to hold back because the caches do not yet show this controller's own writes (4.2, and the rule of 1.36 that puts such a sync off).
    pub fn waits_until(&self, job: &Job, now: Timestamp) -> Option<Timestamp> {
        let version = job.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
        let job_is_old = matches!((version, self.written), (Some(seen), Some(written)) if seen < written);
        if job_is_old || self.finished.as_deref() == Some(ownership::uid(&job.metadata)) {
            return Some(now.saturating_add(EXPECTATION_TIMEOUT).unwrap_or(Timestamp::MAX));
        }
        if self.creations == 0 && self.deletions.is_empty() {
            return None;
        }
        let until = self.expected_since?.saturating_add(EXPECTATION_TIMEOUT).unwrap_or(Timestamp::MAX);
        (until > now).then_some(until)
    }
}

/// What a change of a Pod in the cache means for its Job (`new` None: gone). `now` stands in where the Pod does not say when it was deleted.
pub fn facts(old: Option<&Pod>, new: Option<&Pod>, now: Timestamp) -> Vec<Fact> {
    let Some(any) = new.or(old) else { return Vec::new() };
    let pod_uid = ownership::uid(&any.metadata).to_owned();
    let tracked = |pod: Option<&Pod>| pod.is_some_and(|pod| ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER));
    let mut facts = Vec::new();
    if old.is_none() {
        facts.push(Fact::PodSeen);
    }
    if !tracked(new) {
        facts.push(Fact::FinalizerRemovalSeen { pod_uid: pod_uid.clone() });
    }
    let deletion = |pod: Option<&Pod>| pod.is_none_or(pods::deleting);
    if deletion(new) && old.is_none_or(|pod| !pods::deleting(pod)) {
        facts.push(Fact::DeletionSeen { pod_uid, at: now });
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn with_failure(uid: &str, second: i64) -> Known {
        let last = Some(LastFailure { at: at(second), pod_uid: uid.into() });
        Known { backoff: BackoffRecord { failures: 3, last }, ..Known::default() }
    }

    #[test]
    fn deletion_resets_the_back_off_count() {
        // (failed Pod, deleted Pod, seconds between, asked by us, failures afterwards)
        let rows = [("a", "a", 1, false, 0), ("a", "b", 10, false, 0), ("a", "b", 9, false, 3), ("a", "a", 1, true, 3)];
        for (failed, deleted, seconds, ours, expected) in rows {
            let mut known = with_failure(failed, 100);
            if ours {
                known.learn(Fact::DeletionAsked { pod_uid: deleted.into(), at: at(100) });
            }
            known.learn(Fact::DeletionSeen { pod_uid: deleted.into(), at: at(100 + seconds) });
            assert_eq!(known.backoff.failures, expected, "{failed} {deleted} {seconds} {ours}");
        }
    }

    #[test]
    fn expectations_expire() {
        let job = Job::default();
        let mut known = Known::default();
        assert_eq!(known.waits_until(&job, at(0)), None);
        known.learn(Fact::CreationsAsked { count: 2, at: at(0) });
        known.learn(Fact::PodSeen);
        assert_eq!(known.waits_until(&job, at(299)), Some(at(300)));
        assert_eq!(known.waits_until(&job, at(300)), None);
        known.learn(Fact::CreationsFailed { count: 1 });
        assert_eq!(known.waits_until(&job, at(0)), None);
    }

    #[test]
    fn waits_for_its_own_write() {
        let mut job = Job::default();
        job.metadata.resource_version = Some("9".into());
        let mut known = Known::default();
        known.learn(Fact::StatusWritten {
            job_uid: "j".into(),
            resource_version: "10".into(),
            backoff: BackoffRecord::default(),
            terminal: false,
        });
        assert!(known.waits_until(&job, at(0)).is_some());
        job.metadata.resource_version = Some("10".into());
        assert_eq!(known.waits_until(&job, at(0)), None);
    }
}

//! How many Pods the Job should have, which are too many, how many are missing (spec/jobs.md 4.8).
//!
//! In: the Job, its active Pods, totals, the back-off record or the failed Pods of each index. Out: Pods to delete uncounted or what to create.
//! Never: both in one sync.

use super::{
    backoff,
    indexed::Progress,
    known::{BackoffRecord, Settings},
    per_index, pods, replacement, suspend,
};
use crate::ownership::{self, TRACKING_FINALIZER};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::JobSpec, core::v1::Pod};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Most Pods created or deleted in one sync (spec/jobs.md appendix B).
pub const PODS_PER_SYNC: usize = 500;

#[derive(Debug, Default)]
pub struct Changes {
    pub delete: Vec<Arc<Pod>>,
    pub create: Creations,
    /// Creation waits for the back-off delay until then.
    pub delayed_until: Option<Timestamp>,
    /// A limit cut this sync: go on at once.
    pub cut: bool,
}

/// The Pods that are missing.
#[derive(Debug, PartialEq, Eq)]
pub enum Creations {
    /// That many, all alike.
    Alike(usize),
    /// One for each of these indexes.
    Indexes(Vec<i32>),
}

impl Default for Creations {
    fn default() -> Self {
        Creations::Alike(0)
    }
}

/// The indexes of an Indexed Job and who works on them.
pub struct Indexes<'a> {
    /// With what this sync's Pods add.
    pub progress: &'a Progress,
    /// Indexes that get no Pod now, because one is active or (replacement policy `Failed`) still ends.
    pub busy: &'a BTreeSet<i32>,
    /// The failed Pods whose counts their replacements take over; None without `backoffLimitPerIndex`.
    pub waiting: Option<&'a BTreeMap<i32, &'a Pod>>,
}

pub struct Situation<'a> {
    pub spec: &'a JobSpec,
    pub active: &'a [Arc<Pod>],
    pub terminating: usize,
    pub succeeded: i64,
    pub indexes: Option<Indexes<'a>>,
    pub backoff: &'a BackoffRecord,
    pub settings: &'a Settings,
    pub now: Timestamp,
}

pub fn manage(situation: &Situation<'_>) -> Changes {
    let active = situation.active.len();
    if suspend::suspended(situation.spec) {
        return delete(situation.active, None, active);
    }
    let want = wanted(situation.spec, active, situation.succeeded);
    let progress = situation.indexes.as_ref().map(|indexes| indexes.progress);
    if active > want || progress.is_some_and(|progress| has_surplus(progress, situation.active)) {
        return delete(situation.active, progress, active.saturating_sub(want));
    }
    let held = if replacement::only_terminal(situation.spec) { situation.terminating } else { 0 };
    let missing = want.saturating_sub(active + held);
    if missing == 0 {
        return Changes::default();
    }
    let now = missing.min(PODS_PER_SYNC);
    let waiting = situation.indexes.as_ref().and_then(|indexes| indexes.waiting);
    if waiting.is_none()
        && let Some(until) = backoff::waits_until(situation.backoff, situation.settings, situation.now)
    {
        return Changes { delayed_until: Some(until), ..Changes::default() };
    }
    let Some(indexes) = situation.indexes.as_ref() else {
        return Changes { create: Creations::Alike(now), cut: missing > PODS_PER_SYNC, ..Changes::default() };
    };
    let wanted = indexes.progress.pending(indexes.busy, now);
    let cut = missing > PODS_PER_SYNC && wanted.len() == PODS_PER_SYNC;
    let (ready, delayed_until) = match indexes.waiting {
        None => (wanted, None),
        Some(waiting) => per_index::ready(wanted, waiting, situation.settings, situation.now),
    };
    // A cut that leaves only indexes that wait is no reason to come back at once.
    Changes { cut: cut && !ready.is_empty(), create: Creations::Indexes(ready), delayed_until, ..Changes::default() }
}

fn has_surplus(progress: &Progress, active: &[Arc<Pod>]) -> bool {
    let mut seen = BTreeSet::new();
    active.iter().any(|pod| progress.index_of(pod).is_none_or(|index| !seen.insert(index)))
}

fn wanted(spec: &JobSpec, active: usize, succeeded: i64) -> usize {
    let parallelism = i64::from(spec.parallelism.unwrap_or(1)).max(0);
    let want = match spec.completions {
        // Work queue: after the first success nothing is started, and nothing running is disturbed.
        None if succeeded > 0 => return active,
        None => parallelism,
        Some(completions) => (i64::from(completions) - succeeded).clamp(0, parallelism),
    };
    usize::try_from(want).unwrap_or(0)
}

/// `count` Pods in removal order; of an Indexed Job all that are surplus, and others only as far as those do not suffice.
fn delete(active: &[Arc<Pod>], progress: Option<&Progress>, count: usize) -> Changes {
    let mut order: Vec<&Arc<Pod>> = active.iter().collect();
    order.sort_by_cached_key(|pod| removal_rank(pod));
    let (mut go, stay) = match progress {
        Some(progress) => progress.surplus(order),
        None => (Vec::new(), order),
    };
    let more = count.saturating_sub(go.len());
    go.extend(stay.into_iter().take(more));
    Changes { cut: go.len() > PODS_PER_SYNC, delete: go.into_iter().take(PODS_PER_SYNC).cloned().collect(), ..Changes::default() }
}

/// The smallest goes first: untracked (its removal was cut off before the DELETE, and nobody would count it), unassigned, Pending, not Ready,
/// Ready for a shorter time, more restarts, newer; the UID breaks ties.
fn removal_rank(pod: &Pod) -> impl Ord + use<> {
    let tracked = ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER);
    let assigned = pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref().is_some_and(|node| !node.is_empty()));
    let phase = match pods::phase(pod) {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let ready_since = pods::ready_condition(pod).filter(|(status, _)| *status == "True").map(|(_, since)| since);
    let newest_first = std::cmp::Reverse;
    (
        tracked,
        assigned,
        phase,
        ready_since.is_some(),
        newest_first(ready_since.flatten()),
        std::cmp::Reverse(pods::restarts(pod)),
        std::cmp::Reverse(pods::created(pod)),
        pod.metadata.uid.clone(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodStatus;

    #[test]
    fn wanted_pods() {
        // (completions, parallelism, active, succeeded, want)
        let rows = [
            (Some(7), 3, 0, 0, 3),
            (Some(7), 3, 2, 5, 2),
            (Some(7), 3, 1, 7, 0),
            (Some(7), 3, 1, 9, 0),
            (Some(0), 3, 0, 0, 0),
            (Some(5), 0, 3, 0, 0),
            (None, 4, 0, 0, 4),
            (None, 4, 3, 1, 3),
            (None, 0, 3, 0, 0),
        ];
        for (completions, parallelism, active, succeeded, want) in rows {
            let spec = JobSpec { completions, parallelism: Some(parallelism), ..JobSpec::default() };
            assert_eq!(wanted(&spec, active, succeeded), want, "{completions:?} {parallelism} {active} {succeeded}");
        }
    }

    #[test]
    fn removal_order() {
        let pod = |name: &str, node: &str, phase: &str, created: i64| {
            let mut pod = Pod::default();
            pod.metadata.uid = Some(name.into());
            pod.metadata.finalizers = (name != "half removed").then(|| vec![TRACKING_FINALIZER.into()]);
            pod.metadata.creation_timestamp =
                Timestamp::from_second(created).ok().map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time);
            pod.spec.get_or_insert_default().node_name = Some(node.into());
            pod.status = Some(PodStatus { phase: Some(phase.into()), ..PodStatus::default() });
            Arc::new(pod)
        };
        let pods = [
            pod("old", "n", "Running", 1),
            pod("new", "n", "Running", 2),
            pod("pending", "n", "Pending", 1),
            pod("unbound", "", "Pending", 0),
            pod("half removed", "n", "Running", 0),
        ];
        let order: Vec<_> = delete(&pods, None, 5).delete.iter().map(|pod| pod.metadata.uid.clone().unwrap()).collect();
        assert_eq!(order, ["half removed", "unbound", "pending", "new", "old"]);
    }
}

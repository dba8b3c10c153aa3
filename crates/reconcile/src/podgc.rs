//! Pods that nobody else will clean up (spec/jobs.md 9.8, items 1, 3 and 4; item 2 needs taints of lost nodes and comes with node loss).
//!
//! In: all Pods, the nodes that exist, since when a node is missing, a threshold. Out: Pods to delete at once, and how to fail them before. Never: a look-up.

use crate::{job::pods, ownership::ObjectRef};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How often to look (spec/jobs.md appendix B).
pub const INTERVAL: SignedDuration = SignedDuration::from_secs(20);
/// How long a node must be missing before its Pods are taken for lost.
pub const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);
/// How many ended Pods are kept.
pub const TERMINATED_THRESHOLD: usize = 12_500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    pub pod: ObjectRef,
    pub cause: Cause,
    /// Set phase Failed first: nobody else will end this Pod (so that its Job can count it).
    pub fail_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Too many ended Pods; this is one of the oldest.
    Threshold,
    /// Its node does not exist: the applier checks that live, and sets DisruptionTarget/DeletionByPodGC together with the phase.
    NodeGone,
    /// Being deleted and never given to a node.
    Unscheduled,
}

/// Message of the DisruptionTarget condition for `NodeGone`.
pub const NODE_GONE_MESSAGE: &str = "PodGC: node no longer exists";

/// Which Pods to remove now. `missing_since` holds, per node name that Pods refer to and that does not exist, when that was first noticed.
pub fn collect(
    all: &[Arc<Pod>],
    nodes: &BTreeSet<String>,
    missing_since: &BTreeMap<String, Timestamp>,
    threshold: usize,
    now: Timestamp,
) -> Vec<Removal> {
    let mut removals = BTreeMap::new();
    let mut add = |pod: &Pod, cause| {
        let removal = Removal { pod: ObjectRef::of(&pod.metadata), cause, fail_first: cause != Cause::Threshold && !pods::terminal(pod) };
        removals.entry(pod.metadata.uid.clone().unwrap_or_default()).or_insert(removal);
    };
    let lost = |node: &str| missing_since.get(node).is_some_and(|since| now.duration_since(*since) >= QUARANTINE);
    for pod in all {
        match node_name(pod) {
            None if pods::deleting(pod) && !pods::terminal(pod) => add(pod, Cause::Unscheduled),
            Some(node) if !nodes.contains(node) && lost(node) => add(pod, Cause::NodeGone),
            _ => {}
        }
    }
    let mut ended: Vec<&Arc<Pod>> = all.iter().filter(|pod| pods::terminal(pod) && !pods::deleting(pod)).collect();
    ended.sort_by_cached_key(|pod| (!evicted(pod), pods::created(pod), pod.metadata.uid.clone()));
    for pod in ended.iter().take(ended.len().saturating_sub(threshold)) {
        add(pod, Cause::Threshold);
    }
    removals.into_values().collect()
}

/// The next `missing_since`: nodes that Pods refer to and that do not exist, each with the time it was first noticed.
pub fn missing(
    all: &[Arc<Pod>],
    nodes: &BTreeSet<String>,
    before: &BTreeMap<String, Timestamp>,
    now: Timestamp,
) -> BTreeMap<String, Timestamp> {
    let wanted: BTreeSet<&str> = all.iter().filter_map(|pod| node_name(pod)).filter(|node| !nodes.contains(*node)).collect();
    wanted.into_iter().map(|node| (node.to_owned(), before.get(node).copied().unwrap_or(now))).collect()
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|node| !node.is_empty())
}

fn evicted(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| status.reason.as_deref() == Some("Evicted"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use k8s_openapi::{
        api::core::v1::{PodSpec, PodStatus},
        apimachinery::pkg::apis::meta::v1::Time,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pod(uid: &str, node: &str, phase: &str, deleting: bool, created: i64, reason: &str) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.uid = Some(uid.into());
        pod.metadata.creation_timestamp = Some(Time(at(created)));
        pod.metadata.deletion_timestamp = deleting.then(|| Time(at(created)));
        pod.spec = Some(PodSpec { node_name: Some(node.into()), ..PodSpec::default() });
        pod.status = Some(PodStatus { phase: Some(phase.into()), reason: Some(reason.into()), ..PodStatus::default() });
        Arc::new(pod)
    }

    #[test]
    fn who_is_removed() {
        let all = [
            pod("fine", "n", "Running", false, 1, ""),
            pod("lost", "gone", "Running", false, 1, ""),
            pod("lost-ended", "gone", "Succeeded", false, 9, ""),
            pod("recent", "just-gone", "Running", false, 1, ""),
            pod("unbound", "", "Pending", true, 1, ""),
            pod("waiting", "", "Pending", false, 1, ""),
            pod("stopping", "n", "Running", true, 1, ""),
            pod("old", "n", "Succeeded", false, 3, ""),
            pod("older", "n", "Failed", false, 2, ""),
            pod("evicted", "n", "Failed", false, 8, "Evicted"),
        ];
        let nodes: BTreeSet<String> = ["n".to_owned()].into();
        let mut since = missing(&all, &nodes, &BTreeMap::new(), at(0));
        since.insert("just-gone".into(), at(1));
        let since = missing(&all, &nodes, &since, at(40));
        let removed: Vec<(String, Cause, bool)> =
            collect(&all, &nodes, &since, 2, at(40)).into_iter().map(|r| (r.pod.uid, r.cause, r.fail_first)).collect();
        let expected = [
            ("evicted", Cause::Threshold, false),
            ("lost", Cause::NodeGone, true),
            ("lost-ended", Cause::NodeGone, false),
            ("older", Cause::Threshold, false),
            ("unbound", Cause::Unscheduled, true),
        ];
        assert_eq!(removed, expected.map(|(uid, cause, fail)| (uid.to_owned(), cause, fail)));
    }
}

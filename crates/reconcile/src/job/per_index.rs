//! Retries per index: how often an index has failed, when it is given up, when it may try again (spec/jobs.md 4.9.2, 4.7.4).
//!
//! In: the spec, failed Pods of an Indexed Job. Out: indexes given up, Pods whose finalizer hands the count over, delays. Never: memory; the counts
//! are annotations of the Pods, so a restart of the controller loses none.

use super::{
    backoff,
    failure_policy::{self, Verdict},
    indexed::Progress,
    known::Settings,
    pods,
};
use crate::ownership;
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::JobSpec, core::v1::Pod};
use std::collections::{BTreeMap, BTreeSet};

/// Annotation: failures of this index before the Pod was made.
pub const FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation: failures of this index that the failure policy ignored; absent while there are none.
pub const IGNORED_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// Failures of one index before a Pod of it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    pub counted: i32,
    pub ignored: i32,
}

impl Failures {
    pub fn of(pod: &Pod) -> Self {
        let annotations = pod.metadata.annotations.as_ref();
        let number =
            |name: &str| annotations.and_then(|all| all.get(name)).and_then(|text| text.parse().ok()).filter(|number| *number >= 0);
        Failures { counted: number(FAILURE_COUNT).unwrap_or(0), ignored: number(IGNORED_FAILURE_COUNT).unwrap_or(0) }
    }

    /// For the Pod that replaces this failed one.
    fn after(spec: &JobSpec, pod: &Pod) -> Self {
        let before = Failures::of(pod);
        match failure_policy::verdict(spec, pod) {
            Verdict::Ignore => Failures { ignored: before.ignored.saturating_add(1), ..before },
            _ => Failures { counted: before.counted.saturating_add(1), ..before },
        }
    }

    fn total(self) -> u32 {
        u32::try_from(i64::from(self.counted) + i64::from(self.ignored)).unwrap_or(u32::MAX)
    }
}

/// Whether this failed Pod was the last try of its index.
pub fn gives_up(spec: &JobSpec, pod: &Pod) -> bool {
    spec.backoff_limit_per_index.is_some_and(|limit| match failure_policy::verdict(spec, pod) {
        Verdict::Count => Failures::of(pod).counted >= limit,
        Verdict::FailIndex => true,
        Verdict::Ignore | Verdict::FailJob(_) => false,
    })
}

/// The failed Pods that keep their finalizer until a replacement carries their count, by index.
pub fn waiting<'a>(progress: &Progress, failed: &[&'a Pod], active: &BTreeSet<i32>) -> BTreeMap<i32, &'a Pod> {
    let rank = |pod: &Pod| (Failures::of(pod).total(), pods::finish_time(pod), ownership::uid(&pod.metadata).to_owned());
    let mut waiting: BTreeMap<i32, &'a Pod> = BTreeMap::new();
    for pod in failed {
        let Some(index) = progress.index_of(pod).filter(|index| progress.open(*index) && !active.contains(index)) else { continue };
        match waiting.get(&index) {
            Some(other) if rank(other) >= rank(pod) => {}
            _ => {
                waiting.insert(index, pod);
            }
        }
    }
    waiting
}

/// The indexes that need not wait, and when the first of the others is ready.
pub fn ready(wanted: Vec<i32>, waiting: &BTreeMap<i32, &Pod>, settings: &Settings, now: Timestamp) -> (Vec<i32>, Option<Timestamp>) {
    let until = |index: &i32| {
        let pod = waiting.get(index)?;
        let delay = backoff::delay(Failures::of(pod).total().saturating_add(1), settings);
        Some(pods::finish_time(pod).saturating_add(delay).unwrap_or(Timestamp::MAX)).filter(|until| *until > now)
    };
    let earliest = wanted.iter().filter_map(until).min();
    (wanted.into_iter().filter(|index| until(index).is_none()).collect(), earliest)
}

/// Writes the count that a new Pod starts with. `replaced`: the failed Pod of its index, if there is one.
pub fn annotate(spec: &JobSpec, pod: &mut Pod, replaced: Option<&Pod>) {
    let failures = replaced.map_or_else(Failures::default, |replaced| Failures::after(spec, replaced));
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(FAILURE_COUNT.into(), failures.counted.to_string());
    if failures.ignored > 0 {
        annotations.insert(IGNORED_FAILURE_COUNT.into(), failures.ignored.to_string());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn pod(counted: &str, ignored: &str, code: i32) -> Pod {
        serde_json::from_value(json!({"metadata": {"annotations": {FAILURE_COUNT: counted, IGNORED_FAILURE_COUNT: ignored}}, "status": {"phase": "Failed",
            "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": code}}}]}}))
        .unwrap()
    }

    fn spec(limit: Option<i32>) -> JobSpec {
        let rule = |action: &str, code: i32| json!({"action": action, "onExitCodes": {"operator": "In", "values": [code]}});
        let rules = json!({"rules": [rule("FailIndex", 42), rule("Ignore", 7), rule("FailJob", 9)]});
        JobSpec { backoff_limit_per_index: limit, pod_failure_policy: serde_json::from_value(rules).unwrap(), ..JobSpec::default() }
    }

    #[test]
    fn when_an_index_is_given_up() {
        // (limit, failures before, exit code, given up)
        let rows = [
            (None, "9", 1, false),
            (Some(0), "0", 1, true),
            (Some(2), "1", 1, false),
            (Some(2), "2", 1, true),
            (Some(2), "x", 1, false),
            (Some(2), "-5", 1, false),
            (Some(9), "0", 42, true),
            (Some(0), "5", 7, false),
            (Some(0), "5", 9, false),
        ];
        for (limit, before, code, expected) in rows {
            assert_eq!(gives_up(&spec(limit), &pod(before, "0", code)), expected, "{limit:?} {before} {code}");
        }
    }

    #[test]
    fn counts_are_handed_over() {
        // (failure count, ignored count, exit code) -> (failure count, ignored count) of the replacement
        let rows = [("0", "0", 1, "1", None), ("2", "1", 1, "3", Some("1")), ("2", "1", 7, "2", Some("2")), ("x", "-1", 7, "0", Some("1"))];
        for (counted, ignored, code, next, next_ignored) in rows {
            let mut replacement = Pod::default();
            annotate(&spec(Some(5)), &mut replacement, Some(&pod(counted, ignored, code)));
            let annotations = replacement.metadata.annotations.unwrap();
            assert_eq!(
                (annotations[FAILURE_COUNT].as_str(), annotations.get(IGNORED_FAILURE_COUNT).map(String::as_str)),
                (next, next_ignored)
            );
        }
    }
}

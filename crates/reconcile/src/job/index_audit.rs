//! What every status write of an Indexed Job must keep, checked one index at a time with nothing shared with the code under test (tests only).
//!
//! In: the Job as stored, its Pods, the status about to be written. Out: panics. Never: `IndexSet`.

#![allow(clippy::unwrap_used)]

use super::{count, indexed::COMPLETION_INDEX, pods};
use k8s_openapi::api::{
    batch::v1::{Job, JobStatus},
    core::v1::Pod,
};
use std::collections::{BTreeMap, BTreeSet};

/// The plainest reading of an index list.
pub fn read(text: Option<&str>) -> BTreeSet<i32> {
    let mut all = BTreeSet::new();
    for item in text.unwrap_or_default().split(',').filter(|item| !item.is_empty()) {
        let bounds: Vec<i32> = item.split('-').map(|number| number.parse().unwrap()).collect();
        for index in bounds[0]..=*bounds.last().unwrap() {
            assert!(all.insert(index), "{text:?} names {index} twice");
        }
    }
    all
}

pub fn index_of(pod: &Pod) -> Option<i32> {
    pod.metadata.annotations.as_ref()?.get(COMPLETION_INDEX)?.parse().ok()
}

pub fn status_write(job: &Job, pods: &BTreeMap<String, Pod>, new: &JobStatus) {
    let spec = job.spec.as_ref().unwrap();
    let completions = spec.completions.unwrap();
    let old = job.status.clone().unwrap_or_default();
    let below = |all: BTreeSet<i32>| -> BTreeSet<i32> { all.into_iter().filter(|index| *index < completions).collect() };
    let (before, after) = (below(read(old.completed_indexes.as_deref())), read(new.completed_indexes.as_deref()));
    let (failed_before, failed) = (below(read(old.failed_indexes.as_deref())), read(new.failed_indexes.as_deref()));
    assert_eq!(new.succeeded.unwrap_or(0), after.len() as i32, "succeeded is the number of completed indexes");
    assert!(after.is_superset(&before) && failed.is_superset(&failed_before), "an index was forgotten");
    assert!(after.is_disjoint(&failed), "an index is completed and failed");
    assert!(after.union(&failed).all(|index| *index < completions), "an index above the limit");
    assert_eq!(new.failed_indexes.is_some(), spec.backoff_limit_per_index.is_some());
    let lists = new.uncounted_terminated_pods.clone().unwrap_or_default();
    assert!(lists.succeeded.is_none(), "successes are counted by index");
    let entries = after.difference(&before).count() + lists.failed.map_or(0, |list| list.len());
    assert!(entries <= count::UNCOUNTED_LIMIT);
    for index in after.difference(&before) {
        assert!(pods.values().any(|pod| pods::succeeded(pod) && index_of(pod) == Some(*index)), "nobody completed {index}");
    }
    for index in failed.difference(&failed_before) {
        let lost = |pod: &Pod| pods::phase(pod) == "Failed" || pods::deleting(pod);
        assert!(pods.values().any(|pod| lost(pod) && index_of(pod) == Some(*index)), "nobody failed {index}");
    }
}

/// A Pod about to be created for an index nobody works on.
pub fn creation(job: &Job, completions: Option<i32>, pods: &BTreeMap<String, Pod>, new: &Pod) {
    let status = job.status.clone().unwrap_or_default();
    let index = index_of(new).unwrap();
    let done = [status.completed_indexes, status.failed_indexes].iter().any(|text| read(text.as_deref()).contains(&index));
    assert!(!done && index < completions.unwrap(), "index {index} needs no Pod");
    assert!(!pods.values().any(|pod| pods::active(pod) && index_of(pod) == Some(index)), "index {index} has a Pod");
}

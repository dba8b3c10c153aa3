//! The Pods to create, dressed for their index and with the failures of their index (spec/jobs.md 4.9.1, 4.9.2, 4.13).
//!
//! In: the Job, which Pods are missing, the failed Pods they replace. Out: Pods without names. Never: decides how many.

use super::{indexed, manage::Creations, per_index, template};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use std::collections::BTreeMap;

/// `waiting`: the failed Pods whose counts are handed over, by index; None without `backoffLimitPerIndex`.
pub fn pods(job: &Job, missing: &Creations, waiting: Option<&BTreeMap<i32, &Pod>>) -> Vec<Pod> {
    let dressed = |index: &i32| {
        let mut pod = indexed::pod(job, *index)?;
        if let (Some(waiting), Some(spec)) = (waiting, job.spec.as_ref()) {
            per_index::annotate(spec, &mut pod, waiting.get(index).copied());
        }
        Some(pod)
    };
    match missing {
        Creations::Alike(count) => template::pod(job).map(|pod| vec![pod; *count]).unwrap_or_default(),
        Creations::Indexes(indexes) => indexes.iter().filter_map(dressed).collect(),
    }
}

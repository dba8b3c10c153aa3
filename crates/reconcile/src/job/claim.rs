//! Which Pods belong to a Job: kept, adopted, released (spec/jobs.md 4.4).
//!
//! In: the Job and candidate Pods. Out: the Job's Pods as they will be after adoption, and what to patch. Never: takes a Pod that another controller owns.

use crate::{
    label_selector,
    ownership::{self, ObjectRef, TRACKING_FINALIZER},
};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Claim {
    /// The Job's Pods in a fixed order, whatever the order of the input.
    pub mine: Vec<Arc<Pod>>,
    pub adopt: Vec<ObjectRef>,
    pub release: Vec<ObjectRef>,
}

/// The reference every Pod of the Job carries.
pub fn owner_reference(job: &Job) -> OwnerReference {
    OwnerReference {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        name: job.metadata.name.clone().unwrap_or_default(),
        uid: ownership::uid(&job.metadata).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

pub fn claim(job: &Job, pods: &[Arc<Pod>]) -> Claim {
    let job_uid = ownership::uid(&job.metadata);
    let deleting = job.metadata.deletion_timestamp.is_some();
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let mut sorted: Vec<&Arc<Pod>> = pods.iter().filter(|pod| pod.metadata.namespace == job.metadata.namespace).collect();
    sorted.sort_by_key(|pod| (super::pods::created(pod), ownership::uid(&pod.metadata)));
    sorted.dedup_by_key(|pod| ownership::uid(&pod.metadata));
    let mut claim = Claim::default();
    for pod in sorted {
        let selected = label_selector::matches(selector, pod.metadata.labels.as_ref());
        match ownership::controller(&pod.metadata) {
            Some(owner) if owner.uid == job_uid && selected => claim.mine.push(pod.clone()),
            Some(owner) if owner.uid == job_uid && !deleting => claim.release.push(ObjectRef::of(&pod.metadata)),
            None if selected && !deleting && !super::pods::deleting(pod) => {
                claim.adopt.push(ObjectRef::of(&pod.metadata));
                claim.mine.push(Arc::new(adopted(job, pod)));
            }
            _ => {}
        }
    }
    claim
}

/// The Pod as it is after the adoption patch.
pub fn adopted(job: &Job, pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    let job_uid = ownership::uid(&job.metadata);
    let owners = pod.metadata.owner_references.get_or_insert_default();
    owners.retain(|owner| owner.uid != job_uid);
    owners.push(owner_reference(job));
    if !ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER) {
        pod.metadata.finalizers.get_or_insert_default().push(TRACKING_FINALIZER.into());
    }
    pod
}

//! Pods that keep a tracking finalizer although no Job counts them any more (spec/jobs.md 4.12).
//!
//! In: a Pod, the Job it refers to (if it exists), and the other Jobs of its namespace. Out: whether the finalizer may go. Never: touches a Pod of a live Job.

use super::{conditions, known::Settings, managed};
use crate::{
    label_selector,
    ownership::{self, TRACKING_FINALIZER},
};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};

/// `job`: the Job of the name in the Pod's controller reference, or None. `others`: Jobs that might adopt a Pod without one.
pub fn strip<'a>(pod: &Pod, job: Option<&Job>, others: impl IntoIterator<Item = &'a Job>, settings: &Settings) -> bool {
    if !ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER) {
        return false;
    }
    match ownership::controller(&pod.metadata) {
        Some(owner) if owner.kind != "Job" => false,
        Some(owner) => match job.filter(|job| ownership::uid(&job.metadata) == owner.uid) {
            Some(job) => managed(job, settings) && conditions::finished(job),
            None => true,
        },
        // Without a controller it is an orphan, unless a live Job is about to adopt it.
        None => !others.into_iter().any(|job| {
            let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            job.metadata.namespace == pod.metadata.namespace
                && job.metadata.deletion_timestamp.is_none()
                && !conditions::finished(job)
                && label_selector::matches(selector, pod.metadata.labels.as_ref())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{claim, world::World};

    #[test]
    fn only_pods_nobody_counts() {
        let settings = Settings::default();
        let world = World::job(|_| {});
        let job = &world.job;
        let mut pod = crate::job::template::pod(job).unwrap();
        assert!(!strip(&pod, Some(job), [job], &settings), "a live Job's Pod");
        assert!(strip(&pod, None, [], &settings), "the Job is gone");
        let mut successor = job.clone();
        successor.metadata.uid = Some("other".into());
        assert!(strip(&pod, Some(&successor), [&successor], &settings), "another Job of the same name");
        let mut finished = job.clone();
        conditions::set(finished.status.get_or_insert_default(), conditions::COMPLETE, "True", "r", "m", world.now);
        assert!(strip(&pod, Some(&finished), [&finished], &settings), "the Job has finished");
        let mut foreign = finished.clone();
        foreign.spec.as_mut().unwrap().managed_by = Some("example.com/x".into());
        assert!(!strip(&pod, Some(&foreign), [&foreign], &settings), "somebody else's Job");
        pod.metadata.owner_references.as_mut().unwrap()[0].kind = "ReplicaSet".into();
        assert!(!strip(&pod, None, [], &settings), "another kind of controller");
        pod.metadata.owner_references = None;
        assert!(!strip(&pod, None, [job], &settings), "about to be adopted");
        assert!(strip(&pod, None, [&finished], &settings), "an orphan");
        pod = claim::adopted(job, &pod);
        pod.metadata.finalizers = None;
        assert!(!strip(&pod, None, [], &settings), "has no finalizer");
    }
}

//! Who owns an object, and how to name an object to others.
//!
//! In: objects as the API server gave them. Out: owner references and object references. Never: a request.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

/// The reference to the object's controller: the one owner reference with `controller: true`.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.as_deref().unwrap_or_default().iter().find(|reference| reference.controller == Some(true))
}

/// The reference that makes `owner` the controller of another object and keeps it until that object is gone.
/// None when `owner` has no name or uid yet, so was never stored.
pub fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> Option<OwnerReference> {
    Some(OwnerReference { block_owner_deletion: Some(true), ..owner.controller_owner_ref(&())? })
}

/// Names the object in an Event or a Binding, with its uid and resource version.
pub fn object_reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    ObjectReference { resource_version: object.meta().resource_version.clone(), ..object.object_ref(&()) }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn stored_job() -> Job {
        let mut job = Job::default();
        job.metadata.name = Some("pi".into());
        job.metadata.namespace = Some("ns".into());
        job.metadata.uid = Some("u1".into());
        job.metadata.resource_version = Some("7".into());
        job
    }

    #[test]
    fn a_controller_reference_is_found_again() {
        let reference = controller_reference(&stored_job());
        let reference = reference.expect("the job has a name and a uid");
        assert_eq!((&*reference.api_version, &*reference.kind), ("batch/v1", "Job"));
        assert_eq!((&*reference.name, &*reference.uid), ("pi", "u1"));
        assert_eq!(reference.block_owner_deletion, Some(true));
        let mut pod = Pod::default();
        assert_eq!(controller_of(&pod.metadata), None);
        let mere_owner = OwnerReference { controller: None, ..reference.clone() };
        pod.metadata.owner_references = Some(vec![mere_owner.clone()]);
        assert_eq!(controller_of(&pod.metadata), None);
        pod.metadata.owner_references = Some(vec![mere_owner, reference.clone()]);
        assert_eq!(controller_of(&pod.metadata), Some(&reference));
    }

    #[test]
    fn an_unstored_owner_has_no_reference() {
        assert_eq!(controller_reference(&Job::default()), None);
    }

    #[test]
    fn an_object_reference_names_everything() {
        let reference = object_reference(&stored_job());
        assert_eq!(reference.api_version.as_deref(), Some("batch/v1"));
        assert_eq!(reference.kind.as_deref(), Some("Job"));
        assert_eq!(reference.namespace.as_deref(), Some("ns"));
        assert_eq!(reference.name.as_deref(), Some("pi"));
        assert_eq!(reference.uid.as_deref(), Some("u1"));
        assert_eq!(reference.resource_version.as_deref(), Some("7"));
    }
}

//! Who owns an object: controller references and identities, the same for every controller.
//!
//! In: object metadata. Out: references. Never: a look-up.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// Finalizer of a Job's Pods until their end is counted (spec/jobs.md 4.10).
pub const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// Which version of which object a decision was made on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// As the cache showed it; a precondition where the plan says so.
    pub resource_version: String,
}

impl ObjectRef {
    pub fn of(meta: &ObjectMeta) -> Self {
        ObjectRef {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// The reference with `controller: true`, if any.
pub fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

pub fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

pub fn has_finalizer(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.iter().flatten().any(|f| f == finalizer)
}

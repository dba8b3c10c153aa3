//! Pod replacement policy: whether a terminating Pod already counts as failed and is replaced (spec/jobs.md 4.9.5).
//!
//! In: the Job's spec. Out: one answer. Never: looks at a Pod.

use k8s_openapi::api::batch::v1::JobSpec;

/// Count and replace a Pod only once it is terminal. Otherwise a deletionTimestamp is enough.
pub fn only_terminal(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed") || spec.pod_failure_policy.is_some()
}

//! The Pod that a Job creates from its template (spec/jobs.md 4.13).
//!
//! In: the Job. Out: a Pod without a name (the API server completes `generateName`). Never: changes the template's spec.

use super::claim::owner_reference;
use crate::ownership::{self, TRACKING_FINALIZER};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

/// Longest prefix that leaves room for five random characters in a DNS label.
pub const NAME_PREFIX_LIMIT: usize = 58;

pub fn pod(job: &Job) -> Option<Pod> {
    let template = &job.spec.as_ref()?.template;
    let meta = template.metadata.clone().unwrap_or_default();
    let mut finalizers = meta.finalizers.unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == TRACKING_FINALIZER) {
        finalizers.push(TRACKING_FINALIZER.into());
    }
    let metadata = ObjectMeta {
        namespace: job.metadata.namespace.clone(),
        generate_name: Some(prefix(ownership_name(job), "-")),
        labels: meta.labels,
        annotations: meta.annotations,
        finalizers: Some(finalizers),
        owner_references: Some(vec![owner_reference(job)]),
        ..ObjectMeta::default()
    };
    Some(Pod { metadata, spec: template.spec.clone(), status: None })
}

fn ownership_name(job: &Job) -> &str {
    debug_assert!(!ownership::uid(&job.metadata).is_empty());
    job.metadata.name.as_deref().unwrap_or_default()
}

/// `name` cut so that `name + tail` fits the limit. Names are ASCII, so every byte is a boundary.
pub fn prefix(name: &str, tail: &str) -> String {
    let cut: String = name.chars().take(NAME_PREFIX_LIMIT.saturating_sub(tail.len())).collect();
    format!("{cut}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_keeps_its_tail() {
        assert_eq!(prefix("pi", "-"), "pi-");
        let long = prefix(&"a".repeat(100), "-7-");
        assert_eq!(long.len(), NAME_PREFIX_LIMIT);
        assert!(long.ends_with("a-7-"));
    }
}

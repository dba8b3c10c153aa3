//! What is allowed but likely not meant: texts for `Warning` headers (spec/jobs.md 2.3).
//!
//! In: a prepared Job or Pod spec. Out: one sentence per surprise, starting with the field. Never: an error, a change.

use crate::{meta, names};
use serde_json::Value;
use std::collections::BTreeSet;

/// Above both limits an Indexed Job's progress may not fit its status (spec/jobs.md 2.3).
pub const TRACKABLE_COMPLETIONS: i64 = 100_000;
/// See [`TRACKABLE_COMPLETIONS`].
pub const TRACKABLE_PARALLELISM: i64 = 10_000;

/// A Job and its template.
pub fn job(job: &Value) -> Vec<String> {
    let mut warnings = vec![];
    let wrong = names::dns_label(meta::name(job));
    if !wrong.is_empty() {
        let why = wrong.join(", ");
        warnings.push(format!("metadata.name: Pod names and host names are made from it, a DNS label is recommended: [{why}]"));
    }
    let spec = &job["spec"];
    let above = |field: &str, limit: i64| spec[field].as_i64().is_some_and(|n| n > limit);
    if spec["completionMode"] == "Indexed" && above("completions", TRACKABLE_COMPLETIONS) && above("parallelism", TRACKABLE_PARALLELISM) {
        warnings.push(format!(
            "spec.parallelism: with more than {TRACKABLE_PARALLELISM} and spec.completions above {TRACKABLE_COMPLETIONS}, \
             completed indexes might not be trackable"
        ));
    }
    warnings.extend(pod_spec(&spec["template"]["spec"], "spec.template.spec"));
    warnings
}

/// A Pod's or a template's spec at `path`.
pub fn pod_spec(spec: &Value, path: &str) -> Vec<String> {
    let mut warnings = vec![];
    for (index, container) in spec["containers"].as_array().into_iter().flatten().enumerate() {
        let mut seen = BTreeSet::new();
        for (at, variable) in container["env"].as_array().into_iter().flatten().enumerate() {
            let name = variable["name"].as_str().unwrap_or_default();
            if !seen.insert(name) {
                warnings.push(format!("{path}.containers[{index}].env[{at}]: hides an earlier definition of {name:?}"));
            }
        }
    }
    warnings
}

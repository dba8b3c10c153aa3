//! What is allowed but likely not meant: texts for `Warning` headers (spec/jobs.md 2.3).
//!
//! In: a prepared Job or Pod spec. Out: one sentence per surprise, starting with the field. Never: an error, a change.

use crate::{cron, meta, names};
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
    warnings.extend(job_spec(&job["spec"], "spec"));
    warnings
}

/// A CronJob: that of its Job template, and a zone inside the schedule.
pub fn cron_job(cron_job: &Value) -> Vec<String> {
    let mut warnings = vec![];
    let wrong = names::dns_label(meta::name(cron_job));
    if !wrong.is_empty() {
        let why = wrong.join(", ");
        warnings.push(format!("metadata.name: names of Jobs and Pods are made from it, a DNS label is recommended: [{why}]"));
    }
    if cron_job["spec"]["schedule"].as_str().is_some_and(cron::mentions_zone) {
        warnings.push("spec.schedule: TZ and CRON_TZ are not officially supported, use spec.timeZone".into());
    }
    warnings.extend(job_spec(&cron_job["spec"]["jobTemplate"]["spec"], "spec.jobTemplate.spec"));
    warnings
}

fn job_spec(spec: &Value, path: &str) -> Vec<String> {
    let mut warnings = vec![];
    let above = |field: &str, limit: i64| spec[field].as_i64().is_some_and(|n| n > limit);
    if spec["completionMode"] == "Indexed" && above("completions", TRACKABLE_COMPLETIONS) && above("parallelism", TRACKABLE_PARALLELISM) {
        warnings.push(format!(
            "{path}.parallelism: with more than {TRACKABLE_PARALLELISM} and {path}.completions above {TRACKABLE_COMPLETIONS}, \
             completed indexes might not be trackable"
        ));
    }
    warnings.extend(pod_spec(&spec["template"]["spec"], &format!("{path}.template.spec")));
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

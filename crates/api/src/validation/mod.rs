//! Every validation rule, all errors collected (spec/jobs.md 2.5, 2.6, 3.4, 9.10; spec/api.md 6.1).
//!
//! In: a defaulted and prepared object, on update also the stored one. Out: field errors in a stable order: metadata, spec rules in the
//! order of the spec, then refusals. Never: a lookup of other objects, a change, a stop at the first error.

mod backoff_curve;
mod config;
mod container;
mod cron_job;
mod environment;
pub mod indexes;
mod job;
mod job_policies;
mod job_status;
mod metadata;
mod placement;
mod pod;
mod pod_update;
mod read;
mod resources;
mod small_kinds;
mod volume;

pub use metadata::ANNOTATIONS_BYTES;

use crate::{kinds::Kind, status::FieldError, supported};
use serde_json::Value;

/// Rules of a new object, and refusals of what this version does not run.
pub fn create(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = rules(kind, object, None);
    errors.extend(supported::refusals(kind, object));
    errors
}

/// Rules of a changed object. Refusals count only when the spec changed, so that metadata of any stored object can be changed.
pub fn update(kind: &Kind, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = rules(kind, new, Some(old));
    if new["spec"] != old["spec"] {
        errors.extend(supported::refusals(kind, new));
    }
    errors
}

/// The API's own rules without the refusals of this version.
pub fn rules(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = vec![];
    metadata::create(kind, new, &mut errors);
    if let Some(old) = old {
        metadata::update(kind, new, old, &mut errors);
    }
    match kind.kind {
        "Job" => {
            backoff_curve::annotations(&new["metadata"], "metadata", &mut errors);
            job::create(new, old, &mut errors);
        }
        "CronJob" => {
            cron_job::spec(new, old, &mut errors);
            backoff_curve::annotations(&new["spec"]["jobTemplate"]["metadata"], "spec.jobTemplate.metadata", &mut errors);
        }
        "Pod" => pod::create(new, &mut errors),
        "ConfigMap" => config::config_map(new, old, &mut errors),
        "Secret" => config::secret(new, old, &mut errors),
        "Event" => small_kinds::event(new, &mut errors),
        "Lease" => small_kinds::lease(new, &mut errors),
        "Node" => small_kinds::node(new, old, &mut errors),
        "Namespace" => small_kinds::namespace(new, &mut errors),
        _ => {}
    }
    match (kind.kind, old) {
        ("Job", Some(old)) => job::update(new, old, &mut errors),
        ("Pod", Some(old)) => pod_update::spec(&new["spec"], &old["spec"], &mut errors),
        _ => {}
    }
    unique(errors)
}

/// Rules of a write to `/status`.
pub fn status_update(kind: &Kind, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = vec![];
    metadata::create(kind, new, &mut errors);
    metadata::update(kind, new, old, &mut errors);
    match kind.kind {
        "Job" => job_status::update(new, old, &mut errors),
        "Pod" => pod_update::status(new, old, &mut errors),
        "Node" => small_kinds::node(new, Some(old), &mut errors),
        "Namespace" => small_kinds::namespace(new, &mut errors),
        _ => {}
    }
    unique(errors)
}

/// Two rules may find the same fault; it is told once.
fn unique(errors: Vec<FieldError>) -> Vec<FieldError> {
    let mut kept: Vec<FieldError> = vec![];
    for error in errors {
        if !kept.contains(&error) {
            kept.push(error);
        }
    }
    kept
}

#[cfg(test)]
mod cron_job_tests;
#[cfg(test)]
mod job_tests;
#[cfg(test)]
mod other_tests;
#[cfg(test)]
mod pod_tests;
#[cfg(test)]
pub(crate) mod samples;

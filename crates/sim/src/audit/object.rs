//! Reading stored objects: plain answers from JSON, independent of the product's own types and helpers.
//!
//! In: values. Out: text, numbers, lists; what is absent is empty or zero. Never: a law.

use std::collections::BTreeSet;

use serde_json::Value;

pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

pub fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(|item| text(item).to_owned()).collect()
}

/// Whether a condition holds.
pub fn flag(condition: &Value) -> bool {
    text(&condition["status"]) == "True"
}

pub fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| text(&condition["type"]) == name && flag(condition))
}

pub fn tracked(pod: &Value) -> bool {
    texts(&pod["metadata"]["finalizers"]).contains(TRACKING)
}

pub fn deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub fn phase(pod: &Value) -> &str {
    text(&pod["status"]["phase"])
}

pub fn terminal(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub fn finished(job: &Value) -> bool {
    condition(job, "Complete").or_else(|| condition(job, "Failed")).is_some()
}

/// Uid of the Job that controls a Pod.
pub fn owner(pod: &Value) -> Option<&str> {
    let references = pod["metadata"]["ownerReferences"].as_array()?;
    let controller = references.iter().find(|owner| owner["controller"] == true && text(&owner["kind"]) == "Job")?;
    controller["uid"].as_str()
}

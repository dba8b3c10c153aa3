//! The difference between two statuses as a strategic merge patch.
//!
//! In: the Pod as the API has it and the status to have. Out: a patch with the uid as precondition, or None when nothing changed.
//! Never: a condition that did not change (others write conditions too).

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Map, Value, json};

/// Lists that a strategic merge patch would merge by key although the agent means the whole list.
const REPLACED_LISTS: [&str; 2] = ["podIPs", "hostIPs"];

/// The patch for `pods/status`.
pub fn status_patch(pod: &Pod, new: &PodStatus) -> Option<Value> {
    let old = object(pod.status.as_ref().unwrap_or(&PodStatus::default()));
    let new = object(new);
    let mut changed = Map::new();
    for (key, value) in &new {
        let known = old.get(key);
        if known == Some(value) {
            continue;
        }
        let value = match key.as_str() {
            "conditions" => changed_conditions(known, value),
            list if REPLACED_LISTS.contains(&list) && known.is_some() => {
                let mut items = value.as_array().cloned().unwrap_or_default();
                items.push(json!({"$patch": "replace"}));
                Value::Array(items)
            }
            _ => value.clone(),
        };
        changed.insert(key.clone(), value);
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        changed.insert(key.clone(), Value::Null);
    }
    if changed.is_empty() {
        return None;
    }
    Some(json!({"metadata": {"uid": pod.metadata.uid}, "status": changed}))
}

/// Only the entries that differ; explicit nulls where a reason or message went away, or it would stay.
fn changed_conditions(known: Option<&Value>, wanted: &Value) -> Value {
    let known = known.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let wanted = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
    let changed = wanted.iter().filter_map(|condition| {
        let old = known.iter().find(|old| old["type"] == condition["type"]);
        if old == Some(condition) {
            return None;
        }
        let mut condition = condition.clone();
        if let (Some(fields), Some(old)) = (condition.as_object_mut(), old.and_then(Value::as_object)) {
            for key in old.keys() {
                fields.entry(key.clone()).or_insert(Value::Null);
            }
        }
        Some(condition)
    });
    Value::Array(changed.collect())
}

fn object(status: &PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

//! What may change in a Pod (spec/jobs.md 9.10, last sentence): a few spec fields, and a status that never restarts what ended.
//!
//! In: the new and the stored Pod. Out: field errors. Never: rules of the new object on its own (`pod`).

use super::read::{int, list, one_of, text};
use crate::status::FieldError;
use serde_json::{Value, json};

/// The few mutable fields are copied from the stored spec; whatever still differs is refused.
pub fn spec(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    deadline(new, old, errors);
    tolerations(new, old, errors);
    gates(new, old, errors);
    let mut comparable = new.clone();
    for field in ["containers", "initContainers"] {
        let before = list(old, field);
        if list(new, field).len() != before.len() {
            errors.push(FieldError::forbidden(format!("spec.{field}"), "pod updates may not add or remove containers"));
            return;
        }
        for (index, container) in before.iter().enumerate() {
            put(&mut comparable[field][index], container, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        put(&mut comparable, old, field);
    }
    let negative = int(old, "terminationGracePeriodSeconds").is_some_and(|s| s < 0);
    if negative && int(new, "terminationGracePeriodSeconds") == Some(1) {
        put(&mut comparable, old, "terminationGracePeriodSeconds");
    }
    if comparable != *old {
        let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        errors.push(FieldError::forbidden("spec", format!("{detail}; changed: {}", changed(&comparable, old).join(", "))));
    }
}

fn put(target: &mut Value, source: &Value, field: &str) {
    let Some(map) = target.as_object_mut() else { return };
    match source.get(field) {
        Some(value) => map.insert(field.to_owned(), value.clone()),
        None => map.shift_remove(field),
    };
}

fn changed(new: &Value, old: &Value) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = [new, old].iter().filter_map(|v| v.as_object()).flat_map(|map| map.keys()).collect();
    keys.into_iter().filter(|key| new[key.as_str()] != old[key.as_str()]).cloned().collect()
}

fn deadline(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let path = "spec.activeDeadlineSeconds";
    match (int(new, "activeDeadlineSeconds"), int(old, "activeDeadlineSeconds")) {
        (Some(after), Some(before)) if after > before => {
            errors.push(FieldError::invalid(path, after, format!("must be less than or equal to previous value {before}")));
        }
        (None, Some(_)) => errors.push(FieldError::invalid(path, Value::Null, "must not update from a positive integer to nil value")),
        _ => {}
    }
}

/// Existing ones stay, except that tolerationSeconds may change.
fn tolerations(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let key = |toleration: &Value| ["key", "operator", "value", "effect"].map(|field| text(toleration, field).to_owned());
    let kept = list(old, "tolerations").iter().all(|before| list(new, "tolerations").iter().any(|after| key(after) == key(before)));
    if !kept {
        errors.push(FieldError::forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"));
    }
}

fn gates(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let added: Vec<&Value> = list(new, "schedulingGates").iter().filter(|gate| !list(old, "schedulingGates").contains(gate)).collect();
    if !added.is_empty() {
        errors.push(FieldError::forbidden(
            "spec.schedulingGates",
            format!("only deletion is allowed, but found new scheduling gates {}", json!(added)),
        ));
    }
}

/// Status of a Pod: a known phase, and no container of a Pod that does not restart comes back from its end.
pub fn status(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    one_of(&new["status"], "status", "phase", &["Pending", "Running", "Succeeded", "Failed", "Unknown"], errors);
    let policy = text(&old["spec"], "restartPolicy");
    for before in list(&old["status"], "containerStatuses") {
        let ended = &before["state"]["terminated"];
        let final_end = match policy {
            "Never" => !ended.is_null(),
            "OnFailure" => ended["exitCode"] == 0,
            _ => false,
        };
        if !final_end {
            continue;
        }
        for (index, after) in list(&new["status"], "containerStatuses").iter().enumerate() {
            if after["name"] == before["name"] && after["state"]["terminated"].is_null() {
                errors.push(FieldError::forbidden(
                    format!("status.containerStatuses[{index}].state"),
                    "may not be transitioned to non-terminated state",
                ));
            }
        }
    }
}

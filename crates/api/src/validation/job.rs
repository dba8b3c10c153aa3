//! Rules of a Job's spec on creation and on update (spec/jobs.md 2.5, 2.6).
//!
//! In: the new Job and, on update, the stored one. Out: field errors. Never: whether this version runs what is asked (`supported`).

use super::{
    job_policies,
    metadata::{self, IMMUTABLE},
    pod,
    read::{int, list, non_negative, one_of, present, text},
};
use crate::{
    meta, names,
    selector::LabelSelector,
    status::{FieldError, FieldErrorKind},
    strategy::{CONTROLLER_UID_LABELS, JOB_NAME_LABELS},
};
use serde_json::{Value, json};

/// Largest parallelism and maxFailedIndexes of an Indexed Job (spec/jobs.md, appendix B).
pub const INDEXED_PARALLELISM: i64 = 100_000;
/// Above this number of completions, retries per index allow less.
pub const MANY_COMPLETIONS: i64 = 100_000;
/// Largest parallelism and maxFailedIndexes then.
pub const MANY_COMPLETIONS_LIMIT: i64 = 10_000;
/// Longest `managedBy`, in bytes.
pub const MANAGED_BY_BYTES: usize = 63;

/// All create rules. `old` is set on update: labels that an old template lacks are not demanded.
pub fn create(job: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &job["spec"];
    if !spec.is_object() {
        errors.push(FieldError::required("spec.selector", ""));
        errors.push(FieldError::required("spec.template", ""));
        return;
    }
    indexed_name(job, errors);
    if spec["manualSelector"] != true {
        generated_selector(job, old, errors);
    }
    without_selector(spec, errors);
    selector(spec, errors);
    template(spec, errors);
}

/// The rules that hold for the spec of a Job that does not exist yet, in a CronJob; paths begin with `spec`.
pub fn in_template(spec: &Value, errors: &mut Vec<FieldError>) {
    without_selector(spec, errors);
    template(spec, errors);
}

fn without_selector(spec: &Value, errors: &mut Vec<FieldError>) {
    numbers(spec, errors);
    mode(spec, errors);
    managed_by(spec, errors);
    let replacements: &[&str] = if present(spec, "podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    one_of(spec, "spec", "podReplacementPolicy", replacements, errors);
    job_policies::failure(spec, errors);
    job_policies::success(spec, errors);
}

fn indexed_name(job: &Value, errors: &mut Vec<FieldError>) {
    let completions = int(&job["spec"], "completions").unwrap_or(0);
    if job["spec"]["completionMode"] == "Indexed" && completions > 0 {
        let name = meta::name(job);
        let longest = format!("{name}-{}", completions - 1);
        for why in names::dns_label(&longest) {
            errors.push(FieldError::invalid("metadata.name", name, format!("the Pod host name \"{longest}\" would not be valid: {why}")));
        }
    }
}

/// The generated pair must be in the template, and the selector must select it.
fn generated_selector(job: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let (name, uid) = (meta::name(job), meta::uid(job));
    if uid.is_empty() {
        errors.push(FieldError::required("metadata.uid", ""));
    }
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    let old_labels = old.map(|o| &o["spec"]["template"]["metadata"]["labels"]);
    let mut expected = serde_json::Map::new();
    for (keys, value) in [(JOB_NAME_LABELS, name), (CONTROLLER_UID_LABELS, uid)] {
        for (index, key) in keys.into_iter().enumerate() {
            expected.insert(key.into(), json!(value));
            // Jobs from before the prefixed labels stay valid (spec/jobs.md 2.5).
            if index == 1 && old_labels.is_some_and(|l| !present(l, key)) && !present(labels, key) {
                continue;
            }
            match labels[key].as_str() {
                None => errors.push(FieldError::required("spec.template.metadata.labels", format!("must be '{value}' for '{key}'"))),
                Some(found) if found != value => {
                    errors.push(FieldError::invalid(
                        "spec.template.metadata.labels",
                        labels.clone(),
                        format!("must be '{value}' for '{key}'"),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    if present(&job["spec"], "selector")
        && let Ok(selector) = LabelSelector::from_object(&job["spec"]["selector"])
        && !selector.matches(Some(&expected))
    {
        errors.push(FieldError::invalid("spec.selector", job["spec"]["selector"].clone(), "`selector` not auto-generated"));
    }
}

fn numbers(spec: &Value, errors: &mut Vec<FieldError>) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        non_negative(spec, "spec", field, errors);
    }
    if present(spec, "maxFailedIndexes") && !present(spec, "backoffLimitPerIndex") {
        errors.push(FieldError::required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified"));
    }
}

fn mode(spec: &Value, errors: &mut Vec<FieldError>) {
    one_of(spec, "spec", "completionMode", &["NonIndexed", "Indexed"], errors);
    if text(spec, "completionMode") != "Indexed" {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] {
            if present(spec, field) {
                errors.push(FieldError::invalid(format!("spec.{field}"), spec[field].clone(), "requires indexed completion mode"));
            }
        }
        return;
    }
    let at_most = |field: &str, limit: i64, errors: &mut Vec<FieldError>| {
        if let Some(number) = int(spec, field).filter(|n| *n > limit) {
            errors.push(FieldError::invalid(format!("spec.{field}"), number, format!("must be less than or equal to {limit}")));
        }
    };
    if !present(spec, "completions") {
        errors.push(FieldError::required("spec.completions", "when completion mode is Indexed"));
    }
    at_most("parallelism", INDEXED_PARALLELISM, errors);
    let completions = int(spec, "completions").unwrap_or(INDEXED_PARALLELISM);
    at_most("maxFailedIndexes", completions.min(INDEXED_PARALLELISM), errors);
    if completions > MANY_COMPLETIONS && present(spec, "backoffLimitPerIndex") {
        if !present(spec, "maxFailedIndexes") {
            errors.push(FieldError::required("spec.maxFailedIndexes", format!("when completions is above {MANY_COMPLETIONS}")));
        }
        at_most("maxFailedIndexes", MANY_COMPLETIONS_LIMIT, errors);
        at_most("parallelism", MANY_COMPLETIONS_LIMIT, errors);
    }
}

fn managed_by(spec: &Value, errors: &mut Vec<FieldError>) {
    if !present(spec, "managedBy") {
        return;
    }
    let value = text(spec, "managedBy");
    let fits = value.split_once('/').is_some_and(|(domain, path)| {
        names::dns_subdomain(domain).is_empty()
            && !path.is_empty()
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b))
    });
    if !fits {
        errors.push(FieldError::invalid("spec.managedBy", value, "must be a domain-prefixed path (such as \"acme.io/foo\")"));
    }
    if value.len() > MANAGED_BY_BYTES {
        errors.push(FieldError::too_long("spec.managedBy", MANAGED_BY_BYTES));
    }
}

fn selector(spec: &Value, errors: &mut Vec<FieldError>) {
    if !present(spec, "selector") {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    }
    metadata::selector(&spec["selector"], "spec.selector", errors);
    let labels = metadata::labels_of(&spec["template"]["metadata"]);
    if let Ok(selector) = LabelSelector::from_object(&spec["selector"])
        && !selector.matches(labels)
    {
        let shown = spec["template"]["metadata"]["labels"].clone();
        errors.push(FieldError::invalid("spec.template.metadata.labels", shown, "`selector` does not match template `labels`"));
    }
}

fn template(spec: &Value, errors: &mut Vec<FieldError>) {
    let template = &spec["template"];
    metadata::labels_and_annotations(&template["metadata"], "spec.template.metadata", errors);
    if !list(&template["spec"], "ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden("spec.template.spec.ephemeralContainers", "not allowed in pod templates"));
    }
    pod::spec(&template["spec"], "spec.template.spec", errors);
    let path = "spec.template.spec.restartPolicy";
    match text(&template["spec"], "restartPolicy") {
        "" | "Always" => errors.push(FieldError::required(path, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" | "Never" => {}
        other => {
            // The Pod rules have reported it with three choices; a Job has two.
            errors.retain(|e| e.path != path || e.kind != FieldErrorKind::NotSupported);
            errors.push(FieldError::not_supported(path, other, &["OnFailure", "Never"]));
        }
    }
}

/// What an update may not change (spec/jobs.md 2.6), beside the create rules.
pub fn update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (spec, before) = (&new["spec"], &old["spec"]);
    if text(spec, "completionMode") != "Indexed" {
        metadata::immutable(spec, before, "spec", "completions", errors);
    } else if spec["completions"] != before["completions"] && present(spec, "completions") && spec["completions"] != spec["parallelism"] {
        errors.push(FieldError::invalid(
            "spec.completions",
            spec["completions"].clone(),
            "can only be modified in tandem with spec.parallelism",
        ));
    }
    metadata::immutable(spec, before, "spec", "selector", errors);
    let comparable =
        if safely_suspended(old) { with_suspended_changes(&spec["template"], &before["template"]) } else { before["template"].clone() };
    if comparable != spec["template"] {
        errors.push(FieldError::invalid("spec.template", spec["template"].clone(), IMMUTABLE));
    }
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        metadata::immutable(spec, before, "spec", field, errors);
    }
    scheduling(spec, before, errors);
}

fn scheduling(spec: &Value, before: &Value, errors: &mut Vec<FieldError>) {
    let without_count = |spec: &Value| {
        let mut scheduling = spec["scheduling"].clone();
        if let Some(gang) = scheduling.pointer_mut("/schedulingPolicy/gang").and_then(Value::as_object_mut) {
            gang.shift_remove("minCount");
        }
        scheduling
    };
    if without_count(spec) != without_count(before) {
        errors.push(FieldError::invalid("spec.scheduling", spec["scheduling"].clone(), IMMUTABLE));
    }
}

/// Suspended with nothing running: never started, or told so by its condition. The stored Job decides.
fn safely_suspended(old: &Value) -> bool {
    let status = &old["status"];
    old["spec"]["suspend"] == true
        && int(status, "active").unwrap_or(0) == 0
        && (!present(status, "startTime") || list(status, "conditions").iter().any(|c| c["type"] == "Suspended" && c["status"] == "True"))
}

/// The stored template with those parts of the new one that a suspended Job may change.
fn with_suspended_changes(new: &Value, old: &Value) -> Value {
    let mut result = old.clone();
    for (parent, field) in [
        ("/metadata", "labels"),
        ("/metadata", "annotations"),
        ("/spec", "nodeSelector"),
        ("/spec", "tolerations"),
        ("/spec", "schedulingGates"),
    ] {
        copy_field(&mut result, new, parent, field);
    }
    let only_node_affinity =
        |affinity: &Value| affinity.as_object().is_none_or(|map| map.iter().all(|(k, v)| k == "nodeAffinity" || v.is_null()));
    let (new_affinity, old_affinity) = (&new["spec"]["affinity"], &old["spec"]["affinity"]);
    if new_affinity.is_null() != old_affinity.is_null() {
        if only_node_affinity(new_affinity) && only_node_affinity(old_affinity) {
            copy_field(&mut result, new, "/spec", "affinity");
        }
    } else if !new_affinity.is_null() {
        copy_field(&mut result, new, "/spec/affinity", "nodeAffinity");
    }
    for containers in ["containers", "initContainers"] {
        let count = list(&new["spec"], containers).len();
        if count == list(&old["spec"], containers).len() {
            for index in 0..count {
                copy_field(&mut result, new, &format!("/spec/{containers}/{index}"), "resources");
            }
        }
    }
    result
}

fn copy_field(target: &mut Value, source: &Value, parent: &str, field: &str) {
    let value = source.pointer(parent).and_then(|p| p.get(field)).cloned();
    if value.is_some() && target.pointer(parent).is_none() && parent == "/metadata" {
        target["metadata"] = json!({});
    }
    if let Some(map) = target.pointer_mut(parent).and_then(Value::as_object_mut) {
        match value {
            Some(value) => map.insert(field.to_owned(), value),
            None => map.shift_remove(field),
        };
    }
}

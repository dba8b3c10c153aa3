//! What happens to an object between decoding and validation, per kind (spec/jobs.md 2.3, 2.4; spec/api.md 6.1): status emptied or kept, generation,
//! generated selectors and labels, fields that only the server sets.
//!
//! In: the new object, the stored one, the time. Out: the new object as it would be stored, and texts for `Warning` headers.
//! Never: a clock or randomness (uid, time and names come in as values), never an error (that is `validation`).

mod warnings;

use crate::{defaults, kinds::Kind, meta, quantity::Quantity};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Seconds a Pod stays bound to a node that is not ready or unreachable (spec/jobs.md 9.7).
pub const NODE_LOSS_TOLERATION_SECONDS: i64 = 300;
/// Labels that tie Pods to their Job, old spelling and new (spec/jobs.md 2.4).
pub const JOB_NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
/// The same for the Job's UID; the second one is the generated selector.
pub const CONTROLLER_UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
/// The finalizer of every Namespace's `spec.finalizers`.
pub const NAMESPACE_FINALIZER: &str = "kubernetes";

/// A time as objects carry it: UTC, whole seconds, `Z`.
pub fn time(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Called after `defaults::apply`, metadata.name, namespace and uid already set. Sets creationTimestamp and generation, empties status, generates Job
/// selector and labels, Pod status.phase Pending + qosClass, Namespace phase and finalizer, Pod admission defaults (serviceAccountName, tolerations, priority).
/// Out: warnings for `Warning` headers.
pub fn prepare_create(kind: &Kind, object: &mut Value, now: Timestamp) -> Vec<String> {
    let metadata = metadata_map(object);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields", "generation"] {
        metadata.shift_remove(field);
    }
    metadata.insert("creationTimestamp".into(), json!(time(now)));
    if kind.has_generation {
        metadata.insert("generation".into(), json!(1));
    }
    match kind.kind {
        "Job" => {
            object["status"] = json!({});
            if object["spec"]["manualSelector"] != true {
                generate_selector(object);
            }
            // The generated labels are seen on an unlabelled Job, as on every later read (spec/jobs.md 2.2, 4).
            defaults::apply(kind, object);
            warnings::job(object)
        }
        "CronJob" => {
            object["status"] = json!({});
            warnings::cron_job(object)
        }
        "Pod" => {
            admit_pod(object);
            let class = quality_of_service(&object["spec"]);
            object["status"] = json!({"phase": "Pending", "qosClass": class});
            warnings::pod_spec(&object["spec"], "spec")
        }
        "Namespace" => {
            if !object["spec"].is_object() {
                object["spec"] = json!({});
            }
            if !object["spec"]["finalizers"].as_array().is_some_and(|f| f.iter().any(|f| f == NAMESPACE_FINALIZER)) {
                let mut list = object["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
                list.push(json!(NAMESPACE_FINALIZER));
                object["spec"]["finalizers"] = Value::Array(list);
            }
            object["status"] = json!({"phase": "Active"});
            vec![]
        }
        _ => vec![],
    }
}

/// Main-resource update: system metadata and status kept from `old`, generation raised when spec changed.
pub fn prepare_update(kind: &Kind, new: &mut Value, old: &Value) -> Vec<String> {
    keep_system_metadata(kind, new, old);
    if kind.subresource("status").is_some() {
        keep(new, old, "status");
    }
    match kind.kind {
        "Namespace" => keep(new, old, "spec"),
        // A negative grace period of an old object counts as 1 (spec/jobs.md 9.10).
        "Pod" if new["spec"]["terminationGracePeriodSeconds"].as_i64().is_some_and(|s| s < 0) => {
            new["spec"]["terminationGracePeriodSeconds"] = json!(1);
        }
        _ => {}
    }
    if kind.has_generation && new.get("spec") != old.get("spec") {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        metadata_map(new).insert("generation".into(), json!(generation + 1));
    }
    if kind.kind == "CronJob" { warnings::cron_job(new) } else { vec![] }
}

/// `/status` update: everything but status, labels, annotations, finalizers and ownerReferences kept from `old`
/// (a Pod's ownerReferences are kept too: node agents have no business there).
pub fn prepare_status_update(kind: &Kind, new: &mut Value, old: &Value) {
    keep_system_metadata(kind, new, old);
    let fields: Vec<String> = old.as_object().into_iter().chain(new.as_object()).flat_map(|map| map.keys().cloned()).collect();
    for field in fields {
        if !matches!(field.as_str(), "status" | "metadata" | "apiVersion" | "kind") {
            keep(new, old, &field);
        }
    }
    if kind.kind == "Pod" {
        let owners = old["metadata"].get("ownerReferences").cloned();
        replace(metadata_map(new), "ownerReferences", owners);
        if new["status"].is_object() && new["status"]["qosClass"].as_str().is_none_or(str::is_empty) {
            let class = old["status"].get("qosClass").cloned();
            if let Some(status) = new["status"].as_object_mut() {
                replace(status, "qosClass", class);
            }
        }
    }
}

/// `namespaces/NAME/finalize`: only `spec.finalizers` changes.
pub fn prepare_finalize(kind: &Kind, new: &mut Value, old: &Value) {
    let finalizers = new["spec"].get("finalizers").cloned();
    *new = old.clone();
    keep_system_metadata(kind, new, old);
    if !new["spec"].is_object() {
        new["spec"] = json!({});
    }
    if let Some(spec) = new["spec"].as_object_mut() {
        replace(spec, "finalizers", finalizers);
    }
}

fn metadata_map(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("was made an object on the line before")
}

fn replace(map: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => map.insert(field.to_owned(), value),
        None => map.shift_remove(field),
    };
}

fn keep(new: &mut Value, old: &Value, field: &str) {
    let value = old.get(field).cloned();
    if let Some(map) = new.as_object_mut() {
        replace(map, field, value);
    }
}

/// Identity that a client may leave out is filled in; a different one stays for validation to refuse. Generation is never the client's.
fn keep_system_metadata(kind: &Kind, new: &mut Value, old: &Value) {
    let metadata = metadata_map(new);
    for field in ["selfLink", "managedFields"] {
        metadata.shift_remove(field);
    }
    let generation = if kind.has_generation { old["metadata"].get("generation").cloned() } else { None };
    replace(metadata, "generation", generation);
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"] {
        let absent = metadata.get(field).is_none_or(|value| value.is_null() || value == "");
        if absent {
            replace(metadata, field, old["metadata"].get(field).cloned());
        }
    }
}

/// Labels and selector of a Job that does not bring its own (spec/jobs.md 2.4).
fn generate_selector(job: &mut Value) {
    let (name, uid) = (meta::name(job).to_owned(), meta::uid(job).to_owned());
    let Some(spec) = job.get_mut("spec").filter(|s| s.is_object()) else { return };
    if !spec["template"].is_object() {
        spec["template"] = json!({});
    }
    let labels = labels_map(metadata_map(&mut spec["template"]), "labels");
    for (keys, value) in [(JOB_NAME_LABELS, &name), (CONTROLLER_UID_LABELS, &uid)] {
        for key in keys {
            labels.entry(key).or_insert_with(|| json!(value));
        }
    }
    if !spec["selector"].is_object() {
        spec["selector"] = json!({});
    }
    let selector = spec["selector"].as_object_mut().expect("was made an object on the line before");
    labels_map(selector, "matchLabels").entry(CONTROLLER_UID_LABELS[1]).or_insert_with(|| json!(uid));
}

fn labels_map<'a>(map: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let entry = map.entry(field).or_insert(Value::Null);
    if !entry.is_object() {
        *entry = json!({});
    }
    entry.as_object_mut().expect("was made an object on the line before")
}

/// What admission adds to a Pod (spec/api.md 6.12), except the ServiceAccount token volume: tokens do not exist yet (see `supported`).
fn admit_pod(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec").filter(|s| s.is_object()) else { return };
    let absent = |spec: &Value, field: &str| spec[field].is_null() || spec[field] == "";
    if absent(spec, "serviceAccountName") {
        spec["serviceAccountName"] = json!("default");
    }
    defaults::account_alias(spec);
    for (field, value) in [("priority", json!(0)), ("preemptionPolicy", json!("PreemptLowerPriority")), ("enableServiceLinks", json!(true))]
    {
        if absent(spec, field) {
            spec[field] = value;
        }
    }
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let own = tolerations.iter().any(|t| {
            let text = |field: &str| t[field].as_str().unwrap_or("");
            (text("key") == key || text("key").is_empty()) && matches!(text("effect"), "" | "NoExecute")
        });
        if !own {
            tolerations
                .push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": NODE_LOSS_TOLERATION_SECONDS}));
        }
    }
    spec["tolerations"] = Value::Array(tolerations);
}

/// `Guaranteed` when every container limits cpu and memory and requests as much, `BestEffort` when none asks for either, else `Burstable`.
pub fn quality_of_service(spec: &Value) -> &'static str {
    let amount = |container: &Value, list: &str, resource: &str| {
        container["resources"][list][resource].as_str().and_then(|t| Quantity::parse(t).ok()).filter(|q| q.nano > 0)
    };
    let mut any = false;
    let mut guaranteed = true;
    for container in ["containers", "initContainers"].iter().flat_map(|list| spec[list].as_array().into_iter().flatten()) {
        for resource in ["cpu", "memory"] {
            let (limit, request) = (amount(container, "limits", resource), amount(container, "requests", resource));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests;

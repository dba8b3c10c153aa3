//! Defaults (spec/jobs.md 2.2, 2.7; spec/api.md 6.12). Idempotent; runs on create, update and when a stored object is read.
//!
//! In: a decoded object. Out: the same object with every value filled in that the API fills in. Never: a value that depends on time,
//! on another object or on the request (that is `strategy`), and never a change of something the user set (only its spelling: quantities).

use crate::{kinds::Kind, quantity};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value, json};

/// Retries of a Job when nothing is said (seed; spec/jobs.md 2.1).
pub const BACKOFF_LIMIT: i64 = 6;
/// Seconds between SIGTERM and SIGKILL when nothing is said (spec/api.md 6.12).
pub const TERMINATION_GRACE_PERIOD_SECONDS: i64 = 30;

/// Finished Jobs that a CronJob keeps when nothing is said (spec/jobs.md 7.1).
pub const SUCCESSFUL_JOBS_HISTORY_LIMIT: i64 = 3;
/// The same for failed ones.
pub const FAILED_JOBS_HISTORY_LIMIT: i64 = 1;

/// Fills in the defaults of the kind.
pub fn apply(kind: &Kind, object: &mut Value) {
    match kind.kind {
        "Job" => job(object),
        "CronJob" => cron_job(object),
        "Pod" => {
            if let Some(spec) = object.get_mut("spec") {
                pod_spec(spec);
            }
        }
        "Secret" => secret(object),
        "Node" => node(object),
        "Namespace" => namespace(object),
        _ => {}
    }
}

/// Sets a field that is absent or null. Anything but a map is left alone (the schema refuses it elsewhere).
fn set(object: &mut Value, field: &str, default: Value) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), default);
    }
}

/// The same for texts, where "" counts as absent.
fn set_text(object: &mut Value, field: &str, default: &str) {
    if object[field] == "" {
        object[field] = Value::Null;
    }
    set(object, field, json!(default));
}

fn each<'a>(object: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn job(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else { return };
    let unset = |spec: &Value, field: &str| spec[field].is_null();
    if unset(spec, "completions") && unset(spec, "parallelism") {
        set(spec, "completions", json!(1));
    }
    set(spec, "parallelism", json!(1));
    let limit = if unset(spec, "backoffLimitPerIndex") { BACKOFF_LIMIT } else { i64::from(i32::MAX) };
    set(spec, "backoffLimit", json!(limit));
    set_text(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", json!(false));
    set(spec, "manualSelector", json!(false));
    let replacement = if unset(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
    set_text(spec, "podReplacementPolicy", replacement);
    failure_policy(spec);
    if let Some(template) = spec.get_mut("template").and_then(|t| t.get_mut("spec")) {
        pod_spec(template);
    }
    // An unlabelled Job is seen with its template's labels, generated ones included (spec/jobs.md 2.2, 4).
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let has_own = object["metadata"]["labels"].as_object().is_some_and(|own| !own.is_empty());
    if !has_own && labels.as_object().is_some_and(|l| !l.is_empty()) && object["metadata"].is_object() {
        object["metadata"]["labels"] = labels;
    }
}

fn failure_policy(job_spec: &mut Value) {
    if let Some(policy) = job_spec.get_mut("podFailurePolicy") {
        for rule in each(policy, "rules") {
            for pattern in each(rule, "onPodConditions") {
                set_text(pattern, "status", "True");
            }
        }
    }
}

/// Of the Job in it only the parts below the Job's own fields, as upstream: what a Job gets is decided when it is created (spec/jobs.md 7.1).
fn cron_job(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else { return };
    set_text(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", json!(false));
    set(spec, "successfulJobsHistoryLimit", json!(SUCCESSFUL_JOBS_HISTORY_LIMIT));
    set(spec, "failedJobsHistoryLimit", json!(FAILED_JOBS_HISTORY_LIMIT));
    let Some(job) = spec.get_mut("jobTemplate").and_then(|t| t.get_mut("spec")) else { return };
    failure_policy(job);
    if let Some(template) = job.get_mut("template").and_then(|t| t.get_mut("spec")) {
        pod_spec(template);
    }
}

/// Defaults of a Pod's or a template's `spec`.
pub fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set_text(spec, "restartPolicy", "Always");
    set(spec, "terminationGracePeriodSeconds", json!(TERMINATION_GRACE_PERIOD_SECONDS));
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "schedulerName", "default-scheduler");
    set(spec, "securityContext", json!({}));
    account_alias(spec);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for item in each(spec, list) {
            container(item);
        }
    }
    for volume in each(spec, "volumes") {
        self::volume(volume);
    }
    for constraint in each(spec, "topologySpreadConstraints") {
        set_text(constraint, "nodeAffinityPolicy", "Honor");
        set_text(constraint, "nodeTaintsPolicy", "Ignore");
    }
    quantities(spec.get_mut("overhead"));
}

/// `serviceAccount` is the deprecated spelling of `serviceAccountName`: both are always shown with the same value.
pub fn account_alias(spec: &mut Value) {
    let text = |field: &str| spec[field].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    if let Some(name) = text("serviceAccountName").or_else(|| text("serviceAccount")) {
        spec["serviceAccountName"] = json!(name);
        spec["serviceAccount"] = json!(name);
    }
}

fn container(container: &mut Value) {
    if !container.is_object() {
        return;
    }
    let image = container["image"].as_str().unwrap_or("");
    let policy = if image_is_latest(image) { "Always" } else { "IfNotPresent" };
    set_text(container, "imagePullPolicy", policy);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    set(container, "resources", json!({}));
    resources(&mut container["resources"]);
    // Host ports are not filled in on the host network, as upstream does: `supported` refuses them and ports are information only.
    for port in each(container, "ports") {
        set_text(port, "protocol", "TCP");
    }
    for variable in each(container, "env") {
        if let Some(source) = variable.get_mut("valueFrom") {
            if let Some(field) = source.get_mut("fieldRef").filter(|f| f.is_object()) {
                set_text(field, "apiVersion", "v1");
            }
            if let Some(field) = source.get_mut("resourceFieldRef").filter(|f| f.is_object()) {
                if field["divisor"].is_null() {
                    set(field, "divisor", json!("0"));
                } else if let Some(text) = quantity_text(&field["divisor"]) {
                    field["divisor"] = json!(text);
                }
            }
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|p| p.is_object()) {
            self::probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = container.get_mut("lifecycle").and_then(|l| l.get_mut(hook)).and_then(|h| h.get_mut("httpGet")) {
            http_get(get);
        }
    }
    if let Some(security) = container.get_mut("securityContext").filter(|s| !s["procMount"].is_null()) {
        set_text(security, "procMount", "Default");
    }
}

fn probe(probe: &mut Value) {
    for (field, default) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)] {
        if probe[field] == 0 {
            probe[field] = Value::Null;
        }
        set(probe, field, json!(default));
    }
    if let Some(get) = probe.get_mut("httpGet") {
        http_get(get);
    }
    if let Some(grpc) = probe.get_mut("grpc") {
        set(grpc, "service", json!(""));
    }
}

fn http_get(get: &mut Value) {
    if get.is_object() {
        set_text(get, "path", "/");
        set_text(get, "scheme", "HTTP");
    }
}

/// Limits that have no request become requests; all quantities take their canonical spelling.
fn resources(resources: &mut Value) {
    quantities(resources.get_mut("limits"));
    quantities(resources.get_mut("requests"));
    let Some(limits) = resources["limits"].as_object().cloned().filter(|l| !l.is_empty()) else { return };
    set(resources, "requests", Value::Object(Map::new()));
    for (name, limit) in limits {
        set(&mut resources["requests"], &name, limit);
    }
}

fn quantities(map: Option<&mut Value>) {
    for value in map.and_then(Value::as_object_mut).into_iter().flat_map(|m| m.values_mut()) {
        if let Some(text) = quantity_text(value) {
            *value = json!(text);
        }
    }
}

/// Canonical text of a quantity given as text or number; None when it is none (validation tells).
fn quantity_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => quantity::canonical(text).ok(),
        Value::Number(number) => quantity::canonical(&number.to_string()).ok(),
        _ => None,
    }
}

fn volume(volume: &mut Value) {
    if !volume.is_object() {
        return;
    }
    const SOURCE_MODE: i64 = 0o644;
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source).filter(|s| s.is_object()) {
            set(source, "defaultMode", json!(SOURCE_MODE));
        }
    }
    if let Some(host) = volume.get_mut("hostPath").filter(|h| h.is_object()) {
        set(host, "type", json!(""));
    }
    if let Some(claim) = volume.get_mut("ephemeral").and_then(|e| e.get_mut("volumeClaimTemplate")).and_then(|t| t.get_mut("spec")) {
        set_text(claim, "volumeMode", "Filesystem");
    }
    if let Some(size) = volume.get_mut("emptyDir").and_then(|e| e.get_mut("sizeLimit"))
        && let Some(text) = quantity_text(size)
    {
        *size = json!(text);
    }
    // No source at all means emptyDir, a rule as old as the API.
    if volume.as_object().is_some_and(|map| map.iter().all(|(field, value)| field == "name" || value.is_null())) {
        volume["emptyDir"] = json!({});
    }
}

/// Whether the reference has the tag `latest`, or neither tag nor digest.
fn image_is_latest(image: &str) -> bool {
    let (tagged, digest) = image.split_once('@').map_or((image, false), |(tagged, _)| (tagged, true));
    let last = tagged.rsplit('/').next().unwrap_or(tagged);
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest,
    }
}

/// `stringData` is write-only: it is merged into `data` and never stored.
fn secret(object: &mut Value) {
    set_text(object, "type", "Opaque");
    let Some(texts) = object.as_object_mut().and_then(|map| map.shift_remove("stringData")) else { return };
    for (key, text) in texts.as_object().into_iter().flatten() {
        if let Some(text) = text.as_str() {
            set(object, "data", json!({}));
            if let Some(data) = object["data"].as_object_mut() {
                data.insert(key.clone(), json!(BASE64.encode(text)));
            }
        }
    }
}

fn node(object: &mut Value) {
    let Some(status) = object.get_mut("status") else { return };
    quantities(status.get_mut("capacity"));
    quantities(status.get_mut("allocatable"));
    if let Some(capacity) = status.get("capacity").filter(|c| c.is_object()).cloned() {
        set(status, "allocatable", capacity);
    }
}

/// The immutable label by which selectors find a namespace by name.
fn namespace(object: &mut Value) {
    let name = crate::meta::name(object).to_owned();
    if !name.is_empty() {
        set(&mut object["metadata"], "labels", json!({}));
        set(&mut object["metadata"]["labels"], NAMESPACE_NAME_LABEL, json!(name));
    }
}

/// Carries the namespace's own name (spec/api.md 10).
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

#[cfg(test)]
#[path = "defaults_tests.rs"]
mod tests;

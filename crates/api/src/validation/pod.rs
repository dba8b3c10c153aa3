//! Rules of a Pod's or a template's spec (spec/jobs.md 9.10).
//!
//! In: the spec and its path. Out: field errors. Never: rules of what may change (`pod_update`) or of what this version runs (`supported`).

use super::{
    container, placement,
    read::{in_range, int, list, non_negative, one_of, present, shaped, text},
    volume,
};
use crate::{names, status::FieldError};
use serde_json::Value;
use std::collections::BTreeSet;

/// Largest uid, gid and group.
pub const MAX_ID: i64 = i32::MAX as i64;

/// A bare Pod.
pub fn create(pod: &Value, errors: &mut Vec<FieldError>) {
    if !list(&pod["spec"], "ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden("spec.ephemeralContainers", "may only be set through the ephemeralcontainers subresource"));
    }
    spec(&pod["spec"], "spec", errors);
}

/// Every rule of the spec at `path`.
pub fn spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let volumes = volume::all(spec, path, errors);
    containers(spec, path, &volumes, errors);
    one_of(spec, path, "restartPolicy", &["Always", "OnFailure", "Never"], errors);
    one_of(spec, path, "dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
    non_negative(spec, path, "terminationGracePeriodSeconds", errors);
    in_range(spec, path, "activeDeadlineSeconds", 1, i64::from(i32::MAX), errors);
    shaped(spec, path, "hostname", names::dns_label, errors);
    shaped(spec, path, "subdomain", names::dns_label, errors);
    shaped(spec, path, "serviceAccountName", names::dns_subdomain, errors);
    shaped(spec, path, "nodeName", names::dns_subdomain, errors);
    shaped(spec, path, "schedulerName", names::qualified_name, errors);
    shaped(spec, path, "priorityClassName", names::dns_subdomain, errors);
    shaped(spec, path, "runtimeClassName", names::dns_subdomain, errors);
    one_of(&spec["os"], &format!("{path}.os"), "name", &["linux", "windows"], errors);
    if !text(spec, "nodeName").is_empty() && !list(spec, "schedulingGates").is_empty() {
        errors.push(FieldError::forbidden(format!("{path}.nodeName"), "cannot be set until all schedulingGates have been cleared"));
    }
    placement::all(spec, path, errors);
    security(&spec["securityContext"], &format!("{path}.securityContext"), errors);
}

fn containers(spec: &Value, path: &str, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    if list(spec, "containers").is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut names_seen = BTreeSet::new();
    for field in ["containers", "initContainers"] {
        for (index, item) in list(spec, field).iter().enumerate() {
            let path = format!("{path}.{field}[{index}]");
            let name = text(item, "name");
            if name.is_empty() {
                errors.push(FieldError::required(format!("{path}.name"), ""));
            } else if !names_seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
            container::one(item, &path, volumes, errors);
            if field == "initContainers" && item["restartPolicy"] != "Always" {
                for probe in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
                    if present(item, probe) {
                        errors.push(FieldError::forbidden(
                            format!("{path}.{probe}"),
                            "may not be set for init containers without restartPolicy=Always",
                        ));
                    }
                }
            }
        }
    }
    host_ports(spec, path, errors);
}

/// No two containers may take the same port of the node; on the host network a container port is one.
fn host_ports(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut taken = BTreeSet::new();
    for (index, item) in list(spec, "containers").iter().enumerate() {
        for (at, port) in list(item, "ports").iter().enumerate() {
            let path = format!("{path}.containers[{index}].ports[{at}].hostPort");
            let Some(number) = int(port, "hostPort").filter(|n| *n != 0) else { continue };
            if spec["hostNetwork"] == true && int(port, "containerPort") != Some(number) {
                errors.push(FieldError::invalid(&path, number, "must match `containerPort` when `hostNetwork` is true"));
            }
            if !taken.insert((text(port, "protocol"), text(port, "hostIP"), number)) {
                errors.push(FieldError::duplicate(&path, number));
            }
        }
    }
}

/// What the Pod and its containers have in common in a security context.
pub fn security(context: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        in_range(context, path, field, 0, MAX_ID, errors);
    }
    for (index, group) in list(context, "supplementalGroups").iter().enumerate() {
        if let Some(id) = group.as_i64().filter(|id| !(0..=MAX_ID).contains(id)) {
            let path = format!("{path}.supplementalGroups[{index}]");
            errors.push(FieldError::invalid(path, id, format!("must be between 0 and {MAX_ID}, inclusive")));
        }
    }
    let profile = &context["seccompProfile"];
    if profile.is_null() {
        return;
    }
    let path = format!("{path}.seccompProfile");
    if text(profile, "type").is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), "type is required when seccompProfile is set"));
    }
    one_of(profile, &path, "type", &["Localhost", "RuntimeDefault", "Unconfined"], errors);
    match (profile["type"] == "Localhost", present(profile, "localhostProfile")) {
        (true, false) => {
            errors.push(FieldError::required(format!("{path}.localhostProfile"), "must be set when seccomp type is Localhost"))
        }
        (false, true) => {
            errors.push(FieldError::invalid(
                format!("{path}.localhostProfile"),
                profile["localhostProfile"].clone(),
                "can only be set when seccomp type is Localhost",
            ));
        }
        _ => {}
    }
}

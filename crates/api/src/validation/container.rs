//! Rules of one container (spec/jobs.md 9.10).
//!
//! In: the container, its path and the names of the Pod's volumes. Out: field errors. Never: rules across containers (`pod`).

use super::{
    environment, pod,
    read::{in_range, int, list, one_of, shaped, text},
    resources,
};
use crate::{names, status::FieldError};
use serde_json::Value;
use std::collections::BTreeSet;

/// Longest port name, in bytes (RFC 6335).
const MAX_PORT_NAME_BYTES: usize = 15;
/// Highest port number.
const MAX_PORT: i64 = 65_535;

/// Every rule of the container at `path`.
pub fn one(container: &Value, path: &str, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    shaped(container, path, "name", names::dns_label, errors);
    let image = text(container, "image");
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        errors.push(FieldError::invalid(format!("{path}.image"), image, "must not have leading or trailing whitespace"));
    }
    one_of(container, path, "imagePullPolicy", &["Always", "IfNotPresent", "Never"], errors);
    one_of(container, path, "terminationMessagePolicy", &["File", "FallbackToLogsOnError"], errors);
    ports(container, path, errors);
    environment::all(container, path, errors);
    mounts(container, path, volumes, errors);
    resources::all(&container["resources"], &format!("{path}.resources"), errors);
    let security = &container["securityContext"];
    let security_path = format!("{path}.securityContext");
    pod::security(security, &security_path, errors);
    one_of(security, &security_path, "procMount", &["Default", "Unmasked"], errors);
    let adds_admin = list(&security["capabilities"], "add").iter().any(|c| c == "CAP_SYS_ADMIN" || c == "SYS_ADMIN");
    if security["allowPrivilegeEscalation"] == false && (security["privileged"] == true || adds_admin) {
        errors.push(FieldError::invalid(
            format!("{security_path}.allowPrivilegeEscalation"),
            false,
            "cannot be false together with `privileged` or the capability SYS_ADMIN",
        ));
    }
}

fn ports(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, port) in list(container, "ports").iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            if !is_port_name(name) {
                let why = "must be at most 15 lower case letters, digits and single inner '-', with at least one letter";
                errors.push(FieldError::invalid(format!("{path}.name"), name, why));
            } else if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        if int(port, "containerPort").unwrap_or(0) == 0 {
            errors.push(FieldError::required(format!("{path}.containerPort"), ""));
        } else {
            in_range(port, &path, "containerPort", 1, MAX_PORT, errors);
        }
        in_range(port, &path, "hostPort", 0, MAX_PORT, errors);
        one_of(port, &path, "protocol", &["SCTP", "TCP", "UDP"], errors);
    }
}

/// RFC 6335, section 5.1.
fn is_port_name(name: &str) -> bool {
    name.len() <= MAX_PORT_NAME_BYTES
        && names::dns_label(name).is_empty()
        && !name.contains("--")
        && name.bytes().any(|b| b.is_ascii_lowercase())
}

fn mounts(container: &Value, path: &str, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    let mut paths = BTreeSet::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        let (name, target) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !volumes.contains(name) {
            errors.push(FieldError::not_found(format!("{path}.name"), name));
        }
        if target.is_empty() {
            errors.push(FieldError::required(format!("{path}.mountPath"), ""));
        } else if !paths.insert(target) {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), target, "must be unique"));
        }
        for field in ["subPath", "subPathExpr"] {
            if !text(mount, field).is_empty() {
                errors.extend(inner_path(text(mount, field), &format!("{path}.{field}")));
            }
        }
        if !text(mount, "subPath").is_empty() && !text(mount, "subPathExpr").is_empty() {
            errors.push(FieldError::invalid(
                format!("{path}.subPathExpr"),
                text(mount, "subPathExpr"),
                "subPathExpr and subPath are mutually exclusive",
            ));
        }
        one_of(mount, &path, "mountPropagation", &["Bidirectional", "HostToContainer", "None"], errors);
        one_of(mount, &path, "recursiveReadOnly", &["Disabled", "Enabled", "IfPossible"], errors);
    }
}

/// A path that stays inside its volume: relative, without `..`.
pub fn inner_path(target: &str, path: &str) -> Vec<FieldError> {
    let mut errors = vec![];
    if target.starts_with('/') {
        errors.push(FieldError::invalid(path, target, "must be a relative path"));
    }
    if target.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, target, "must not contain '..'"));
    }
    errors
}

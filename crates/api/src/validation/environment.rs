//! Rules of a container's environment (spec/jobs.md 9.10): `env` and `envFrom`.
//!
//! In: the container. Out: field errors. Never: a check that the referenced ConfigMap or Secret exists (the node agent's business).

use super::read::{list, present, text};
use crate::{names, quantity::Quantity, status::FieldError};
use serde_json::Value;

/// Pod fields that may become variables; labels and annotations with a key in brackets come on top.
const POD_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: &[&str] =
    &["limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"];
const SOURCES: &[&str] = &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

/// Every rule of `env` and `envFrom`.
pub fn all(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, variable) in list(container, "env").iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        let name = text(variable, "name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            errors.extend(names::environment_name(name).into_iter().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
        }
        if present(variable, "valueFrom") {
            source(variable, &format!("{path}.valueFrom"), errors);
        }
    }
    for (index, from) in list(container, "envFrom").iter().enumerate() {
        let path = format!("{path}.envFrom[{index}]");
        let prefix = text(from, "prefix");
        if !prefix.is_empty() {
            errors
                .extend(names::environment_name(prefix).into_iter().map(|why| FieldError::invalid(format!("{path}.prefix"), prefix, why)));
        }
        let given: Vec<&str> = ["configMapRef", "secretRef"].into_iter().filter(|field| present(from, field)).collect();
        match given.as_slice() {
            [] => errors.push(FieldError::invalid(&path, "", "must specify one of: `configMapRef` or `secretRef`")),
            [one] => object_name(&from[*one], &format!("{path}.{one}"), errors),
            _ => errors.push(FieldError::invalid(&path, "", "may not have more than one field specified at a time")),
        }
    }
}

fn object_name(reference: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let name = text(reference, "name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else {
        errors.extend(names::dns_subdomain(name).into_iter().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
    }
}

fn source(variable: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let from = &variable["valueFrom"];
    let given: Vec<&str> = SOURCES.iter().copied().filter(|field| present(from, field)).collect();
    if given.is_empty() {
        errors.push(FieldError::invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ));
    } else if !text(variable, "value").is_empty() {
        errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
    } else if given.len() > 1 {
        errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
    for field in given {
        let (reference, path) = (&from[field], format!("{path}.{field}"));
        match field {
            "fieldRef" => pod_field(reference, &path, errors),
            "resourceFieldRef" => resource(reference, &path, errors),
            "configMapKeyRef" | "secretKeyRef" => {
                object_name(reference, &path, errors);
                let key = text(reference, "key");
                if key.is_empty() {
                    errors.push(FieldError::required(format!("{path}.key"), ""));
                } else {
                    errors.extend(names::config_key(key).into_iter().map(|why| FieldError::invalid(format!("{path}.key"), key, why)));
                }
            }
            _ => {}
        }
    }
}

fn pod_field(reference: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let version = text(reference, "apiVersion");
    if !version.is_empty() && version != "v1" {
        errors.push(FieldError::not_supported(format!("{path}.apiVersion"), version, &["v1"]));
    }
    let (field, path) = (text(reference, "fieldPath"), format!("{path}.fieldPath"));
    if field.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if let Some((map, key)) = subscript(field) {
        let key_rule = if map == "metadata.annotations" { key.to_lowercase() } else { key.to_owned() };
        errors.extend(names::qualified_name(&key_rule).into_iter().map(|why| FieldError::invalid(&path, field, why)));
    } else if !POD_FIELDS.contains(&field) {
        errors.push(FieldError::not_supported(path, field, POD_FIELDS));
    }
}

/// `metadata.labels['k']` and `metadata.annotations['k']` to (map, key).
pub fn subscript(field: &str) -> Option<(&str, &str)> {
    let (map, rest) = field.split_once("['")?;
    let key = rest.strip_suffix("']")?;
    matches!(map, "metadata.labels" | "metadata.annotations").then_some((map, key))
}

fn resource(reference: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let name = text(reference, "resource");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.resource"), ""));
    } else if !RESOURCES.contains(&name) {
        errors.push(FieldError::not_supported(format!("{path}.resource"), name, RESOURCES));
    }
    let divisor = text(reference, "divisor");
    let allowed: &[&str] = if name.ends_with("cpu") {
        &["0", "1m", "1"]
    } else {
        &["0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"]
    };
    let fits = |text: &str| Quantity::parse(text).is_ok_and(|q| allowed.iter().any(|a| Quantity::parse(a).is_ok_and(|a| a == q)));
    if !divisor.is_empty() && !fits(divisor) {
        errors.push(FieldError::invalid(format!("{path}.divisor"), divisor, format!("must be one of {}", allowed[1..].join(", "))));
    }
}

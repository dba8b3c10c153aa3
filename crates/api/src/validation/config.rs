//! Rules of ConfigMaps and Secrets: keys, sizes, immutability, the keys that a Secret's type demands.
//!
//! In: the new object and, on update, the stored one. Out: field errors. Never: the content of a value in an error.

use super::{
    metadata::IMMUTABLE,
    read::{entries, present, text},
};
use crate::{names, status::FieldError};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

/// All values of a ConfigMap or Secret together, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// A ConfigMap.
pub fn config_map(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let mut bytes = 0;
    for field in ["data", "binaryData"] {
        keys(object, field, errors);
        for (key, value) in entries(&object[field]) {
            bytes += key.len() + if field == "data" { value.as_str().map_or(0, str::len) } else { decoded(value, field, key, errors) };
            if field == "binaryData" && present(&object["data"], key) {
                errors.push(FieldError::invalid(format!("binaryData[{key}]"), key.as_str(), "duplicate of key present in data"));
            }
        }
    }
    size(bytes, "", errors);
    frozen(object, old, &["data", "binaryData"], errors);
}

/// A Secret; `stringData` was merged into `data` by defaulting.
pub fn secret(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    keys(object, "data", errors);
    let mut bytes = 0;
    for (key, value) in entries(&object["data"]) {
        bytes += decoded(value, "data", key, errors);
    }
    size(bytes, "data", errors);
    let has = |key: &str| present(&object["data"], key);
    let mut demand = |key: &str| {
        if !has(key) {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    };
    match text(object, "type") {
        "kubernetes.io/dockerconfigjson" => demand(".dockerconfigjson"),
        "kubernetes.io/dockercfg" => demand(".dockercfg"),
        "kubernetes.io/ssh-auth" => demand("ssh-privatekey"),
        "kubernetes.io/tls" => ["tls.crt", "tls.key"].into_iter().for_each(demand),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => ["username", "password"].into_iter().for_each(demand),
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if text(&object["metadata"]["annotations"], name).is_empty() {
                errors.push(FieldError::required(format!("metadata.annotations[{name}]"), ""));
            }
        }
        _ => {}
    }
    if let Some(old) = old {
        super::metadata::immutable(object, old, "", "type", errors);
        for error in errors.iter_mut().filter(|e| e.path == ".type") {
            error.path = "type".into();
        }
    }
    frozen(object, old, &["data"], errors);
}

fn keys(object: &Value, field: &str, errors: &mut Vec<FieldError>) {
    for (key, _) in entries(&object[field]) {
        errors.extend(names::config_key(key).into_iter().map(|why| FieldError::invalid(format!("{field}[{key}]"), key.as_str(), why)));
    }
}

fn decoded(value: &Value, field: &str, key: &str, errors: &mut Vec<FieldError>) -> usize {
    match BASE64.decode(value.as_str().unwrap_or_default()) {
        Ok(bytes) => bytes.len(),
        Err(why) => {
            errors.push(FieldError::invalid(format!("{field}[{key}]"), "<not shown>", format!("must be base64: {why}")));
            0
        }
    }
}

fn size(bytes: usize, path: &str, errors: &mut Vec<FieldError>) {
    if bytes > MAX_BYTES {
        errors.push(FieldError::too_long(path, MAX_BYTES));
    }
}

/// `immutable: true` can only be undone by deleting the object.
fn frozen(object: &Value, old: Option<&Value>, fields: &[&str], errors: &mut Vec<FieldError>) {
    let Some(old) = old.filter(|old| old["immutable"] == json!(true)) else { return };
    if object["immutable"] != true {
        errors.push(FieldError::forbidden("immutable", format!("{IMMUTABLE} when `immutable` is set")));
    }
    for field in fields {
        if object[*field] != old[*field] {
            errors.push(FieldError::forbidden(*field, format!("{IMMUTABLE} when `immutable` is set")));
        }
    }
}

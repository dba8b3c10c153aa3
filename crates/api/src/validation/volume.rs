//! Rules of a Pod's volumes (spec/jobs.md 9.10).
//!
//! In: the spec. Out: field errors, and the names that mounts may refer to. Never: rules of volume types that `supported` refuses.

use super::{
    container::inner_path,
    read::{in_range, list, one_of, present, text},
};
use crate::{names, status::FieldError};
use serde_json::Value;
use std::collections::BTreeSet;

const HOST_PATH_TYPES: &[&str] = &["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];
/// All permission bits.
const MAX_MODE: i64 = 0o777;

/// Checks every volume; out: their names.
pub fn all(spec: &Value, path: &str, errors: &mut Vec<FieldError>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        let name = text(volume, "name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            errors.extend(names::dns_label(name).into_iter().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
            if !seen.insert(name.to_owned()) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        source(volume, &path, errors);
    }
    seen
}

fn source(volume: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let sources: Vec<&String> =
        volume.as_object().into_iter().flatten().filter(|(k, v)| *k != "name" && !v.is_null()).map(|(k, _)| k).collect();
    if sources.is_empty() {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    for extra in sources.iter().skip(1) {
        errors.push(FieldError::forbidden(format!("{path}.{extra}"), "may not specify more than 1 volume type"));
    }
    if present(volume, "hostPath") {
        host_path(&volume["hostPath"], &format!("{path}.hostPath"), errors);
    }
    for (field, name) in [("configMap", "name"), ("secret", "secretName")] {
        if present(volume, field) {
            files(&volume[field], name, &format!("{path}.{field}"), errors);
        }
    }
}

fn host_path(host: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let target = text(host, "path");
    if target.is_empty() {
        errors.push(FieldError::required(format!("{path}.path"), ""));
    } else if target.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(format!("{path}.path"), target, "must not contain '..'"));
    }
    one_of(host, path, "type", HOST_PATH_TYPES, errors);
}

fn files(source: &Value, name: &str, path: &str, errors: &mut Vec<FieldError>) {
    if text(source, name).is_empty() {
        errors.push(FieldError::required(format!("{path}.{name}"), ""));
    }
    in_range(source, path, "defaultMode", 0, MAX_MODE, errors);
    for (index, item) in list(source, "items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        for field in ["key", "path"] {
            if text(item, field).is_empty() {
                errors.push(FieldError::required(format!("{path}.{field}"), ""));
            }
        }
        let target = text(item, "path");
        errors.extend(inner_path(target, &format!("{path}.path")));
        if target.starts_with("..") && !target.split('/').any(|part| part == "..") {
            errors.push(FieldError::invalid(format!("{path}.path"), target, "must not start with '..'"));
        }
        in_range(item, &path, "mode", 0, MAX_MODE, errors);
    }
}

//! Rules of object metadata (spec/api.md 6.1): names, labels, annotations, finalizers, owner references, and what may not change.
//!
//! In: the new object (and the stored one). Out: field errors. Never: a rule of one kind's spec.

use super::read::{entries, list, text};
use crate::{kinds::Kind, meta, names, status::FieldError};
use serde_json::{Map, Value, json};

/// All keys and values of the annotations together, in bytes.
pub const ANNOTATIONS_BYTES: usize = 256 * 1024;
/// Finalizer names that need no domain.
const STANDARD_FINALIZERS: &[&str] = &["orphan", "foregroundDeletion", "kubernetes"];
/// The detail of every refused change of an immutable field.
pub const IMMUTABLE: &str = "field is immutable";

/// Rules of one object on its own.
pub fn create(kind: &Kind, object: &Value, errors: &mut Vec<FieldError>) {
    let name_rule = if kind.kind == "Namespace" { names::dns_label } else { names::dns_subdomain };
    let (name, base) = (meta::name(object), text(&object["metadata"], "generateName"));
    if !base.is_empty() {
        // A base may end in '-': the generated part follows.
        let probe = format!("{}a", base.trim_end_matches('-'));
        errors.extend(name_rule(&probe).into_iter().map(|why| FieldError::invalid("metadata.generateName", base, why)));
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(name_rule(name).into_iter().map(|why| FieldError::invalid("metadata.name", name, why)));
    }
    let namespace = meta::namespace(object);
    match (kind.namespaced(), namespace) {
        (true, "") => errors.push(FieldError::required("metadata.namespace", "")),
        (true, _) => {
            errors.extend(names::dns_label(namespace).into_iter().map(|why| FieldError::invalid("metadata.namespace", namespace, why)));
        }
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type")),
    }
    labels_and_annotations(&object["metadata"], "metadata", errors);
    owner_references(&object["metadata"], errors);
    finalizers(&object["metadata"], errors);
}

/// Labels and annotations of an object or a template.
pub fn labels_and_annotations(metadata: &Value, path: &str, errors: &mut Vec<FieldError>) {
    labels(&metadata["labels"], &format!("{path}.labels"), errors);
    let path = format!("{path}.annotations");
    let mut bytes = 0;
    for (key, value) in entries(&metadata["annotations"]) {
        // Annotation keys may be upper case anywhere, also in the prefix.
        errors.extend(names::qualified_name(&key.to_lowercase()).into_iter().map(|why| FieldError::invalid(&path, key.as_str(), why)));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES {
        errors.push(FieldError::too_long(&path, ANNOTATIONS_BYTES));
    }
}

/// A map of labels: qualified keys, short values.
pub fn labels(labels: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in entries(labels) {
        errors.extend(names::qualified_name(key).into_iter().map(|why| FieldError::invalid(path, key.as_str(), why)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(names::label_value(value).into_iter().map(|why| FieldError::invalid(path, value, why)));
    }
}

fn owner_references(metadata: &Value, errors: &mut Vec<FieldError>) {
    let mut controllers = vec![];
    for (index, owner) in list(metadata, "ownerReferences").iter().enumerate() {
        let path = format!("metadata.ownerReferences[{index}]");
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                errors.push(FieldError::invalid(format!("{path}.{field}"), "", "must not be empty"));
            }
        }
        if owner["controller"] == true {
            controllers.push(format!("{}/{}", text(owner, "kind"), text(owner, "name")));
        }
    }
    if controllers.len() > 1 {
        errors.push(FieldError::invalid(
            "metadata.ownerReferences",
            metadata["ownerReferences"].clone(),
            format!("only one reference can have controller set to true, found {}", controllers.join(" and ")),
        ));
    }
}

fn finalizers(metadata: &Value, errors: &mut Vec<FieldError>) {
    let all: Vec<&str> = list(metadata, "finalizers").iter().filter_map(Value::as_str).collect();
    for (index, name) in all.iter().enumerate() {
        errors.extend(finalizer_name(name, &format!("metadata.finalizers[{index}]")));
    }
    if all.contains(&"orphan") && all.contains(&"foregroundDeletion") {
        errors.push(FieldError::invalid("metadata.finalizers", json!(all), "finalizers orphan and foregroundDeletion cannot be both set"));
    }
}

/// One finalizer: a qualified name, and with a domain unless it is a standard one.
pub fn finalizer_name(name: &str, path: &str) -> Vec<FieldError> {
    let mut wrong = names::qualified_name(name);
    if wrong.is_empty() && !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
        wrong.push("name is neither a standard finalizer name nor is it fully qualified".into());
    }
    wrong.into_iter().map(|why| FieldError::invalid(path, name, why)).collect()
}

/// What an update may not change.
pub fn update(kind: &Kind, new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (new_metadata, old_metadata) = (&new["metadata"], &old["metadata"]);
    if !kind.unconditional_update && meta::resource_version(new).is_empty() {
        // Upstream prints the missing version as a number, not as a text (spec/api.md 6.2).
        let kind = crate::status::FieldErrorKind::Invalid;
        errors.push(FieldError {
            kind,
            path: "metadata.resourceVersion".into(),
            value: None,
            detail: "0x0: must be specified for an update".into(),
        });
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        immutable(new_metadata, old_metadata, "metadata", field, errors);
    }
    if meta::deleting(old) {
        let before = meta::finalizers(old);
        let added: Vec<&str> = meta::finalizers(new).into_iter().filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            let detail = format!("no new finalizers can be added if the object is being deleted, found new finalizers {}", json!(added));
            errors.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    }
}

/// Reports a field whose value differs; absent and null are the same.
pub fn immutable(new: &Value, old: &Value, path: &str, field: &str, errors: &mut Vec<FieldError>) {
    if new[field] != old[field] {
        errors.push(FieldError::invalid(format!("{path}.{field}"), new[field].clone(), IMMUTABLE));
    }
}

/// A label selector in object form: operators, keys and values.
pub fn selector(selector: &Value, path: &str, errors: &mut Vec<FieldError>) {
    labels(&selector["matchLabels"], &format!("{path}.matchLabels"), errors);
    for (index, expression) in list(selector, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let count = list(expression, "values").len();
        match text(expression, "operator") {
            "In" | "NotIn" if count == 0 => {
                errors.push(FieldError::required(format!("{path}.values"), "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if count > 0 => {
                errors.push(FieldError::forbidden(
                    format!("{path}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator")),
        }
        let key = text(expression, "key");
        errors.extend(names::qualified_name(key).into_iter().map(|why| FieldError::invalid(format!("{path}.key"), key, why)));
        for (at, value) in list(expression, "values").iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            errors.extend(names::label_value(value).into_iter().map(|why| FieldError::invalid(format!("{path}.values[{at}]"), value, why)));
        }
    }
}

/// Labels as a map, or none.
pub fn labels_of(metadata: &Value) -> Option<&Map<String, Value>> {
    metadata["labels"].as_object()
}

//! Accessors for the metadata of an object held as a `Value`.
//!
//! In: an object. Out: borrowed parts of its metadata, empty where absent. Never: a change, a panic on a wrong shape.

use serde_json::{Map, Value};

/// `metadata.name`, "" when absent.
pub fn name(object: &Value) -> &str {
    text(object, "name")
}
/// `metadata.namespace`, "" when absent.
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}
/// `metadata.uid`, "" when absent.
pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}
/// `metadata.resourceVersion`, "" when absent.
pub fn resource_version(object: &Value) -> &str {
    text(object, "resourceVersion")
}
/// Whether a deletion was asked for (`metadata.deletionTimestamp` is set).
pub fn deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}
/// `metadata.finalizers`, in order.
pub fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().map(|a| a.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}
/// `metadata.labels`, if any.
pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    object["metadata"]["labels"].as_object()
}
/// `metadata.annotations`, if any.
pub fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    object["metadata"]["annotations"].as_object()
}
/// The owner reference with `controller: true`, if any.
pub fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|r| r["controller"] == Value::Bool(true))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn present_and_absent() {
        let object = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["x/y"], "labels": {"k": "v"}, "annotations": {"a": "b"}, "ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": true}]}});
        assert_eq!((name(&object), namespace(&object), uid(&object), resource_version(&object)), ("a", "n", "u", "7"));
        assert!(deleting(&object));
        assert_eq!(finalizers(&object), ["x/y"]);
        assert_eq!(labels(&object).map(Map::len), Some(1));
        assert_eq!(annotations(&object).map(Map::len), Some(1));
        assert_eq!(controller(&object).map(|r| r["uid"].clone()), Some(json!("2")));
        for odd in [json!(null), json!({}), json!({"metadata": null}), json!({"metadata": {"name": 5, "finalizers": "x"}}), json!([1])] {
            assert_eq!((name(&odd), uid(&odd)), ("", ""));
            assert!(!deleting(&odd) && finalizers(&odd).is_empty() && labels(&odd).is_none() && controller(&odd).is_none());
        }
    }
}

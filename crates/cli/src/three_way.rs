//! Client-side apply: what was applied last, what is wanted now and what the server has -> a merge patch.
//!
//! In: three objects. Out: an RFC 7396 patch from the live object to the wanted state. Never: I/O; drops what others added and we never owned.
//! Lists of named things (containers, env, volumes …) are merged by key (spec/api.md 6.9); all other lists are replaced.

use serde_json::{Map, Value};

/// The annotation that keeps what was applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Lists whose elements are told apart by a key: field name, key. The schema's strategic merge keys that manifests use.
const KEYED_LISTS: [(&str, &[&str]); 14] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("schedulingGates", &["name"]),
    ("resourceClaims", &["name"]),
    ("ports", &["containerPort", "port"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey"]),
    ("ownerReferences", &["uid"]),
];

/// The manifest as it is kept in the annotation: without the annotation itself, keys sorted, compact, with a newline.
pub fn last_applied_text(manifest: &Value) -> String {
    let mut bare = manifest.clone();
    if let Some(metadata) = bare["metadata"].as_object_mut() {
        let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
        if annotations.is_null() {
            *annotations = Value::Object(Map::new());
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove(LAST_APPLIED);
        }
    }
    format!("{}\n", crate::output::json::compact(&bare))
}

/// The same value with the keys of all objects in alphabetical order.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by(|a, b| a.0.cmp(b.0));
            Value::Object(keys.into_iter().map(|(k, v)| (k.clone(), sorted(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// The patch that brings `live` to what `wanted` says, taking away what only `last` said. `{}` when nothing is to do.
pub fn patch(last: &Value, wanted: &Value, live: &Value) -> Value {
    diff(live, &merge(last, wanted, live))
}

fn merge(last: &Value, wanted: &Value, live: &Value) -> Value {
    let (Value::Object(wanted), Value::Object(live)) = (wanted, live) else { return without_nulls(wanted) };
    let empty = Map::new();
    let last = last.as_object().unwrap_or(&empty);
    let mut result = live.clone();
    for key in last.keys().filter(|key| !wanted.contains_key(*key)) {
        result.remove(key);
    }
    for (key, value) in wanted {
        // An explicit null asks for the server's own value.
        if value.is_null() {
            result.remove(key);
            continue;
        }
        let before = last.get(key).unwrap_or(&Value::Null);
        let merged = match (value, live.get(key)) {
            (_, None) => without_nulls(value),
            (Value::Array(value), Some(Value::Array(now))) => match list_key(key, value, now) {
                Some(list_key) => merge_list(list_key, before, value, now),
                None => without_nulls(&Value::Array(value.clone())),
            },
            (value, Some(now)) => merge(before, value, now),
        };
        result.insert(key.clone(), merged);
    }
    Value::Object(result)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect()),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// The key of a keyed list, when all elements on both sides have it and it is unique among the wanted ones.
fn list_key(field: &str, wanted: &[Value], live: &[Value]) -> Option<&'static str> {
    let (_, keys) = KEYED_LISTS.iter().find(|(name, _)| *name == field)?;
    let unique =
        |items: &[Value], key: &str| items.iter().enumerate().all(|(n, item)| items[..n].iter().all(|other| other[key] != item[key]));
    keys.iter().copied().find(|key| {
        wanted.iter().chain(live).all(|item| item.get(key).is_some_and(|v| !v.is_null())) && unique(wanted, key) && unique(live, key)
    })
}

/// Wanted elements in wanted order, merged into the live ones; then those that others added.
fn merge_list(key: &str, last: &Value, wanted: &[Value], live: &[Value]) -> Value {
    let find = |items: &[Value], item: &Value| items.iter().find(|other| other[key] == item[key]).cloned();
    let last: &[Value] = last.as_array().map_or(&[], Vec::as_slice);
    let mut result = Vec::new();
    for item in wanted {
        let before = find(last, item).unwrap_or(Value::Null);
        result.push(match find(live, item) {
            Some(now) => merge(&before, item, &now),
            None => without_nulls(item),
        });
    }
    result.extend(live.iter().filter(|item| find(wanted, item).is_none() && find(last, item).is_none()).cloned());
    Value::Array(result)
}

/// RFC 7396: the patch that makes `from` into `to`.
fn diff(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in to {
        match from.get(key) {
            Some(old) if old == value => {}
            Some(old @ Value::Object(_)) if value.is_object() => {
                patch.insert(key.clone(), diff(old, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn cases() {
        let pod = |containers: Value| json!({"spec": {"containers": containers}});
        for (name, last, wanted, live, expected) in [
            ("nothing to do", json!({"a": 1}), json!({"a": 1}), json!({"a": 1, "b": 2}), json!({})),
            ("a change", json!({"a": 1}), json!({"a": 2}), json!({"a": 1, "b": 2}), json!({"a": 2})),
            ("an addition", json!({}), json!({"a": {"b": 1}}), json!({"a": {"c": 2}}), json!({"a": {"b": 1}})),
            ("a removal of ours", json!({"a": 1, "b": 1}), json!({"a": 1}), json!({"a": 1, "b": 1}), json!({"b": null})),
            ("others' fields stay", json!({"a": 1}), json!({"a": 1}), json!({"a": 1, "status": {"x": 1}}), json!({})),
            ("removed by us and already gone", json!({"b": 1}), json!({}), json!({}), json!({})),
            ("changed back", json!({"a": 1}), json!({"a": 1}), json!({"a": 5}), json!({"a": 1})),
            ("a null asks for removal", json!({}), json!({"a": null}), json!({"a": 5}), json!({"a": null})),
            ("a null that has nothing to remove", json!({}), json!({"a": null, "b": {"c": null}}), json!({}), json!({"b": {}})),
            ("plain lists are replaced", json!({"l": [1]}), json!({"l": [1, 2]}), json!({"l": [1]}), json!({"l": [1, 2]})),
            ("an emptied map", json!({"m": {"x": 1}}), json!({"m": {}}), json!({"m": {"x": 1, "y": 2}}), json!({"m": {"x": null}})),
            ("an object in place of a word", json!({"a": "x"}), json!({"a": {"b": 1}}), json!({"a": "x"}), json!({"a": {"b": 1}})),
            (
                "defaults in containers are no difference",
                pod(json!([{"name": "c", "image": "i"}])),
                pod(json!([{"name": "c", "image": "i"}])),
                pod(json!([{"name": "c", "image": "i", "imagePullPolicy": "Always"}])),
                json!({}),
            ),
            (
                "an image changes and the defaults stay",
                pod(json!([{"name": "c", "image": "i"}])),
                pod(json!([{"name": "c", "image": "j"}])),
                pod(json!([{"name": "c", "image": "i", "imagePullPolicy": "Always"}, {"name": "injected", "image": "x"}])),
                pod(json!([{"name": "c", "image": "j", "imagePullPolicy": "Always"}, {"name": "injected", "image": "x"}])),
            ),
            (
                "a container of ours goes",
                pod(json!([{"name": "a"}, {"name": "b"}])),
                pod(json!([{"name": "a"}])),
                pod(json!([{"name": "a"}, {"name": "b"}])),
                pod(json!([{"name": "a"}])),
            ),
            (
                "a service's ports are keyed by port",
                json!({"ports": [{"port": 80}]}),
                json!({"ports": [{"port": 80}]}),
                json!({"ports": [{"port": 80, "protocol": "TCP"}]}),
                json!({}),
            ),
        ] {
            assert_eq!(patch(&last, &wanted, &live), expected, "{name}");
        }
    }

    #[test]
    fn the_annotation_is_compact_and_sorted() {
        let manifest = json!({"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "pi", "annotations": {LAST_APPLIED: "x"}}, "spec": {"b": 1, "a": 2}});
        assert_eq!(
            last_applied_text(&manifest),
            "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"annotations\":{},\"name\":\"pi\"},\"spec\":{\"a\":2,\"b\":1}}\n"
        );
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3i64).prop_map(Value::from), "[a-c]".prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..3).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-d]", value, 0..4).prop_map(|m| Value::Object(m.into_iter().collect()))
    }

    fn apply_patch(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else { return *target = patch.clone() };
        if !target.is_object() {
            *target = json!({});
        }
        let Value::Object(target) = target else { return };
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                apply_patch(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }

    proptest! {
        #[test]
        fn applying_twice_changes_nothing_more(last in object(), wanted in object(), live in object()) {
            let mut result = live.clone();
            apply_patch(&mut result, &patch(&last, &wanted, &live));
            prop_assert_eq!(patch(&wanted, &wanted, &result), json!({}));
        }
    }
}

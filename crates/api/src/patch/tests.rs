//! Cases of each patch type as rows: (name, object, patch, result or a part of the error).
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

const JOB: &str = "io.k8s.api.batch.v1.Job";
const POD: &str = "io.k8s.api.core.v1.Pod";
const SERVICE: &str = "io.k8s.api.core.v1.Service";

type Row = (&'static str, &'static str, Value, Value, Result<Value, &'static str>);

fn check(kind: PatchType, rows: Vec<Row>) {
    for (name, definition, object, patch, expected) in rows {
        let before = object.clone();
        match (apply(definition, &object, kind, patch), expected) {
            (Ok(result), Ok(expected)) => {
                // Compared as text, because the order of list elements and of keys counts.
                assert_eq!(result.to_string(), expected.to_string(), "{name}");
            }
            (Err(status), Err(part)) => {
                assert_eq!(status.code, 400, "{name}");
                assert!(status.message.contains(part), "{name}: {}", status.message);
            }
            (result, expected) => panic!("{name}: {result:?}, expected {expected:?}"),
        }
        assert_eq!(object, before, "{name}");
    }
}

fn pod(spec: Value) -> Value {
    json!({"spec": spec})
}

#[test]
fn strategic_merge_of_maps() {
    check(
        PatchType::StrategicMerge,
        vec![
            (
                "scalars are set",
                JOB,
                json!({"spec": {"parallelism": 1}}),
                json!({"spec": {"parallelism": 2, "suspend": true}}),
                Ok(json!({"spec": {"parallelism": 2, "suspend": true}})),
            ),
            (
                "null deletes",
                JOB,
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
                json!({"metadata": {"labels": {"a": null, "z": null}}}),
                Ok(json!({"metadata": {"labels": {"b": "2"}}})),
            ),
            (
                "null in a new map",
                JOB,
                json!({}),
                json!({"metadata": {"labels": {"a": null, "b": "1"}}}),
                Ok(json!({"metadata": {"labels": {"b": "1"}}})),
            ),
            (
                "$patch replace",
                JOB,
                json!({"metadata": {"labels": {"a": "1"}}}),
                json!({"metadata": {"labels": {"$patch": "replace", "b": "2"}}}),
                Ok(json!({"metadata": {"labels": {"b": "2"}}})),
            ),
            (
                "$patch delete",
                JOB,
                json!({"metadata": {"labels": {"a": "1"}}}),
                json!({"metadata": {"labels": {"$patch": "delete"}}}),
                Ok(json!({"metadata": {"labels": {}}})),
            ),
            (
                "$patch merge",
                JOB,
                json!({"metadata": {"labels": {"a": "1"}}}),
                json!({"metadata": {"labels": {"$patch": "merge", "b": "2"}}}),
                Ok(json!({"metadata": {"labels": {"a": "1", "b": "2"}}})),
            ),
            (
                "directives in a new map are not stored",
                JOB,
                json!({}),
                json!({"metadata": {"labels": {"$patch": "replace", "b": "2"}, "$setElementOrder/finalizers": ["a"], "finalizers": ["a"]}}),
                Ok(json!({"metadata": {"labels": {"b": "2"}, "finalizers": ["a"]}})),
            ),
            ("unknown directive", JOB, json!({}), json!({"metadata": {"$patch": "explode"}}), Err("unknown patch type: \"explode\"")),
            (
                "unknown fields pass",
                JOB,
                json!({"spec": {}}),
                json!({"spec": {"zz": {"a": 1}, "yy": [1]}}),
                Ok(json!({"spec": {"zz": {"a": 1}, "yy": [1]}})),
            ),
            ("the patch has to be a map", JOB, json!({}), json!([]), Err("must be a JSON object")),
            ("a map over a scalar", JOB, json!({"spec": 1}), json!({"spec": {"suspend": true}}), Ok(json!({"spec": {"suspend": true}}))),
            (
                "retainKeys",
                POD,
                pod(json!({"volumes": [{"name": "v", "emptyDir": {}}]})),
                pod(json!({"volumes": [{"$retainKeys": ["name", "configMap"], "name": "v", "configMap": {"name": "c"}}]})),
                Ok(pod(json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}))),
            ),
            (
                "retainKeys contradicted",
                POD,
                pod(json!({})),
                pod(json!({"volumes": [{"$retainKeys": ["name"], "name": "v", "emptyDir": {}}]})),
                Err("emptyDir"),
            ),
            ("retainKeys malformed", POD, pod(json!({})), pod(json!({"$retainKeys": "name"})), Err("$retainKeys")),
        ],
    );
}

#[test]
fn strategic_merge_of_lists() {
    let two = || pod(json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}));
    check(
        PatchType::StrategicMerge,
        vec![
            (
                "an element is merged by its key",
                POD,
                two(),
                pod(json!({"containers": [{"name": "b", "image": "2"}]})),
                Ok(pod(json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}))),
            ),
            (
                "a new element without order goes first",
                POD,
                two(),
                pod(json!({"containers": [{"name": "c", "image": "3"}]})),
                Ok(pod(json!({"containers": [{"name": "c", "image": "3"}, {"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}))),
            ),
            (
                "a new element with order",
                POD,
                two(),
                pod(
                    json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "containers": [{"name": "c", "image": "3"}]}),
                ),
                Ok(pod(json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}, {"name": "c", "image": "3"}]}))),
            ),
            (
                "order alone",
                POD,
                two(),
                pod(json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]})),
                Ok(pod(json!({"containers": [{"name": "b", "image": "1"}, {"name": "a", "image": "1"}]}))),
            ),
            (
                "server-only elements keep their place",
                POD,
                pod(json!({"containers": [{"name": "s"}, {"name": "a"}, {"name": "t"}, {"name": "b"}]})),
                pod(json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "b", "image": "2"}]})),
                Ok(pod(json!({"containers": [{"name": "s"}, {"name": "a"}, {"name": "t"}, {"name": "b", "image": "2"}]}))),
            ),
            (
                "an element outside of the order",
                POD,
                two(),
                pod(json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]})),
                Err("$setElementOrder/containers"),
            ),
            (
                "elements in another order than the order",
                POD,
                two(),
                pod(json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "b"}, {"name": "a"}]})),
                Err("$setElementOrder/containers"),
            ),
            (
                "$patch delete",
                POD,
                two(),
                pod(json!({"containers": [{"$patch": "delete", "name": "a"}]})),
                Ok(pod(json!({"containers": [{"name": "b", "image": "1"}]}))),
            ),
            ("$patch delete of what is not there", POD, two(), pod(json!({"containers": [{"$patch": "delete", "name": "z"}]})), Ok(two())),
            (
                "$patch delete without key",
                POD,
                two(),
                pod(json!({"containers": [{"$patch": "delete"}]})),
                Err("does not contain declared merge key: name"),
            ),
            (
                "$patch replace of the list",
                POD,
                two(),
                pod(json!({"containers": [{"$patch": "replace"}, {"name": "z"}]})),
                Ok(pod(json!({"containers": [{"name": "z"}]}))),
            ),
            (
                "$patch replace with nothing",
                POD,
                two(),
                pod(json!({"containers": [{"$patch": "replace"}]})),
                Ok(pod(json!({"containers": []}))),
            ),
            (
                "$patch merge of an element",
                POD,
                two(),
                pod(json!({"containers": [{"$patch": "merge", "name": "a", "tty": true}]})),
                Ok(pod(json!({"containers": [{"name": "a", "image": "1", "tty": true}, {"name": "b", "image": "1"}]}))),
            ),
            (
                "$patch replace of an element",
                POD,
                two(),
                pod(json!({"containers": [{"$patch": "replace", "name": "a", "tty": true}]})),
                Ok(pod(json!({"containers": [{"name": "a", "tty": true}, {"name": "b", "image": "1"}]}))),
            ),
            (
                "unknown directive in an element",
                POD,
                two(),
                pod(json!({"containers": [{"$patch": "explode", "name": "a"}]})),
                Err("unknown patch type: \"explode\""),
            ),
            (
                "one key twice",
                POD,
                two(),
                pod(json!({"containers": [{"name": "c", "tty": true}, {"name": "c", "image": "3"}]})),
                Ok(pod(
                    json!({"containers": [{"name": "c", "tty": true, "image": "3"}, {"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
                )),
            ),
            (
                "missing merge key",
                POD,
                two(),
                pod(json!({"containers": [{"image": "2"}]})),
                Err("map: {\"image\":\"2\"} does not contain declared merge key: name"),
            ),
            ("a scalar among maps", POD, two(), pod(json!({"containers": ["a"]})), Err("expected a map")),
            (
                "numbers as keys",
                SERVICE,
                pod(json!({"ports": [{"port": 80, "name": "x"}]})),
                pod(json!({"ports": [{"port": 80, "name": "y"}]})),
                Ok(pod(json!({"ports": [{"port": 80, "name": "y"}]}))),
            ),
            (
                "lists without strategy are replaced",
                POD,
                pod(json!({"containers": [{"name": "a", "args": ["x", "y"]}]})),
                pod(json!({"containers": [{"name": "a", "args": ["z"]}]})),
                Ok(pod(json!({"containers": [{"name": "a", "args": ["z"]}]}))),
            ),
            (
                "maps in replaced lists lose nulls and directives",
                POD,
                pod(json!({"tolerations": [{"key": "k"}]})),
                pod(json!({"tolerations": [{"key": "l", "value": null}, {"$patch": "replace"}]})),
                Ok(pod(json!({"tolerations": [{"key": "l"}]}))),
            ),
            ("null deletes the list", POD, two(), pod(json!({"containers": null})), Ok(pod(json!({})))),
            (
                "deep merge",
                POD,
                pod(json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]})),
                pod(json!({"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]})),
                Ok(pod(json!({"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}]}))),
            ),
        ],
    );
}

#[test]
fn strategic_merge_of_scalar_lists() {
    let meta = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    check(
        PatchType::StrategicMerge,
        vec![
            ("a set grows", POD, meta(json!(["a", "b"])), meta(json!(["c", "a"])), Ok(meta(json!(["c", "a", "b"])))),
            (
                "deleteFromPrimitiveList",
                POD,
                meta(json!(["a", "b"])),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "z"]}}),
                Ok(meta(json!(["b"]))),
            ),
            (
                "delete, add and order",
                POD,
                meta(json!(["a", "b"])),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b", "c"], "finalizers": ["c"]}}),
                Ok(meta(json!(["b", "c"]))),
            ),
            (
                "deleteFromPrimitiveList malformed",
                POD,
                meta(json!(["a"])),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}}),
                Err("$deleteFromPrimitiveList/finalizers"),
            ),
            (
                "setElementOrder malformed",
                POD,
                meta(json!(["a"])),
                json!({"metadata": {"$setElementOrder/finalizers": {}}}),
                Err("$setElementOrder/finalizers"),
            ),
            ("a map among scalars", POD, meta(json!(["a"])), meta(json!([{"x": 1}])), Err("expected a scalar")),
            // How owner references are taken off dependents (spec/api.md 6.6).
            (
                "owner reference removed by uid",
                POD,
                json!({"metadata": {"uid": "P", "ownerReferences": [{"uid": "U", "name": "j"}, {"uid": "V", "name": "k"}]}}),
                json!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "U"}], "uid": "P"}}),
                Ok(json!({"metadata": {"uid": "P", "ownerReferences": [{"uid": "V", "name": "k"}]}})),
            ),
        ],
    );
}

#[test]
fn merge_patch() {
    check(
        PatchType::Merge,
        vec![
            (
                "set and delete",
                JOB,
                json!({"a": {"b": 1, "c": 2}}),
                json!({"a": {"b": null, "d": {"e": null}}}),
                Ok(json!({"a": {"c": 2, "d": {}}})),
            ),
            (
                "lists are replaced",
                POD,
                pod(json!({"containers": [{"name": "a"}]})),
                pod(json!({"containers": [{"name": "b"}]})),
                Ok(pod(json!({"containers": [{"name": "b"}]}))),
            ),
            ("not a map", JOB, json!({}), json!("x"), Err("must be a JSON object")),
        ],
    );
}

#[test]
fn json_patch_operations() {
    let object = json!({"spec": {"parallelism": 1}});
    let result = apply(
        JOB,
        &object,
        PatchType::Json,
        json!([{"op": "test", "path": "/spec/parallelism", "value": 1}, {"op": "replace", "path": "/spec/parallelism", "value": 3}]),
    )
    .unwrap();
    assert_eq!(result, json!({"spec": {"parallelism": 3}}));
    for failing in [
        json!([{"op": "test", "path": "/spec/parallelism", "value": 2}]),
        json!([{"op": "remove", "path": "/spec/nothing"}]),
        json!([{"op": "add", "path": "/a/b/c", "value": 1}]),
    ] {
        let status = apply(JOB, &object, PatchType::Json, failing).unwrap_err();
        assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
        assert_eq!(status.message, "the server rejected our request due to an error in our request");
        assert_eq!(status.details.unwrap().causes[0].reason, "UnexpectedServerResponse");
    }
    for malformed in [json!({}), json!([{"op": "explode", "path": "/a"}]), json!([{"op": "add", "path": "a", "value": 1}])] {
        assert_eq!(apply(JOB, &object, PatchType::Json, malformed).unwrap_err().code, 400);
    }
}

#[test]
fn json_patch_is_bounded() {
    let operation = json!({"op": "test", "path": "/a", "value": 1});
    let many = |count: usize| Value::Array(vec![operation.clone(); count]);
    assert!(apply(JOB, &json!({"a": 1}), PatchType::Json, many(MAXIMUM_OPERATIONS)).is_ok());
    assert_eq!(apply(JOB, &json!({"a": 1}), PatchType::Json, many(MAXIMUM_OPERATIONS + 1)).unwrap_err().code, 413);
    // Each copy doubles the object: 40 of them would need a terabyte.
    let doubling: Vec<Value> = (0..40).map(|i| json!({"op": "copy", "from": "", "path": format!("/c{i}")})).collect();
    assert_eq!(apply(JOB, &json!({"a": "x".repeat(100)}), PatchType::Json, Value::Array(doubling)).unwrap_err().code, 413);
}

#[test]
fn types_without_schema_have_no_strategic_merge() {
    assert_eq!(apply("example.com.v1.Thing", &json!({}), PatchType::StrategicMerge, json!({})).unwrap_err().code, 415);
}

//! Cases of metadata and of the smaller kinds. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::{
    create, rules,
    samples::{prepared, texts, with},
    update,
};
use crate::kinds::{by_kind, kinds};
use proptest::prelude::*;
use serde_json::{Value, json};

fn assert_errors(found: Vec<String>, expected: &[&str], what: &str) {
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
    assert!(fits, "{what}\nfound {found:#?}\nexpected {expected:#?}");
}

fn config_map() -> Value {
    prepared("v1", "ConfigMap", json!({"metadata": {"name": "c", "namespace": "default", "uid": "U"}, "data": {"a": "1"}}))
}

#[test]
fn metadata_on_create() {
    let owner = |name: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "1", "controller": true});
    let rows: Vec<(&str, Value, Vec<&str>)> = vec![
        ("/metadata/name", json!("a.b-c"), vec![]),
        ("/metadata/name", json!("A"), vec!["metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain"]),
        ("/metadata/name", json!("a".repeat(254)), vec!["metadata.name: Invalid"]),
        ("/metadata/generateName", json!("ok-"), vec![]),
        ("/metadata/generateName", json!("Bad-"), vec!["metadata.generateName: Invalid"]),
        ("/metadata/namespace", json!("a.b"), vec!["metadata.namespace: Invalid"]),
        (
            "/metadata/labels",
            json!({"a b": "c", "d": "e f"}),
            vec!["metadata.labels: Invalid value: \"a b\"", "metadata.labels: Invalid value: \"e f\""],
        ),
        ("/metadata/annotations", json!({"Example.com/A": "any text\n"}), vec![]),
        ("/metadata/annotations", json!({"a b": ""}), vec!["metadata.annotations: Invalid"]),
        (
            "/metadata/annotations",
            json!({"a": "x".repeat(256 * 1024)}),
            vec!["metadata.annotations: Too long: may not be more than 262144 bytes"],
        ),
        ("/metadata/annotations", json!({"a": "x".repeat(256 * 1024 - 1)}), vec![]),
        ("/metadata/finalizers", json!(["orphan", "a.io/b"]), vec![]),
        ("/metadata/finalizers", json!(["plain"]), vec!["metadata.finalizers[0]: Invalid value: \"plain\": name is neither"]),
        ("/metadata/finalizers", json!(["orphan", "foregroundDeletion"]), vec!["metadata.finalizers: Invalid"]),
        ("/metadata/ownerReferences", json!([owner("a")]), vec![]),
        ("/metadata/ownerReferences", json!([owner("a"), owner("b")]), vec!["metadata.ownerReferences: Invalid"]),
        (
            "/metadata/ownerReferences",
            json!([{"apiVersion": "", "kind": "Job", "name": "", "uid": ""}]),
            vec![
                "metadata.ownerReferences[0].apiVersion: Invalid",
                "metadata.ownerReferences[0].name: Invalid",
                "metadata.ownerReferences[0].uid: Invalid",
            ],
        ),
    ];
    let kind = by_kind("v1", "ConfigMap").unwrap();
    for (pointer, value, expected) in rows {
        assert_errors(texts(create(kind, &with(config_map(), &[(pointer, value)]))), &expected, pointer);
    }
    let namespace = by_kind("v1", "Namespace").unwrap();
    let object = prepared("v1", "Namespace", json!({"metadata": {"name": "a.b", "namespace": "x", "uid": "U"}}));
    assert_errors(texts(create(namespace, &object)), &["metadata.name: Invalid", "metadata.namespace: Forbidden"], "namespace");
}

#[test]
fn metadata_on_update() {
    let kind = by_kind("v1", "ConfigMap").unwrap();
    for (field, value) in [
        ("name", json!("x")),
        ("namespace", json!("y")),
        ("uid", json!("V")),
        ("creationTimestamp", json!("2020-01-01T00:00:00Z")),
        ("deletionTimestamp", json!("2020-01-01T00:00:00Z")),
    ] {
        let found = texts(update(kind, &with(config_map(), &[(&format!("/metadata/{field}"), value.clone())]), &config_map()));
        assert_errors(found, &[&format!("metadata.{field}: Invalid value: {value}: field is immutable")], field);
    }
    let deleting = with(
        config_map(),
        &[("/metadata/deletionTimestamp", json!("2026-11-23T17:00:00Z")), ("/metadata/finalizers", json!(["a.io/b", "a.io/c"]))],
    );
    let fewer = with(deleting.clone(), &[("/metadata/finalizers", json!(["a.io/c"]))]);
    assert_errors(texts(update(kind, &fewer, &deleting)), &[], "removing one");
    let more = with(deleting.clone(), &[("/metadata/finalizers", json!(["a.io/b", "a.io/d"]))]);
    assert_errors(
        texts(update(kind, &more, &deleting)),
        &[
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers [\"a.io/d\"]",
        ],
        "adding one",
    );
}

#[test]
fn config_maps_and_secrets() {
    let secret = |object: Value| {
        let mut whole = json!({"metadata": {"name": "s", "namespace": "default", "uid": "U"}});
        whole.as_object_mut().unwrap().extend(object.as_object().unwrap().clone());
        prepared("v1", "Secret", whole)
    };
    let rows: Vec<(&str, Value, Vec<&str>)> = vec![
        ("ConfigMap", with(config_map(), &[("/data", json!({"a/b": "", "..": ""}))]), vec!["data[a/b]: Invalid", "data[..]: Invalid"]),
        ("ConfigMap", with(config_map(), &[("/binaryData", json!({"a": "eA=="}))]), vec!["binaryData[a]: Invalid"]),
        (
            "ConfigMap",
            with(config_map(), &[("/data", json!({"a": "x".repeat(1024 * 1024 + 1)}))]),
            vec![": Too long: may not be more than 1048576 bytes"],
        ),
        ("Secret", secret(json!({"data": {"a": "eA=="}})), vec![]),
        ("Secret", secret(json!({"data": {"a": "%"}})), vec!["data[a]: Invalid value: \"<not shown>\""]),
        ("Secret", secret(json!({"type": "kubernetes.io/tls"})), vec!["data[tls.crt]: Required", "data[tls.key]: Required"]),
        ("Secret", secret(json!({"type": "kubernetes.io/basic-auth", "stringData": {"username": "u"}})), vec![]),
        ("Secret", secret(json!({"type": "kubernetes.io/basic-auth"})), vec!["data[username]: Required", "data[password]: Required"]),
        ("Secret", secret(json!({"type": "kubernetes.io/dockerconfigjson"})), vec!["data[.dockerconfigjson]: Required"]),
        (
            "Secret",
            secret(json!({"type": "kubernetes.io/service-account-token"})),
            vec!["metadata.annotations[kubernetes.io/service-account.name]: Required"],
        ),
    ];
    for (kind, object, expected) in rows {
        assert_errors(texts(create(by_kind("v1", kind).unwrap(), &object)), &expected, kind);
    }
    let old = secret(json!({"data": {"a": "eA=="}}));
    let new = with(old.clone(), &[("/type", json!("x"))]);
    assert_errors(texts(update(by_kind("v1", "Secret").unwrap(), &new, &old)), &["type: Invalid value: \"x\": field is immutable"], "type");
    let frozen = with(config_map(), &[("/immutable", json!(true))]);
    let changed = with(frozen.clone(), &[("/immutable", json!(null)), ("/data", json!({}))]);
    let expected = ["immutable: Forbidden: field is immutable when `immutable` is set", "data: Forbidden"];
    assert_errors(texts(update(by_kind("v1", "ConfigMap").unwrap(), &changed, &frozen)), &expected, "immutable");
}

#[test]
fn small_kinds() {
    let event = |namespace: &str, about: &str| json!({"metadata": {"name": "e", "namespace": namespace}, "involvedObject": {"kind": "X", "namespace": about}});
    let lease = |spec: Value| json!({"metadata": {"name": "l", "namespace": "n", "resourceVersion": "1"}, "spec": spec});
    let node = |spec: Value, status: Value| json!({"metadata": {"name": "n"}, "spec": spec, "status": status});
    let rows: Vec<(&str, &str, Value, Vec<&str>)> = vec![
        ("v1", "Event", event("a", "a"), vec![]),
        ("v1", "Event", event("default", ""), vec![]),
        ("v1", "Event", event("a", "b"), vec!["involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"]),
        ("v1", "Event", event("a", ""), vec!["involvedObject.namespace: Invalid"]),
        ("coordination.k8s.io/v1", "Lease", lease(json!({"leaseDurationSeconds": 40, "holderIdentity": "h"})), vec![]),
        (
            "coordination.k8s.io/v1",
            "Lease",
            lease(json!({"leaseDurationSeconds": 0, "leaseTransitions": -1, "holderIdentity": ""})),
            vec!["spec.leaseDurationSeconds: Invalid", "spec.leaseTransitions: Invalid", "spec.holderIdentity: Invalid"],
        ),
        (
            "v1",
            "Node",
            node(json!({"taints": [{"key": "k", "effect": "NoExecute"}]}), json!({"capacity": {"cpu": "2", "memory": "1Gi"}})),
            vec![],
        ),
        (
            "v1",
            "Node",
            node(
                json!({"taints": [{"key": "k", "effect": "NoExecute"}, {"key": "k", "effect": "NoExecute"}, {"key": "", "effect": "Odd"}]}),
                json!({"capacity": {"cpu": "x"}}),
            ),
            vec![
                "spec.taints[1]: Duplicate",
                "spec.taints[2].key: Invalid",
                "spec.taints[2].key: Invalid",
                "spec.taints[2].effect: Unsupported",
                "status.capacity[cpu]: Invalid",
            ],
        ),
        (
            "v1",
            "Namespace",
            json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes", "x"]}}),
            vec!["spec.finalizers[1]: Invalid"],
        ),
        ("v1", "ServiceAccount", json!({"metadata": {"name": "default", "namespace": "n"}}), vec![]),
    ];
    for (api_version, kind, object, expected) in rows {
        assert_errors(texts(create(by_kind(api_version, kind).unwrap(), &object)), &expected, kind);
    }
    let lease_kind = by_kind("coordination.k8s.io/v1", "Lease").unwrap();
    let without_version = json!({"metadata": {"name": "l", "namespace": "n"}});
    assert_errors(
        texts(update(lease_kind, &without_version, &without_version)),
        &["metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"],
        "lease",
    );
}

proptest! {
    /// Whatever stands in a field, rules report and never panic.
    #[test]
    fn never_panics(pointer in prop::sample::select(vec!["/spec", "/metadata", "/status", "/spec/template", "/spec/containers", "/spec/selector", "/data", "/spec/volumes"]),
                    value in prop::sample::select(vec![json!(null), json!(0), json!(""), json!([]), json!({}), json!([{}]), json!([null, 1]), json!({"a": null})])) {
        for kind in kinds() {
            for base in [super::samples::job(), super::samples::pod()] {
                let object = with(base.clone(), &[(pointer, value.clone())]);
                create(kind, &object);
                update(kind, &object, &base);
                update(kind, &base, &object);
                super::status_update(kind, &object, &base);
                let mut prepared = object.clone();
                crate::strategy::prepare_create(kind, &mut prepared, "2026-11-23T17:00:00Z".parse().unwrap());
                let mut updated = object.clone();
                crate::strategy::prepare_update(kind, &mut updated, &base);
                crate::strategy::prepare_status_update(kind, &mut updated, &object);
                crate::strategy::prepare_finalize(kind, &mut updated, &base);
                crate::table::row(kind, &object, "2026-11-23T17:00:00Z".parse().unwrap());
                rules(kind, &object, None);
            }
        }
    }
}

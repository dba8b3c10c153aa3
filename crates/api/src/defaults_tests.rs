//! Cases of defaulting, and its idempotence. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::kinds::by_kind;
use proptest::prelude::*;

fn defaulted(api_version: &str, kind: &str, mut object: Value) -> Value {
    apply(by_kind(api_version, kind).unwrap(), &mut object);
    object
}

#[test]
fn the_seeds_job_as_a_real_server_shows_it() {
    let job = defaulted(
        "batch/v1",
        "Job",
        json!({"metadata": {"name": "pi"}, "spec": {"backoffLimit": 4, "template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "pi", "image": "perl", "command": ["perl"]}]}}}}),
    );
    assert_eq!(
        job,
        json!({"metadata": {"name": "pi"}, "spec": {"backoffLimit": 4, "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "pi", "image": "perl", "command": ["perl"], "imagePullPolicy": "Always",
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "resources": {}}],
                "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "securityContext": {}}},
            "completions": 1, "parallelism": 1, "completionMode": "NonIndexed", "suspend": false, "manualSelector": false,
            "podReplacementPolicy": "TerminatingOrFailed"}})
    );
}

#[test]
fn job_numbers() {
    for (given, pointer, expected) in [
        (json!({}), "/spec/completions", json!(1)),
        (json!({}), "/spec/parallelism", json!(1)),
        (json!({"parallelism": 3}), "/spec/completions", json!(null)),
        (json!({"completions": 5}), "/spec/parallelism", json!(1)),
        (json!({"parallelism": 0}), "/spec/parallelism", json!(0)),
        (json!({"parallelism": null, "completions": null}), "/spec/completions", json!(1)),
        (json!({}), "/spec/backoffLimit", json!(6)),
        (json!({"backoffLimit": 0}), "/spec/backoffLimit", json!(0)),
        (json!({"backoffLimitPerIndex": 1}), "/spec/backoffLimit", json!(2147483647)),
        (json!({"podFailurePolicy": {"rules": []}}), "/spec/podReplacementPolicy", json!("Failed")),
        (
            json!({"podFailurePolicy": {"rules": [{"onPodConditions": [{"type": "X"}]}]}}),
            "/spec/podFailurePolicy/rules/0/onPodConditions/0/status",
            json!("True"),
        ),
        (json!({"template": {"metadata": {"labels": {"a": "b"}}}}), "/metadata/labels", json!({"a": "b"})),
    ] {
        let job = defaulted("batch/v1", "Job", json!({"metadata": {"name": "j"}, "spec": given}));
        assert_eq!(job.pointer(pointer).unwrap_or(&Value::Null), &expected, "{given} {pointer}");
    }
    let own = json!({"metadata": {"labels": {"own": "1"}}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}}}});
    assert_eq!(defaulted("batch/v1", "Job", own)["metadata"]["labels"], json!({"own": "1"}));
}

#[test]
fn pull_policy_by_tag() {
    for (image, policy) in [
        ("perl", "Always"),
        ("perl:latest", "Always"),
        ("perl:5.34", "IfNotPresent"),
        ("registry:5000/perl", "Always"),
        ("registry:5000/perl:5", "IfNotPresent"),
        ("perl@sha256:00", "IfNotPresent"),
        ("perl:5@sha256:00", "IfNotPresent"),
        ("perl:latest@sha256:00", "Always"),
    ] {
        let pod = defaulted("v1", "Pod", json!({"spec": {"containers": [{"image": image}]}}));
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn container_and_volume_details() {
    let pod = defaulted(
        "v1",
        "Pod",
        json!({"spec": {"serviceAccount": "me", "volumes": [{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "c", "hostPath": {"path": "/x"}}],
            "containers": [{"image": "i:1", "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "0.1"}},
                "readinessProbe": {"httpGet": {"port": 80}}}]}}),
    );
    let spec = &pod["spec"];
    assert_eq!(spec["serviceAccountName"], "me");
    assert_eq!(spec["volumes"][0], json!({"name": "a", "emptyDir": {}}));
    assert_eq!(spec["volumes"][1]["secret"]["defaultMode"], 420);
    assert_eq!(spec["volumes"][2]["hostPath"]["type"], "");
    let container = &spec["containers"][0];
    assert_eq!(container["ports"][0]["protocol"], "TCP");
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(container["env"][1]["valueFrom"]["resourceFieldRef"]["divisor"], "0");
    assert_eq!(container["resources"], json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}}));
    assert_eq!(
        container["readinessProbe"],
        json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
    );
}

#[test]
fn other_kinds() {
    assert_eq!(
        defaulted("v1", "Secret", json!({"data": {"a": "eA=="}, "stringData": {"b": "y"}})),
        json!({"data": {"a": "eA==", "b": "eQ=="}, "type": "Opaque"})
    );
    assert_eq!(
        defaulted("v1", "Namespace", json!({"metadata": {"name": "n"}}))["metadata"]["labels"],
        json!({"kubernetes.io/metadata.name": "n"})
    );
    let node = defaulted("v1", "Node", json!({"status": {"capacity": {"cpu": "2000m"}}}));
    assert_eq!(node["status"], json!({"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}));
    let lease = json!({"metadata": {"name": "l"}});
    assert_eq!(defaulted("coordination.k8s.io/v1", "Lease", lease.clone()), lease);
}

fn odd_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!("")),
        Just(json!({})),
        Just(json!([])),
        Just(json!(0)),
        Just(json!("x:1")),
        Just(json!("0.5")),
        Just(json!(true))
    ];
    let field = prop::sample::select(vec![
        "metadata",
        "spec",
        "template",
        "containers",
        "volumes",
        "labels",
        "resources",
        "limits",
        "requests",
        "cpu",
        "env",
        "valueFrom",
        "fieldRef",
        "emptyDir",
        "parallelism",
        "completions",
        "backoffLimitPerIndex",
        "podFailurePolicy",
        "rules",
        "onPodConditions",
        "image",
        "livenessProbe",
        "httpGet",
        "name",
        "serviceAccount",
        "status",
        "capacity",
        "ports",
        "hostPath",
        "secret",
        "hostNetwork",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map(field.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn idempotent_and_total(spec in odd_value(), metadata in odd_value(), status in odd_value()) {
        for kind in crate::kinds::kinds() {
            let mut once = json!({"metadata": metadata, "spec": spec, "status": status});
            if !once["metadata"].is_object() { once["metadata"] = json!({"name": "n"}); }
            apply(kind, &mut once);
            let mut twice = once.clone();
            apply(kind, &mut twice);
            prop_assert_eq!(&once, &twice, "{}", kind.kind);
        }
    }
}

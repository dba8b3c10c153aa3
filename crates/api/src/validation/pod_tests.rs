//! Cases of Pod validation: create, update, status. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::{
    create, rules,
    samples::{pod, texts, with},
    status_update,
};
use crate::kinds::{Kind, by_kind};
use serde_json::{Value, json};

fn kind() -> &'static Kind {
    by_kind("v1", "Pod").unwrap()
}

fn assert_errors(found: Vec<String>, expected: &[&str], what: &str) {
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
    assert!(fits, "{what}\nfound {found:#?}\nexpected {expected:#?}");
}

#[test]
fn one_change_of_a_valid_pod() {
    let c = "/spec/containers/0";
    let rows: Vec<(String, Value, Vec<&str>)> = vec![
        ("/spec/containers".into(), json!([]), vec!["spec.containers: Required value"]),
        (format!("{c}/name"), json!(""), vec!["spec.containers[0].name: Required value"]),
        (format!("{c}/name"), json!("A_b"), vec!["spec.containers[0].name: Invalid value: \"A_b\": a lowercase RFC 1123 label"]),
        (format!("{c}/image"), json!(""), vec!["spec.containers[0].image: Required value"]),
        (format!("{c}/image"), json!(" x"), vec!["spec.containers[0].image: Invalid"]),
        (format!("{c}/imagePullPolicy"), json!("Odd"), vec!["spec.containers[0].imagePullPolicy: Unsupported"]),
        (format!("{c}/terminationMessagePolicy"), json!("Odd"), vec!["spec.containers[0].terminationMessagePolicy: Unsupported"]),
        (
            "/spec/restartPolicy".into(),
            json!("Odd"),
            vec!["spec.restartPolicy: Unsupported value: \"Odd\": supported values: \"Always\", \"OnFailure\", \"Never\""],
        ),
        (
            "/spec/activeDeadlineSeconds".into(),
            json!(0),
            vec!["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        ),
        (
            "/spec/terminationGracePeriodSeconds".into(),
            json!(-1),
            vec!["spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0"],
        ),
        ("/spec/hostname".into(), json!("a.b"), vec!["spec.hostname: Invalid"]),
        (
            "/spec/nodeSelector".into(),
            json!({"-": "ok", "k": "-"}),
            vec!["spec.nodeSelector: Invalid value: \"-\"", "spec.nodeSelector: Invalid value: \"-\""],
        ),
        (
            format!("{c}/env"),
            json!([{"name": "", "value": "x"}, {"name": "A=B"}]),
            vec!["spec.containers[0].env[0].name: Required", "spec.containers[0].env[1].name: Invalid"],
        ),
        (format!("{c}/env"), json!([{"name": "A", "valueFrom": {}}]), vec!["spec.containers[0].env[0].valueFrom: Invalid"]),
        (
            format!("{c}/env"),
            json!([{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}]),
            vec!["spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty"],
        ),
        (
            format!("{c}/env"),
            json!([{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v2", "fieldPath": "spec.odd"}}}]),
            vec![
                "spec.containers[0].env[0].valueFrom.fieldRef.apiVersion: Unsupported",
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported",
            ],
        ),
        (format!("{c}/env"), json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}}]), vec![]),
        (
            format!("{c}/env"),
            json!([{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}]),
            vec![],
        ),
        (
            format!("{c}/env"),
            json!([{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu", "divisor": "7"}}}]),
            vec![
                "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported",
                "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid",
            ],
        ),
        (
            format!("{c}/env"),
            json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "", "key": "a/b"}}}]),
            vec![
                "spec.containers[0].env[0].valueFrom.configMapKeyRef.name: Required",
                "spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Invalid",
            ],
        ),
        (format!("{c}/envFrom"), json!([{}]), vec!["spec.containers[0].envFrom[0]: Invalid"]),
        (format!("{c}/envFrom"), json!([{"prefix": "A_", "secretRef": {"name": "s"}}]), vec![]),
        (format!("{c}/ports"), json!([{"containerPort": 0}]), vec!["spec.containers[0].ports[0].containerPort: Required"]),
        (
            format!("{c}/ports"),
            json!([{"containerPort": 70000, "name": "UPPER", "protocol": "X"}]),
            vec![
                "spec.containers[0].ports[0].name: Invalid",
                "spec.containers[0].ports[0].containerPort: Invalid",
                "spec.containers[0].ports[0].protocol: Unsupported",
            ],
        ),
        (
            format!("{c}/ports"),
            json!([{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
            vec!["spec.containers[0].ports[1].name: Duplicate"],
        ),
        (
            format!("{c}/ports"),
            json!([{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]),
            vec!["spec.containers[0].ports[1].hostPort: Duplicate value: 9"],
        ),
        (
            format!("{c}/volumeMounts"),
            json!([{"name": "no", "mountPath": "/a"}]),
            vec!["spec.containers[0].volumeMounts[0].name: Not found: \"no\""],
        ),
        (
            format!("{c}/resources"),
            json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}),
            vec!["spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"],
        ),
        (
            format!("{c}/resources"),
            json!({"limits": {"memory": "-1", "cpu": "x", "odd": "1"}}),
            vec![
                "spec.containers[0].resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
                "spec.containers[0].resources.limits[cpu]: Invalid value: \"x\": quantities must match",
                "spec.containers[0].resources.limits[odd]: Invalid value: \"odd\": must be a standard resource for containers",
            ],
        ),
        (format!("{c}/securityContext"), json!({"runAsUser": -1}), vec!["spec.containers[0].securityContext.runAsUser: Invalid"]),
        (
            format!("{c}/securityContext"),
            json!({"seccompProfile": {"type": "Localhost"}}),
            vec!["spec.containers[0].securityContext.seccompProfile.localhostProfile: Required"],
        ),
        (
            format!("{c}/securityContext"),
            json!({"privileged": true, "allowPrivilegeEscalation": false}),
            vec!["spec.containers[0].securityContext.allowPrivilegeEscalation: Invalid"],
        ),
        (
            "/spec/volumes".into(),
            json!([{"name": "A", "emptyDir": {}}, {"name": "b", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]),
            vec!["spec.volumes[0].name: Invalid", "spec.volumes[2].name: Duplicate"],
        ),
        ("/spec/volumes".into(), json!([{"name": "a"}]), vec!["spec.volumes[0]: Required value: must specify a volume type"]),
        (
            "/spec/volumes".into(),
            json!([{"name": "a", "emptyDir": {}, "hostPath": {"path": "/x"}}]),
            vec!["spec.volumes[0].hostPath: Forbidden"],
        ),
        (
            "/spec/volumes".into(),
            json!([{"name": "a", "hostPath": {"path": "/a/../b", "type": "Odd"}}]),
            vec!["spec.volumes[0].hostPath.path: Invalid", "spec.volumes[0].hostPath.type: Unsupported"],
        ),
        (
            "/spec/volumes".into(),
            json!([{"name": "a", "secret": {"defaultMode": 512, "items": [{"key": "", "path": "../x"}]}}]),
            vec![
                "spec.volumes[0].secret.secretName: Required",
                "spec.volumes[0].secret.defaultMode: Invalid",
                "spec.volumes[0].secret.items[0].key: Required",
                "spec.volumes[0].secret.items[0].path: Invalid",
            ],
        ),
        ("/spec/tolerations".into(), json!([{"key": "k", "operator": "Exists", "value": "v"}]), vec!["spec.tolerations[0].value: Invalid"]),
        ("/spec/tolerations".into(), json!([{"operator": "Equal"}]), vec!["spec.tolerations[0].operator: Invalid"]),
        (
            "/spec/tolerations".into(),
            json!([{"key": "k", "effect": "NoSchedule", "tolerationSeconds": 5}]),
            vec!["spec.tolerations[0].effect: Invalid"],
        ),
        (
            "/spec/affinity".into(),
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []},
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "preference": {"matchExpressions": [{"key": "k", "operator": "In"}]}}]}}),
            vec![
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required",
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid",
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values: Required",
            ],
        ),
        ("/spec/ephemeralContainers".into(), json!([{"name": "e"}]), vec!["spec.ephemeralContainers: Forbidden"]),
        ("/metadata/name".into(), json!("a/b"), vec!["metadata.name: Invalid"]),
        ("/metadata/namespace".into(), json!(""), vec!["metadata.namespace: Required"]),
    ];
    for (pointer, value, expected) in rows {
        let what = format!("{pointer} {value}");
        assert_errors(texts(rules(kind(), &with(pod(), &[(&pointer, value)]), None)), &expected, &what);
    }
    assert_eq!(texts(create(kind(), &pod())), Vec::<String>::new());
}

/// The Pod that the Job controller makes from the seed's template passes every rule and no refusal.
#[test]
fn a_jobs_pod_is_valid() {
    let template = super::samples::job()["spec"]["template"].clone();
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "pi", "uid": "U", "controller": true, "blockOwnerDeletion": true});
    let object = json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {"name": "pi-5rwd7", "generateName": "pi-", "namespace": "default", "uid": "V", "labels": template["metadata"]["labels"],
            "finalizers": ["batch.kubernetes.io/job-tracking"], "ownerReferences": [owner]}});
    let created = super::samples::prepared("v1", "Pod", object);
    assert_errors(texts(create(kind(), &created)), &[], "pi-5rwd7");
    let tracked = with(created.clone(), &[("/metadata/finalizers", json!([]))]);
    assert_errors(texts(super::update(kind(), &tracked, &created)), &[], "finalizer removed");
}

#[test]
fn names_and_mounts_are_unique() {
    let spec = json!([{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]}, {"name": "c", "image": "i"}]);
    let found = rules(kind(), &with(pod(), &[("/spec/volumes", json!([{"name": "v", "emptyDir": {}}])), ("/spec/containers", spec)]), None);
    assert_errors(
        texts(found),
        &["spec.containers[0].volumeMounts[1].mountPath: Invalid", "spec.containers[1].name: Duplicate value: \"c\""],
        "unique",
    );
}

#[test]
fn updates() {
    let rows: Vec<(&str, Value, Vec<&str>)> = vec![
        ("/spec/containers/0/image", json!("busybox:2"), vec![]),
        ("/spec/activeDeadlineSeconds", json!(5), vec![]),
        (
            "/spec/activeDeadlineSeconds",
            json!(15),
            vec!["spec.activeDeadlineSeconds: Invalid value: 15: must be less than or equal to previous value 10"],
        ),
        ("/spec/activeDeadlineSeconds", json!(null), vec!["spec.activeDeadlineSeconds: Invalid value: null"]),
        ("/metadata/labels", json!({"a": "b"}), vec![]),
        ("/spec/nodeName", json!("n"), vec!["spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"]),
        ("/spec/containers/0/command", json!(["x"]), vec!["spec: Forbidden"]),
        ("/spec/terminationGracePeriodSeconds", json!(1), vec!["spec: Forbidden"]),
        ("/spec/containers", json!([]), vec!["spec.containers: Required", "spec.containers: Forbidden"]),
        ("/spec/tolerations", json!([]), vec!["spec.tolerations: Forbidden"]),
    ];
    let old = with(pod(), &[("/spec/activeDeadlineSeconds", json!(10))]);
    for (pointer, value, expected) in rows {
        let what = format!("{pointer} {value}");
        assert_errors(texts(rules(kind(), &with(old.clone(), &[(pointer, value)]), Some(&old))), &expected, &what);
    }
    let mut more = old.clone();
    more["spec"]["tolerations"].as_array_mut().unwrap().push(json!({"key": "k", "operator": "Exists"}));
    assert_errors(texts(rules(kind(), &more, Some(&old))), &[], "an additional toleration");
}

#[test]
fn a_container_does_not_come_back() {
    let status = |state: Value| json!({"phase": "Running", "containerStatuses": [{"name": "c", "state": state}]});
    let ended = |code: i64| status(json!({"terminated": {"exitCode": code}}));
    for (policy, before, after, refused) in [
        ("Never", ended(1), status(json!({"running": {}})), true),
        ("Never", ended(0), status(json!({"waiting": {}})), true),
        ("OnFailure", ended(0), status(json!({"running": {}})), true),
        ("OnFailure", ended(1), status(json!({"running": {}})), false),
        ("Always", ended(0), status(json!({"running": {}})), false),
        ("Never", status(json!({"running": {}})), ended(1), false),
    ] {
        let base = with(pod(), &[("/spec/restartPolicy", json!(policy))]);
        let (old, new) = (with(base.clone(), &[("/status", before)]), with(base, &[("/status", after)]));
        assert_eq!(!status_update(kind(), &new, &old).is_empty(), refused, "{policy}");
    }
    assert_errors(
        texts(status_update(kind(), &with(pod(), &[("/status/phase", json!("Odd"))]), &pod())),
        &["status.phase: Unsupported value: \"Odd\""],
        "phase",
    );
}

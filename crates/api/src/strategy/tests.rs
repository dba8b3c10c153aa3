//! Cases of what the server sets before validation. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::kinds::by_kind;

fn kind(api_version: &str, name: &str) -> &'static Kind {
    by_kind(api_version, name).unwrap()
}
fn job() -> &'static Kind {
    kind("batch/v1", "Job")
}
fn pod() -> &'static Kind {
    kind("v1", "Pod")
}
fn now() -> Timestamp {
    "2026-11-23T17:00:00.75Z".parse().unwrap()
}

#[test]
fn a_created_job_has_labels_selector_generation_and_no_status() {
    let mut object = json!({"metadata": {"name": "pi", "uid": "U", "creationTimestamp": null, "deletionTimestamp": "x", "managedFields": [{}], "generation": 9},
        "spec": {"template": {"metadata": {"creationTimestamp": null}, "spec": {}}}, "status": {"succeeded": 5}});
    assert_eq!(prepare_create(job(), &mut object, now()), Vec::<String>::new());
    let labels =
        json!({"job-name": "pi", "batch.kubernetes.io/job-name": "pi", "controller-uid": "U", "batch.kubernetes.io/controller-uid": "U"});
    assert_eq!(
        object["metadata"],
        json!({"name": "pi", "uid": "U", "creationTimestamp": "2026-11-23T17:00:00Z", "generation": 1, "labels": labels})
    );
    assert_eq!(object["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(object["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "U"}}));
    assert_eq!(object["status"], json!({}));
}

#[test]
fn generation_adds_only_what_is_absent() {
    let mut object = json!({"metadata": {"name": "pi", "uid": "U"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"job-name": "mine", "app": "x"}}}}});
    prepare_create(job(), &mut object, now());
    assert_eq!(object["spec"]["template"]["metadata"]["labels"]["job-name"], "mine");
    assert_eq!(object["spec"]["template"]["metadata"]["labels"]["controller-uid"], "U");
    assert_eq!(object["spec"]["selector"]["matchLabels"], json!({"a": "b", "batch.kubernetes.io/controller-uid": "U"}));

    let mut manual = json!({"metadata": {"name": "new", "uid": "V"}, "spec": {"manualSelector": true, "selector": {"matchLabels": {"controller-uid": "U"}},
        "template": {"metadata": {"labels": {"controller-uid": "U"}}}}});
    prepare_create(job(), &mut manual, now());
    assert_eq!(manual["spec"]["selector"], json!({"matchLabels": {"controller-uid": "U"}}));
    assert_eq!(manual["spec"]["template"]["metadata"]["labels"], json!({"controller-uid": "U"}));
}

#[test]
fn names_that_are_no_label_warn() {
    for (name, warned) in [("pi", false), ("pi.v1", true), (&"a".repeat(64), true)] {
        let mut object = json!({"metadata": {"name": name, "uid": "U"}, "spec": {"template": {}}});
        assert_eq!(!prepare_create(job(), &mut object, now()).is_empty(), warned, "{name}");
    }
}

#[test]
fn other_warnings() {
    let variables = json!([{"name": "A", "value": "1"}, {"name": "B"}, {"name": "A", "value": "2"}]);
    for (kind, spec, expected) in [
        (pod(), json!({"containers": [{"env": variables}]}), "spec.containers[0].env[2]: hides an earlier definition of \"A\""),
        (
            job(),
            json!({"template": {"spec": {"containers": [{"env": variables}]}}}),
            "spec.template.spec.containers[0].env[2]: hides an earlier definition of \"A\"",
        ),
        (
            job(),
            json!({"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001}),
            "spec.parallelism: with more than 10000 and spec.completions above 100000, completed indexes might not be trackable",
        ),
    ] {
        let mut object = json!({"metadata": {"name": "x", "uid": "U"}, "spec": spec});
        assert_eq!(prepare_create(kind, &mut object, now()), [expected]);
    }
}

#[test]
fn a_created_pod() {
    let mut object = json!({"metadata": {"name": "p"}, "spec": {"containers": [{}]}, "status": {"phase": "Running"}});
    prepare_create(pod(), &mut object, now());
    assert_eq!(object["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(
        object["spec"],
        json!({"containers": [{}], "serviceAccountName": "default", "serviceAccount": "default", "priority": 0,
            "preemptionPolicy": "PreemptLowerPriority", "enableServiceLinks": true, "tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]})
    );
    assert_eq!(object["metadata"]["generation"], 1);
}

#[test]
fn own_tolerations_win() {
    for (own, total) in [
        (json!([{"operator": "Exists"}]), 1),
        (json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]), 2),
        (json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoSchedule"}]), 3),
        (json!([{"key": "x"}]), 3),
    ] {
        let mut object = json!({"metadata": {}, "spec": {"tolerations": own}});
        prepare_create(pod(), &mut object, now());
        assert_eq!(object["spec"]["tolerations"].as_array().map(Vec::len), Some(total), "{own}");
    }
}

#[test]
fn quality_classes() {
    for (resources, class) in [
        (json!([{}]), "BestEffort"),
        (json!([{"limits": {"cpu": "0", "memory": "0"}}]), "BestEffort"),
        (json!([{"requests": {"cpu": "1"}}]), "Burstable"),
        (json!([{"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}]), "Burstable"),
        (json!([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}]), "Guaranteed"),
        (json!([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}, {}]), "Burstable"),
        (json!([{"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}]), "Burstable"),
    ] {
        let containers: Vec<Value> = resources.as_array().unwrap().iter().map(|r| json!({"resources": r})).collect();
        assert_eq!(quality_of_service(&json!({"containers": containers})), class, "{resources}");
    }
}

#[test]
fn namespaces_become_active_with_the_finalizer() {
    let namespace = kind("v1", "Namespace");
    let mut object = json!({"metadata": {"name": "n"}});
    prepare_create(namespace, &mut object, now());
    assert_eq!(object["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(object["status"], json!({"phase": "Active"}));
    let mut update = json!({"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"finalizers": []}, "status": {}});
    prepare_update(namespace, &mut update, &object);
    assert_eq!((&update["spec"], &update["status"]), (&object["spec"], &object["status"]));
    let mut finalize = json!({"metadata": {"name": "n"}, "spec": {"finalizers": []}});
    prepare_finalize(namespace, &mut finalize, &object);
    assert_eq!(finalize["spec"], json!({"finalizers": []}));
    assert_eq!(finalize["status"], json!({"phase": "Active"}));
}

#[test]
fn updates_keep_what_is_the_servers() {
    let old = json!({"metadata": {"name": "j", "namespace": "n", "uid": "U", "creationTimestamp": "T", "generation": 3}, "spec": {"parallelism": 1}, "status": {"active": 1}});
    for (spec, generation) in [(json!({"parallelism": 1}), 3), (json!({"parallelism": 2}), 4)] {
        let mut new = json!({"metadata": {"name": "j", "namespace": "n", "generation": 77, "labels": {"a": "b"}, "managedFields": []}, "spec": spec, "status": {}});
        prepare_update(job(), &mut new, &old);
        assert_eq!(
            new["metadata"],
            json!({"name": "j", "namespace": "n", "uid": "U", "creationTimestamp": "T", "generation": generation, "labels": {"a": "b"}})
        );
        assert_eq!(new["status"], json!({"active": 1}));
    }
    let mut other = json!({"metadata": {"name": "j", "uid": "V"}, "spec": {"parallelism": 1}});
    prepare_update(job(), &mut other, &old);
    assert_eq!(other["metadata"]["uid"], "V", "validation refuses it");
    let deleting = json!({"metadata": {"name": "j", "deletionTimestamp": "T", "deletionGracePeriodSeconds": 0}});
    let mut cleared = json!({"metadata": {"name": "j"}});
    prepare_update(job(), &mut cleared, &deleting);
    assert!(meta::deleting(&cleared));
}

#[test]
fn status_updates_change_status_and_labels_only() {
    let old = json!({"metadata": {"name": "j", "uid": "U", "generation": 3, "finalizers": ["a/b"]}, "spec": {"parallelism": 1}, "status": {"active": 1}});
    let mut new =
        json!({"metadata": {"name": "j", "labels": {"x": "y"}, "finalizers": []}, "spec": {"parallelism": 9}, "status": {"active": 2}});
    prepare_status_update(job(), &mut new, &old);
    assert_eq!(
        new,
        json!({"metadata": {"name": "j", "labels": {"x": "y"}, "finalizers": [], "uid": "U", "generation": 3}, "spec": {"parallelism": 1}, "status": {"active": 2}})
    );

    let old = json!({"metadata": {"name": "p", "ownerReferences": [{"uid": "O"}]}, "spec": {"nodeName": "n"}, "status": {"qosClass": "BestEffort"}});
    let mut new = json!({"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Running"}});
    prepare_status_update(pod(), &mut new, &old);
    assert_eq!(
        new,
        json!({"metadata": {"name": "p", "ownerReferences": [{"uid": "O"}]}, "spec": {"nodeName": "n"}, "status": {"phase": "Running", "qosClass": "BestEffort"}})
    );
}

//! Cases of spec/api.md 6.6.

#![allow(clippy::unwrap_used)]

use piecework_api::kinds;

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn pod(node: &str, phase: &str, finalizers: &[&str], deleting: Option<(&str, i64)>) -> Value {
    let mut pod =
        json!({"metadata": {"name": "p", "generation": 1}, "spec": {"terminationGracePeriodSeconds": 30}, "status": {"phase": phase}});
    if !node.is_empty() {
        pod["spec"]["nodeName"] = json!(node);
    }
    if !finalizers.is_empty() {
        pod["metadata"]["finalizers"] = json!(finalizers);
    }
    if let Some((at, grace)) = deleting {
        pod["metadata"]["deletionTimestamp"] = json!(at);
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    }
    pod
}

/// "remove", "keep", or "TIMESTAMP GRACE".
fn outcome(kind: &str, object: &Value, options: &DeleteOptions) -> String {
    let kind = kinds::kinds().iter().find(|k| k.kind == kind).unwrap();
    match plan(kind, object, options, now()).0 {
        Plan::Remove => "remove".into(),
        Plan::Keep => "keep".into(),
        Plan::Store(stored) => {
            let metadata = &stored["metadata"];
            format!("{} {}", metadata["deletionTimestamp"].as_str().unwrap(), metadata["deletionGracePeriodSeconds"])
        }
    }
}

#[test]
fn pods_are_deleted_gracefully() {
    let grace = |seconds| DeleteOptions { grace_period_seconds: Some(seconds), ..DeleteOptions::default() };
    let none = DeleteOptions::default();
    let later = Some(("2026-01-01T00:00:20Z", 30));
    let cases = [
        ("running", pod("n", "Running", &[], None), none.clone(), "2026-01-01T00:00:30Z 30"),
        ("running, 5 s", pod("n", "Running", &[], None), grace(5), "2026-01-01T00:00:05Z 5"),
        ("running, negative", pod("n", "Running", &[], None), grace(-7), "2026-01-01T00:00:01Z 1"),
        ("running, now", pod("n", "Running", &[], None), grace(0), "remove"),
        ("running, now, held", pod("n", "Running", &["x/y"], None), grace(0), "2026-01-01T00:00:00Z 0"),
        ("unscheduled", pod("", "Pending", &[], None), none.clone(), "remove"),
        ("unscheduled, asked for grace", pod("", "Pending", &[], None), grace(9), "remove"),
        ("finished", pod("n", "Succeeded", &[], None), none.clone(), "remove"),
        ("finished, held", pod("n", "Failed", &["x/y"], None), none.clone(), "2026-01-01T00:00:00Z 0"),
        ("again", pod("n", "Running", &[], later), none.clone(), "keep"),
        ("again, longer", pod("n", "Running", &[], later), grace(60), "keep"),
        ("again, shorter", pod("n", "Running", &[], later), grace(10), "2026-01-01T00:00:00Z 10"),
        ("agent finishes", pod("n", "Running", &[], later), grace(0), "remove"),
        ("agent finishes, held", pod("n", "Running", &["x/y"], later), grace(0), "2025-12-31T23:59:50Z 0"),
    ];
    for (name, object, options, expected) in cases {
        assert_eq!(outcome("Pod", &object, &options), expected, "{name}");
    }
}

/// Finalizers before, options, finalizers after (None: removed), whether the client is warned.
type PolicyCase = (&'static [&'static str], DeleteOptions, Option<&'static [&'static str]>, bool);

#[test]
fn policies_set_finalizers() {
    let with = |propagation| DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    let orphan_dependents = |value| DeleteOptions { orphan_dependents: Some(value), ..DeleteOptions::default() };
    let cases: &[PolicyCase] = &[
        (&[], DeleteOptions::default(), Some(&["orphan"]), true),
        (&[], with(Propagation::Orphan), Some(&["orphan"]), false),
        (&[], with(Propagation::Foreground), Some(&["foregroundDeletion"]), false),
        (&[], with(Propagation::Background), None, false),
        (&[], orphan_dependents(true), Some(&["orphan"]), false),
        (&[], orphan_dependents(false), None, false),
        (&["orphan"], with(Propagation::Background), None, false),
        (&["orphan", "a/b"], with(Propagation::Foreground), Some(&["a/b", "foregroundDeletion"]), false),
        (&["foregroundDeletion"], DeleteOptions::default(), Some(&["foregroundDeletion"]), false),
        (&["a/b"], with(Propagation::Background), Some(&["a/b"]), false),
    ];
    let job = kinds::by_kind("batch/v1", "Job").unwrap();
    for (before, options, expected, warned) in cases {
        let mut object = json!({"metadata": {"name": "pi", "generation": 1}});
        if !before.is_empty() {
            object["metadata"]["finalizers"] = json!(before);
        }
        let (plan, warnings) = plan(job, &object, options, now());
        assert_eq!(!warnings.is_empty(), *warned, "{before:?} {options:?}");
        match (plan, expected) {
            (Plan::Remove, None) => {}
            (Plan::Store(stored), Some(expected)) => {
                assert_eq!(meta::finalizers(&stored), *expected, "{before:?} {options:?}");
                assert_eq!(stored["metadata"]["generation"], 2);
                assert_eq!(stored["metadata"]["deletionGracePeriodSeconds"], 0);
            }
            (plan, _) => panic!("{before:?} {options:?}: {plan:?}"),
        }
    }
}

#[test]
fn a_namespace_waits_for_its_finalizer() {
    let namespace = kinds::by_kind("v1", "Namespace").unwrap();
    let object = json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    let (Plan::Store(stored), _) = plan(namespace, &object, &DeleteOptions::default(), now()) else { panic!("not stored") };
    assert_eq!(stored["status"]["phase"], "Terminating");
    assert!(!complete(namespace, &stored));
    let (again, _) = plan(namespace, &stored, &DeleteOptions::default(), now());
    assert_eq!(again, Plan::Keep);
    let mut emptied = stored;
    emptied["spec"] = json!({});
    assert!(complete(namespace, &emptied));
}

//! Cases of Job validation: create, update, status. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::{
    rules,
    samples::{job, texts, with},
    status_update, update,
};
use crate::kinds::{Kind, by_kind};
use serde_json::{Value, json};

fn kind() -> &'static Kind {
    by_kind("batch/v1", "Job").unwrap()
}

/// Starts of the errors of the seed's Job with changes.
fn created(changes: &[(&str, Value)]) -> Vec<String> {
    texts(rules(kind(), &with(job(), changes), None))
}

fn assert_errors(found: Vec<String>, expected: &[&str], what: &str) {
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
    assert!(fits, "{what}\nfound {found:#?}\nexpected {expected:#?}");
}

#[test]
fn the_seeds_job_is_valid() {
    assert_eq!(texts(super::create(kind(), &job())), Vec::<String>::new());
}

#[test]
fn exact_texts() {
    for (pointer, value, text) in [
        ("/spec/parallelism", json!(-1), "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        ("/spec/completions", json!(-1), "spec.completions: Invalid value: -1: must be greater than or equal to 0"),
        ("/spec/activeDeadlineSeconds", json!(-5), "spec.activeDeadlineSeconds: Invalid value: -5: must be greater than or equal to 0"),
        ("/spec/backoffLimit", json!(-1), "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
        ("/spec/ttlSecondsAfterFinished", json!(-1), "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0"),
        (
            "/spec/template/spec/restartPolicy",
            json!("Always"),
            r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#,
        ),
        (
            "/spec/template/spec/restartPolicy",
            json!(""),
            r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#,
        ),
        (
            "/spec/template/spec/restartPolicy",
            json!("Sometimes"),
            r#"spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "OnFailure", "Never""#,
        ),
        (
            "/spec/completionMode",
            json!("Odd"),
            r#"spec.completionMode: Unsupported value: "Odd": supported values: "NonIndexed", "Indexed""#,
        ),
        (
            "/spec/podReplacementPolicy",
            json!("Odd"),
            r#"spec.podReplacementPolicy: Unsupported value: "Odd": supported values: "Failed", "TerminatingOrFailed""#,
        ),
        ("/spec/template/spec/containers", json!([]), "spec.template.spec.containers: Required value"),
        ("/metadata/name", json!(""), "metadata.name: Required value: name or generateName is required"),
    ] {
        let found = created(&[(pointer, value)]);
        assert!(found.iter().any(|f| f == text), "{pointer}: {found:#?}");
    }
}

#[test]
fn all_errors_at_once_in_a_stable_order() {
    let changes = [
        ("/spec/parallelism", json!(-1)),
        ("/spec/backoffLimit", json!(-2)),
        ("/spec/template/spec/restartPolicy", json!("Always")),
        ("/spec/template/spec/containers/0/image", json!("")),
    ];
    let expected = [
        "spec.parallelism: Invalid value: -1",
        "spec.backoffLimit: Invalid value: -2",
        "spec.template.spec.containers[0].image: Required value",
        "spec.template.spec.restartPolicy: Required value",
    ];
    assert_errors(created(&changes), &expected, "several");
}

#[test]
fn generated_labels_and_selectors() {
    let labels = "/spec/template/metadata/labels";
    for (changes, expected) in [
        (
            vec![("/metadata/uid", json!(""))],
            vec![
                "metadata.uid: Required",
                "spec.template.metadata.labels: Invalid",
                "spec.template.metadata.labels: Invalid",
                "spec.selector: Invalid",
            ],
        ),
        (vec![("/spec/template/metadata/labels/job-name", json!("other"))], vec!["spec.template.metadata.labels: Invalid"]),
        (vec![("/spec/template/metadata/labels/job-name", json!(null))], vec!["spec.template.metadata.labels: Required"]),
        (vec![("/spec/selector/matchLabels/x", json!("y"))], vec!["spec.selector: Invalid", "spec.template.metadata.labels: Invalid"]),
        (vec![("/spec/selector", json!(null))], vec!["spec.selector: Required"]),
        (
            vec![
                ("/spec/manualSelector", json!(true)),
                (labels, json!({"a": "b"})),
                ("/spec/selector", json!({"matchLabels": {"a": "b"}})),
            ],
            vec![],
        ),
        (
            vec![
                ("/spec/manualSelector", json!(true)),
                (labels, json!({"a": "b"})),
                ("/spec/selector", json!({"matchLabels": {"a": "c"}})),
            ],
            vec!["spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"],
        ),
        (
            vec![
                ("/spec/manualSelector", json!(true)),
                ("/spec/selector", json!({"matchExpressions": [{"key": "a", "operator": "Near"}]})),
            ],
            vec!["spec.selector.matchExpressions[0].operator: Invalid value: \"Near\": not a valid selector operator"],
        ),
    ] {
        assert_errors(created(&changes), &expected, &format!("{changes:?}"));
    }
}

#[test]
fn indexed_jobs() {
    let indexed = |more: &[(&'static str, Value)]| {
        let mut changes = vec![("/spec/completionMode", json!("Indexed"))];
        changes.extend(more.iter().cloned());
        created(&changes)
    };
    for (changes, expected) in [
        (vec![], vec![]),
        (vec![("/spec/completions", json!(null))], vec!["spec.completions: Required value: when completion mode is Indexed"]),
        (
            vec![("/spec/parallelism", json!(100_001)), ("/spec/completions", json!(5))],
            vec!["spec.parallelism: Invalid value: 100001: must be less than or equal to 100000"],
        ),
        (vec![("/spec/maxFailedIndexes", json!(1))], vec!["spec.backoffLimitPerIndex: Required value"]),
        (
            vec![("/spec/backoffLimitPerIndex", json!(1)), ("/spec/maxFailedIndexes", json!(2))],
            vec!["spec.maxFailedIndexes: Invalid value: 2: must be less than or equal to 1"],
        ),
        (
            vec![("/spec/completions", json!(200_000)), ("/spec/backoffLimitPerIndex", json!(1)), ("/spec/parallelism", json!(20_000))],
            vec!["spec.maxFailedIndexes: Required", "spec.parallelism: Invalid value: 20000: must be less than or equal to 10000"],
        ),
        (vec![("/spec/successPolicy", json!({"rules": []}))], vec!["spec.successPolicy.rules: Required"]),
        (vec![("/spec/successPolicy", json!({"rules": [{}]}))], vec!["spec.successPolicy.rules[0]: Required"]),
        (
            vec![
                ("/spec/completions", json!(5)),
                (
                    "/spec/successPolicy",
                    json!({"rules": [{"succeededIndexes": "1-9"}, {"succeededIndexes": "1,2", "succeededCount": 3}, {"succeededCount": 6}, {"succeededCount": -1}]}),
                ),
            ],
            vec![
                "spec.successPolicy.rules[0].succeededIndexes: Invalid",
                "spec.successPolicy.rules[1].succeededCount: Invalid",
                "spec.successPolicy.rules[2].succeededCount: Invalid",
                "spec.successPolicy.rules[3].succeededCount: Invalid value: -1",
            ],
        ),
    ] {
        assert_errors(indexed(&changes), &expected, &format!("{changes:?}"));
    }
    for field in ["backoffLimitPerIndex", "successPolicy"] {
        let value = if field == "successPolicy" { json!({"rules": []}) } else { json!(1) };
        let found = created(&[(&format!("/spec/{field}"), value)]);
        assert!(found.iter().any(|f| f.ends_with("requires indexed completion mode")), "{found:?}");
    }
    let long = "a".repeat(62);
    let mut named = crate::validation::samples::prepared(
        "batch/v1",
        "Job",
        json!({"metadata": {"name": long, "namespace": "d", "uid": "U"},
        "spec": {"completionMode": "Indexed", "completions": 1, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}),
    );
    assert_errors(texts(rules(kind(), &named, None)), &["metadata.name: Invalid value"], "long name");
    named["spec"]["completions"] = json!(0);
    assert_errors(texts(rules(kind(), &named, None)), &[], "no completions");
}

#[test]
fn managed_by() {
    for (value, expected) in [
        ("acme.io/foo", vec![]),
        ("kubernetes.io/job-controller", vec![]),
        ("foo", vec!["spec.managedBy: Invalid"]),
        ("/foo", vec!["spec.managedBy: Invalid"]),
        ("acme.io/", vec!["spec.managedBy: Invalid"]),
        (&format!("acme.io/{}", "x".repeat(60)), vec!["spec.managedBy: Too long: may not be more than 63 bytes"]),
    ] {
        assert_errors(created(&[("/spec/managedBy", json!(value))]), &expected, value);
    }
}

#[test]
fn failure_policies() {
    let path = "spec.podFailurePolicy.rules[0]";
    let codes = |codes: Value| json!([{"action": "FailJob", "onExitCodes": codes}]);
    for (rules, expected) in [
        (codes(json!({"operator": "In", "values": [1, 5]})), vec![]),
        (codes(json!({"operator": "In", "values": [1], "containerName": "pi"})), vec![]),
        (
            codes(json!({"operator": "In", "values": [1], "containerName": "no"})),
            vec![format!("{path}.onExitCodes.containerName: Invalid")],
        ),
        (codes(json!({"operator": "In", "values": []})), vec![format!("{path}.onExitCodes.values: Invalid")]),
        (codes(json!({"operator": "In", "values": [0]})), vec![format!("{path}.onExitCodes.values[0]: Invalid value: 0")]),
        (codes(json!({"operator": "NotIn", "values": [0]})), vec![]),
        (
            codes(json!({"operator": "In", "values": [2, 1]})),
            vec![format!("{path}.onExitCodes.values: Invalid value: [2,1]: must be ordered")],
        ),
        (codes(json!({"operator": "In", "values": [1, 1]})), vec![format!("{path}.onExitCodes.values[1]: Duplicate value: 1")]),
        (codes(json!({"values": [1]})), vec![format!("{path}.onExitCodes.operator: Required")]),
        (codes(json!({"operator": "Near", "values": [1]})), vec![format!("{path}.onExitCodes.operator: Unsupported")]),
        (
            codes(json!({"operator": "In", "values": (1..=256).collect::<Vec<_>>()})),
            vec![format!("{path}.onExitCodes.values: Too many: 256: must have at most 255 items")],
        ),
        (json!([{"action": "Ignore"}]), vec![format!("{path}: Invalid")]),
        (json!([{"action": "", "onPodConditions": [{"type": "X", "status": "True"}]}]), vec![format!("{path}.action: Required")]),
        (json!([{"action": "Odd", "onPodConditions": [{"type": "X", "status": "True"}]}]), vec![format!("{path}.action: Unsupported")]),
        (json!([{"action": "FailIndex", "onPodConditions": [{"type": "X", "status": "True"}]}]), vec![format!("{path}.action: Invalid")]),
        (
            json!([{"action": "Count", "onPodConditions": [{"type": "-", "status": "Odd"}]}]),
            vec![format!("{path}.onPodConditions[0].type: Invalid"), format!("{path}.onPodConditions[0].status: Unsupported")],
        ),
        (
            json!(vec![json!({"action": "Count", "onPodConditions": [{"type": "X", "status": "True"}]}); 21]),
            vec!["spec.podFailurePolicy.rules: Too many: 21".to_owned()],
        ),
    ] {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        let changes = [("/spec/podReplacementPolicy", json!("Failed")), ("/spec/podFailurePolicy", json!({ "rules": rules }))];
        assert_errors(created(&changes), &expected, &rules.to_string());
    }
    let policy = ("/spec/podFailurePolicy", json!({"rules": []}));
    assert_errors(
        created(std::slice::from_ref(&policy)),
        &[r#"spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed""#],
        "replacement",
    );
    let changes = [policy, ("/spec/podReplacementPolicy", json!("Failed")), ("/spec/template/spec/restartPolicy", json!("OnFailure"))];
    assert_errors(created(&changes), &["spec.template.spec.restartPolicy: Invalid"], "restart policy");
}

#[test]
fn refusals_come_beside_the_rules() {
    let found = texts(super::create(kind(), &with(job(), &[("/spec/parallelism", json!(-1)), ("/spec/scheduling", json!({}))])));
    assert_errors(found, &["spec.parallelism: Invalid value: -1", "spec.scheduling: Forbidden: piecework"], "scheduling");
}

#[test]
fn updates() {
    let suspended = |changes: &[(&str, Value)]| with(with(job(), &[("/spec/suspend", json!(true))]), changes);
    /// What, the stored Job, the changes, the starts of the errors.
    type Row = (&'static str, Value, Vec<(&'static str, Value)>, Vec<&'static str>);
    let rows: Vec<Row> = vec![
        ("parallelism", job(), vec![("/spec/parallelism", json!(9))], vec![]),
        ("backoffLimit", job(), vec![("/spec/backoffLimit", json!(1)), ("/spec/activeDeadlineSeconds", json!(9))], vec![]),
        ("labels", job(), vec![("/metadata/labels/x", json!("y"))], vec![]),
        ("completions", job(), vec![("/spec/completions", json!(2))], vec!["spec.completions: Invalid value: 2: field is immutable"]),
        ("template", job(), vec![("/spec/template/spec/containers/0/image", json!("other"))], vec!["spec.template: Invalid value: {"]),
        (
            "mode",
            job(),
            vec![("/spec/completionMode", json!("Indexed"))],
            vec!["spec.completionMode: Invalid value: \"Indexed\": field is immutable"],
        ),
        (
            "managedBy",
            job(),
            vec![("/spec/managedBy", json!("a.io/b"))],
            vec!["spec.managedBy: Invalid value: \"a.io/b\": field is immutable"],
        ),
        (
            "uid",
            job(),
            vec![("/metadata/uid", json!("V"))],
            vec![
                "metadata.uid: Invalid value: \"V\": field is immutable",
                "spec.template.metadata.labels",
                "spec.template.metadata.labels",
                "spec.selector",
            ],
        ),
        (
            "scale an Indexed Job",
            with(job(), &[("/spec/completionMode", json!("Indexed"))]),
            vec![("/spec/completions", json!(3)), ("/spec/parallelism", json!(3))],
            vec![],
        ),
        (
            "scale half of it",
            with(job(), &[("/spec/completionMode", json!("Indexed"))]),
            vec![("/spec/completions", json!(3))],
            vec!["spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"],
        ),
        (
            "suspended: nodeSelector",
            suspended(&[]),
            vec![("/spec/template/spec/nodeSelector", json!({"a": "b"})), ("/spec/suspend", json!(false))],
            vec![],
        ),
        ("suspended: affinity", suspended(&[]), vec![("/spec/template/spec/affinity", json!({"nodeAffinity": {}}))], vec![]),
        (
            "suspended: podAffinity",
            suspended(&[]),
            vec![("/spec/template/spec/affinity", json!({"podAffinity": {}}))],
            vec!["spec.template: Invalid"],
        ),
        (
            "suspended: resources",
            suspended(&[]),
            vec![("/spec/template/spec/containers/0/resources", json!({"requests": {"cpu": "1"}}))],
            vec![],
        ),
        (
            "policies",
            with(job(), &[("/spec/completionMode", json!("Indexed"))]),
            vec![
                ("/spec/podFailurePolicy", json!({"rules": []})),
                ("/spec/podReplacementPolicy", json!("Failed")),
                ("/spec/backoffLimitPerIndex", json!(1)),
                ("/spec/successPolicy", json!({"rules": [{"succeededCount": 1}]})),
            ],
            vec!["spec.podFailurePolicy: Invalid", "spec.backoffLimitPerIndex: Invalid", "spec.successPolicy: Invalid"],
        ),
        ("replacement policy", job(), vec![("/spec/podReplacementPolicy", json!("Failed")), ("/spec/suspend", json!(true))], vec![]),
        (
            "most failed indexes",
            with(job(), &[("/spec/completionMode", json!("Indexed")), ("/spec/backoffLimitPerIndex", json!(1))]),
            vec![("/spec/maxFailedIndexes", json!(1))],
            vec![],
        ),
        ("suspended: labels", suspended(&[]), vec![("/spec/template/metadata/labels/x", json!("y"))], vec![]),
        (
            "suspended: the selector's labels",
            suspended(&[]),
            vec![("/spec/template/metadata/labels", json!({"x": "y"}))],
            vec!["spec.template.metadata.labels: Required"; 4].into_iter().chain(["spec.template.metadata.labels: Invalid"]).collect(),
        ),
        ("suspended: tolerations", suspended(&[]), vec![("/spec/template/spec/tolerations", json!([{"operator": "Exists"}]))], vec![]),
        (
            "suspended: grace period",
            suspended(&[]),
            vec![("/spec/template/spec/terminationGracePeriodSeconds", json!(1))],
            vec!["spec.template: Invalid"],
        ),
        ("suspended: annotations", suspended(&[]), vec![("/spec/template/metadata/annotations", json!({"a": "b"}))], vec![]),
        ("suspended: image", suspended(&[]), vec![("/spec/template/spec/containers/0/image", json!("x"))], vec!["spec.template: Invalid"]),
        (
            "suspended, still active",
            suspended(&[("/status", json!({"active": 1}))]),
            vec![("/spec/template/spec/nodeSelector", json!({"a": "b"}))],
            vec!["spec.template: Invalid"],
        ),
        (
            "suspended after a start, condition not written",
            suspended(&[("/status", json!({"startTime": "2026-11-23T17:00:00Z"}))]),
            vec![("/spec/template/spec/nodeSelector", json!({"a": "b"}))],
            vec!["spec.template: Invalid"],
        ),
        (
            "suspended after a start",
            suspended(&[(
                "/status",
                json!({"startTime": "2026-11-23T17:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]}),
            )]),
            vec![("/spec/template/spec/nodeSelector", json!({"a": "b"}))],
            vec![],
        ),
    ];
    for (what, old, changes, expected) in rows {
        let new = with(old.clone(), &changes);
        let errors = rules(kind(), &new, Some(&old));
        assert_errors(texts(errors), &expected, what);
    }
    assert_eq!(update(kind(), &job(), &job()), vec![]);
}

#[test]
fn an_old_job_without_prefixed_labels_stays_valid() {
    let old = with(
        job(),
        &[
            ("/spec/template/metadata/labels", json!({"job-name": "pi", "controller-uid": "U"})),
            ("/spec/selector", json!({"matchLabels": {"controller-uid": "U"}})),
        ],
    );
    let new = with(old.clone(), &[("/spec/parallelism", json!(3))]);
    assert_errors(texts(rules(kind(), &new, Some(&old))), &[], "update");
    assert_eq!(rules(kind(), &new, None).len(), 2, "a new one must have them");
}

#[test]
fn status_writes() {
    let start = "2026-11-23T17:00:00Z";
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let complete = json!([condition("SuccessCriteriaMet"), condition("Complete")]);
    let failed = json!([condition("FailureTarget"), condition("Failed")]);
    let rows: Vec<(&str, Value, Value, Vec<&str>)> = vec![
        (
            "running",
            json!({}),
            json!({"startTime": start, "active": 1, "ready": 1, "terminating": 0, "uncountedTerminatedPods": {}}),
            vec![],
        ),
        (
            "complete",
            json!({"startTime": start}),
            json!({"startTime": start, "completionTime": start, "succeeded": 1, "conditions": complete}),
            vec![],
        ),
        ("failed", json!({"startTime": start}), json!({"startTime": start, "failed": 1, "conditions": failed}), vec![]),
        (
            "negative",
            json!({}),
            json!({"active": -1, "ready": -2}),
            vec!["status.active: Invalid value: -1", "status.ready: Invalid value: -2"],
        ),
        (
            "uids",
            json!({}),
            json!({"uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}}),
            vec![
                "status.uncountedTerminatedPods.succeeded[1]: Invalid",
                "status.uncountedTerminatedPods.failed[0]: Duplicate value: \"a\"",
            ],
        ),
        ("ready above active", json!({}), json!({"active": 1, "ready": 2}), vec!["status.ready: Invalid value: 2"]),
        (
            "finished with Pods",
            json!({"startTime": start}),
            json!({"startTime": start, "active": 1, "terminating": 1, "uncountedTerminatedPods": {"failed": ["a"]}, "conditions": failed}),
            vec!["status.active: Invalid", "status.terminating: Invalid", "status.uncountedTerminatedPods: Invalid"],
        ),
        ("finished without start", json!({}), json!({"conditions": failed}), vec!["status.startTime: Required"]),
        ("complete without time", json!({}), json!({"startTime": start, "conditions": complete}), vec!["status.completionTime: Required"]),
        ("time without complete", json!({}), json!({"startTime": start, "completionTime": start}), vec!["status.completionTime: Invalid"]),
        (
            "ends before it starts",
            json!({}),
            json!({"startTime": start, "completionTime": "2026-11-23T16:00:00Z", "conditions": complete}),
            vec!["status.completionTime: Invalid"],
        ),
        (
            "failed without target",
            json!({}),
            json!({"startTime": start, "conditions": [condition("Failed")]}),
            vec!["status.conditions: Invalid"],
        ),
        (
            "complete without criteria",
            json!({}),
            json!({"startTime": start, "completionTime": start, "conditions": [condition("Complete")]}),
            vec!["status.conditions: Invalid"],
        ),
        (
            "both ways",
            json!({}),
            json!({"startTime": start, "conditions": [condition("SuccessCriteriaMet"), condition("FailureTarget")]}),
            vec!["status.conditions: Invalid"],
        ),
        (
            "back from the end",
            json!({"startTime": start, "conditions": failed}),
            json!({"startTime": start, "conditions": []}),
            vec!["status.conditions: Invalid", "status.conditions: Invalid"],
        ),
        (
            "counters shrink",
            json!({"failed": 2, "succeeded": 2}),
            json!({"failed": 1, "succeeded": 1}),
            vec!["status.failed: Invalid value: 1", "status.succeeded: Invalid value: 1"],
        ),
        ("start changes", json!({"startTime": start}), json!({}), vec!["status.startTime: Required"]),
        ("indexes of a plain Job", json!({}), json!({"completedIndexes": "0"}), vec!["status.completedIndexes: Invalid"]),
        (
            "unreadable indexes",
            json!({}),
            json!({"completedIndexes": "x"}),
            vec!["status.completedIndexes: Invalid", "status.completedIndexes: Invalid"],
        ),
        ("failed indexes", json!({}), json!({"failedIndexes": ""}), vec!["status.failedIndexes: Invalid"]),
        ("an old inconsistency", json!({"active": 1, "ready": 2}), json!({"active": 1, "ready": 2, "failed": 1}), vec![]),
        ("other conditions", json!({}), json!({"conditions": [{"type": "Mine", "status": "True"}]}), vec![]),
    ];
    for (what, before, after, expected) in rows {
        let (old, new) = (with(job(), &[("/status", before)]), with(job(), &[("/status", after)]));
        assert_errors(texts(status_update(kind(), &new, &old)), &expected, what);
    }
    /// What, completions, parallelism, the lists before and after, the starts of the errors.
    type Row = (&'static str, i32, i32, Value, Value, Vec<&'static str>);
    let rows: Vec<Row> = vec![
        ("scaled down", 3, 3, json!({"completedIndexes": "0,4", "succeeded": 2}), json!({"completedIndexes": "0", "succeeded": 1}), vec![]),
        (
            "scaled down, then less parallelism",
            3,
            1,
            json!({"completedIndexes": "0,4", "succeeded": 2}),
            json!({"completedIndexes": "0", "succeeded": 1}),
            vec![],
        ),
        (
            "not scaled down",
            5,
            1,
            json!({"completedIndexes": "0,4", "succeeded": 2}),
            json!({"completedIndexes": "0", "succeeded": 1}),
            vec!["status.succeeded: Invalid value: 1"],
        ),
        (
            "both completed and failed",
            5,
            1,
            json!({}),
            json!({"completedIndexes": "0-3", "succeeded": 4, "failedIndexes": "3,4"}),
            vec!["status.failedIndexes: Invalid"],
        ),
        ("failed indexes", 5, 1, json!({}), json!({"failedIndexes": ""}), vec![]),
        ("above the limit", 5, 1, json!({}), json!({"completedIndexes": "5"}), vec!["status.completedIndexes: Invalid"]),
    ];
    for (what, completions, parallelism, before, after, expected) in rows {
        let spec = [
            ("/spec/completionMode", json!("Indexed")),
            ("/spec/completions", json!(completions)),
            ("/spec/parallelism", json!(parallelism)),
            ("/spec/backoffLimitPerIndex", json!(1)),
        ];
        let indexed = with(job(), &spec);
        let (old, new) = (with(indexed.clone(), &[("/status", before)]), with(indexed, &[("/status", after)]));
        assert_errors(texts(status_update(kind(), &new, &old)), &expected, what);
    }
    let suspended = with(job(), &[("/spec/suspend", json!(true)), ("/status", json!({"startTime": start}))]);
    assert_errors(
        texts(status_update(kind(), &with(suspended.clone(), &[("/status", json!({}))]), &suspended)),
        &[],
        "suspend clears startTime",
    );
}

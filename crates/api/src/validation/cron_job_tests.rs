//! Cases of CronJob defaults, preparation and validation. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::{
    create, rules,
    samples::{cron_job, texts, with},
    status_update, update,
};
use crate::{
    kinds::{Kind, by_kind},
    strategy,
};
use serde_json::{Value, json};

fn kind() -> &'static Kind {
    by_kind("batch/v1", "CronJob").unwrap()
}

fn created(changes: &[(&str, Value)]) -> Vec<String> {
    texts(rules(kind(), &with(cron_job(), changes), None))
}

#[test]
fn a_plain_cron_job_is_valid_and_has_defaults() {
    assert_eq!(texts(create(kind(), &cron_job())), Vec::<String>::new());
    let spec = &cron_job()["spec"];
    assert_eq!(spec["concurrencyPolicy"], "Allow");
    assert_eq!(
        (&spec["suspend"], &spec["successfulJobsHistoryLimit"], &spec["failedJobsHistoryLimit"]),
        (&json!(false), &json!(3), &json!(1))
    );
    let job = &spec["jobTemplate"]["spec"];
    assert_eq!(job["template"]["spec"]["dnsPolicy"], "ClusterFirst");
    assert!(job["backoffLimit"].is_null() && job["completions"].is_null(), "a Job gets its own when it is created: {job}");
    assert_eq!((&cron_job()["status"], &cron_job()["metadata"]["generation"]), (&json!({}), &json!(1)));
}

#[test]
fn one_error_each() {
    let job = "/spec/jobTemplate/spec";
    let rows = [
        ("/spec/schedule".to_owned(), json!(""), "spec.schedule: Required value"),
        ("/spec/schedule".into(), json!("0 0 * * 7"), "spec.schedule: Invalid value: \"0 0 * * 7\": day of week: 7 is above 6: 7"),
        (
            "/spec/schedule".into(),
            json!("TZ=UTC 0 0 * * *"),
            "spec.schedule: Invalid value: \"TZ=UTC 0 0 * * *\": TZ or CRON_TZ cannot be part of the schedule: set timeZone",
        ),
        ("/spec/timeZone".into(), json!(""), "spec.timeZone: Invalid value: \"\": must be unset or not empty"),
        (
            "/spec/timeZone".into(),
            json!("local"),
            "spec.timeZone: Invalid value: \"local\": must name a zone of the IANA time zone database, which \"Local\" does not",
        ),
        (
            "/spec/timeZone".into(),
            json!("../x"),
            "spec.timeZone: Invalid value: \"../x\": not the name of a time zone, such as \"Europe/Paris\"",
        ),
        ("/spec/timeZone".into(), json!("Mars/Base"), "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base"),
        (
            "/spec/startingDeadlineSeconds".into(),
            json!(-1),
            "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "/spec/concurrencyPolicy".into(),
            json!(""),
            "spec.concurrencyPolicy: Required value: valid values: \"Allow\", \"Forbid\", \"Replace\"",
        ),
        (
            "/spec/concurrencyPolicy".into(),
            json!("Queue"),
            "spec.concurrencyPolicy: Unsupported value: \"Queue\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
        ),
        (
            "/spec/successfulJobsHistoryLimit".into(),
            json!(-1),
            "spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "/spec/failedJobsHistoryLimit".into(),
            json!(-2),
            "spec.failedJobsHistoryLimit: Invalid value: -2: must be greater than or equal to 0",
        ),
        (
            format!("{job}/selector"),
            json!({"matchLabels": {"a": "b"}}),
            "spec.jobTemplate.spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` will be auto-generated",
        ),
        (
            format!("{job}/manualSelector"),
            json!(true),
            "spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\"",
        ),
        (
            format!("{job}/parallelism"),
            json!(-1),
            "spec.jobTemplate.spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            format!("{job}/successPolicy"),
            json!({"rules": []}),
            "spec.jobTemplate.spec.successPolicy: Invalid value: {\"rules\":[]}: requires indexed completion mode",
        ),
        (
            format!("{job}/template/spec/restartPolicy"),
            json!("Always"),
            "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ),
        (format!("{job}/template/spec/containers"), json!([]), "spec.jobTemplate.spec.template.spec.containers: Required value"),
    ];
    for (pointer, value, expected) in rows {
        let found = created(&[(&pointer, value.clone())]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{pointer} {value}: {found:#?}");
    }
}

#[test]
fn names_leave_room_for_the_time() {
    for (length, errors) in [(52, 0), (53, 1)] {
        let found = created(&[("/metadata/name", json!("a".repeat(length)))]);
        assert_eq!(found.len(), errors, "{found:?}");
        // A name cannot change, so an update does not ask.
        let long = with(cron_job(), &[("/metadata/name", json!("a".repeat(length)))]);
        assert_eq!(texts(update(kind(), &long, &long)), Vec::<String>::new());
    }
}

#[test]
fn valid_edges() {
    for (pointer, value) in [
        ("/spec/schedule", json!("0 0 31 2 *")),
        ("/spec/schedule", json!("@every 5s")),
        ("/spec/timeZone", json!("Asia/Kathmandu")),
        ("/spec/startingDeadlineSeconds", json!(0)),
        ("/spec/successfulJobsHistoryLimit", json!(0)),
        ("/spec/concurrencyPolicy", json!("Replace")),
        ("/spec/jobTemplate/spec/manualSelector", json!(false)),
        ("/spec/jobTemplate/metadata", json!({"labels": {"a": "b"}})),
    ] {
        assert_eq!(created(&[(pointer, value.clone())]), Vec::<String>::new(), "{pointer} {value}");
    }
}

#[test]
fn a_zone_in_a_stored_schedule_is_tolerated() {
    let stored = with(cron_job(), &[("/spec/schedule", json!("TZ=UTC 0 0 * * *"))]);
    let changed = |changes: &[(&str, Value)]| texts(update(kind(), &with(stored.clone(), changes), &stored));
    assert_eq!(changed(&[("/spec/schedule", json!("CRON_TZ=Europe/Paris 0 0 * * *"))]), Vec::<String>::new());
    assert_eq!(changed(&[("/spec/suspend", json!(true))]), Vec::<String>::new());
    assert_eq!(
        changed(&[("/spec/timeZone", json!("UTC"))]),
        ["spec.schedule: Invalid value: \"TZ=UTC 0 0 * * *\": timeZone and a TZ or CRON_TZ in the schedule exclude each other"]
    );
    let plain = cron_job();
    let zoned = with(plain.clone(), &[("/spec/schedule", json!("TZ=UTC 0 0 * * *"))]);
    assert_eq!(update(kind(), &zoned, &plain).len(), 1);
}

#[test]
fn a_stored_zone_that_vanished_does_not_block_other_changes() {
    let stored = with(cron_job(), &[("/spec/timeZone", json!("Mars/Base"))]);
    assert_eq!(texts(update(kind(), &with(stored.clone(), &[("/spec/suspend", json!(true))]), &stored)), Vec::<String>::new());
    assert_eq!(update(kind(), &with(stored.clone(), &[("/spec/timeZone", json!("Mars/Other"))]), &stored).len(), 1);
}

#[test]
fn the_spec_may_change_and_status_is_kept_apart() {
    let stored = with(cron_job(), &[("/status", json!({"lastScheduleTime": "2026-11-23T17:00:00Z"}))]);
    let mut new = with(stored.clone(), &[("/spec/schedule", json!("@hourly")), ("/status", json!({}))]);
    assert_eq!(strategy::prepare_update(kind(), &mut new, &stored), Vec::<String>::new());
    assert_eq!((&new["metadata"]["generation"], &new["status"]), (&json!(2), &stored["status"]));
    assert_eq!(texts(update(kind(), &new, &stored)), Vec::<String>::new());
    let mut status = with(stored.clone(), &[("/spec/schedule", json!("@hourly")), ("/status", json!({"active": []}))]);
    strategy::prepare_status_update(kind(), &mut status, &stored);
    assert_eq!((&status["spec"], &status["status"]), (&stored["spec"], &json!({"active": []})));
    assert_eq!(texts(status_update(kind(), &status, &stored)), Vec::<String>::new());
}

#[test]
fn warnings() {
    let prepared = |changes: &[(&str, Value)]| {
        strategy::prepare_create(kind(), &mut with(cron_job(), changes), "2026-11-23T17:00:00Z".parse().unwrap())
    };
    assert_eq!(prepared(&[]), Vec::<String>::new());
    let twice = json!([{"name": "c", "image": "x", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]);
    for (pointer, value, start) in [
        ("/metadata/name", json!("a.b"), "metadata.name: names of Jobs and Pods"),
        ("/spec/schedule", json!("TZ=UTC 0 0 * * *"), "spec.schedule: TZ and CRON_TZ"),
        ("/spec/jobTemplate/spec/template/spec/containers", twice, "spec.jobTemplate.spec.template.spec.containers[0].env[1]: hides"),
    ] {
        let found = prepared(&[(pointer, value)]);
        assert!(found.len() == 1 && found[0].starts_with(start), "{found:?}");
    }
}

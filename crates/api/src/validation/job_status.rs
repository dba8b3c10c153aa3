//! Rules of writes to a Job's `/status` (spec/jobs.md 3.4).
//!
//! In: the new and the stored Job. Out: field errors. Never: a rule about values that this update did not touch, except the plain ones.

use super::{
    indexes,
    read::{int, list, non_negative, present, text},
};
use crate::status::FieldError;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

const TERMINAL: [&str; 2] = ["Complete", "Failed"];

fn is_true(status: &Value, kind: &str) -> bool {
    list(status, "conditions").iter().any(|c| c["type"] == kind && c["status"] == "True")
}
fn finished(status: &Value) -> bool {
    TERMINAL.iter().any(|kind| is_true(status, kind))
}
fn number(status: &Value, field: &str) -> i64 {
    int(status, field).unwrap_or(0)
}
fn instant(status: &Value, field: &str) -> Option<Timestamp> {
    text(status, field).parse().ok()
}
fn uncounted(status: &Value) -> usize {
    ["succeeded", "failed"].iter().map(|outcome| list(&status["uncountedTerminatedPods"], outcome).len()).sum()
}

/// All rules.
pub fn update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (status, before) = (&new["status"], &old["status"]);
    plain(status, errors);
    let changed = |fields: &[&str]| fields.iter().any(|field| status[field] != before[field]);
    let conditions_changed = changed(&["conditions"]);
    if finished(status) {
        when_finished(status, conditions_changed, &changed, errors);
    }
    if changed(&["active", "ready"]) && number(status, "ready") > number(status, "active") {
        errors.push(FieldError::invalid("status.ready", number(status, "ready"), "cannot set more ready pods than active"));
    }
    if conditions_changed {
        conditions(status, before, errors);
    }
    if changed(&["completionTime", "startTime", "conditions"]) {
        times(status, errors);
    }
    if changed(&["completedIndexes", "failedIndexes"]) {
        index_lists(&new["spec"], status, &changed, errors);
    }
    transitions(new, before, errors);
}

/// Counters and UIDs.
fn plain(status: &Value, errors: &mut Vec<FieldError>) {
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        non_negative(status, "status", field, errors);
    }
    let mut seen = BTreeSet::new();
    for outcome in ["succeeded", "failed"] {
        for (index, uid) in list(&status["uncountedTerminatedPods"], outcome).iter().enumerate() {
            let path = format!("status.uncountedTerminatedPods.{outcome}[{index}]");
            let uid = uid.as_str().unwrap_or_default();
            if uid.is_empty() {
                errors.push(FieldError::invalid(path, uid, "must not be empty"));
            } else if !seen.insert(uid) {
                errors.push(FieldError::duplicate(path, uid));
            }
        }
    }
}

fn when_finished(status: &Value, conditions_changed: bool, changed: &dyn Fn(&[&str]) -> bool, errors: &mut Vec<FieldError>) {
    for (field, what) in [("active", "active"), ("terminating", "terminating")] {
        if (conditions_changed || changed(&[field])) && number(status, field) > 0 {
            errors.push(FieldError::invalid(
                format!("status.{field}"),
                number(status, field),
                format!("{what}>0 is invalid for finished job"),
            ));
        }
    }
    if (conditions_changed || changed(&["uncountedTerminatedPods"])) && uncounted(status) > 0 {
        let shown = status["uncountedTerminatedPods"].clone();
        errors.push(FieldError::invalid(
            "status.uncountedTerminatedPods",
            shown,
            "uncountedTerminatedPods needs to be empty for finished job",
        ));
    }
    if (conditions_changed || changed(&["startTime"])) && !present(status, "startTime") {
        errors.push(FieldError::required("status.startTime", "startTime is required for finished job"));
    }
}

fn conditions(status: &Value, before: &Value, errors: &mut Vec<FieldError>) {
    let mut wrong = |detail: &str| errors.push(FieldError::invalid("status.conditions", status["conditions"].clone(), detail));
    for (one, other) in
        [("Complete", "Failed"), ("Complete", "FailureTarget"), ("SuccessCriteriaMet", "Failed"), ("SuccessCriteriaMet", "FailureTarget")]
    {
        if is_true(status, one) && is_true(status, other) {
            wrong(&format!("cannot set {one}=True and {other}=True conditions"));
        }
    }
    for (terminal, interim) in [("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet")] {
        if is_true(status, terminal) && !is_true(status, interim) {
            wrong(&format!("cannot set {terminal}=True condition without the {interim}=True condition"));
        }
    }
    for kind in ["Failed", "Complete", "FailureTarget", "SuccessCriteriaMet"] {
        if is_true(before, kind) && !is_true(status, kind) {
            wrong(&format!("cannot disable the terminal {kind}=True condition"));
        }
    }
    if is_true(before, "Complete") && !is_true(before, "SuccessCriteriaMet") && is_true(status, "SuccessCriteriaMet") {
        wrong("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
    }
}

fn times(status: &Value, errors: &mut Vec<FieldError>) {
    let complete = is_true(status, "Complete");
    if present(status, "completionTime") && !complete {
        errors.push(FieldError::invalid(
            "status.completionTime",
            status["completionTime"].clone(),
            "cannot set completionTime when there is no Complete=True condition",
        ));
    }
    if complete && !present(status, "completionTime") {
        errors.push(FieldError::required("status.completionTime", "completionTime is required for Complete jobs"));
    }
    if let (Some(start), Some(end)) = (instant(status, "startTime"), instant(status, "completionTime"))
        && end < start
    {
        errors.push(FieldError::invalid(
            "status.completionTime",
            status["completionTime"].clone(),
            "completionTime cannot be set before startTime",
        ));
    }
}

fn index_lists(spec: &Value, status: &Value, changed: &dyn Fn(&[&str]) -> bool, errors: &mut Vec<FieldError>) {
    let completions = int(spec, "completions").unwrap_or(i64::MAX);
    let (completed, failed) = (text(status, "completedIndexes"), text(status, "failedIndexes"));
    let parsed =
        [("completedIndexes", completed), ("failedIndexes", failed)].map(|(field, text)| match indexes::parse(text, completions) {
            Ok(ranges) => ranges,
            Err(why) => {
                if changed(&[field]) {
                    errors.push(FieldError::invalid(format!("status.{field}"), text, format!("error parsing {field}: {why}")));
                }
                vec![]
            }
        });
    if changed(&["completedIndexes"]) && !completed.is_empty() && spec["completionMode"] != "Indexed" {
        errors.push(FieldError::invalid(
            "status.completedIndexes",
            completed,
            "cannot set non-empty completedIndexes when non-indexed completion mode",
        ));
    }
    if changed(&["failedIndexes"]) && present(status, "failedIndexes") && !present(spec, "backoffLimitPerIndex") {
        errors.push(FieldError::invalid(
            "status.failedIndexes",
            failed,
            "cannot set non-null failedIndexes when backoffLimitPerIndex is null",
        ));
    }
    if indexes::overlap(&parsed[0], &parsed[1]) {
        errors.push(FieldError::invalid("status.failedIndexes", failed, "failedIndexes and completedIndexes overlap"));
    }
}

/// What may not go back.
fn transitions(new: &Value, before: &Value, errors: &mut Vec<FieldError>) {
    let (spec, status) = (&new["spec"], &new["status"]);
    let shrinks = |field: &str| number(status, field) < number(before, field);
    if shrinks("failed") {
        errors.push(FieldError::invalid("status.failed", number(status, "failed"), "cannot decrease the failed counter"));
    }
    // Also after a scale-down that is not yet in the status when parallelism changes once more: the controller could never write again.
    let cut = || indexes::parse(text(before, "completedIndexes"), int(spec, "completions").unwrap_or(i64::MAX)).is_err();
    let elastic = spec["completionMode"] == "Indexed" && (spec["completions"] == spec["parallelism"] || cut());
    if shrinks("succeeded") && !elastic {
        errors.push(FieldError::invalid("status.succeeded", number(status, "succeeded"), "cannot decrease the succeeded counter"));
    }
    if present(before, "completionTime") && status["completionTime"] != before["completionTime"] {
        errors.push(FieldError::invalid("status.completionTime", status["completionTime"].clone(), super::metadata::IMMUTABLE));
    }
    if present(before, "startTime") && status["startTime"] != before["startTime"] && spec["suspend"] != true {
        errors.push(FieldError::required("status.startTime", "startTime cannot be removed or changed for an unsuspended job"));
    }
}

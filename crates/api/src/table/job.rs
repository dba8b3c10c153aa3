//! Jobs: status, completions, duration (spec/jobs.md 10.1).
//!
//! In: a Job and the time. Out: its cells. Never: a guess about Pods (only the Job's own status counts).

use super::{AGE, Column, NAME, NONE, containers, created, instant, seconds};
use crate::{duration, meta, selector::LabelSelector};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    ("Status", "string", false, "Status of the job."),
    ("Completions", "string", false, "Successful pods out of the wanted ones."),
    ("Duration", "string", false, "Time from the start of the job to its completion, or until now."),
    AGE,
    ("Containers", "string", true, "Names of the containers in the template."),
    ("Images", "string", true, "Images of the containers in the template."),
    ("Selector", "string", true, "Label selector of the job's pods."),
];

pub(super) fn cells(job: &Value, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&job["spec"]["template"]["spec"]);
    let selector =
        LabelSelector::from_object(&job["spec"]["selector"]).ok().filter(|s| !s.is_empty() && !job["spec"]["selector"].is_null());
    vec![
        json!(meta::name(job)),
        json!(status(job)),
        json!(completions(job)),
        json!(elapsed(&job["status"], now)),
        created(job, now),
        json!(names),
        json!(images),
        json!(selector.map_or_else(|| NONE.to_owned(), |s| s.to_string())),
    ]
}

/// The first that holds.
fn status(job: &Value) -> &'static str {
    let is = |kind: &str| {
        job["status"]["conditions"].as_array().is_some_and(|list| list.iter().any(|c| c["type"] == kind && c["status"] == "True"))
    };
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if meta::deleting(job) {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(job: &Value) -> String {
    let succeeded = job["status"]["succeeded"].as_i64().unwrap_or(0);
    match (job["spec"]["completions"].as_i64(), job["spec"]["parallelism"].as_i64().unwrap_or(0)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn elapsed(status: &Value, now: Timestamp) -> String {
    let Some(start) = instant(&status["startTime"]) else { return String::new() };
    duration::human(seconds(start, instant(&status["completionTime"]).unwrap_or(now)))
}

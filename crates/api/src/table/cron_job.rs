//! CronJobs: when they run, how many Jobs run, and when the last one was due (spec/jobs.md 10.2).
//!
//! In: a CronJob and the time. Out: its cells. Never: a planned time (only the CronJob's own status counts).

use super::{AGE, Column, NAME, NONE, age, containers, created, text};
use crate::{meta, selector::LabelSelector};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    ("Schedule", "string", false, "When Jobs start, in cron format."),
    ("Timezone", "string", false, "Time zone of the schedule."),
    ("Suspend", "boolean", false, "Whether no further Job starts."),
    ("Active", "integer", false, "Number of its Jobs that run."),
    ("Last Schedule", "string", false, "Time since the last Job was due."),
    AGE,
    ("Containers", "string", true, "Names of the containers in the template."),
    ("Images", "string", true, "Images of the containers in the template."),
    ("Selector", "string", true, "Label selector of the template."),
];

pub(super) fn cells(cron_job: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&cron_job["spec"], &cron_job["status"]);
    let job = &spec["jobTemplate"]["spec"];
    let (names, images) = containers(&job["template"]["spec"]);
    let selector = LabelSelector::from_object(&job["selector"]).ok().filter(|s| !s.is_empty() && !job["selector"].is_null());
    let last = &status["lastScheduleTime"];
    vec![
        json!(meta::name(cron_job)),
        json!(text(&spec["schedule"], NONE)),
        json!(text(&spec["timeZone"], NONE)),
        // Upstream prints the word although the column is called boolean (spec/api.md 5).
        json!(if spec["suspend"] == true { "True" } else { "False" }),
        json!(status["active"].as_array().map_or(0, Vec::len)),
        json!(if last.is_null() { NONE.to_owned() } else { age(last, now) }),
        created(cron_job, now),
        json!(names),
        json!(images),
        json!(selector.map_or_else(|| NONE.to_owned(), |s| s.to_string())),
    ]
}

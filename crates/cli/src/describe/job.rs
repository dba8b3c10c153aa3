//! Job and CronJob (spec/jobs.md 10.4, 10.5). In: objects. Out: lines in the given order. Never: events.

use super::{
    template,
    text::{Text, between, controlled_by, scalar, time},
};
use crate::{output::table::labels, verbs::logs::selector_text};
use serde_json::Value;

/// After so many characters the list of completed indexes is cut at the next comma.
const INDEX_CHARACTERS: usize = 50;

pub fn job(job: &Value, out: &mut Text) {
    let (metadata, spec, status) = (&job["metadata"], &job["spec"], &job["status"]);
    out.line(0, "Name", scalar(&metadata["name"]));
    out.line(0, "Namespace", scalar(&metadata["namespace"]));
    if !spec["selector"].is_null() {
        out.line(0, "Selector", selector_text(&spec["selector"]).unwrap_or_else(|| "<none>".into()));
    }
    out.map(0, "Labels", &metadata["labels"]);
    out.annotations(0, &metadata["annotations"]);
    if let Some(owner) = controlled_by(job) {
        out.line(0, "Controlled By", owner);
    }
    present(out, "Parallelism", &spec["parallelism"]);
    out.line(0, "Completions", unset(&spec["completions"]));
    present(out, "Completion Mode", &spec["completionMode"]);
    present(out, "Suspend", &spec["suspend"]);
    present(out, "Backoff Limit", &spec["backoffLimit"]);
    present(out, "TTL Seconds After Finished", &spec["ttlSecondsAfterFinished"]);
    if !status["startTime"].is_null() {
        out.line(0, "Start Time", time(&status["startTime"]));
    }
    if !status["completionTime"].is_null() {
        out.line(0, "Completed At", time(&status["completionTime"]));
    }
    if let Some(duration) = between(&status["startTime"], &status["completionTime"]) {
        out.line(0, "Duration", duration);
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        out.line(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let ready = status["ready"].as_i64().map(|ready| format!(" ({ready} Ready)")).unwrap_or_default();
    out.line(
        0,
        "Pods Statuses",
        format!("{} Active{ready} / {} Succeeded / {} Failed", count("active"), count("succeeded"), count("failed")),
    );
    if spec["completionMode"] == "Indexed" {
        out.line(0, "Completed Indexes", shortened(&scalar(&status["completedIndexes"])));
    }
    template::template(&spec["template"], out);
}

pub fn cron_job(job: &Value, out: &mut Text) {
    let (metadata, spec, status) = (&job["metadata"], &job["spec"], &job["status"]);
    let inner = &spec["jobTemplate"]["spec"];
    out.line(0, "Name", scalar(&metadata["name"]));
    out.line(0, "Namespace", scalar(&metadata["namespace"]));
    out.map(0, "Labels", &metadata["labels"]);
    out.annotations(0, &metadata["annotations"]);
    out.line(0, "Schedule", scalar(&spec["schedule"]));
    out.line(0, "Concurrency Policy", scalar(&spec["concurrencyPolicy"]));
    out.line(0, "Suspend", if spec["suspend"] == true { "True" } else { "False" });
    out.line(0, "Time Zone", unset(&spec["timeZone"]));
    out.line(0, "Successful Job History Limit", unset(&spec["successfulJobsHistoryLimit"]));
    out.line(0, "Failed Job History Limit", unset(&spec["failedJobsHistoryLimit"]));
    let deadline = spec["startingDeadlineSeconds"].as_i64().map_or("<unset>".to_string(), |s| format!("{s}s"));
    out.line(0, "Starting Deadline Seconds", deadline);
    out.line(0, "Selector", selector_text(&inner["selector"]).unwrap_or_else(|| "<unset>".into()));
    out.line(0, "Parallelism", unset(&inner["parallelism"]));
    out.line(0, "Completions", unset(&inner["completions"]));
    if let Some(seconds) = inner["activeDeadlineSeconds"].as_i64() {
        out.line(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
    template::template(&inner["template"], out);
    let last = if status["lastScheduleTime"].is_null() { "<unset>".to_string() } else { time(&status["lastScheduleTime"]) };
    out.line(0, "Last Schedule Time", last);
    let active: Vec<String> = status["active"].as_array().into_iter().flatten().map(|job| scalar(&job["name"])).collect();
    out.line(0, "Active Jobs", if active.is_empty() { "<none>".into() } else { active.join(", ") });
}

fn present(out: &mut Text, name: &str, value: &Value) {
    if !value.is_null() {
        out.line(0, name, scalar(value));
    }
}

fn unset(value: &Value) -> String {
    if value.is_null() { "<unset>".into() } else { scalar(value) }
}

fn shortened(indexes: &str) -> String {
    if indexes.is_empty() {
        return "<none>".into();
    }
    let comma = indexes.char_indices().position(|(at, c)| at >= INDEX_CHARACTERS && c == ',');
    match comma {
        Some(at) => format!("{},...", &indexes[..at]),
        None => indexes.to_string(),
    }
}

/// Comma-joined labels; kept here for the template's node selectors too.
pub fn joined(map: &Value) -> String {
    labels(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_cut_at_a_comma() {
        let long = (0..40).map(|n| (n * 2).to_string()).collect::<Vec<_>>().join(",");
        let cut = shortened(&long);
        assert!(cut.ends_with(",...") && cut.len() < 60 && long.starts_with(cut.trim_end_matches("...").trim_end_matches(',')), "{cut}");
        for (given, expected) in [("", "<none>"), ("0-4,7", "0-4,7")] {
            assert_eq!(shortened(given), expected);
        }
    }
}

//! Events (spec/api.md 5).
//!
//! In: an Event and the time. Out: its cells. Never: a sorting of events (clients do that).

use super::{Column, NAME, UNKNOWN, age, instant, text};
use crate::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    ("Last Seen", "string", false, "Time since the event was last observed."),
    ("Type", "string", false, "Normal or Warning."),
    ("Reason", "string", false, "Short reason for machines."),
    ("Object", "string", false, "What the event is about."),
    ("Subobject", "string", true, "Part of the object, such as a container."),
    ("Source", "string", true, "Who reported it."),
    ("Message", "string", false, "What happened, for people."),
    ("First Seen", "string", true, "Time since the event was first observed."),
    ("Count", "string", true, "How often it was observed."),
    (NAME.0, NAME.1, true, NAME.3),
];

pub(super) fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let about = &event["involvedObject"];
    let known = |field: &Value| instant(field).is_some();
    let first = if known(&event["firstTimestamp"]) { &event["firstTimestamp"] } else { &event["eventTime"] };
    let series = &event["series"];
    let last = [&series["lastObservedTime"], &event["lastTimestamp"], first].into_iter().find(|t| known(t)).unwrap_or(&Value::Null);
    let count = series["count"].as_i64().or(event["count"].as_i64()).filter(|c| *c > 0).unwrap_or(1);
    let (last_seen, first_seen) = (age(last, now), age(first, now));
    let seen = if count > 1 && first_seen != UNKNOWN { format!("{last_seen} (x{count} over {first_seen})") } else { last_seen };
    let kind = text(&about["kind"], "").to_lowercase();
    vec![
        json!(seen),
        event["type"].clone(),
        event["reason"].clone(),
        json!(format!("{kind}/{}", text(&about["name"], ""))),
        json!(text(&about["fieldPath"], "")),
        json!(source(event)),
        json!(text(&event["message"], "").trim()),
        json!(first_seen),
        json!(count.to_string()),
        json!(meta::name(event)),
    ]
}

fn source(event: &Value) -> String {
    let component = text(&event["source"]["component"], text(&event["reportingComponent"], ""));
    match text(&event["source"]["host"], text(&event["reportingInstance"], "")) {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    }
}

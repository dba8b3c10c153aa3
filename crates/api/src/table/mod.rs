//! Server-side tables (spec/api.md 5; spec/jobs.md 10): columns and cells per kind.
//!
//! In: an object and the time as an argument. Out: column definitions, one row of cells, row conditions. All columns are always sent;
//! kubectl decides which are wide. Never: a clock, a lookup of other objects.

mod cron_job;
mod event;
mod job;
mod node;
mod pod;
mod simple;

use crate::{duration, kinds::Kind};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What a column holds: (name, type, wide only, description).
type Column = (&'static str, &'static str, bool, &'static str);

const NAME: Column = ("Name", "string", false, "Name of the object, unique within its namespace and kind.");
const AGE: Column = ("Age", "string", false, "Time since the object was created.");
/// What is printed for a list or text that is empty.
const NONE: &str = "<none>";
/// What is printed for a time that is not known.
const UNKNOWN: &str = "<unknown>";

/// `columnDefinitions` of the kind.
pub fn columns(kind: &Kind) -> Value {
    let columns: &[Column] = match kind.kind {
        "Job" => job::COLUMNS,
        "CronJob" => cron_job::COLUMNS,
        "Pod" => pod::COLUMNS,
        "Event" => event::COLUMNS,
        "Node" => node::COLUMNS,
        other => simple::columns(other),
    };
    Value::Array(columns.iter().map(definition).collect())
}

fn definition((name, kind, wide, description): &Column) -> Value {
    let format = if *name == "Name" && !*wide { "name" } else { "" };
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": i32::from(*wide)})
}

/// (cells, row conditions) of one object.
pub fn row(kind: &Kind, object: &Value, now: Timestamp) -> (Vec<Value>, Option<Value>) {
    match kind.kind {
        "Job" => (job::cells(object, now), None),
        "CronJob" => (cron_job::cells(object, now), None),
        "Pod" => (pod::cells(object, now), pod::conditions(object)),
        "Event" => (event::cells(object, now), None),
        "Node" => (node::cells(object, now), None),
        other => (simple::cells(other, object, now), None),
    }
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Whole seconds from `start` to `end`.
fn seconds(start: Timestamp, end: Timestamp) -> i64 {
    end.as_second() - start.as_second()
}

/// How long ago a time was, as short text; `<unknown>` when there is none.
fn age(time: &Value, now: Timestamp) -> String {
    instant(time).map_or_else(|| UNKNOWN.to_owned(), |then| duration::human(seconds(then, now)))
}

fn created(object: &Value, now: Timestamp) -> Value {
    json!(age(&object["metadata"]["creationTimestamp"], now))
}

fn text<'a>(value: &'a Value, absent: &'a str) -> &'a str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(absent)
}

/// (names, images) of containers, comma-joined.
fn containers(pod_spec: &Value) -> (String, String) {
    let joined = |field: &str| {
        let list = pod_spec["containers"].as_array().into_iter().flatten();
        list.map(|c| c[field].as_str().unwrap_or("")).collect::<Vec<_>>().join(",")
    };
    (joined("name"), joined("image"))
}

#[cfg(test)]
mod tests;

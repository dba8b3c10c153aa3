//! The events of an object. In: the object's identity. Out: a table of type, reason, age, source and message. Never: events of namesakes.

use super::text::{Text, scalar};
use crate::{
    failure::Failure,
    output::{align::align, table::age},
    server::{Server, with_query},
    watching::list,
};
use jiff::Timestamp;
use serde_json::Value;

/// The object's events, oldest first.
pub async fn of(server: &Server, object: &Value) -> Result<Vec<Value>, Failure> {
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    let mut terms = vec![
        format!("involvedObject.kind={}", scalar(&object["kind"])),
        format!("involvedObject.name={}", scalar(&metadata["name"])),
        format!("involvedObject.uid={}", scalar(&metadata["uid"])),
    ];
    if metadata["namespace"].is_string() {
        terms.push(format!("involvedObject.namespace={namespace}"));
    }
    let path =
        with_query(&format!("/api/v1/namespaces/{}/events", crate::server::escape(namespace)), &[("fieldSelector", &terms.join(","))]);
    let (mut events, _) = list(server, &path).await?;
    events.sort_by_key(|event| (last_seen(event).to_string(), scalar(&event["metadata"]["name"])));
    Ok(events)
}

fn last_seen(event: &Value) -> &str {
    ["lastTimestamp", "eventTime", "firstTimestamp"].iter().find_map(|field| event[*field].as_str()).unwrap_or_default()
}

pub fn print(events: &[Value], now: Timestamp, out: &mut Text) {
    if events.is_empty() {
        return out.line(0, "Events", "<none>");
    }
    out.raw(0, "Events:");
    let mut table = String::from("Type\tReason\tAge\tFrom\tMessage\n----\t------\t----\t----\t-------\n");
    for event in events {
        let since = |field: &Value| age(field, now);
        let seen = match event["count"].as_i64() {
            Some(count) if count > 1 => format!("{} (x{count} over {})", since(&last_seen(event).into()), since(&event["firstTimestamp"])),
            _ => since(&last_seen(event).into()),
        };
        let source =
            Some(scalar(&event["source"]["component"])).filter(|s| !s.is_empty()).unwrap_or_else(|| scalar(&event["reportingComponent"]));
        let message = scalar(&event["message"]).trim().replace(['\n', '\t'], " ");
        table.push_str(&format!("{}\t{}\t{seen}\t{source}\t{message}\n", scalar(&event["type"]), scalar(&event["reason"])));
    }
    for line in align(&table).lines() {
        out.raw(1, line);
    }
}

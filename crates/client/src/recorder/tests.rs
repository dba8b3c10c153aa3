//! The recorder against a fake server: what is written, how repeats fold, and what happens to failures.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::fake_server::{FakeServer, Fault};

/// Stands still until told to move.
struct SetClock(Mutex<Timestamp>);

impl SetClock {
    fn new() -> Arc<Self> {
        Arc::new(SetClock(Mutex::new("2026-11-23T10:00:00Z".parse().unwrap())))
    }

    fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn note(name: &str, message: &str) -> EventNote {
    EventNote {
        object: ObjectReference {
            api_version: Some("batch/v1".into()),
            kind: Some("Job".into()),
            namespace: Some("ns".into()),
            name: Some(name.into()),
            uid: Some(format!("uid-{name}")),
            ..ObjectReference::default()
        },
        event_type: EventType::Warning,
        reason: "FailedCreate".into(),
        message: message.into(),
    }
}

/// (message, count, lastTimestamp) of all Events, sorted.
fn told(server: &FakeServer) -> Vec<(String, i64, String)> {
    let events = server.objects("events");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut told: Vec<_> =
        events.iter().map(|event| (text(&event["message"]), event["count"].as_i64().unwrap(), text(&event["lastTimestamp"]))).collect();
    told.sort();
    told
}

#[tokio::test(start_paused = true)]
async fn writes_a_complete_event() {
    let server = FakeServer::default();
    let recorder = Recorder::new(server.client(), "job-controller", SetClock::new());
    recorder.publish(note("pi", "no room"));
    recorder.flush().await;
    let mut events = server.objects("events");
    assert_eq!(events.len(), 1);
    let mut event = events.remove(0);
    let name = event["metadata"]["name"].take();
    let (stem, suffix) = name.as_str().unwrap().rsplit_once('.').unwrap();
    assert_eq!((stem, suffix.len()), ("pi", 16));
    assert!(suffix.chars().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(
        event,
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": null, "namespace": "ns", "resourceVersion": "1"},
            "involvedObject": {"apiVersion": "batch/v1", "kind": "Job", "namespace": "ns", "name": "pi", "uid": "uid-pi"},
            "reason": "FailedCreate", "message": "no room", "type": "Warning",
            "source": {"component": "job-controller"}, "reportingComponent": "job-controller",
            "count": 1, "firstTimestamp": "2026-11-23T10:00:00Z", "lastTimestamp": "2026-11-23T10:00:00Z",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn repeats_fold_and_others_do_not() {
    let server = FakeServer::default();
    let clock = SetClock::new();
    let recorder = Recorder::new(server.client(), "job-controller", clock.clone());
    for message in ["same", "other", "same", "same"] {
        recorder.publish(note("pi", message));
        recorder.flush().await;
        clock.advance(1);
    }
    recorder.publish(note("e", "same"));
    recorder.publish(EventNote { event_type: EventType::Normal, ..note("pi", "same") });
    recorder.flush().await;
    let row = |message: &str, count, second: u8| (message.to_owned(), count, format!("2026-11-23T10:00:0{second}Z"));
    assert_eq!(told(&server), [row("other", 1, 1), row("same", 1, 4), row("same", 1, 4), row("same", 3, 3)]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_event_starts_anew() {
    let server = FakeServer::default();
    let recorder = Recorder::new(server.client(), "c", SetClock::new());
    recorder.publish(note("pi", "m"));
    recorder.publish(note("pi", "m"));
    recorder.flush().await;
    let name = |event: &Value| event["metadata"]["name"].as_str().unwrap().to_owned();
    let first = name(&server.objects("events")[0]);
    server.delete("events", &format!("ns/{first}"));
    recorder.publish(note("pi", "m"));
    recorder.flush().await;
    let events = server.objects("events");
    assert_eq!(events.len(), 1);
    assert_ne!(name(&events[0]), first);
    assert_eq!(events[0]["count"], 1);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_or_counted() {
    // (verb, faults, Events afterwards as (message, count), dropped)
    type Row = (&'static str, Vec<Fault>, Vec<(&'static str, i64)>, u64);
    let unavailable = Fault::Refuse(503, "ServiceUnavailable");
    let rows: Vec<Row> = vec![
        ("create", vec![unavailable.clone()], vec![("m", 2)], 0),
        ("create", vec![Fault::LoseRequest, Fault::Hang], vec![("m", 2)], 0),
        ("create", vec![Fault::LoseAnswer], vec![("m", 2)], 0),
        ("create", vec![Fault::Refuse(429, "TooManyRequests")], vec![("m", 2)], 0),
        // The first note is refused for good, the second one is then the first.
        ("create", vec![Fault::Refuse(403, "Forbidden")], vec![("m", 1)], 1),
        ("create", vec![unavailable.clone(); 5], vec![("m", 1)], 1),
        ("create", vec![unavailable.clone(); 10], vec![], 2),
        ("patch", vec![unavailable.clone(); 4], vec![("m", 2)], 0),
        ("patch", vec![unavailable; 5], vec![("m", 1)], 1),
        ("patch", vec![Fault::LoseAnswer], vec![("m", 2)], 0),
    ];
    for (verb, faults, expected, dropped) in rows {
        let server = FakeServer::default();
        for fault in &faults {
            server.fail_next(verb, fault.clone());
        }
        let recorder = Recorder::new(server.client(), "c", SetClock::new());
        recorder.publish(note("pi", "m"));
        recorder.publish(note("pi", "m"));
        recorder.flush().await;
        let found: Vec<(String, i64)> = told(&server).into_iter().map(|(message, count, _)| (message, count)).collect();
        let expected: Vec<(String, i64)> = expected.iter().map(|(message, count)| ((*message).to_owned(), *count)).collect();
        assert_eq!(found, expected, "{verb} {faults:?}");
        assert_eq!(recorder.dropped(), dropped, "{verb} {faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_counts() {
    let server = FakeServer::default();
    let recorder = Recorder::new(server.client(), "c", SetClock::new());
    // Nothing is awaited between the calls, so the task has no chance to empty the queue.
    for number in 0..QUEUED_EVENTS + 7 {
        recorder.publish(note("pi", &number.to_string()));
    }
    assert_eq!(recorder.dropped(), 7);
    recorder.flush().await;
    assert_eq!(server.objects("events").len(), QUEUED_EVENTS);
}

#[tokio::test(start_paused = true)]
async fn names_are_valid_distinct_and_replay() {
    async fn names() -> Vec<String> {
        let server = FakeServer::default();
        let recorder = Recorder::on_host(server.client(), "kubelet", "n1", SetClock::new());
        let long = format!("{}.{}", "a".repeat(235), "b".repeat(17));
        for (name, message) in [("pi", "1"), ("pi", "2"), ("e", "1"), (&long, "1")] {
            recorder.publish(note(name, message));
        }
        recorder.flush().await;
        let events = server.objects("events");
        assert!(events.iter().all(|event| event["source"]["host"] == "n1"));
        events.iter().map(|event| event["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
    let first = names().await;
    assert_eq!(first, names().await);
    assert_eq!(first.len(), 4);
    assert!(first.iter().all(|name| name.len() <= 253));
    assert!(first[0].starts_with(&format!("{}.", "a".repeat(235))));
    assert_eq!(first[0].len(), 235 + 17);
}

#[tokio::test(start_paused = true)]
async fn cluster_objects_and_long_messages() {
    let server = FakeServer::default();
    let recorder = Recorder::new(server.client(), "c", SetClock::new());
    let mut about_node = note("n1", &"é".repeat(600));
    about_node.object.namespace = None;
    recorder.publish(about_node);
    recorder.flush().await;
    let event = &server.objects("events")[0];
    assert_eq!(event["metadata"]["namespace"], "default");
    assert_eq!(event["message"].as_str().unwrap().len(), MESSAGE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_leaves_nothing_unwritten() {
    let server = FakeServer::default();
    let recorder = Recorder::new(server.client(), "c", SetClock::new());
    recorder.publish(note("pi", "last words"));
    drop(recorder);
    while server.objects("events").is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&server).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn events_of_one_object_sort_by_name_as_they_happened() {
    let server = FakeServer::default();
    // The clock stands still: nothing but the name tells the order.
    let recorder = Recorder::new(server.client(), "kubelet", SetClock::new());
    let published: Vec<String> = (0..40).map(|number| format!("message {number}")).collect();
    for message in &published {
        recorder.publish(note("pi", message));
    }
    recorder.flush().await;
    let mut events = server.objects("events");
    events.sort_by_key(|event| event["metadata"]["name"].as_str().unwrap().to_owned());
    let listed: Vec<&str> = events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(listed, published);
}

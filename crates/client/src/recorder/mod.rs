//! Event recorder: writes core/v1 Events for an object, folding repeats into count and lastTimestamp (spec/jobs.md 5.1).
//!
//! In: notes, from anywhere, without waiting. Out: Events through the front door, from one background task, in the order of the notes.
//! Never: blocks or fails a sync; what cannot be written is dropped, counted and logged.

mod fold;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::{EventSource, ObjectReference};
use tokio::sync::{mpsc, oneshot};

pub use fold::FOLDED_EVENTS;
pub use writer::{EVENT_ATTEMPTS, EVENT_RETRY, EVENT_WRITE_TIMEOUT};

use crate::clock::Clock;
use writer::Writer;

/// Notes that wait to be written; further ones are dropped.
pub const QUEUED_EVENTS: usize = 1024;
/// Longer messages are cut, in bytes: the API refuses them.
pub const MESSAGE_LIMIT: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Something worth telling about an object.
#[derive(Debug, Clone, PartialEq)]
pub struct EventNote {
    /// See `owner::object_reference`; `field_path` may name a container.
    pub object: ObjectReference,
    pub event_type: EventType,
    /// Short, in CamelCase, for machines.
    pub reason: String,
    /// For people.
    pub message: String,
}

enum Item {
    Note(Box<EventNote>),
    Flush(oneshot::Sender<()>),
}

/// A handle to the background task; clones share it. The task ends when the last clone is gone and everything is written.
#[derive(Clone)]
pub struct Recorder {
    items: mpsc::Sender<Item>,
    dropped: Arc<AtomicU64>,
    component: Arc<str>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Recorder").field("component", &self.component).field("dropped", &self.dropped()).finish()
    }
}

impl Recorder {
    /// Starts the background task on the present tokio runtime. `component` is the Events' source, as `job-controller`.
    pub fn new(client: kube::Client, component: &str, clock: Arc<dyn Clock>) -> Self {
        let source = EventSource { component: Some(component.to_owned()), host: None };
        Self::start(client, source, clock)
    }

    /// As `new`, for a component that runs on one node, which becomes the source's host.
    pub fn on_host(client: kube::Client, component: &str, host: &str, clock: Arc<dyn Clock>) -> Self {
        let source = EventSource { component: Some(component.to_owned()), host: Some(host.to_owned()) };
        Self::start(client, source, clock)
    }

    fn start(client: kube::Client, source: EventSource, clock: Arc<dyn Clock>) -> Self {
        let (items, inbox) = mpsc::channel(QUEUED_EVENTS);
        let dropped = Arc::new(AtomicU64::new(0));
        let component = source.component.as_deref().unwrap_or_default().into();
        let writer = Writer::new(client, source, clock, Arc::clone(&dropped));
        tokio::spawn(run(inbox, writer));
        Recorder { items, dropped, component }
    }

    /// Hands the note over. Never waits; when the queue is full the note is dropped and counted.
    pub fn publish(&self, note: EventNote) {
        if let Err(refused) = self.items.try_send(Item::Note(Box::new(note)))
            && let Item::Note(note) = refused.into_inner()
        {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(component = %self.component, dropped, reason = note.reason, message = note.message, "an Event was dropped: too many wait");
        }
    }

    /// Resolves when all notes published before are written or dropped.
    pub async fn flush(&self) {
        let (done, all_done) = oneshot::channel();
        if self.items.send(Item::Flush(done)).await.is_ok() {
            // An error means that the task is gone, and with it all that waited.
            let _ = all_done.await;
        }
    }

    /// Notes that were not written: the queue was full, or the server refused them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

async fn run(mut inbox: mpsc::Receiver<Item>, mut writer: Writer) {
    while let Some(item) = inbox.recv().await {
        match item {
            Item::Note(note) => writer.write(*note).await,
            // Whoever asked may have gone.
            Item::Flush(done) => drop(done.send(())),
        }
    }
}

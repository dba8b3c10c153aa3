//! Events of a watch: what a change of the store means to one watcher (spec/api.md 6.4, 6.5).
//!
//! In: changes with the state before. Out: lines `{"type":...,"object":...}`. Never: an event of an object that neither matches nor matched.

use std::sync::Arc;

use piecework_api::{kinds::Kind, status::Status};
use piecework_store::{Change, Revision};
use serde_json::{Map, Value, json};

use crate::{
    decoded::Decoded,
    failure::{Failure, Outcome},
    keys,
    list_options::ListOptions,
    negotiation::Representation,
    render::{self, Include},
    state::State,
};

/// Marks the bookmark after the initial events of a watch-list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub(crate) struct EventWriter {
    state: Arc<State>,
    kind: &'static Kind,
    representation: Representation,
    include: Include,
    options: ListOptions,
    /// Column definitions go with the first Table only.
    columns_sent: bool,
}

impl EventWriter {
    pub(crate) fn new(
        state: Arc<State>,
        kind: &'static Kind,
        representation: Representation,
        include: Include,
        options: ListOptions,
    ) -> Self {
        EventWriter { state, kind, representation, include, options, columns_sent: false }
    }

    pub(crate) async fn store_revision(&self) -> Option<Revision> {
        self.state.store.revision().await.ok()
    }

    /// An object that existed when the watch began.
    pub(crate) fn added(&mut self, object: Value) -> Vec<u8> {
        self.line("ADDED", object)
    }

    /// The event of a change; empty when it does not concern this watcher.
    pub(crate) fn change(&mut self, change: &Change) -> Result<Vec<u8>, Status> {
        match self.event(change) {
            Ok(Some((event, Content::Stored(decoded)))) if self.representation == Representation::Object => {
                Ok(shared_line(event, &decoded))
            }
            Ok(Some((event, Content::Stored(decoded)))) => Ok(self.line(event, decoded.object.clone())),
            Ok(Some((event, Content::Last(object)))) => Ok(self.line(event, object)),
            Ok(None) => Ok(Vec::new()),
            Err(Failure::Status(status)) => Err(*status),
            Err(Failure::PageNotFound) => Err(Status::internal("watch")),
        }
    }

    fn event(&self, change: &Change) -> Outcome<Option<(&'static str, Content)>> {
        let now = match &change.entry {
            Some(entry) => Some(self.state.decoded.get(self.kind, entry)?).filter(|decoded| self.concerns(&decoded.object)),
            None => None,
        };
        // The state before is looked at only where it decides: with selectors, and for a deletion.
        let matched = match &change.previous {
            Some(_) if self.options.selects_all() => true,
            Some(entry) => self.concerns(&self.state.decoded.get(self.kind, entry)?.object),
            None => false,
        };
        Ok(match (now, matched, &change.previous) {
            (Some(decoded), true, _) => Some(("MODIFIED", Content::Stored(decoded))),
            (Some(decoded), false, _) => Some(("ADDED", Content::Stored(decoded))),
            (None, true, Some(entry)) => Some(("DELETED", Content::Last(keys::decode_at(self.kind, entry, change.revision)?))),
            _ => None,
        })
    }

    fn concerns(&self, object: &Value) -> bool {
        self.options.selects_all() || self.options.matches(self.kind, object)
    }

    /// A BOOKMARK: the client may start again from `revision`.
    pub(crate) fn bookmark(&mut self, revision: Revision, initial_end: bool) -> Vec<u8> {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        let object = json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata});
        self.line("BOOKMARK", object)
    }

    /// An ERROR; the stream ends after it.
    pub(crate) fn error(&self, status: &Status) -> bytes::Bytes {
        encode(&json!({"type": "ERROR", "object": status})).into()
    }

    fn line(&mut self, event: &str, object: Value) -> Vec<u8> {
        let object = match self.representation {
            Representation::Object => object,
            Representation::Metadata { version } => render::metadata_only(&object, version),
            Representation::Table { version } => {
                let mut metadata = Map::new();
                metadata.insert("resourceVersion".to_owned(), object["metadata"]["resourceVersion"].clone());
                if let Some(annotations) = object["metadata"].get("annotations").filter(|_| event == "BOOKMARK") {
                    metadata.insert("annotations".to_owned(), annotations.clone());
                }
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                render::table_of(&self.state, self.kind, &[object], metadata, version, self.include, columns)
            }
        };
        encode(&json!({"type": event, "object": object}))
    }
}

/// What an event carries.
enum Content {
    /// The state after the change, shared with other watchers.
    Stored(Arc<Decoded>),
    /// The last state of what is gone, with the revision of the change.
    Last(Value),
}

/// A line around bytes that are made once for all watchers.
fn shared_line(event: &str, decoded: &Decoded) -> Vec<u8> {
    let object = decoded.json();
    let mut line = Vec::with_capacity(object.len() + 32);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(event.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(&object);
    line.extend_from_slice(b"}\n");
    line
}

fn encode(event: &Value) -> Vec<u8> {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line
}

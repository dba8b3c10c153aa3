//! Watches (spec/api.md 6.4).
//!
//! In: checked options, the store's changes. Out: newline-delimited events, flushed as they happen. Never: an event twice or out of order; an
//! open stream after its timeout or the server's shutdown.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response, header};
use piecework_api::kinds::Kind;
use piecework_store::{Error as StoreError, Revision, Watch};
use tokio::time::{Interval, MissedTickBehavior, Sleep};

use crate::{
    failure::{self, Outcome},
    keys, list,
    list_options::{self, ListOptions, Purpose},
    negotiation::{self, Shape},
    path::ResourcePath,
    render,
    state::{Exchange, State, Stop},
    watch_events::EventWriter,
};

/// Shortest and longest life of a watch without `timeoutSeconds`, in seconds; spread so that clients do not come back all at once.
pub const DEFAULT_WATCH_SECONDS: (u64, u64) = (1800, 3600);
/// Longest `timeoutSeconds` that is honoured, in seconds.
pub const MAX_WATCH_SECONDS: u64 = 24 * 3600;
/// How often a watch that asked for bookmarks gets one.
pub const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Bytes of initial events that are sent as one chunk.
pub const INITIAL_CHUNK_BYTES: usize = 64 * 1024;

/// Where a watch starts.
struct Start {
    /// Changes up to this revision are not sent.
    after: Revision,
    /// Events of what exists already.
    initial: VecDeque<Bytes>,
}

pub(crate) async fn watch(exchange: &Exchange, path: &ResourcePath) -> Outcome<Response<Body>> {
    let kind = path.kind;
    let representation = negotiation::representation(&exchange.headers, Shape::Watch)?;
    let include = render::include(&exchange.query)?;
    let options = list_options::read(&exchange.query, kind, Purpose::Watch)?;
    let mut writer = EventWriter::new(exchange.state.clone(), kind, representation, include, options.clone());
    let namespace = path.namespace.as_deref();
    let start = start(&exchange.state, kind, namespace, &options, &mut writer).await?;
    // A revision of the future is waited for in silence: watch from now, and send nothing up to that revision.
    let current = exchange.state.store.revision().await?;
    let (changes, pending) = match exchange.state.store.watch(&keys::collection(kind, namespace), start.after.min(current)).await {
        Ok(changes) => (Some(changes), start.initial),
        Err(StoreError::Compacted { requested, oldest }) => (None, VecDeque::from([writer.error(&failure::too_old(requested, oldest))])),
        Err(error) => return Err(error.into()),
    };
    let seconds =
        options.timeout_seconds.unwrap_or_else(|| exchange.state.identifiers.between(DEFAULT_WATCH_SECONDS.0, DEFAULT_WATCH_SECONDS.1));
    let mut bookmarks = tokio::time::interval(BOOKMARK_INTERVAL);
    bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    bookmarks.reset();
    let events = Events {
        pending,
        changes,
        writer,
        seen: start.after,
        deadline: Box::pin(tokio::time::sleep(Duration::from_secs(seconds.min(MAX_WATCH_SECONDS)))),
        bookmarks: options.bookmarks.then_some(bookmarks),
        stop: exchange.stop.clone(),
    };
    let body = Body::from_stream(stream::unfold(events, |mut events| async move {
        events.next().await.map(|chunk| (Ok::<Bytes, std::convert::Infallible>(chunk), events))
    }));
    let mut response = Response::new(body);

    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn start(
    state: &Arc<State>,
    kind: &Kind,
    namespace: Option<&str>,
    options: &ListOptions,
    writer: &mut EventWriter,
) -> Outcome<Start> {
    let wanted = options.revision.unwrap_or(0);
    let replay = match options.send_initial_events {
        Some(true) => true,
        Some(false) => false,
        None => wanted == 0,
    };
    if !replay {
        let after = if wanted == 0 { state.store.revision().await? } else { wanted };
        return Ok(Start { after, initial: VecDeque::new() });
    }
    let unpaged = ListOptions { limit: 0, revision: None, version_match: None, ..options.clone() };
    let listed = list::collect(state, kind, namespace, &unpaged).await?;
    let mut initial = VecDeque::new();
    let mut chunk = Vec::new();
    for object in listed.items {
        chunk.extend_from_slice(&writer.added(object));
        if chunk.len() >= INITIAL_CHUNK_BYTES {
            initial.push_back(Bytes::from(std::mem::take(&mut chunk)));
        }
    }
    if options.send_initial_events == Some(true) && options.bookmarks {
        chunk.extend_from_slice(&writer.bookmark(listed.revision, true));
    }
    if !chunk.is_empty() {
        initial.push_back(Bytes::from(chunk));
    }
    Ok(Start { after: listed.revision, initial })
}

/// One running watch.
struct Events {
    pending: VecDeque<Bytes>,
    /// None once the stream is over.
    changes: Option<Watch>,
    writer: EventWriter,
    /// Newest revision that was sent or looked at.
    seen: Revision,
    deadline: Pin<Box<Sleep>>,
    bookmarks: Option<Interval>,
    stop: Option<Stop>,
}

impl Events {
    /// The next chunk; None ends the response cleanly.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.pending.pop_front() {
                return Some(chunk);
            }
            let changes = self.changes.as_mut()?;
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return None,
                batch = changes.recv() => match batch {
                    None => return None,
                    Some(Ok(batch)) => self.send(batch),
                    Some(Err(error)) => {
                        self.changes = None;
                        let status = match error {
                            StoreError::Compacted { requested, oldest } => failure::too_old(requested, oldest),
                            other => piecework_api::status::Status::internal(other.to_string()),
                        };
                        self.pending.push_back(self.writer.error(&status));
                    }
                },
                () = &mut self.deadline => {
                    if self.bookmarks.is_some() {
                        self.bookmark().await;
                    }
                    self.changes = None;
                }
                () = tick(&mut self.bookmarks) => self.bookmark().await,
            }
        }
    }

    /// Sends what has happened up to now, then a bookmark for that revision: the store hands a change to its watchers before it shows the
    /// revision to readers, so nothing up to `now` is still on its way.
    async fn bookmark(&mut self) {
        let now = self.writer.store_revision().await.unwrap_or(self.seen);
        while let Some(Ok(Ok(batch))) = self.changes.as_mut().map(Watch::try_recv) {
            self.send(batch);
        }
        if self.changes.is_some() {
            self.seen = self.seen.max(now);
            self.pending.push_back(self.writer.bookmark(self.seen, false).into());
        }
    }

    fn send(&mut self, batch: Vec<piecework_store::Change>) {
        let mut chunk = Vec::new();
        // Several changes may share a revision; a batch never splits a transaction.
        let before = self.seen;
        for change in batch {
            if change.revision <= before {
                continue;
            }
            self.seen = change.revision;
            match self.writer.change(&change) {
                Ok(bytes) => chunk.extend_from_slice(&bytes),
                Err(status) => {
                    self.changes = None;
                    chunk.extend_from_slice(&self.writer.error(&status));
                    break;
                }
            }
        }
        if !chunk.is_empty() {
            self.pending.push_back(Bytes::from(chunk));
        }
    }
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

async fn stopped(stop: &mut Option<Stop>) {
    match stop {
        Some(stop) => stop.stopped().await,
        None => std::future::pending().await,
    }
}

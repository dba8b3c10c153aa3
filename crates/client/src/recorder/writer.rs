//! Turns notes into writes: a create for a new Event, a patch of count and lastTimestamp for a repeat.
//!
//! In: notes, one at a time. Out: requests, retried a bounded number of times while the server may recover. Never: an unbounded wait for one note.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::PostParams;
use kube::{Api, Client, Error};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::fold::{FOLDED_EVENTS, Folds, Identity, Written};
use super::{EventNote, MESSAGE_LIMIT};
use crate::backoff::RetryLimits;
use crate::clock::Clock;
use crate::patch::{Patch, is_already_exists, is_not_found, is_transient, patch};

/// How often one note is tried before it is dropped.
pub const EVENT_ATTEMPTS: u32 = 5;
/// Delays between the tries.
pub const EVENT_RETRY: RetryLimits = RetryLimits { base: Duration::from_millis(100), cap: Duration::from_secs(10) };
/// A try without an answer after this long has failed.
pub const EVENT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Events of objects without a namespace live here, as upstream's do.
const CLUSTER_SCOPED_NAMESPACE: &str = "default";
/// Length limit of object names.
const NAME_LIMIT: usize = 253;
/// A dot and sixteen hexadecimal digits.
const SUFFIX_LENGTH: usize = 17;

pub(super) struct Writer {
    client: Client,
    source: EventSource,
    clock: Arc<dyn Clock>,
    dropped: Arc<AtomicU64>,
    folds: Folds,
    /// Microsecond of the newest name: no two names of this writer share one.
    last_named: u64,
}

impl Writer {
    pub(super) fn new(client: Client, source: EventSource, clock: Arc<dyn Clock>, dropped: Arc<AtomicU64>) -> Self {
        Writer { client, source, clock, dropped, folds: Folds::new(FOLDED_EVENTS), last_named: 0 }
    }

    fn component(&self) -> &str {
        self.source.component.as_deref().unwrap_or_default()
    }

    pub(super) async fn write(&mut self, mut note: EventNote) {
        cut(&mut note.message, MESSAGE_LIMIT);
        // When it happened, however many tries it takes to write it.
        let now = self.clock.now();
        let identity = Identity::of(&note);
        // Kept over the tries: a create whose answer was lost is recognised by its name.
        let name = self.event_name(&note, now);
        for attempt in 0..EVENT_ATTEMPTS {
            let tried = timeout(EVENT_WRITE_TIMEOUT, self.try_write(&note, &identity, &name, now, attempt > 0));
            let reason = match tried.await {
                Ok(Ok(written)) => return self.folds.remember(identity, written),
                Ok(Err(error)) if !is_transient(&error) => {
                    return self.give_up(&note, &error.to_string());
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            if attempt + 1 == EVENT_ATTEMPTS {
                return self.give_up(&note, &reason);
            }
            sleep(EVENT_RETRY.delay(attempt)).await;
        }
    }

    fn give_up(&self, note: &EventNote, cause: &str) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(
            component = self.component(),
            dropped,
            reason = note.reason,
            message = note.message,
            cause,
            "an Event was dropped: it could not be written"
        );
    }

    async fn try_write(
        &mut self,
        note: &EventNote,
        identity: &Identity,
        name: &str,
        now: Timestamp,
        is_retry: bool,
    ) -> Result<Written, Error> {
        let namespace = note.object.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace.unwrap_or(CLUSTER_SCOPED_NAMESPACE));
        if let Some(known) = self.folds.find(identity) {
            let count = known.count.saturating_add(1);
            let repeat = Patch::Merge(json!({ "count": count, "lastTimestamp": Time(now) }));
            match patch(&api, &known.name, self.component(), &repeat).await {
                Ok(_) => {
                    return Ok(Written { name: known.name, count });
                }
                // It expired on the server: this is the first of a new one.
                Err(error) if is_not_found(&error) => self.folds.forget(identity),
                Err(error) => return Err(error),
            }
        }
        let event = self.event(note, name, api_namespace(namespace), now);
        let parameters = PostParams { field_manager: Some(self.component().to_owned()), ..PostParams::default() };
        let written = Written { name: name.to_owned(), count: 1 };
        match api.create(&parameters, &event).await {
            Ok(_) => Ok(written),
            // The try before had come through, only its answer was lost.
            Err(error) if is_retry && is_already_exists(&error) => Ok(written),
            Err(error) => Err(error),
        }
    }

    fn event(&self, note: &EventNote, name: &str, namespace: &str, now: Timestamp) -> Event {
        Event {
            metadata: ObjectMeta { name: Some(name.to_owned()), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() },
            involved_object: note.object.clone(),
            reason: Some(note.reason.clone()),
            message: Some(note.message.clone()),
            type_: Some(note.event_type.as_str().to_owned()),
            source: Some(self.source.clone()),
            reporting_component: self.source.component.clone(),
            reporting_instance: self.source.host.clone(),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            ..Event::default()
        }
    }

    /// `<object name>.<16 hexadecimal digits>`: the time in microseconds, then digits that tell sources apart. Events of one object so sort by
    /// name in the order they happened: clients list by name, and times inside an Event have only whole seconds.
    fn event_name(&mut self, note: &EventNote, now: Timestamp) -> String {
        let microsecond = u64::try_from(now.as_microsecond()).unwrap_or(0);
        self.last_named = microsecond.max(self.last_named + 1);
        let object = &note.object;
        let texts = [
            self.source.component.as_deref(),
            self.source.host.as_deref(),
            object.kind.as_deref(),
            object.namespace.as_deref(),
            object.name.as_deref(),
            object.uid.as_deref(),
        ];
        let mut hash = Fnv::default();
        for text in texts {
            hash.add(text.unwrap_or_default().as_bytes());
            hash.add(&[0]);
        }
        let mut stem = object.name.clone().unwrap_or_default();
        cut(&mut stem, NAME_LIMIT - SUFFIX_LENGTH);
        // A label of a name may not end in these.
        stem.truncate(stem.trim_end_matches(['.', '-']).len());
        format!("{stem}.{:013x}{:03x}", self.last_named, hash.0 & 0xfff)
    }
}

fn api_namespace(namespace: Option<&str>) -> &str {
    namespace.unwrap_or(CLUSTER_SCOPED_NAMESPACE)
}

/// Cuts to at most `limit` bytes, at a character's end.
fn cut(text: &mut String, limit: usize) {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// The 64-bit FNV-1a hash: the same on every machine and in every build, unlike the standard library's.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Published test vectors of FNV-1a, 64 bits.
        for (text, expected) in [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)] {
            let mut hash = Fnv::default();
            hash.add(text.as_bytes());
            assert_eq!(hash.0, expected, "{text}");
        }
    }

    #[test]
    fn cuts_between_characters() {
        for (text, limit, expected) in [("abc", 5, "abc"), ("abc", 2, "ab"), ("aé", 2, "a")] {
            let mut text = text.to_owned();
            cut(&mut text, limit);
            assert_eq!(text, expected);
        }
    }
}

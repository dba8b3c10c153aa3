//! Objects decoded once and serialized once, shared by all watchers.
//!
//! In: store entries. Out: the defaulted object with its resourceVersion, and its JSON bytes. Never: more than the named limits in memory; a
//! state other than the entry's: an entry never changes, so a cached one cannot be stale.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use piecework_api::kinds::Kind;
use piecework_store::{Entry, Revision};
use serde_json::Value;

use crate::{failure::Outcome, keys};

/// Most stored bytes whose decoded objects are kept; decoded they take several times as much.
pub const DECODED_BYTES: usize = 16 << 20;
/// Larger stored objects are decoded each time, in bytes.
pub const DECODED_OBJECT_BYTES: usize = 256 << 10;

/// One version of an object.
pub(crate) struct Decoded {
    pub(crate) object: Value,
    /// Made when the first watcher needs it.
    json: OnceLock<Bytes>,
    size: usize,
}

impl Decoded {
    pub(crate) fn json(&self) -> Bytes {
        self.json.get_or_init(|| Bytes::from(serde_json::to_vec(&self.object).unwrap_or_default())).clone()
    }
}

#[derive(Default)]
struct Kept {
    /// By revision, so that the oldest goes first.
    entries: BTreeMap<(Revision, Arc<str>), Arc<Decoded>>,
    bytes: usize,
}

/// The most recent versions of objects.
#[derive(Default)]
pub(crate) struct DecodedObjects(Mutex<Kept>);

impl DecodedObjects {
    /// The object of an entry.
    pub(crate) fn get(&self, kind: &Kind, entry: &Entry) -> Outcome<Arc<Decoded>> {
        let id = (entry.mod_revision, entry.key.clone());
        if let Some(known) = self.lock().entries.get(&id) {
            return Ok(known.clone());
        }
        let size = entry.value.len() + entry.key.len();
        let decoded = Arc::new(Decoded { object: keys::decode(kind, entry)?, json: OnceLock::new(), size });
        if size <= DECODED_OBJECT_BYTES {
            let mut kept = self.lock();
            if kept.entries.insert(id, decoded.clone()).is_none() {
                kept.bytes += size;
            }
            while kept.bytes > DECODED_BYTES {
                let Some((_, oldest)) = kept.entries.pop_first() else { break };
                kept.bytes -= oldest.size;
            }
        }
        Ok(decoded)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use piecework_api::kinds;
    use serde_json::json;

    fn entry(revision: Revision, padding: usize) -> Entry {
        let value = json!({"metadata": {"name": "a"}, "data": {"x": "y".repeat(padding)}}).to_string();
        Entry { key: "/core/configmaps/n/a".into(), value: value.into(), create_revision: 1, mod_revision: revision }
    }

    #[test]
    fn shared_and_bounded() {
        let kind = kinds::by_resource("", "v1", "configmaps").unwrap();
        let objects = DecodedObjects::default();
        let first = objects.get(kind, &entry(1, 10)).unwrap();
        assert!(Arc::ptr_eq(&first, &objects.get(kind, &entry(1, 10)).unwrap()));
        assert_eq!(first.object["metadata"]["resourceVersion"], "1");
        assert_eq!(serde_json::from_slice::<Value>(&first.json()).unwrap(), first.object);
        objects.get(kind, &entry(2, DECODED_OBJECT_BYTES)).unwrap();
        assert_eq!(objects.lock().entries.len(), 1, "too large to keep");
        for revision in 3..100 {
            objects.get(kind, &entry(revision, DECODED_OBJECT_BYTES - 100)).unwrap();
        }
        let kept = objects.lock();
        assert!(kept.bytes <= DECODED_BYTES && kept.entries.len() > 10);
        assert!(!kept.entries.keys().any(|(revision, _)| *revision == 1), "the oldest went first");
        assert_eq!(kept.bytes, kept.entries.values().map(|decoded| decoded.size).sum::<usize>());
    }
}

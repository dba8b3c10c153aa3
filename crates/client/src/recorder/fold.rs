//! Remembers which Events were written, so that a repeat becomes a higher count.
//!
//! In: notes. Out: the Event that already tells the same, if it is remembered. Never: I/O, or more than a bounded number of entries.

use std::collections::BTreeMap;

use super::{EventNote, EventType};

/// Events remembered for folding; the one repeated longest ago is forgotten first and then starts a new Event.
pub const FOLDED_EVENTS: usize = 4096;

/// Two notes with the same identity are one Event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    field_path: Option<String>,
    event_type: EventType,
    reason: String,
    message: String,
}

impl Identity {
    pub(super) fn of(note: &EventNote) -> Self {
        let object = &note.object;
        Identity {
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            field_path: object.field_path.clone(),
            event_type: note.event_type,
            reason: note.reason.clone(),
            message: note.message.clone(),
        }
    }
}

/// An Event on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub name: String,
    pub count: i32,
}

#[derive(Debug)]
pub(super) struct Folds {
    limit: usize,
    written: BTreeMap<Identity, (Written, u64)>,
    /// Least recently used first.
    by_use: BTreeMap<u64, Identity>,
    next_use: u64,
}

impl Folds {
    pub(super) fn new(limit: usize) -> Self {
        Folds { limit, written: BTreeMap::new(), by_use: BTreeMap::new(), next_use: 0 }
    }

    pub(super) fn find(&self, identity: &Identity) -> Option<Written> {
        self.written.get(identity).map(|(written, _)| written.clone())
    }

    pub(super) fn remember(&mut self, identity: Identity, written: Written) {
        self.forget(&identity);
        let used = self.next_use;
        self.next_use += 1;
        self.by_use.insert(used, identity.clone());
        self.written.insert(identity, (written, used));
        if self.written.len() > self.limit
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.written.remove(&oldest);
        }
    }

    pub(super) fn forget(&mut self, identity: &Identity) {
        if let Some((_, used)) = self.written.remove(identity) {
            self.by_use.remove(&used);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ObjectReference;

    use super::*;

    fn identity(message: &str) -> Identity {
        Identity::of(&EventNote {
            object: ObjectReference::default(),
            event_type: EventType::Normal,
            reason: "R".into(),
            message: message.into(),
        })
    }

    fn written(name: &str, count: i32) -> Written {
        Written { name: name.into(), count }
    }

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let mut folds = Folds::new(2);
        folds.remember(identity("a"), written("a", 1));
        folds.remember(identity("b"), written("b", 1));
        folds.remember(identity("a"), written("a", 2));
        folds.remember(identity("c"), written("c", 1));
        assert_eq!(folds.find(&identity("a")), Some(written("a", 2)));
        assert_eq!(folds.find(&identity("b")), None);
        assert_eq!(folds.find(&identity("c")), Some(written("c", 1)));
        folds.forget(&identity("a"));
        assert_eq!(folds.find(&identity("a")), None);
        assert_eq!(folds.by_use.len(), folds.written.len());
    }
}

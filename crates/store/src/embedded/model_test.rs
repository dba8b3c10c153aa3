//! Property: after any sequence of transactions, compactions and reopenings the store answers like a naive model that keeps every state.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::model::{Change, Expect, Op};

const KEYS: [&str; 6] = ["a", "a/1", "a/2", "b/1", "b/2", "c"];
const PREFIXES: [&str; 4] = ["", "a", "a/", "b/"];

#[derive(Debug, Clone)]
enum Step {
    Commit {
        ops: Vec<Op>,
        relaxed: bool,
    },
    /// Compacts at this share (in percent) of the present revision.
    Compact(u64),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let expect = prop_oneof![
        4 => Just(Expect::Anything),
        2 => Just(Expect::Absent),
        3 => (1u64..12).prop_map(Expect::Revision),
    ];
    (0..KEYS.len(), expect, prop::option::weighted(0.7, 0u8..3)).prop_map(|(key, expect, value)| {
        let key: Arc<str> = KEYS[key].into();
        match value {
            Some(value) => Op::Put { key, expect, value: Bytes::from(vec![value]) },
            None => Op::Delete { key, expect },
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let ops = prop::collection::vec(op(), 0..4).prop_map(|mut ops| {
        let mut keys = std::collections::BTreeSet::new();
        ops.retain(|op| keys.insert(op.key().clone()));
        ops
    });
    prop_oneof![
        20 => (ops, any::<bool>()).prop_map(|(ops, relaxed)| Step::Commit { ops, relaxed }),
        1 => (0u64..120).prop_map(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

type State = BTreeMap<Arc<str>, Entry>;

/// Every state there ever was, and every change.
struct Model {
    states: BTreeMap<Revision, State>,
    changes: Vec<Change>,
    compacted: Revision,
}

impl Model {
    fn revision(&self) -> Revision {
        *self.states.last_key_value().unwrap().0
    }

    fn present(&self) -> &State {
        self.states.last_key_value().unwrap().1
    }

    fn commit(&mut self, ops: &[Op]) -> Result<Revision, Arc<str>> {
        let revision = self.revision() + 1;
        let before = self.present().clone();
        let mut after = before.clone();
        let mut changes = Vec::new();
        let mut equal = true;
        for op in ops {
            let previous = before.get(op.key());
            let met = match op.expect() {
                Expect::Anything => true,
                Expect::Absent => previous.is_none(),
                Expect::Revision(wanted) => previous.map(|e| e.mod_revision) == Some(wanted),
            };
            if !met {
                return Err(op.key().clone());
            }
            let entry = match op {
                Op::Put { key, value, .. } => Some(Entry {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: previous.map_or(revision, |e| e.create_revision),
                    mod_revision: revision,
                }),
                Op::Delete { .. } => None,
            };
            equal &= previous.map(|e| &e.value) == entry.as_ref().map(|e| &e.value);
            match &entry {
                Some(entry) => after.insert(op.key().clone(), entry.clone()),
                None => after.remove(op.key()),
            };
            if previous.is_some() || entry.is_some() {
                let (key, previous) = (op.key().clone(), previous.cloned());
                changes.push(Change { key, revision, entry, previous });
            }
        }
        if equal {
            let newest = ops.iter().filter_map(|op| before.get(op.key()));
            return Ok(newest.map(|e| e.mod_revision).max().unwrap_or(revision - 1));
        }
        self.states.insert(revision, after);
        self.changes.extend(changes);
        Ok(revision)
    }
}

fn is_compacted<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Compacted { .. }))
}

async fn compare(store: &EmbeddedStore, model: &Model) {
    assert_eq!(store.revision().await.unwrap(), model.revision());
    for key in KEYS {
        let (entry, revision) = store.get(key).await.unwrap();
        assert_eq!(entry.as_ref(), model.present().get(key));
        assert_eq!(revision, model.revision());
    }
    for at in 0..=model.revision() + 1 {
        let known = (model.compacted..=model.revision()).contains(&at);
        for prefix in PREFIXES {
            let listed = store.list(prefix, None, 0, Some(at)).await;
            let watched = store.watch(prefix, at).await;
            if !known {
                assert!(is_compacted(&listed) && is_compacted(&watched), "at {at}");
                continue;
            }
            let state = model.states[&at].iter();
            let expected: Vec<Entry> = state.filter(|(key, _)| key.starts_with(prefix)).map(|(_, entry)| entry.clone()).collect();
            assert_eq!(listed.unwrap().entries, expected, "list {prefix} at {at}");
            assert_eq!(paged(store, prefix, at).await, expected, "pages {prefix} at {at}");
            let expected: Vec<Change> =
                model.changes.iter().filter(|change| change.revision > at && change.key.starts_with(prefix)).cloned().collect();
            let replay = watched.unwrap().try_recv();
            assert_eq!(replay.map(Result::unwrap).unwrap_or_default(), expected, "watch {prefix} after {at}");
        }
    }
}

async fn paged(store: &EmbeddedStore, prefix: &str, at: Revision) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut start: Option<Arc<str>> = None;
    loop {
        let page = store.list(prefix, start.as_deref(), 2, Some(at)).await.unwrap();
        assert_eq!(page.revision, at);
        assert_eq!(page.next.is_some(), page.remaining > 0);
        entries.extend(page.entries);
        start = page.next;
        if start.is_none() {
            return entries;
        }
    }
}

/// Follows the model's changes through one long watch that was there from the beginning.
fn drain(watch: &mut Watch, seen: &mut Vec<Change>) {
    while let Ok(batch) = watch.try_recv() {
        seen.extend(batch.unwrap());
    }
}

async fn run(steps: Vec<Step>, commit_mode: CommitMode) {
    let options = EmbeddedOptions { commit_mode, ..EmbeddedOptions::default() };
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut store = EmbeddedStore::open(directory.path(), options.clone()).unwrap();
    let mut model = Model { states: BTreeMap::from([(1, State::new())]), changes: Vec::new(), compacted: 1 };
    let mut watch = store.watch("", 1).await.unwrap();
    let mut seen = Vec::new();
    for step in steps {
        match step {
            Step::Commit { ops, relaxed } => {
                let outcome = store.commit(Transaction { ops: ops.clone(), relaxed }).await;
                let outcome = match outcome {
                    Ok(committed) => Ok(committed.revision),
                    Err(Error::Conflict { key, actual }) => {
                        assert_eq!(actual.as_ref(), model.present().get(&key));
                        Err(key)
                    }
                    Err(other) => panic!("{other}"),
                };
                assert_eq!(outcome, model.commit(&ops), "{ops:?}");
            }
            Step::Compact(percent) => {
                let revision = model.revision() * percent / 100;
                store.compact(revision).await.unwrap();
                model.compacted = model.compacted.max(revision.min(model.revision()));
            }
            Step::Reopen => {
                drain(&mut watch, &mut seen);
                drop(store);
                store = EmbeddedStore::open(directory.path(), options.clone()).unwrap();
                watch = store.watch("", model.revision()).await.unwrap();
            }
        }
        drain(&mut watch, &mut seen);
    }
    compare(&store, &model).await;
    assert_eq!(seen, model.changes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn answers_like_the_naive_model(in_caller in any::<bool>(), steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps, if in_caller { CommitMode::Caller } else { CommitMode::Thread }));
    }
}

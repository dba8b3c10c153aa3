//! Tables and scenarios for the embedded store: expectations, pages, watches, history, reopening, refusals.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::model::{Change, Expect, Op};

fn put(key: &str, expect: Expect, value: &str) -> Op {
    Op::Put { key: key.into(), expect, value: Bytes::copy_from_slice(value.as_bytes()) }
}

fn delete(key: &str, expect: Expect) -> Op {
    Op::Delete { key: key.into(), expect }
}

fn write(ops: Vec<Op>) -> Transaction {
    Transaction { ops, relaxed: false }
}

fn relaxed(ops: Vec<Op>) -> Transaction {
    Transaction { ops, relaxed: true }
}

fn open(directory: &Path) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(directory, EmbeddedOptions::default()).unwrap()
}

async fn set(store: &EmbeddedStore, key: &str, value: &str) -> Revision {
    let ops = vec![put(key, Expect::Anything, value)];
    store.commit(write(ops)).await.unwrap().revision
}

async fn keys(store: &EmbeddedStore, prefix: &str, at: Option<Revision>) -> Result<Vec<String>, Error> {
    let page = store.list(prefix, None, 0, at).await?;
    Ok(page.entries.iter().map(|e| e.key.to_string()).collect())
}

async fn next(watch: &mut Watch) -> Vec<(String, Revision, bool)> {
    let batch = watch.recv().await.unwrap().unwrap();
    let row = |change: &Change| (change.key.to_string(), change.revision, change.entry.is_some());
    batch.iter().map(row).collect()
}

fn compacted<T: std::fmt::Debug>(outcome: Result<T, Error>) -> (Revision, Revision) {
    match outcome {
        Err(Error::Compacted { requested, oldest }) => (requested, oldest),
        other => panic!("expected Compacted, got {other:?}"),
    }
}

#[tokio::test]
async fn expectations() {
    use Expect::{Absent, Anything};
    // Before each row: key "a" holds "1" at revision 2, key "gone" was deleted (3 created, 4 deleted), revision is 4.
    let at_2 = Expect::Revision(2);
    let at_3 = Expect::Revision(3);
    // (name, ops, Ok(committed revision) or Err(key in conflict), the store's revision afterwards)
    type Row = (&'static str, Vec<Op>, Result<Revision, &'static str>, Revision);
    let rows: Vec<Row> = vec![
        ("create", vec![put("b", Absent, "x")], Ok(5), 5),
        ("create existing", vec![put("a", Absent, "x")], Err("a"), 4),
        ("create after delete", vec![put("gone", Absent, "x")], Ok(5), 5),
        ("update", vec![put("a", at_2, "x")], Ok(5), 5),
        ("update stale", vec![put("a", at_3, "x")], Err("a"), 4),
        ("update absent", vec![put("b", at_2, "x")], Err("b"), 4),
        ("update deleted", vec![put("gone", at_3, "x")], Err("gone"), 4),
        ("overwrite", vec![put("a", Anything, "x")], Ok(5), 5),
        ("same bytes", vec![put("a", at_2, "1")], Ok(2), 4),
        ("same bytes, stale", vec![put("a", at_3, "1")], Err("a"), 4),
        ("delete", vec![delete("a", at_2)], Ok(5), 5),
        ("delete stale", vec![delete("a", at_3)], Err("a"), 4),
        ("delete absent", vec![delete("b", Anything)], Ok(4), 4),
        ("delete absent, expected", vec![delete("b", at_2)], Err("b"), 4),
        ("nothing", vec![], Ok(4), 4),
        ("all or nothing", vec![put("b", Absent, "x"), put("a", Absent, "x")], Err("a"), 4),
        ("two at one revision", vec![put("b", Absent, "x"), delete("a", at_2)], Ok(5), 5),
        ("an equal put beside a change is written", vec![put("b", Absent, "x"), put("a", at_2, "1")], Ok(5), 5),
    ];
    for (name, ops, expected, revision) in rows {
        for is_relaxed in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let store = open(directory.path());
            set(&store, "a", "1").await;
            set(&store, "gone", "1").await;
            store.commit(write(vec![delete("gone", Expect::Revision(3))])).await.unwrap();
            let transaction = Transaction { ops: ops.clone(), relaxed: is_relaxed };
            let outcome = match store.commit(transaction).await {
                Ok(committed) => Ok(committed.revision),
                Err(Error::Conflict { key, actual }) => {
                    assert_eq!(actual, store.get(&key).await.unwrap().0, "{name}");
                    Err(key.to_string())
                }
                Err(other) => panic!("{name}: {other}"),
            };
            assert_eq!(outcome, expected.map_err(str::to_owned), "{name}");
            assert_eq!(store.revision().await.unwrap(), revision, "{name}");
            let b_exists = keys(&store, "b", None).await.unwrap() == ["b"];
            let b_written = expected.is_ok() && ops.iter().any(|op| matches!(op, Op::Put { key, .. } if &**key == "b"));
            assert_eq!(b_exists, b_written, "{name}");
        }
    }
}

#[tokio::test]
async fn a_key_twice_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let ops = vec![put("a", Expect::Anything, "1"), delete("a", Expect::Anything)];
    let error = store.commit(write(ops)).await.unwrap_err();
    assert!(error.to_string().contains("names key a twice"), "{error}");
    assert_eq!(store.revision().await.unwrap(), 1);
}

#[tokio::test]
async fn pages_at_one_revision() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for key in ["p/1", "p/2", "p/3", "p/4", "q/1", "o/9"] {
        set(&store, key, "x").await;
    }
    let first = store.list("p/", None, 2, None).await.unwrap();
    assert_eq!((first.revision, first.remaining), (7, 2));
    assert_eq!(first.next.as_deref(), Some("p/3"));
    // Between the pages: the next key goes, a new one comes, one changes.
    store
        .commit(write(vec![delete("p/3", Expect::Anything), put("p/35", Expect::Absent, "new"), put("p/4", Expect::Anything, "changed")]))
        .await
        .unwrap();
    let second = store.list("p/", first.next.as_deref(), 2, Some(first.revision)).await.unwrap();
    let names: Vec<&str> = second.entries.iter().map(|entry| &*entry.key).collect();
    assert_eq!(names, ["p/3", "p/4"]);
    assert_eq!(second.entries[1].value, "x");
    assert_eq!((second.remaining, second.next), (0, None));
    assert_eq!(keys(&store, "p/", None).await.unwrap(), ["p/1", "p/2", "p/35", "p/4"]);
    // A start outside the prefix: before it means all, after it means none.
    let from = async |start| store.list("p/", Some(start), 0, None).await.unwrap().entries.len();
    assert_eq!((from("a").await, from("z").await), (4, 0));
    assert_eq!(compacted(keys(&store, "", Some(0)).await), (0, 1));
    assert_eq!(compacted(keys(&store, "", Some(9)).await), (9, 1));
}

#[tokio::test]
async fn a_watch_replays_then_follows() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    set(&store, "a/1", "x").await;
    set(&store, "b/1", "x").await;
    set(&store, "a/1", "y").await;
    let mut watch = store.watch("a/", 2).await.unwrap();
    assert_eq!(next(&mut watch).await, [("a/1".to_owned(), 4, true)]);
    set(&store, "b/1", "y").await;
    store.commit(write(vec![delete("a/1", Expect::Anything), put("a/2", Expect::Absent, "x")])).await.unwrap();
    let batch = watch.recv().await.unwrap().unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!((&*batch[0].key, batch[0].revision), ("a/1", 6));
    assert_eq!(batch[0].entry, None);
    assert_eq!(batch[0].previous.as_ref().unwrap().value, "y");
    assert_eq!(batch[1].previous, None);
    drop(store);
    assert!(watch.recv().await.is_none());
}

#[tokio::test]
async fn a_slow_watcher_is_told_and_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { watch_buffer_batches: 2, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(directory.path(), options).unwrap();
    let mut slow = store.watch("", 1).await.unwrap();
    let mut quick = store.watch("", 1).await.unwrap();
    for number in 2..=9 {
        assert_eq!(set(&store, "a", &number.to_string()).await, number);
        assert_eq!(next(&mut quick).await, [("a".to_owned(), number, true)]);
    }
    // The buffer and the unused place for a replay hold three batches; then comes the last word.
    for number in 2..=4 {
        assert_eq!(next(&mut slow).await, [("a".to_owned(), number, true)]);
    }
    assert_eq!(compacted(slow.recv().await.unwrap()), (4, 5));
    assert!(slow.recv().await.is_none());
}

#[tokio::test]
async fn compaction_forgets_what_is_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    for value in ["1", "2", "3"] {
        set(&store, "a", value).await;
    }
    set(&store, "b", "1").await;
    store.commit(write(vec![delete("b", Expect::Anything)])).await.unwrap();
    store.compact(4).await.unwrap();
    for reopened in [false, true] {
        if reopened {
            drop(store);
            store = open(directory.path());
        }
        assert_eq!(store.revision().await.unwrap(), 6);
        assert_eq!(compacted(keys(&store, "", Some(3)).await), (3, 4));
        assert_eq!(compacted(store.watch("", 3).await), (3, 4));
        assert_eq!(keys(&store, "", Some(5)).await.unwrap(), ["a", "b"]);
        let mut watch = store.watch("", 4).await.unwrap();
        assert_eq!(next(&mut watch).await, [("b".to_owned(), 5, true), ("b".to_owned(), 6, false)]);
    }
    // Beyond the present means: all of it. Only the present stays, also on disk.
    store.compact(1000).await.unwrap();
    assert_eq!(compacted(store.watch("", 5).await), (5, 6));
    drop(store);
    let connection = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    let rows: i64 = connection.query_row("SELECT count(*) FROM changes", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
    drop(connection);
    let store = open(directory.path());
    assert_eq!(store.revision().await.unwrap(), 6);
    assert_eq!(store.get("a").await.unwrap().0.unwrap().mod_revision, 4);
}

/// (limits, revisions of the eight writes that stay known as start of a watch)
#[tokio::test]
async fn history_is_bounded_by_count_bytes_and_age() {
    type Limit = fn(&mut EmbeddedOptions);
    let rows: Vec<(&str, Limit, Revision)> = vec![
        ("count", |options| options.history_changes = 3, 6),
        ("bytes", |options| options.history_bytes = 900, 6),
        ("age", |options| options.history_age = Duration::from_secs(2), 6),
        ("none reached", |_| {}, 1),
    ];
    for (name, limit, oldest) in rows {
        let directory = tempfile::tempdir().unwrap();
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&seconds);
        let mut options =
            EmbeddedOptions { clock: Arc::new(move || Duration::from_secs(clock.load(Ordering::Relaxed))), ..EmbeddedOptions::default() };
        limit(&mut options);
        let store = EmbeddedStore::open(directory.path(), options).unwrap();
        for value in 0..8 {
            seconds.fetch_add(1, Ordering::Relaxed);
            set(&store, "a", &value.to_string()).await;
        }
        for after in 1..=9 {
            let known = store.watch("", after).await.is_ok();
            assert_eq!(known, after >= oldest, "{name}: watch after {after}");
        }
    }
}

#[tokio::test]
async fn reopening_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let created = set(&store, "a", "1").await;
    set(&store, "a", "2").await;
    let last = store.commit(relaxed(vec![put("b", Expect::Absent, "relaxed")])).await.unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.revision().await.unwrap(), last.revision);
    let entry = store.get("a").await.unwrap().0.unwrap();
    assert_eq!((entry.create_revision, entry.mod_revision), (created, 3));
    assert_eq!(store.get("b").await.unwrap().0.unwrap().value, "relaxed");
    let mut watch = store.watch("", 1).await.unwrap();
    assert_eq!(watch.recv().await.unwrap().unwrap().len(), 3);
    assert_eq!(store.list("", None, 0, Some(2)).await.unwrap().entries[0].value, "1");
}

#[tokio::test]
async fn relaxed_writes_reach_the_disk_without_company() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    // The first one waits for the reservation's sync, the second one does not.
    for key in ["a", "b"] {
        store.commit(relaxed(vec![put(key, Expect::Absent, "x")])).await.unwrap();
        assert!(store.get(key).await.unwrap().0.is_some());
    }
    let connection = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    let synced = || -> i64 { connection.query_row("SELECT count(*) FROM changes", [], |row| row.get(0)).unwrap() };
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    tokio::time::timeout(Duration::from_secs(30), async {
        while synced() < 2 {
            ticks.tick().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_strict_write_carries_relaxed_ones_along() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for number in 0..50 {
        let ops = vec![put(&format!("event/{number}"), Expect::Absent, "x")];
        store.commit(relaxed(ops)).await.unwrap();
    }
    set(&store, "strict", "x").await;
    let connection = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    let rows: i64 = connection.query_row("SELECT count(*) FROM changes", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 51);
}

#[tokio::test]
async fn many_writers_share_groups_and_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut watch = store.watch("", 1).await.unwrap();
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut last = 0;
                for number in 0..20 {
                    let revision = set(&store, &format!("{writer:02}/{number:02}"), "x").await;
                    assert!(revision > last);
                    last = revision;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.revision().await.unwrap(), 1 + 64 * 20);
    let mut seen = 1;
    while seen < 1 + 64 * 20 {
        for (_, revision, _) in next(&mut watch).await {
            assert_eq!(revision, seen + 1);
            seen = revision;
        }
    }
}

#[tokio::test]
async fn closed_means_closed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    set(&store, "a", "1").await;
    let mut watch = store.watch("", 2).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(watch.recv().await.is_none());
    assert!(matches!(store.get("a").await, Err(Error::Closed)));
    assert!(matches!(store.watch("", 2).await, Err(Error::Closed)));
    let ops = vec![put("b", Expect::Absent, "x")];
    assert!(matches!(store.commit(write(ops)).await, Err(Error::Closed)));
}

#[test]
fn one_owner_per_directory() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("new/store");
    let store = open(&directory);
    let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    match EmbeddedStore::open(&directory, EmbeddedOptions::default()).map(|_| ()) {
        Err(Error::InUse(named)) => assert_eq!(named, directory),
        other => panic!("expected InUse, got {other:?}"),
    }
    drop(store);
    open(&directory);
}

#[test]
fn foreign_and_newer_files_are_refused() {
    // (what is done to the file, words of the refusal)
    let rows =
        [("PRAGMA user_version = 2", "written by a newer piecework", true), ("CREATE TABLE other (x)", "is not a piecework store", false)];
    for (statement, words, is_store) in rows {
        let directory = tempfile::tempdir().unwrap();
        if is_store {
            drop(open(directory.path()));
        }
        let connection = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
        connection.execute_batch(statement).unwrap();
        drop(connection);
        let error = EmbeddedStore::open(directory.path(), EmbeddedOptions::default()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(DATABASE_FILE), vec![b'x'; 8192]).unwrap();
    let error = EmbeddedStore::open(directory.path(), EmbeddedOptions::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
}

/// What a crash with reserved revisions outstanding leaves behind: the counter is ahead of the newest row.
fn leave_as_after_a_crash(directory: &Path, reserved: Revision) {
    let connection = rusqlite::Connection::open(directory.join(DATABASE_FILE)).unwrap();
    connection.execute("UPDATE counters SET value = ?1 WHERE name = 'reserved'", [reserved.cast_signed()]).unwrap();
}

#[tokio::test]
async fn lost_revisions_are_never_given_out_again_nor_served() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    set(&store, "a", "1").await;
    set(&store, "a", "2").await;
    drop(store);
    leave_as_after_a_crash(directory.path(), 100);
    for reopened in [false, true] {
        let store = open(directory.path());
        let newest = if reopened { 102 } else { 101 };
        assert_eq!(store.revision().await.unwrap(), newest);
        // (revision, whether it is known)
        for (at, known) in [(2, true), (3, true), (4, false), (50, false), (100, false), (101, true)] {
            let listed = keys(&store, "", Some(at)).await;
            let watched = store.watch("", at).await;
            if known {
                assert_eq!(listed.unwrap(), ["a"], "{at}");
                assert!(watched.is_ok(), "{at}");
            } else {
                assert_eq!(compacted(listed), (at, 101));
                assert_eq!(compacted(watched), (at, 101));
            }
        }
        if !reopened {
            assert_eq!(set(&store, "a", "3").await, 102);
            let mut watch = store.watch("", 3).await.unwrap();
            assert_eq!(next(&mut watch).await, [("a".to_owned(), 102, true)]);
        } else {
            store.compact(101).await.unwrap();
            assert_eq!(compacted(store.watch("", 50).await), (50, 101));
        }
    }
}

/// A database that refuses writes: nothing of a failed group is shown, and what was shown before is written later.
#[tokio::test]
async fn a_failing_disk_shows_nothing_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    set(&store, "a", "1").await;
    // Reserves revisions, so that the next relaxed write is shown before its sync.
    let shown = |key: &str| relaxed(vec![put(key, Expect::Absent, "x")]);
    store.commit(shown("event/1")).await.unwrap();
    let other = rusqlite::Connection::open(directory.path().join(DATABASE_FILE)).unwrap();
    other.execute_batch("ALTER TABLE changes RENAME TO hidden").unwrap();
    let mut watch = store.watch("", 3).await.unwrap();
    assert_eq!(store.commit(shown("event/2")).await.unwrap().revision, 4);
    for _ in 0..2 {
        let failed = store.commit(write(vec![put("a", Expect::Revision(2), "2")])).await;
        assert!(matches!(failed, Err(Error::Backend(_))), "{failed:?}");
    }
    assert_eq!(store.revision().await.unwrap(), 4);
    assert_eq!(store.get("a").await.unwrap().0.unwrap().value, "1");
    other.execute_batch("ALTER TABLE hidden RENAME TO changes").unwrap();
    let ops = vec![put("a", Expect::Revision(2), "3")];
    assert_eq!(store.commit(write(ops)).await.unwrap().revision, 5);
    assert_eq!(next(&mut watch).await, [("event/2".to_owned(), 4, true)]);
    assert_eq!(next(&mut watch).await, [("a".to_owned(), 5, true)]);
    drop(store);
    let store = open(directory.path());
    assert_eq!(keys(&store, "", None).await.unwrap(), ["a", "event/1", "event/2"]);
    assert_eq!(store.get("a").await.unwrap().0.unwrap().value, "3");
}

/// Under the paused clock a timer must not fire while a commit is under way, however long its sync takes.
#[tokio::test(start_paused = true)]
async fn commits_in_the_caller_leave_a_paused_clock_alone() {
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { commit_mode: CommitMode::Caller, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(directory.path(), options).unwrap();
    let begun = tokio::time::Instant::now();
    for number in 0..20 {
        let written = tokio::time::timeout(Duration::from_secs(1), set(&store, "a", &number.to_string())).await;
        assert_eq!(written.unwrap(), number + 2);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    store.compact(21).await.unwrap();
    store.close().await.unwrap();
    let ops = vec![put("a", Expect::Anything, "x")];
    assert!(matches!(store.commit(write(ops)).await, Err(Error::Closed)));
    assert!(matches!(store.compact(1).await, Err(Error::Closed)));
    drop(store);
    assert_eq!(open(directory.path()).revision().await.unwrap(), 21);
}

//! kill -9 at any point loses no acknowledged strict write, tears no transaction and gives no shown revision out again.
//!
//! The parent re-executes this test binary as a writer, reads the acknowledgements from its stdout and kills it after a drawn number of them.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use piecework_store::{EmbeddedOptions, EmbeddedStore, Error, Expect, Op, Store, Transaction};

const DIRECTORY: &str = "PIECEWORK_STORE_KILL_TEST_DIRECTORY";
const ROUNDS: u64 = 15;
const WRITERS: u64 = 8;

fn put(key: String, value: &str) -> Op {
    Op::Put { key: key.into(), expect: Expect::Absent, value: Bytes::copy_from_slice(value.as_bytes()) }
}

/// The child: runs only when the parent sets the variable; writes until it is killed.
#[test]
fn writer() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(Path::new(&directory), EmbeddedOptions::default()).unwrap();
        let opened_at = store.revision().await.unwrap();
        let writers = (0..WRITERS).map(|writer| {
            let store = Arc::clone(&store);
            async move {
                for number in 0u64.. {
                    let relaxed = writer % 4 == 3;
                    let kind = if relaxed { "relaxed" } else { "strict" };
                    let name = format!("{opened_at}-{writer}-{number}");
                    let ops = vec![put(format!("{kind}/{name}/left"), &name), put(format!("{kind}/{name}/right"), &name)];
                    let revision = store.commit(Transaction { ops, relaxed }).await.unwrap().revision;
                    // One write call per line, so that a kill cannot leave half an acknowledgement unnoticed.
                    let line = format!("\nack {kind} {name} {revision} .\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            }
        });
        let tasks = tokio::task::LocalSet::new();
        tasks
            .run_until(async {
                let handles: Vec<_> = writers.map(tokio::task::spawn_local).collect();
                for handle in handles {
                    handle.await.unwrap();
                }
            })
            .await;
    });
}

struct Acknowledged {
    kind: String,
    name: String,
    revision: u64,
}

fn parse(line: &str) -> Option<Acknowledged> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["ack", kind, name, revision, "."] = words[..] else {
        return None;
    };
    Some(Acknowledged { kind: kind.into(), name: name.into(), revision: revision.parse().unwrap() })
}

/// Starts a writer, kills it after `kill_after` acknowledgements, and returns all it had acknowledged.
fn write_and_kill(directory: &Path, kill_after: u64) -> Vec<Acknowledged> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        acknowledged.extend(parse(&line.unwrap()));
        if !killed && acknowledged.len() as u64 >= kill_after {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(killed, "the writer ended before it was killed");
    acknowledged
}

#[tokio::test]
async fn no_acknowledged_write_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut all: Vec<Acknowledged> = Vec::new();
    let mut newest_shown = 1;
    let mut seed: u64 = 0x5eed;
    for round in 0..ROUNDS {
        // A small linear congruence spreads the moments of the kill; the kernel's scheduling adds the rest.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        all.extend(write_and_kill(directory.path(), 1 + (seed >> 33) % 200));
        let shown_before = newest_shown;
        newest_shown = all.iter().map(|ack| ack.revision).max().unwrap();
        assert!(newest_shown > shown_before);

        let store = EmbeddedStore::open(directory.path(), EmbeddedOptions::default()).unwrap();
        let revision = store.revision().await.unwrap();
        assert!(revision >= newest_shown, "round {round}: resumed at {revision}, shown was {newest_shown}");
        let mut revisions: Vec<u64> = all.iter().map(|ack| ack.revision).collect();
        revisions.sort_unstable();
        let count = revisions.len();
        revisions.dedup();
        assert_eq!(revisions.len(), count, "a revision was given out twice");
        for ack in &all {
            for side in ["left", "right"] {
                let key = format!("{}/{}/{side}", ack.kind, ack.name);
                match store.get(&key).await.unwrap().0 {
                    Some(entry) => assert_eq!(entry.mod_revision, ack.revision, "{key}"),
                    None => assert_eq!(ack.kind, "relaxed", "round {round}: {key} was lost"),
                }
            }
        }
        let page = store.list("", None, 0, None).await.unwrap();
        assert_eq!(page.entries.len() % 2, 0, "half a transaction");
        for pair in page.entries.chunks(2) {
            assert_eq!(pair[0].mod_revision, pair[1].mod_revision);
        }
        // Whoever saw the newest revision either follows from there or is told to list again; nobody is served a hole.
        match store.watch("", newest_shown).await {
            Ok(_) | Err(Error::Compacted { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        newest_shown = revision;
    }
    let strict = all.iter().filter(|ack| ack.kind == "strict").count();
    println!("{ROUNDS} kills, {strict} strict and {} relaxed writes acknowledged", all.len() - strict);
    assert!(strict as u64 >= ROUNDS);
}

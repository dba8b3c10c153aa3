//! Reading, tailing and following of real files.
#![allow(clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use tokio::fs::File;
use tokio::sync::{mpsc, oneshot};

use super::cri::Stream;
use super::last_bytes;
use super::options::LogOptions;
use super::stream::send_log;
use super::tail::tail_offset;

const LOG: &str = "2024-01-01T00:00:01Z stdout F one\n\
    2024-01-01T00:00:02Z stderr F two\n\
    2024-01-01T00:00:03Z stdout P thr\n\
    2024-01-01T00:00:03Z stdout P e\n\
    2024-01-01T00:00:03Z stdout F e\n\
    2024-01-01T00:00:04Z stdout F four\n";

fn write(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

async fn read(path: &Path, options: &LogOptions) -> String {
    let (sender, mut receiver) = mpsc::channel(16);
    let (result, text) = tokio::join!(
        async move {
            let sender = sender;
            send_log(path, options, std::future::pending(), &sender).await
        },
        async move {
            let mut text = Vec::new();
            while let Some(chunk) = receiver.recv().await {
                text.extend_from_slice(&chunk.unwrap());
            }
            String::from_utf8(text).unwrap()
        }
    );
    result.unwrap();
    text
}

#[tokio::test]
async fn options_of_a_reader() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    write(&path, LOG);
    let tail = |lines| LogOptions { tail_lines: Some(lines), ..LogOptions::default() };
    let cases = [
        (LogOptions::default(), "one\ntwo\nthree\nfour\n"),
        (tail(0), ""),
        (tail(1), "four\n"),
        (tail(2), "three\nfour\n"),
        (tail(3), "two\nthree\nfour\n"),
        (tail(99), "one\ntwo\nthree\nfour\n"),
        (LogOptions { stream: Some(Stream::Stderr), ..tail(1) }, "two\n"),
        (LogOptions { stream: Some(Stream::Stdout), ..tail(3) }, "one\nthree\nfour\n"),
        (LogOptions { since: Some("2024-01-01T00:00:03Z".parse().unwrap()), ..LogOptions::default() }, "three\nfour\n"),
        (LogOptions { since: Some("2024-01-01T00:00:04Z".parse().unwrap()), ..tail(3) }, "four\n"),
        (LogOptions { limit_bytes: Some(6), ..LogOptions::default() }, "one\ntw"),
        (LogOptions { timestamps: true, ..tail(2) }, "2024-01-01T00:00:03Z three\n2024-01-01T00:00:04Z four\n"),
    ];
    for (options, wanted) in cases {
        assert_eq!(read(&path, &options).await, wanted, "{options:?}");
    }
}

#[tokio::test]
async fn an_unfinished_line_is_given_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    write(&path, "2024-01-01T00:00:01Z stdout F one\n2024-01-01T00:00:01Z stdout P tw\n2024-01-01T00:00:01Z std");
    assert_eq!(read(&path, &LogOptions::default()).await, "one\ntw");
    assert_eq!(read(&path, &LogOptions { tail_lines: Some(1), ..LogOptions::default() }).await, "tw");
}

#[tokio::test]
async fn the_tail_of_a_long_file_is_found_across_buffers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    let line = |number: usize| format!("2024-01-01T00:00:01Z stdout F {number} {}\n", "x".repeat(number % 977));
    let lines: Vec<String> = (0..2000).map(line).collect();
    write(&path, &lines.concat());
    let mut file = File::open(&path).await.unwrap();
    for wanted in [1_usize, 2, 500, 1500, 1999, 2000] {
        let offset = tail_offset(&mut file, wanted as u64, None).await.unwrap();
        let before: usize = lines[..2000 - wanted].iter().map(String::len).sum();
        assert_eq!(offset, before as u64, "{wanted}");
    }
}

#[tokio::test]
async fn the_termination_message_is_the_end_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    write(&path, LOG);
    assert_eq!(last_bytes(&path, 2, 2048).await.unwrap(), "three\nfour\n");
    assert_eq!(last_bytes(&path, 80, 6).await.unwrap(), "\nfour\n");
    write(&path, "2024-01-01T00:00:04Z stdout F é\n");
    assert_eq!(last_bytes(&path, 80, 2).await.unwrap(), "\n", "never half a character");
}

async fn next(receiver: &mut mpsc::Receiver<std::io::Result<Bytes>>) -> Option<String> {
    receiver.recv().await.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn following_waits_for_the_file_and_ends_with_the_container() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    write(&path, LOG);
    let (end, ended) = oneshot::channel::<()>();
    let (sender, mut receiver) = mpsc::channel(1);
    let followed = path.clone();
    let reader = tokio::spawn(async move {
        let options = LogOptions { follow: true, tail_lines: Some(1), ..LogOptions::default() };
        let ended = async move { ended.await.unwrap() };
        send_log(&followed, &options, ended, &sender).await
    });
    assert_eq!(next(&mut receiver).await.unwrap(), "four\n");
    write(&path, "2024-01-01T00:00:05Z stdout F five\n");
    assert_eq!(next(&mut receiver).await.unwrap(), "five\n");
    write(&path, "2024-01-01T00:00:06Z stdout P si");
    write(&path, "\n2024-01-01T00:00:06Z stdout F x\n");
    assert_eq!(next(&mut receiver).await.unwrap(), "six\n");
    // What is written before the end is read, whichever is noticed first.
    write(&path, "2024-01-01T00:00:07Z stdout F last\n");
    end.send(()).unwrap();
    assert_eq!(next(&mut receiver).await.unwrap(), "last\n");
    assert_eq!(next(&mut receiver).await, None);
    reader.await.unwrap().unwrap();
}

#[tokio::test]
async fn following_ends_when_the_reader_goes_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0.log");
    write(&path, LOG);
    let (sender, mut receiver) = mpsc::channel(1);
    let reader = tokio::spawn(async move {
        let options = LogOptions { follow: true, ..LogOptions::default() };
        send_log(&path, &options, std::future::pending(), &sender).await
    });
    assert!(next(&mut receiver).await.is_some());
    drop(receiver);
    reader.await.unwrap().unwrap();
}

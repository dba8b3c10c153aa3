//! Reads a log file as the text that a container printed.
//!
//! In: a file in the CRI format and what the reader wants. Out: chunks of text through a channel; its bound slows the reading down to the client.
//! Never: a partial line as if it were whole; more than `limitBytes`; a poll of the file.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::SeekFrom;
use std::path::Path;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{self, AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;

use super::cri::{self, Stream};
use super::notify::FileChanges;
use super::options::LogOptions;
use super::tail::tail_offset;
use crate::limits::{LOG_LINE_BYTES, LOG_READ_BYTES};

/// Sends the log until its end, or, following, until `ended` has resolved and everything was read. Also ends when the reader goes away.
pub async fn send_log(
    path: &Path,
    options: &LogOptions,
    ended: impl Future<Output = ()> + Send,
    output: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    // Watched before the first read, so that no change falls between.
    let changes = if options.follow { Some(FileChanges::watch(path)?) } else { None };
    let mut file = File::open(path).await?;
    let start = match options.tail_lines {
        Some(lines) => tail_offset(&mut file, lines, options.stream).await?,
        None => 0,
    };
    file.seek(SeekFrom::Start(start)).await?;
    let mut text = Text::new(options);
    let mut buffer = vec![0; LOG_READ_BYTES];
    let mut over = false;
    tokio::pin!(ended);
    loop {
        loop {
            let count = file.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            let chunk = text.take(&buffer[..count]);
            if !chunk.is_empty() && output.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
            if text.full() {
                return Ok(());
            }
        }
        let Some(changes) = changes.as_ref().filter(|_| !over) else {
            let rest = text.finish();
            if !rest.is_empty() {
                // The reader may have gone.
                let _ = output.send(Ok(rest)).await;
            }
            return Ok(());
        };
        tokio::select! {
            biased;
            () = output.closed() => return Ok(()),
            result = changes.changed() => result?,
            // What was written before the end is still read.
            () = &mut ended => over = true,
        }
    }
}

/// The end of a log as one text (for a termination message); `limit` bytes at most, cut at a character.
pub async fn last_bytes(path: &Path, lines: u64, limit: usize) -> io::Result<String> {
    let mut file = File::open(path).await?;
    let start = tail_offset(&mut file, lines, None).await?;
    file.seek(SeekFrom::Start(start)).await?;
    let mut text = Text::new(&LogOptions::default());
    let mut buffer = vec![0; LOG_READ_BYTES];
    let mut last: Vec<u8> = Vec::new();
    loop {
        let count = file.read(&mut buffer).await?;
        let chunk = if count == 0 { text.finish() } else { text.take(&buffer[..count]) };
        last.extend_from_slice(&chunk);
        last.drain(..last.len().saturating_sub(limit));
        if count == 0 {
            break;
        }
    }
    let start = last.iter().position(|byte| byte & 0xC0 != 0x80).unwrap_or(last.len());
    Ok(String::from_utf8_lossy(&last[start..]).into_owned())
}

/// From lines of the file to lines of the container.
pub struct Text {
    options: LogOptions,
    /// Bytes that may still be given out.
    left: Option<u64>,
    /// The beginning of a line of the file whose end was not read yet.
    begun: Vec<u8>,
    /// Lines of which only pieces were read, per stream, with the timestamp of their first piece.
    pieces: BTreeMap<Stream, Vec<u8>>,
}

impl Text {
    pub fn new(options: &LogOptions) -> Self {
        Text { options: options.clone(), left: options.limit_bytes, begun: Vec::new(), pieces: BTreeMap::new() }
    }

    /// Nothing more may be given out.
    pub fn full(&self) -> bool {
        self.left == Some(0)
    }

    /// Text of the lines that are complete now.
    pub fn take(&mut self, bytes: &[u8]) -> Bytes {
        let mut text = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, tail) = rest.split_at(end);
            rest = &tail[1..];
            if self.begun.is_empty() {
                self.line(line, &mut text);
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(line);
                self.line(&whole, &mut text);
            }
        }
        self.begun.extend_from_slice(rest);
        self.cut(text)
    }

    /// What was printed without a line feed before the end.
    pub fn finish(&mut self) -> Bytes {
        let mut text = Vec::new();
        for piece in std::mem::take(&mut self.pieces).into_values() {
            text.extend_from_slice(&piece);
        }
        self.cut(text)
    }

    fn line(&mut self, line: &[u8], text: &mut Vec<u8>) {
        let Some(parsed) = cri::parse(line) else { return };
        if self.options.stream.is_some_and(|stream| stream != parsed.stream) {
            return;
        }
        if self.options.since.is_some_and(|since| parsed.timestamp().is_some_and(|time| time < since)) {
            return;
        }
        let piece = self.pieces.entry(parsed.stream).or_default();
        if piece.is_empty() && self.options.timestamps {
            piece.extend_from_slice(parsed.time.as_bytes());
            piece.push(b' ');
        }
        piece.extend_from_slice(parsed.content);
        if !parsed.partial {
            piece.push(b'\n');
        }
        if !parsed.partial || piece.len() > LOG_LINE_BYTES {
            text.append(piece);
        }
    }

    fn cut(&mut self, mut text: Vec<u8>) -> Bytes {
        if let Some(left) = &mut self.left {
            text.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= text.len() as u64;
        }
        Bytes::from(text)
    }
}

//! The CRI log format: `TIME STREAM F|P LINE`, as the kubelet and `kubectl logs` read it.
//!
//! In: bytes as the container wrote them. Out: one record per line, in the order read; long lines in parts marked `P`.
//! Never: holds back a whole line, changes a byte of it, or loses an unfinished last one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use jiff::Timestamp;

/// A line above this many bytes is cut into partial records (16 KiB, as the CRI implementations do).
pub const MAX_RECORD_BYTES: usize = 16 * 1024;

/// The log file of one container.
pub struct LogFile {
    file: File,
    buffer: Vec<u8>,
}

impl LogFile {
    /// Opens for appending; the directory exists.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        Ok(LogFile { file, buffer: Vec::with_capacity(2 * MAX_RECORD_BYTES) })
    }

    /// Writes what `push` and `finish` have put together.
    pub fn flush(&mut self) -> io::Result<()> {
        let result = self.file.write_all(&self.buffer);
        self.buffer.clear();
        result
    }

    fn record(&mut self, now: Timestamp, stream: &str, complete: bool, line: &[u8]) {
        let tag = if complete { 'F' } else { 'P' };
        // Writing to a Vec cannot fail.
        let _ = write!(self.buffer, "{} {stream} {tag} ", now.strftime("%Y-%m-%dT%H:%M:%S.%9fZ"));
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
    }
}

/// One of the container's output streams.
pub struct Stream {
    name: &'static str,
    pending: Vec<u8>,
}

impl Stream {
    /// `name`: `stdout` or `stderr`.
    pub fn new(name: &'static str) -> Self {
        Stream { name, pending: Vec::new() }
    }

    /// Takes bytes that were read at `now`.
    pub fn push(&mut self, log: &mut LogFile, now: Timestamp, mut bytes: &[u8]) {
        while let Some(first) = bytes.first() {
            // Decided only when the next byte is known: a line of exactly the limit is a whole one.
            if self.pending.len() == MAX_RECORD_BYTES && *first != b'\n' {
                log.record(now, self.name, false, &self.pending);
                self.pending.clear();
            }
            let window = &bytes[..bytes.len().min(MAX_RECORD_BYTES + 1 - self.pending.len())];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.pending.extend_from_slice(&window[..end]);
                    log.record(now, self.name, true, &self.pending);
                    self.pending.clear();
                    bytes = &bytes[end + 1..];
                }
                None => {
                    let taken = window.len().min(MAX_RECORD_BYTES - self.pending.len());
                    self.pending.extend_from_slice(&window[..taken]);
                    bytes = &bytes[taken..];
                }
            }
        }
    }

    /// The stream has ended: an unfinished last line is a line.
    pub fn finish(&mut self, log: &mut LogFile, now: Timestamp) {
        if !self.pending.is_empty() {
            log.record(now, self.name, true, &self.pending);
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(chunks: &[&[u8]]) -> Vec<(char, usize)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let mut log = LogFile::open(&path).unwrap();
        let mut stream = Stream::new("stdout");
        let now = Timestamp::UNIX_EPOCH;
        for chunk in chunks {
            stream.push(&mut log, now, chunk);
        }
        stream.finish(&mut log, now);
        log.flush().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let prefix = "1970-01-01T00:00:00.000000000Z stdout ";
        text.lines()
            .map(|line| {
                let rest = line.strip_prefix(prefix).unwrap();
                (rest.chars().next().unwrap(), rest.len() - 2)
            })
            .collect()
    }

    #[test]
    fn lines_become_records() {
        const M: usize = MAX_RECORD_BYTES;
        let long = vec![b'x'; 2 * M + 5];
        let full = vec![b'x'; M];
        let full_line = [full.as_slice(), b"\n"].concat();
        type Row<'a> = (&'a [&'a [u8]], &'a [(char, usize)]);
        let rows: &[Row<'_>] = &[
            (&[], &[]),
            (&[b"a\nbc\n"], &[('F', 1), ('F', 2)]),
            (&[b"a", b"b", b"\n", b"\n"], &[('F', 2), ('F', 0)]),
            (&[b"no end"], &[('F', 6)]),
            (&[&long, b"\n"], &[('P', M), ('P', M), ('F', 5)]),
            (&[&long], &[('P', M), ('P', M), ('F', 5)]),
            (&[&full_line], &[('F', M)]),
            (&[&full, b"\n"], &[('F', M)]),
            (&[&full, b"y\n"], &[('P', M), ('F', 1)]),
            (&[&full], &[('F', M)]),
        ];
        for (chunks, expected) in rows {
            assert_eq!(written(chunks), *expected);
        }
    }
}

//! One line of a log file: `TIME STREAM TAG CONTENT`, tag `F` (full) or `P` (partial, goes on in the next line of the stream).
//!
//! In: bytes of a line. Out: its parts. Never: fails as a whole; a line that is not of this form is skipped by its readers.

use jiff::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// The parts of a line, without its line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// As written: RFC 3339 with nanoseconds.
    pub time: &'a str,
    pub stream: Stream,
    pub partial: bool,
    pub content: &'a [u8],
}

impl Line<'_> {
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

/// Takes a line apart.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    // Further tags may follow the first one after colons.
    let partial = match parts.next()?.split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Line { time, stream, partial, content: parts.next().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts = (Stream, bool, &'static [u8]);

    #[test]
    fn lines() {
        let line = |stream, partial, content: &'static [u8]| Some((stream, partial, content));
        let cases: [(&[u8], Option<Parts>); 8] = [
            (b"2024-01-01T00:00:00.5Z stdout F hello world\n", line(Stream::Stdout, false, b"hello world")),
            (b"2024-01-01T00:00:00.5Z stderr P x", line(Stream::Stderr, true, b"x")),
            (b"2024-01-01T00:00:00.5Z stdout F \n", line(Stream::Stdout, false, b"")),
            (b"2024-01-01T00:00:00.5Z stdout F", line(Stream::Stdout, false, b"")),
            (b"2024-01-01T00:00:00.5Z stdout P:x  a", line(Stream::Stdout, true, b" a")),
            (b"2024-01-01T00:00:00.5Z stdin F x", None),
            (b"garbage", None),
            (b"", None),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(parse(bytes).map(|line| (line.stream, line.partial, line.content)), wanted, "{bytes:?}");
        }
    }
}

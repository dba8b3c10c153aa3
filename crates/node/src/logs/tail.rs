//! Finds where the last n lines of a log begin, reading backwards from its end.
//!
//! In: a file and the number of lines. Out: an offset. Never: reads more of the file than those lines and one buffer.

use std::io::SeekFrom;

use tokio::fs::File;
use tokio::io::{self, AsyncReadExt, AsyncSeekExt};

use super::cri::{self, Stream};
use crate::limits::LOG_READ_BYTES;

/// Offset of the first byte of the last `lines` whole lines (of one stream, or of all). Pieces that directly precede the last piece of a line
/// belong to it; an unfinished line at the end counts as one.
pub async fn tail_offset(file: &mut File, lines: u64, stream: Option<Stream>) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(end);
    }
    let mut count = Counter { wanted: lines, stream, found: 0, begun: None, offset: end };
    let mut position = end;
    // The beginning of a line whose line feed was met already, in reading order.
    let mut later: Vec<u8> = Vec::new();
    let mut first = true;
    while position > 0 {
        let size = usize::try_from(position).unwrap_or(usize::MAX).min(LOG_READ_BYTES);
        position -= size as u64;
        let mut chunk = vec![0; size];
        file.seek(SeekFrom::Start(position)).await?;
        file.read_exact(&mut chunk).await?;
        let mut line_end = chunk.len();
        for index in (0..chunk.len()).rev() {
            if chunk[index] != b'\n' {
                continue;
            }
            let mut line = chunk[index + 1..line_end].to_vec();
            line.append(&mut later);
            line_end = index;
            let ends_in_line_feed = !first;
            first = false;
            if count.take(&line, position + index as u64 + 1, ends_in_line_feed) {
                return Ok(count.offset);
            }
        }
        let mut rest = chunk[..line_end].to_vec();
        rest.append(&mut later);
        later = rest;
    }
    count.take(&later, 0, !first);
    Ok(count.offset)
}

struct Counter {
    wanted: u64,
    stream: Option<Stream>,
    found: u64,
    /// Stream of the line whose earlier pieces are being looked for.
    begun: Option<Stream>,
    offset: u64,
}

impl Counter {
    /// Takes the line that begins at `offset`, last line first. True: no earlier line is needed.
    fn take(&mut self, line: &[u8], offset: u64, complete: bool) -> bool {
        // What follows the last line feed is being written at this moment.
        if !complete {
            return false;
        }
        let Some(parsed) = cri::parse(line) else { return false };
        if self.stream.is_some_and(|stream| stream != parsed.stream) {
            return false;
        }
        let continues = parsed.partial && self.begun == Some(parsed.stream);
        if !continues {
            if self.found == self.wanted {
                return true;
            }
            self.found += 1;
        }
        self.begun = Some(parsed.stream);
        self.offset = offset;
        false
    }
}

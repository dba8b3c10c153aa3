//! Reading archives whatever their compression: gzip, zstd or none, told by the first bytes rather than by a claimed media type.
//!
//! In: a byte stream. Out: the plain stream, counted, digested and cut off at a limit. Never: a file or a path.

use sha2::{Digest, Sha256};
use std::io::{self, BufRead, BufReader, Read};

/// The plain bytes behind `source`.
pub fn decompress<'a>(source: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut buffered = BufReader::with_capacity(crate::limits::COPY_BUFFER_BYTES, source);
    let start = buffered.fill_buf()?;
    if start.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(buffered)))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Ok(Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?))
    } else {
        Ok(Box::new(buffered))
    }
}

/// Passes bytes through, digests them, and fails once more than `limit` came.
pub struct Metered<R> {
    inner: R,
    digest: Sha256,
    read: u64,
    limit: u64,
}

impl<R: Read> Metered<R> {
    pub fn new(inner: R, limit: u64) -> Self {
        Self { inner, digest: Sha256::new(), read: 0, limit }
    }

    /// Reads what is left and returns the digest of everything as `sha256:…` and the number of bytes.
    pub fn finish(mut self) -> io::Result<(String, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((format!("sha256:{}", hex::encode(self.digest.finalize())), self.read))
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        if self.read > self.limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the archive unpacks to more than {} bytes", self.limit)));
        }
        self.digest.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn reads_all_three_forms() {
        let text = b"a plain text that is long enough".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        for (name, bytes) in [
            ("plain", text.clone()),
            ("gzip", gzip.finish().unwrap()),
            ("zstd", zstd::encode_all(&text[..], 1).unwrap()),
            ("empty", vec![]),
        ] {
            let mut out = Vec::new();
            decompress(&bytes[..]).unwrap().read_to_end(&mut out).unwrap();
            assert_eq!(out, if bytes.is_empty() { vec![] } else { text.clone() }, "{name}");
        }
    }

    #[test]
    fn stops_at_the_limit() {
        let zeros = io::repeat(0).take(1000);
        let error = Metered::new(zeros, 999).finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let (digest, read) = Metered::new(&b""[..], 0).finish().unwrap();
        assert_eq!((digest.as_str(), read), ("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0));
    }
}

//! Named limits of the image store: what an archive or a registry may make us read, write or wait for.
//!
//! In: nothing. Out: constants and one value that tests may shrink. Never: a decision.

use std::time::Duration;

/// Bytes of an image manifest, an index or an `index.json`; the distribution specification asks registries to accept 4 MiB.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// Bytes of an image configuration.
pub const MAX_CONFIG_BYTES: u64 = 8 << 20;
/// Layers of one image; overlay mounts take about this many lower directories in one page of options.
pub const MAX_LAYERS: usize = 127;
/// Depth of indexes within indexes before a manifest must be reached.
pub const MAX_INDEX_DEPTH: usize = 4;
/// Images in one layout or docker archive.
pub const MAX_IMAGES_PER_ARCHIVE: usize = 64;
/// Longest path inside a layer, in bytes (PATH_MAX).
pub const MAX_PATH_BYTES: usize = 4096;
/// Longest value of one extended attribute taken from a layer, in bytes (XATTR_SIZE_MAX).
pub const MAX_XATTR_BYTES: usize = 64 << 10;
/// Time to connect to a registry before a pull gives up.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Silence of a registry in the middle of an answer before a pull gives up.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Layers that one pull downloads at the same time.
pub const CONCURRENT_DOWNLOADS: usize = 3;
/// Bytes moved at a time when blobs are copied and digested.
pub const COPY_BUFFER_BYTES: usize = 128 << 10;

/// What unpacking one archive may produce: the guard against decompression bombs.
#[derive(Debug, Clone, Copy)]
pub struct UnpackLimits {
    /// Uncompressed bytes of one archive.
    pub bytes: u64,
    /// Entries of one archive.
    pub entries: u64,
}

impl Default for UnpackLimits {
    /// 32 GiB and two million entries.
    fn default() -> Self {
        Self { bytes: 32 << 30, entries: 2_000_000 }
    }
}

//! One process per store directory.
//!
//! In: a directory. Out: a lock that ends with this process at the latest, however it ends.
//! Never: a pid file; the kernel's lock needs no cleaning up after a crash.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::Error;

/// Name of the lock file inside the store's directory.
const LOCK_FILE: &str = "store.lock";

/// Holds the exclusive lock while it lives. The file is closed on exec, so child programs do not keep it.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

/// Creates the directory (and its parents) readable by its owner only, if it is missing.
pub(super) fn create_private(directory: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|cause| Error::backend(&format!("create {}", directory.display()), cause))
}

impl DirectoryLock {
    pub(super) fn acquire(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(LOCK_FILE);
        let doing = || format!("lock {}", path.display());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| Error::backend(&doing(), cause))?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(directory.to_path_buf())),
            Err(TryLockError::Error(cause)) => Err(Error::backend(&doing(), cause)),
        }
    }
}

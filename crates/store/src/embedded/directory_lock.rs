//! One process per store directory.
//!
//! In: a directory. Out: a lock that ends with this process at the latest, however it ends.
//! Never: a pid file; the kernel's lock needs no cleaning up after a crash.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::error::Error;

/// Name of the lock file inside the store's directory.
const LOCK_FILE: &str = "store.lock";
/// How often a lock that somebody holds is tried again before it counts as another server's. A process that was killed while it started a child
/// leaves the lock with that child until the child's exec closes the file.
pub const LOCK_RETRIES: u32 = 40;
/// Time between two tries.
pub const LOCK_RETRY_DELAY: Duration = Duration::from_millis(25);

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
    // Opening is synchronous and happens before anything is served; the kernel tells nobody when a lock becomes free.
    #[allow(clippy::disallowed_methods)]
    pub(super) fn acquire(directory: &Path) -> Result<Self, Error> {
        Self::acquire_patiently(directory, || std::thread::sleep(LOCK_RETRY_DELAY))
    }

    /// `pause` passes the time between two tries.
    fn acquire_patiently(directory: &Path, mut pause: impl FnMut()) -> Result<Self, Error> {
        let path = directory.join(LOCK_FILE);
        let doing = || format!("lock {}", path.display());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| Error::backend(&doing(), cause))?;
        for retry in 0..=LOCK_RETRIES {
            match file.try_lock() {
                Ok(()) => return Ok(DirectoryLock { _file: file }),
                Err(TryLockError::WouldBlock) if retry < LOCK_RETRIES => pause(),
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(cause)) => return Err(Error::backend(&doing(), cause)),
            }
        }
        Err(Error::InUse(directory.to_path_buf()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_a_dying_process_leaves_behind_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let mut held = Some(DirectoryLock::acquire(directory.path()).unwrap());
        let mut pauses = 0;
        let lock = DirectoryLock::acquire_patiently(directory.path(), || {
            pauses += 1;
            if pauses == 3 {
                held = None;
            }
        });
        assert!(lock.is_ok());
        assert_eq!(pauses, 3);
    }

    #[test]
    fn a_lock_that_stays_is_another_servers() {
        let directory = tempfile::tempdir().unwrap();
        let _held = DirectoryLock::acquire(directory.path()).unwrap();
        let mut pauses = 0;
        assert!(matches!(DirectoryLock::acquire_patiently(directory.path(), || pauses += 1), Err(Error::InUse(_))));
        assert_eq!(pauses, LOCK_RETRIES);
    }
}

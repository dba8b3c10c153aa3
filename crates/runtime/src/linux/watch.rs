//! Waiting for news in a container's directory without polling.
//!
//! In: a directory, and the process that may write there. Out: a wake-up whenever a file appears or the process ends.
//! Never: says what happened; the caller reads the records.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use tokio::io::{Interest, unix::AsyncFd};

/// Watches one directory for files that are moved or linked into it.
pub struct DirectoryWatch(AsyncFd<OwnedFd>);

impl DirectoryWatch {
    /// From now on nothing is missed.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let path = CString::new(directory.as_os_str().as_bytes())?;
        // SAFETY: plain system calls; the descriptor is new and owned here, the path is a terminated string that outlives the call.
        let fd = unsafe {
            let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = OwnedFd::from_raw_fd(fd);
            let mask = libc::IN_MOVED_TO | libc::IN_CREATE | libc::IN_DELETE_SELF | libc::IN_ONLYDIR;
            if libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) < 0 {
                return Err(io::Error::last_os_error());
            }
            fd
        };
        // SAFETY: the owned descriptor is moved in and stays open, and the same, until the registration is dropped.
        Ok(DirectoryWatch(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?))
    }

    /// Resolves when something has changed since the last call.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let mut buffer = [0u8; 4096];
            let read = ready.try_io(|fd| {
                // SAFETY: the buffer is writable for its whole length.
                let count = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
                if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count) }
            });
            match read {
                Ok(result) => return result.map(|_| ()),
                Err(_would_block) => continue,
            }
        }
    }
}

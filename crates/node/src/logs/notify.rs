//! Wakes a reader when a file changes: inotify, without polling.
//!
//! In: the path of a file. Out: a future that resolves after the next change. Never: reads the file; blocks a thread.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tokio::io::unix::AsyncFd;

/// Room for several events; what they say does not matter, only that there were some.
const EVENT_BYTES: usize = 4096;

/// A watch on one file.
pub struct FileChanges {
    inotify: AsyncFd<OwnedFd>,
}

impl FileChanges {
    /// Begins to watch. Changes from now on are seen, so the file is read after this call.
    pub fn watch(path: &Path) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: takes flags only; the descriptor it answers with is new and owned by nobody else.
        let descriptor = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: see above.
        let inotify = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let events = libc::IN_MODIFY | libc::IN_CLOSE_WRITE | libc::IN_DELETE_SELF | libc::IN_MOVE_SELF | libc::IN_ATTRIB;
        // SAFETY: `path` is a C string that outlives the call, the descriptor is open.
        if unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), events) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `OwnedFd` keeps the descriptor open and the same for as long as `AsyncFd` holds it; nobody else can close it.
        let inotify = unsafe { AsyncFd::register(inotify) }?;
        Ok(FileChanges { inotify })
    }

    /// Resolves when something changed since the last call.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let read = ready.try_io(|inotify| {
                let mut events = [0_u8; EVENT_BYTES];
                // SAFETY: the buffer is valid for writes of its length, the descriptor is open.
                let count = unsafe { libc::read(inotify.as_raw_fd(), events.as_mut_ptr().cast(), events.len()) };
                if count < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
            });
            match read {
                Ok(result) => return result,
                // Not ready after all.
                Err(_) => continue,
            }
        }
    }
}

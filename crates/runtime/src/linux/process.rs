//! Processes that outlive the agent: who they are, whether they still live, how to signal and await them.
//!
//! In: process ids recorded earlier. Out: pidfds that are certain to mean that very process.
//! Never: signals by number alone; a process id may have been given to someone else.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::OnceLock,
};

use serde::{Deserialize, Serialize};
use tokio::io::{Interest, unix::AsyncFd};

/// A process as it can be recognized after any restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// Clock ticks after boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

impl ProcessIdentity {
    /// The identity of a process that is alive now.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(ProcessIdentity { pid, start_time: start_time(pid)?, boot: boot_id().to_owned() })
    }

    /// A pidfd, or `None` if that process has ended and been reaped.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        if self.boot != boot_id() {
            return Ok(None);
        }
        let fd = match pidfd_open(self.pid) {
            Ok(fd) => fd,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Read after the pidfd was taken: if it matches, the pidfd is the process that was recorded.
        match start_time(self.pid) {
            Ok(time) if time == self.start_time => Ok(Some(fd)),
            _ => Ok(None),
        }
    }

    /// Sends a signal; false if the process has ended.
    pub fn signal(&self, signal: i32) -> io::Result<bool> {
        match self.open()? {
            None => Ok(false),
            Some(fd) => send_signal(fd.as_fd(), signal),
        }
    }
}

/// Sends a signal through a pidfd; false if the process has ended.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<bool> {
    // SAFETY: plain system call on a file descriptor that is borrowed for the duration; no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<u8>(), 0) };
    if result == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        error => Err(error),
    }
}

/// A close-on-exec file descriptor for a process; readable when it has ended.
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain system call; a non-negative result is a file descriptor that nobody else owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd as i32)) }
    }
}

/// Resolves when the process behind the pidfd has ended.
pub async fn ended(pidfd: OwnedFd) -> io::Result<()> {
    // SAFETY: the owned descriptor is moved in and stays open, and the same, until the registration is dropped.
    let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
    let _ready = pidfd.readable().await?;
    Ok(())
}

/// Blocks until the process behind the pidfd has ended; false after `timeout_ms`.
pub fn wait_ended(pidfd: BorrowedFd<'_>, timeout_ms: u16) -> io::Result<bool> {
    let mut fds = [nix::poll::PollFd::new(pidfd, nix::poll::PollFlags::POLLIN)];
    loop {
        match nix::poll::poll(&mut fds, timeout_ms) {
            Ok(count) => return Ok(count > 0),
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
    }
}

fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_time(&stat).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/PID/stat"))
}

fn parse_start_time(stat: &str) -> Option<u64> {
    // The second field is the command in parentheses and may itself hold spaces and parentheses: count from the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn start_time_is_found_behind_a_hostile_command_name() {
        let plain = "1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 999 9";
        let hostile = "1 (a) 1 2 (b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 999 9";
        assert_eq!(parse_start_time(plain), Some(42));
        assert_eq!(parse_start_time(hostile), Some(42));
        assert_eq!(parse_start_time("1 (x"), None);
    }

    #[test]
    fn a_reused_number_is_not_the_process() {
        let me = ProcessIdentity::of(std::process::id() as i32).unwrap();
        assert!(me.open().unwrap().is_some());
        assert!(ProcessIdentity { start_time: me.start_time + 1, ..me.clone() }.open().unwrap().is_none());
        assert!(ProcessIdentity { boot: "another boot".into(), ..me }.open().unwrap().is_none());
    }
}

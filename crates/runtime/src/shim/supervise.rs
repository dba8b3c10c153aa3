//! Waiting for one container: its output into the log, its end into an exit.
//!
//! In: the container's first process and the read ends of its output. Out: exit code or signal, once, after all its output is in the log.
//! Never: waits for the pipes to close (a descriptor passed to another container may stay open for ever); never wakes without a cause.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
};

use jiff::Timestamp;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};

use super::log::{LogFile, Stream};
use crate::{Error, clock, error::Context as _, linux::process};

/// Bytes read from a pipe at once (the kernel's default pipe size).
const READ_BYTES: usize = 64 * 1024;

/// A container with its output.
pub struct Supervised {
    pid: i32,
    handle: OwnedFd,
    outputs: Vec<(File, Stream)>,
    log: LogFile,
}

/// How the first process ended.
pub struct Ending {
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub finished_at: Timestamp,
}

impl Supervised {
    /// `pid` is a child of this process.
    pub fn new(pid: i32, stdout: OwnedFd, stderr: OwnedFd, log: LogFile) -> Result<Self, Error> {
        let handle = process::pidfd_open(pid).context(|| "open the container's process".into())?;
        let mut outputs = Vec::new();
        for (pipe, name) in [(stdout, "stdout"), (stderr, "stderr")] {
            fcntl(std::os::fd::AsRawFd::as_raw_fd(&pipe), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context(|| "prepare a pipe".into())?;
            outputs.push((File::from(pipe), Stream::new(name)));
        }
        Ok(Supervised { pid, handle, outputs, log })
    }

    /// Ends a container that could not be started properly.
    pub fn kill(&mut self) {
        let _ = process::send_signal(self.handle.as_fd(), libc::SIGKILL);
        let _ = waitpid(Pid::from_raw(self.pid), None);
    }
}

/// Copies output until the first process has ended, then what is left in the pipes.
pub fn until_exit(mut container: Supervised) -> Result<Ending, Error> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let (ended, ready) = wait(&container)?;
        // From the last to the first, so that removing one does not move another.
        for index in ready.into_iter().rev() {
            let (pipe, stream) = &mut container.outputs[index];
            if copy_once(pipe, stream, &mut container.log, &mut buffer) == Copied::End {
                stream.finish(&mut container.log, clock::now());
                container.outputs.remove(index);
            }
        }
        flush(&mut container.log);
        if ended {
            break;
        }
    }
    let status = wait_status(container.pid)?;
    let finished_at = clock::now();
    // The pid namespace died with its first process: everything that will ever be written is in the pipes now.
    for (pipe, stream) in &mut container.outputs {
        while copy_once(pipe, stream, &mut container.log, &mut buffer) == Copied::Some {
            flush(&mut container.log);
        }
        stream.finish(&mut container.log, clock::now());
    }
    flush(&mut container.log);
    let (exit_code, signal) = match status {
        WaitStatus::Exited(_, code) => (code, None),
        WaitStatus::Signaled(_, signal, _) => (128 + signal as i32, Some(signal as i32)),
        other => return Err(Error::Failed(format!("unexpected wait status {other:?}"))),
    };
    Ok(Ending { exit_code, signal, finished_at })
}

/// A full disk must not keep the container from being waited for; the shim's own log tells.
fn flush(log: &mut LogFile) {
    if let Err(error) = log.flush() {
        eprintln!("shim: write the log: {error}");
    }
}

fn wait(container: &Supervised) -> Result<(bool, Vec<usize>), Error> {
    let mut fds = vec![PollFd::new(container.handle.as_fd(), PollFlags::POLLIN)];
    fds.extend(container.outputs.iter().map(|(pipe, _)| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => break,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error).context(|| "wait for the container".into()),
        }
    }
    let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
    Ok((ready(&fds[0]), fds[1..].iter().enumerate().filter(|(_, fd)| ready(fd)).map(|(index, _)| index).collect()))
}

#[derive(PartialEq)]
enum Copied {
    Some,
    Nothing,
    End,
}

fn copy_once(pipe: &mut File, stream: &mut Stream, log: &mut LogFile, buffer: &mut [u8]) -> Copied {
    loop {
        match pipe.read(buffer) {
            Ok(0) => return Copied::End,
            Ok(count) => {
                stream.push(log, clock::now(), &buffer[..count]);
                return Copied::Some;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Copied::Nothing,
            Err(_) => return Copied::End,
        }
    }
}

fn wait_status(pid: i32) -> Result<WaitStatus, Error> {
    loop {
        match waitpid(Pid::from_raw(pid), None) {
            Err(Errno::EINTR) => continue,
            result => return result.context(|| "reap the container".into()),
        }
    }
}

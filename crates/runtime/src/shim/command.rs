//! Finding the program inside the container and reporting why it cannot be executed.
//!
//! In: the first argument and `PATH`, as seen from inside the container with the user's rights. Out: a path, or a text for people.
//! Never: allocates file descriptors that survive the exec: end of file on the report pipe is what says "it runs".

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read, Write},
    mem::ManuallyDrop,
    os::{
        fd::{AsFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use crate::Error;

/// `PATH` of a container whose image and Pod set none (the usual default of container runtimes).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest start error kept, in bytes.
const MAX_REPORT_BYTES: u64 = 4096;

/// The shim's end of the pipe on which the container's init says why it cannot run.
pub struct Report(OwnedFd);

impl Report {
    /// The shim's end and the one for the container, which closes itself on exec.
    pub fn pair() -> io::Result<(Report, OwnedFd)> {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        Ok((Report(read), write))
    }

    /// Blocks until the program runs or has been refused.
    pub fn wait(self) -> Result<(), Error> {
        let mut text = String::new();
        let read = File::from(self.0).take(MAX_REPORT_BYTES).read_to_string(&mut text);
        match read {
            Ok(_) if text.is_empty() => Ok(()),
            Ok(_) => Err(Error::Failed(text)),
            Err(error) => Err(Error::Failed(format!("read the start report: {error}"))),
        }
    }

    /// What was reported already, without waiting.
    pub fn error_now(&self) -> Option<Error> {
        let mut fds = [nix::poll::PollFd::new(self.0.as_fd(), nix::poll::PollFlags::POLLIN)];
        let ready = nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).ok()? > 0;
        if !ready || !fds[0].revents()?.contains(nix::poll::PollFlags::POLLIN) {
            return None;
        }
        let mut buffer = [0; MAX_REPORT_BYTES as usize];
        let count = File::from(self.0.try_clone().ok()?).read(&mut buffer).ok()?;
        (count > 0).then(|| Error::Failed(String::from_utf8_lossy(&buffer[..count]).into_owned()))
    }
}

/// Says why the program cannot run, from inside the container.
pub fn report(fd: RawFd, text: &str) {
    // SAFETY: the descriptor stays open in this process for as long as it lives, and `ManuallyDrop` keeps it so.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let _ = file.write_all(text.as_bytes());
}

/// The file to execute for `program`.
pub fn find(program: &str, path: &str) -> Result<PathBuf, String> {
    if program.is_empty() {
        return Err("exec: no command: neither the Pod nor the image names a program".into());
    }
    if program.contains('/') {
        return check(Path::new(program)).map(|()| PathBuf::from(program)).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                format!("exec: {program:?}: stat {program}: no such file or directory")
            } else {
                format!("exec: {program:?}: {}", plain(&error))
            }
        });
    }
    let mut refused = None;
    for directory in path.split(':') {
        let candidate = Path::new(if directory.is_empty() { "." } else { directory }).join(program);
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused = Some(error),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(error) => format!("exec: {program:?}: {}", plain(&error)),
        None => format!("exec: {program:?}: executable file not found in $PATH"),
    })
}

/// Is it a file that this process may execute?
fn check(path: &Path) -> io::Result<()> {
    if path.metadata()?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `name` is a terminated string that outlives the call.
    if unsafe { libc::faccessat(libc::AT_FDCWD, name.as_ptr(), libc::X_OK, libc::AT_EACCESS) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The system's text in lower case and without Rust's error number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn programs_are_found_or_refused_with_a_reason() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("bin/dir")).unwrap();
        for (name, mode) in [("bin/yes", 0o755), ("bin/no", 0o644)] {
            fs::write(at(name), "").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = format!("/nowhere:{}", at("bin").display());
        let yes = at("bin/yes").display().to_string();
        let missing = at("x/y").display().to_string();
        let rows = [
            ("yes", Ok(yes.clone())),
            (yes.as_str(), Ok(yes.clone())),
            ("no", Err("exec: \"no\": permission denied".to_owned())),
            ("dir", Err("exec: \"dir\": permission denied".to_owned())),
            ("absent", Err("exec: \"absent\": executable file not found in $PATH".to_owned())),
            (missing.as_str(), Err(format!("exec: {missing:?}: stat {missing}: no such file or directory"))),
            ("", Err("exec: no command: neither the Pod nor the image names a program".to_owned())),
        ];
        for (program, expected) in rows {
            assert_eq!(find(program, &path).map(|found| found.display().to_string()), expected, "{program}");
        }
    }
}

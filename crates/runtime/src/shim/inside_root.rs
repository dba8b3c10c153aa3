//! Reading and making things below a directory whose content is not trusted.
//!
//! In: a root directory and a path inside. Out: files and directories that are certainly inside.
//! Never: leaves the root through a link or `..` (the kernel resolves as if the root were `/`).

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{Mode, mkdirat},
};

fn open(root: &File, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let fd = openat2(root.as_raw_fd(), path, how)?;
    // SAFETY: openat2 has just returned this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The text of a regular file, at most `limit` bytes; `None` if there is none.
pub fn read_text(root: &Path, path: &str, limit: u64) -> io::Result<Option<String>> {
    use std::io::Read;
    let root = File::open(root)?;
    // Non-blocking: a named pipe in place of the file must not hold up the start.
    let file = match open(&root, Path::new(path), OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
        Ok(fd) => File::from(fd),
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Makes a directory with its parents, as `mkdir -p` would inside.
pub fn make_directories(root: &Path, path: &Path) -> io::Result<()> {
    let root = File::open(root)?;
    let mut parent = open(&root, Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    let mut so_far = std::path::PathBuf::from("/");
    for part in path.components() {
        let Component::Normal(name) = part else { continue };
        so_far.push(name);
        parent = match open(&root, &so_far, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => {
                match mkdirat(Some(parent.as_raw_fd()), name, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                open(&root, &so_far, OFlag::O_PATH | OFlag::O_DIRECTORY)?
            }
            Err(error) => return Err(error.into()),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn links_do_not_lead_out() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("passwd"), "secret").unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        fs::write(root.path().join("real/passwd"), "inside").unwrap();
        symlink(outside.path(), root.path().join("etc")).unwrap();
        symlink("/real", root.path().join("absolute")).unwrap();
        symlink("../../../real", root.path().join("upwards")).unwrap();
        let read = |path: &str| read_text(root.path(), path, 100).unwrap();
        assert_eq!(read("/etc/passwd"), None);
        assert_eq!(read("/absolute/passwd").as_deref(), Some("inside"));
        assert_eq!(read("/upwards/passwd").as_deref(), Some("inside"));
        assert_eq!(read("/real"), None);

        make_directories(root.path(), Path::new("/absolute/a/b")).unwrap();
        assert!(root.path().join("real/a/b").is_dir());
        assert!(make_directories(root.path(), Path::new("/etc/x")).is_err());
        assert!(!outside.path().join("x").exists());
        assert!(make_directories(root.path(), Path::new("/real/passwd/x")).is_err());
    }
}

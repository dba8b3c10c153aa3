//! A directory as a jail: every path given by an archive is resolved below it by the kernel (`openat2`, RESOLVE_BENEATH).
//!
//! In: a directory and relative paths of unknown origin. Out: file descriptors below the directory.
//! Never: follows a link or `..` out of it; refuses instead.

use crate::{Error, limits::MAX_PATH_BYTES};
use rustix::{
    fd::OwnedFd,
    fs::{self, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

/// An open directory below which everything happens.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
}

/// A path of an archive split into its directory and its last component; None for the root itself.
pub type Split = Option<(PathBuf, OsString)>;

impl Beneath {
    pub fn open(root: &Path) -> Result<Self, Error> {
        let root = fs::open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::io(format!("open {}", root.display()), e.into()))?;
        Ok(Self { root })
    }

    /// The directory `path`, which may be reached through links that stay inside.
    pub fn directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        fs::openat2(&self.root, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The directory `path`; missing parts are made with mode 0755.
    pub fn make_directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match self.directory(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::NOENT) };
        let parent = self.make_directory(parent)?;
        match fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.directory(path),
            Err(e) => Err(e),
        }
    }

    /// A regular file for reading.
    pub fn file(&self, path: &Path) -> Result<File, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // NONBLOCK: a fifo in place of the file must not hang us.
        let fd = fs::openat2(&self.root, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty(), resolve)?;
        let file = File::from(fd);
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(file),
            Ok(metadata) if metadata.is_dir() => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }
}

/// Takes an archive's path apart; absolute paths, `..` and over-long ones are refused.
pub fn split(path: &Path) -> Result<Split, Error> {
    let refuse = |why: &str| Error::Invalid(format!("the archive has the entry {path:?}, {why}; it is refused"));
    if path.as_os_str().len() > MAX_PATH_BYTES {
        return Err(Error::Invalid(format!("the archive has an entry with a path of more than {MAX_PATH_BYTES} bytes; it is refused")));
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(refuse("which contains a NUL byte"));
    }
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => return Err(refuse("which contains '..'")),
            Component::RootDir | Component::Prefix(_) => return Err(refuse("an absolute path")),
        }
    }
    let Some(name) = clean.file_name().map(OsStr::to_os_string) else { return Ok(None) };
    clean.pop();
    Ok(Some((clean, name)))
}

/// What a failed resolution means to the user.
pub fn explain(path: &Path, doing: &str, error: Errno) -> Error {
    match error {
        Errno::XDEV => Error::Invalid(format!("the archive's entry {path:?} goes through a link that leaves the root; it is refused")),
        Errno::LOOP => Error::Invalid(format!("the archive's entry {path:?} goes through a loop of links; it is refused")),
        Errno::NOTDIR => {
            Error::Invalid(format!("the archive's entry {path:?} lies below something that is not a directory; it is refused"))
        }
        other => Error::io(format!("{doing} {}", path.display()), other.into()),
    }
}

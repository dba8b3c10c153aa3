//! One layer archive -> one directory that overlayfs can use as a lower layer.
//!
//! In: a tar stream (decompressed) and an empty directory. Out: files, links, modes, owners, attributes; whiteouts as overlayfs wants them.
//! Never: writes outside the directory, makes a device node, trusts a path, a link or a size of the archive.

use crate::{
    Error,
    beneath::{Beneath, explain, split},
    compression::Metered,
    limits::{COPY_BUFFER_BYTES, MAX_XATTR_BYTES, UnpackLimits},
};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{self, AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// Marks a name of a lower layer as deleted (image layer specification, "Whiteouts").
const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Marks all of a lower directory's content as deleted.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How entries are turned into files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A layer: whiteouts, owners, attributes.
    Layer,
    /// The outer archive of an import: plain files and links only, owned by us.
    Plain,
}

/// What came out.
#[derive(Debug)]
pub struct Unpacked {
    /// Digest of the plain archive: for a layer its diff id.
    pub digest: String,
    /// Device nodes that were left out.
    pub skipped_devices: u64,
}

struct Unpacker {
    jail: Beneath,
    purpose: Purpose,
    /// Owners and trusted attributes can only be set by root.
    root: bool,
    /// Times of directories, set last because every new entry changes them.
    directory_times: BTreeMap<PathBuf, u64>,
    skipped_devices: u64,
    buffer: Vec<u8>,
}

/// Unpacks a plain tar stream below `target`, an empty directory.
pub fn unpack(source: impl Read, target: &Path, purpose: Purpose, limits: UnpackLimits) -> Result<Unpacked, Error> {
    let mut unpacker = Unpacker {
        jail: Beneath::open(target)?,
        purpose,
        root: rustix::process::geteuid().is_root(),
        directory_times: BTreeMap::new(),
        skipped_devices: 0,
        buffer: vec![0; COPY_BUFFER_BYTES],
    };
    let mut archive = tar::Archive::new(Metered::new(source, limits.bytes));
    let mut count = 0;
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        count += 1;
        if count > limits.entries {
            return Err(Error::Invalid(format!("the archive has more than {} entries; it is refused", limits.entries)));
        }
        unpacker.entry(entry)?;
    }
    unpacker.finish()?;
    let (digest, _) = archive.into_inner().finish().map_err(broken)?;
    Ok(Unpacked { digest, skipped_devices: unpacker.skipped_devices })
}

fn broken(source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::FileTooLarge {
        return Error::Invalid(format!("{source}; it is refused"));
    }
    Error::Invalid(format!("the archive is damaged: {source}"))
}

impl Unpacker {
    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), Error> {
        let path = PathBuf::from(OsString::from_vec(entry.path_bytes().into_owned()));
        let kind = entry.header().entry_type();
        if matches!(kind, tar::EntryType::XGlobalHeader) {
            return Ok(());
        }
        let Some((parent_path, name)) = split(&path)? else {
            // The root itself: only its mode, owner and time matter.
            let times = entry.header().mtime().unwrap_or(0);
            let root = self.jail.directory(Path::new("")).map_err(|e| explain(&path, "open", e))?;
            self.attributes(&mut entry, &root, &path)?;
            self.directory_times.insert(PathBuf::new(), times);
            return Ok(());
        };
        let clean = parent_path.join(&name);
        let parent = self.jail.make_directory(&parent_path).map_err(|e| explain(&path, "make the directory of", e))?;
        if self.purpose == Purpose::Layer && name.as_bytes().starts_with(WHITEOUT_PREFIX) {
            return self.whiteout(&parent, &name, &path);
        }
        match kind {
            tar::EntryType::Directory => self.directory(&mut entry, &parent, &name, &clean),
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.make_room(&parent, &name, &path)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = fs::openat(&parent, &*name, flags, Mode::from_raw_mode(0o600)).map_err(|e| explain(&path, "create", e))?;
                let mut file = File::from(fd);
                self.copy(&mut entry, &mut file, &path)?;
                self.attributes(&mut entry, &file, &path)?;
                self.time(&entry, &parent, &name)
            }
            tar::EntryType::Symlink => {
                let target = link_name(&entry, &path)?;
                self.make_room(&parent, &name, &path)?;
                fs::symlinkat(&*target, &parent, &*name).map_err(|e| explain(&path, "create the link", e))?;
                if let (true, Purpose::Layer) = (self.root, self.purpose) {
                    let (uid, gid) = owner(&entry)?;
                    fs::chownat(&parent, &*name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(|e| explain(&path, "set the owner of", e))?;
                }
                self.time(&entry, &parent, &name)
            }
            tar::EntryType::Link => self.hard_link(&entry, &parent, &name, &path),
            tar::EntryType::Fifo if self.purpose == Purpose::Layer => {
                self.make_room(&parent, &name, &path)?;
                let mode = Mode::from_raw_mode(entry.header().mode().unwrap_or(0o644) & 0o777);
                fs::mknodat(&parent, &*name, FileType::Fifo, mode, 0).map_err(|e| explain(&path, "create the fifo", e))?;
                Ok(())
            }
            tar::EntryType::Char | tar::EntryType::Block | tar::EntryType::Fifo => {
                // A container's /dev is made by the runtime; a device from an archive could only do harm.
                self.skipped_devices += 1;
                Ok(())
            }
            other => Err(Error::Invalid(format!("the archive's entry {path:?} has the unknown type {other:?}; it is refused"))),
        }
    }

    fn directory<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, parent: &OwnedFd, name: &OsStr, clean: &Path) -> Result<(), Error> {
        let mut hides_lower = false;
        match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {}
            Ok(stat) => {
                // The name was whited out before: the new directory must not show the lower one's content.
                hides_lower = is_whiteout(&stat);
                fs::unlinkat(parent, name, AtFlags::empty()).map_err(|e| explain(clean, "replace", e))?;
                fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).map_err(|e| explain(clean, "create", e))?;
            }
            Err(Errno::NOENT) => fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).map_err(|e| explain(clean, "create", e))?,
            Err(e) => return Err(explain(clean, "look at", e)),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(parent, name, flags, Mode::empty()).map_err(|e| explain(clean, "open", e))?;
        if hides_lower {
            self.opaque(&fd, clean)?;
        }
        self.directory_times.insert(clean.to_path_buf(), entry.header().mtime().unwrap_or(0));
        self.attributes(entry, &fd, clean)
    }

    fn whiteout(&mut self, parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
        if name.as_bytes() == OPAQUE {
            return self.opaque(parent, path);
        }
        let hidden = OsStr::from_bytes(&name.as_bytes()[WHITEOUT_PREFIX.len()..]);
        if hidden.as_bytes().starts_with(WHITEOUT_PREFIX) {
            // Bookkeeping of aufs (`.wh..wh.plnk`, `.wh..wh.orph`): means nothing to other file systems.
            return Ok(());
        }
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(Error::Invalid(format!("the archive's whiteout {path:?} names nothing; it is refused")));
        }
        match fs::statat(parent, hidden, AtFlags::SYMLINK_NOFOLLOW) {
            // The same layer has the name again: only lower content is hidden.
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = fs::openat(parent, hidden, flags, Mode::empty()).map_err(|e| explain(path, "open", e))?;
                self.opaque(&fd, path)
            }
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => fs::mknodat(parent, hidden, FileType::CharacterDevice, Mode::empty(), 0)
                .map_err(|e| explain(path, "create the whiteout", e)),
            Err(e) => Err(explain(path, "look at", e)),
        }
    }

    fn opaque(&self, directory: &OwnedFd, path: &Path) -> Result<(), Error> {
        // Without privileges overlayfs reads the `user.` spelling (mount option `userxattr`).
        let attribute = if self.root { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
        fs::fsetxattr(directory, attribute, b"y", XattrFlags::empty()).map_err(|e| explain(path, "mark as opaque", e))
    }

    fn hard_link<R: Read>(&self, entry: &tar::Entry<'_, R>, parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
        let target = PathBuf::from(link_name(entry, path)?);
        let refuse = |why: &str| Error::Invalid(format!("the archive's hard link {path:?} points at {target:?}, {why}; it is refused"));
        let Some((directory, last)) = split(&target).map_err(|_| refuse("which leaves the root"))? else {
            return Err(refuse("the root"));
        };
        let from = self.jail.directory(&directory).map_err(|e| match e {
            Errno::NOENT => refuse("which is not in the same layer"),
            e => explain(&target, "open the directory of", e),
        })?;
        match (fs::statat(&from, &*last, AtFlags::SYMLINK_NOFOLLOW), fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)) {
            (Err(Errno::NOENT), _) => return Err(refuse("which is not in the same layer")),
            // A link to itself is there already.
            (Ok(a), Ok(b)) if a.st_ino == b.st_ino && a.st_dev == b.st_dev => return Ok(()),
            (Ok(a), _) if FileType::from_raw_mode(a.st_mode).is_dir() => return Err(refuse("a directory")),
            _ => {}
        }
        self.make_room(parent, name, path)?;
        fs::linkat(&from, &*last, parent, name, AtFlags::empty()).map_err(|e| explain(path, "create the hard link", e))
    }

    /// Removes an earlier entry of the same name; a directory with content stays and is an error.
    fn make_room(&self, parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
        match fs::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(|e| match e {
                Errno::NOTEMPTY => {
                    Error::Invalid(format!("the archive's entry {path:?} replaces a directory that has content; it is refused"))
                }
                e => explain(path, "replace", e),
            }),
            Err(e) => Err(explain(path, "replace", e)),
        }
    }

    fn copy<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, file: &mut File, path: &Path) -> Result<(), Error> {
        loop {
            let count = entry.read(&mut self.buffer).map_err(broken)?;
            if count == 0 {
                return Ok(());
            }
            file.write_all(&self.buffer[..count]).map_err(|e| Error::io(format!("write {}", path.display()), e))?;
        }
    }

    /// Owner, then mode (changing the owner clears set-user-id), then extended attributes (they too are cleared).
    fn attributes<R: Read>(&self, entry: &mut tar::Entry<'_, R>, fd: &impl AsFd, path: &Path) -> Result<(), Error> {
        let mode = entry.header().mode().map_err(broken)? & 0o7777;
        if self.purpose == Purpose::Plain {
            return fs::fchmod(fd, Mode::from_raw_mode(mode & 0o700 | 0o600)).map_err(|e| explain(path, "set the mode of", e));
        }
        if self.root {
            let (uid, gid) = owner(entry)?;
            fs::fchown(fd, Some(uid), Some(gid)).map_err(|e| explain(path, "set the owner of", e))?;
        }
        fs::fchmod(fd, Mode::from_raw_mode(mode)).map_err(|e| explain(path, "set the mode of", e))?;
        let Some(extensions) = entry.pax_extensions().map_err(broken)? else { return Ok(()) };
        for extension in extensions {
            let extension = extension.map_err(broken)?;
            let Some(attribute) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") else { continue };
            // Others (trusted.overlay.redirect, security.selinux …) would speak to the kernel of this machine, not to the container.
            if !(attribute == b"security.capability" || attribute.starts_with(b"user.") && !attribute.starts_with(b"user.overlay.")) {
                continue;
            }
            let value = extension.value_bytes();
            if value.len() > MAX_XATTR_BYTES {
                return Err(Error::Invalid(format!(
                    "the archive's entry {path:?} has an attribute of {} bytes; it is refused",
                    value.len()
                )));
            }
            match fs::fsetxattr(fd, OsStr::from_bytes(attribute), value, XattrFlags::empty()) {
                Ok(()) => {}
                // A file system without attributes, or no privilege for file capabilities: the file works without them.
                Err(Errno::NOTSUP | Errno::PERM) => tracing::debug!(path = %path.display(), "an extended attribute could not be set"),
                Err(e) => return Err(explain(path, "set an attribute of", e)),
            }
        }
        Ok(())
    }

    fn time<R: Read>(&self, entry: &tar::Entry<'_, R>, parent: &OwnedFd, name: &OsStr) -> Result<(), Error> {
        let times = timestamps(entry.header().mtime().unwrap_or(0));
        fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| explain(Path::new(name), "set the time of", e))
    }

    fn finish(&mut self) -> Result<(), Error> {
        for (path, time) in std::mem::take(&mut self.directory_times) {
            let fd = match self.jail.directory(&path) {
                Ok(fd) => fd,
                // Replaced by a later entry.
                Err(_) => continue,
            };
            fs::futimens(&fd, &timestamps(time)).map_err(|e| explain(&path, "set the time of", e))?;
        }
        Ok(())
    }
}

fn timestamps(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn owner<R: Read>(entry: &tar::Entry<'_, R>) -> Result<(Uid, Gid), Error> {
    let narrow = |id: u64| {
        u32::try_from(id)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| Error::Invalid(format!("the archive has the impossible owner {id}")))
    };
    let uid = narrow(entry.header().uid().map_err(broken)?)?;
    let gid = narrow(entry.header().gid().map_err(broken)?)?;
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

fn link_name<R: Read>(entry: &tar::Entry<'_, R>, path: &Path) -> Result<OsString, Error> {
    let name =
        entry.link_name_bytes().ok_or_else(|| Error::Invalid(format!("the archive's link {path:?} has no target; it is refused")))?;
    if name.is_empty() || name.contains(&0) || name.len() > crate::limits::MAX_PATH_BYTES {
        return Err(Error::Invalid(format!("the archive's link {path:?} has an impossible target; it is refused")));
    }
    Ok(OsString::from_vec(name.into_owned()))
}

/// Whether a file is what overlayfs takes for "deleted": a character device 0:0.
pub fn is_whiteout(stat: &fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_char_device() && stat.st_rdev == 0
}

/// Flushes everything written to the file system of `path`: a layer may be named only after its content is durable.
pub fn sync_filesystem(path: &Path) -> Result<(), Error> {
    let doing = || format!("flush {}", path.display());
    let fd = fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|e| Error::io(doing(), e.into()))?;
    fs::syncfs(&fd).map_err(|e| Error::io(doing(), e.into()))
}

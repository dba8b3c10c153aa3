//! Makes volumes on this machine before a container starts.
//!
//! In: preparations from `resolve::volumes`. Out: directories and files. Never: touches a volume that was already made (a restarted container
//! finds its emptyDir as it left it, and files of the API as they were at the start).

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::resolve::volumes::{File, HostPathKind, Preparation};

/// Everyone may write to an emptyDir, as the API promises: containers may run as any user.
const EMPTY_DIR_MODE: u32 = 0o777;
/// With a group for volumes: new files belong to it.
const GROUP_DIRECTORY_MODE: u32 = 0o2775;

/// Makes one volume. The error text says what was wrong with which path.
pub fn prepare(preparation: &Preparation) -> Result<(), String> {
    match preparation {
        Preparation::EmptyDir { path, group } => empty_dir(path, *group).map_err(|error| format!("{}: {error}", path.display())),
        Preparation::Files { path, files, group } => {
            write_files(path, files, *group).map_err(|error| format!("{}: {error}", path.display()))
        }
        Preparation::HostPath { path, kind } => host_path(path, *kind),
    }
}

fn empty_dir(path: &Path, group: Option<u32>) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    // Set after creation: the umask of the agent must not narrow it.
    fs::set_permissions(path, fs::Permissions::from_mode(if group.is_some() { EMPTY_DIR_MODE | 0o2000 } else { EMPTY_DIR_MODE }))?;
    give_to_group(path, group)
}

/// Written beside its place and renamed, so that a half-written volume is never mounted.
fn write_files(path: &Path, files: &[File], group: Option<u32>) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished)?;
    let directory_mode = if group.is_some() { GROUP_DIRECTORY_MODE } else { 0o755 };
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(directory_mode))?;
    give_to_group(&unfinished, group)?;
    for file in files {
        let target = unfinished.join(&file.path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
        open.write_all(&file.content)?;
        let group_read = if group.is_some() { 0o040 } else { 0 };
        open.set_permissions(fs::Permissions::from_mode(file.mode | group_read))?;
        give_to_group(&target, group)?;
    }
    fs::rename(&unfinished, path)
}

fn give_to_group(path: &Path, group: Option<u32>) -> io::Result<()> {
    match group {
        Some(group) => std::os::unix::fs::chown(path, None, Some(group)),
        None => Ok(()),
    }
}

fn host_path(path: &Path, kind: HostPathKind) -> Result<(), String> {
    let found = fs::metadata(path).map(|metadata| metadata.file_type());
    let is = |check: fn(&fs::FileType) -> bool, what: &str| match &found {
        Ok(file_type) if check(file_type) => Ok(()),
        Ok(_) => Err(format!("hostPath type check failed: {} is not {what}", path.display())),
        Err(error) => Err(format!("hostPath type check failed: {}: {error}", path.display())),
    };
    let failed = |error: io::Error| format!("hostPath {}: {error}", path.display());
    match kind {
        HostPathKind::Unchecked if found.is_ok() => Ok(()),
        // A bind mount needs something to bind; as container engines do, an absent path becomes a directory.
        HostPathKind::Unchecked => fs::create_dir_all(path).map_err(failed),
        HostPathKind::DirectoryOrCreate if found.is_err() => fs::create_dir_all(path).map_err(failed),
        HostPathKind::DirectoryOrCreate | HostPathKind::Directory => is(fs::FileType::is_dir, "a directory"),
        HostPathKind::FileOrCreate if found.is_err() => {
            fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map(drop).map_err(failed)
        }
        HostPathKind::FileOrCreate | HostPathKind::File => is(fs::FileType::is_file, "a file"),
        HostPathKind::Socket => is(FileTypeExt::is_socket, "a socket"),
        HostPathKind::CharDevice => is(FileTypeExt::is_char_device, "a character device"),
        HostPathKind::BlockDevice => is(FileTypeExt::is_block_device, "a block device"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn volumes_are_made_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("u/v");
        let empty = Preparation::EmptyDir { path: path.clone(), group: None };
        prepare(&empty).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o777);
        fs::write(path.join("kept"), "x").unwrap();
        prepare(&empty).unwrap();
        assert!(path.join("kept").exists());

        let path = root.path().join("u/files");
        let file = |content: &str| File { path: "a/b".into(), content: content.into(), mode: 0o440 };
        prepare(&Preparation::Files { path: path.clone(), files: vec![file("1")], group: None }).unwrap();
        prepare(&Preparation::Files { path: path.clone(), files: vec![file("2")], group: None }).unwrap();
        assert_eq!(fs::read_to_string(path.join("a/b")).unwrap(), "1");
        assert_eq!(fs::metadata(path.join("a/b")).unwrap().permissions().mode() & 0o7777, 0o440);
    }

    #[test]
    fn host_paths_are_what_they_should_be() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        // path, kind, works
        let cases = [
            ("file", HostPathKind::File, true),
            ("file", HostPathKind::Directory, false),
            ("file", HostPathKind::FileOrCreate, true),
            ("file", HostPathKind::DirectoryOrCreate, false),
            ("file", HostPathKind::Socket, false),
            ("none", HostPathKind::File, false),
            ("none", HostPathKind::Directory, false),
            ("new-file", HostPathKind::FileOrCreate, true),
            ("new/dir", HostPathKind::DirectoryOrCreate, true),
            ("unchecked", HostPathKind::Unchecked, true),
        ];
        for (name, kind, works) in cases {
            let path = root.path().join(name);
            assert_eq!(prepare(&Preparation::HostPath { path: path.clone(), kind }).is_ok(), works, "{name} {kind:?}");
            assert_eq!(path.exists(), works || name == "file", "{name} {kind:?}");
        }
    }
}

//! Private files.
//!
//! In: paths and texts. Out: files that only their owner reads, replaced as a whole. Never: a half-written file under its final name.

use std::{
    fs::{DirBuilder, OpenOptions, Permissions, set_permissions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Creates the directory with mode 0700, or narrows the mode of one that is there.
pub(super) fn private_directory(path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot use directory {}: {error}", path.display());
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)
}

/// The text of a file; None when there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Writes with mode 0600 under another name, then renames.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

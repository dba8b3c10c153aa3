//! Where a server keeps its state, and the one-line errors when it cannot.
//!
//! In: the `--data-dir` option and the environment. Out: an existing directory of mode 0700. Never: opens what is inside.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// `/var/lib/piecework` as root, else `$XDG_DATA_HOME/piecework` (or `~/.local/share/piecework`).
pub fn default_path() -> anyhow::Result<PathBuf> {
    if is_root() {
        return Ok(PathBuf::from("/var/lib/piecework"));
    }
    let data_home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    match data_home.or(home) {
        Some(base) => Ok(base.join("piecework")),
        None => bail!("neither XDG_DATA_HOME nor HOME is set: name a directory with --data-dir"),
    }
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Makes the directory (0700) if it is missing and checks that it can be written. An existing one is narrowed to 0700.
pub fn prepare(path: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let path = match path {
        Some(path) => path,
        None => default_path()?,
    };
    let advice = || format!("cannot use data directory {}: name a writable one with --data-dir", path.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(advice)?;
    let path = path.canonicalize().with_context(advice)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).with_context(advice)?;
    check_writable(&path).with_context(advice)?;
    Ok(path)
}

fn check_writable(path: &Path) -> std::io::Result<()> {
    let probe = path.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

/// Writes a secret file (0600) so that readers see the old or the new text, never a part.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let temporary = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_private_and_an_old_one_is_narrowed() {
        let parent = tempfile::tempdir().unwrap();
        let fresh = prepare(Some(parent.path().join("a/b"))).unwrap();
        assert_eq!(fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        prepare(Some(fresh.clone())).unwrap();
        assert_eq!(fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_in_the_way_is_one_line_that_says_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = format!("{:#}", prepare(Some(file)).unwrap_err());
        assert!(error.contains("--data-dir") && !error.contains('\n'), "{error}");
    }
}

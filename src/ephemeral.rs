//! The directory of an ephemeral server: made, locked while its process lives, collected by a later run when its process was killed.
//!
//! In: the data directory that holds it. Out: a private directory, or what an abandoned one left (containers, network, files) removed.
//! Never: touches a directory whose lock is held, or that is not one of ours by name.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Context;
use piecework_runtime::linux::{LinuxOptions, LinuxRuntime};
use tempfile::TempDir;

/// What the names of ephemeral directories begin with.
const PREFIX: &str = "run-";
/// The file whose lock says that the directory is in use; it dies with the process.
const LOCK: &str = "alive";

pub struct Ephemeral {
    directory: TempDir,
    _lock: File,
}

impl Ephemeral {
    pub fn new(base: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base).with_context(|| format!("work in {}", base.display()))?;
        let lock = File::create(directory.path().join(LOCK)).context("make the lock of the ephemeral server")?;
        lock.lock().context("lock the ephemeral server's directory")?;
        Ok(Self { directory, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn remove(self) -> anyhow::Result<()> {
        self.directory.close().context("remove the ephemeral server's directory")
    }
}

/// Ends and removes what killed runs left. Best effort: what cannot be removed is logged and left for the next run.
pub async fn collect_abandoned(base: &Path) {
    for directory in abandoned(base) {
        if let Err(error) = remove(&directory).await {
            tracing::warn!("an abandoned run is left in {}: {error:#}", directory.display());
        }
    }
}

fn abandoned(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|entry| entry.path())
        // Without the file a run has only just begun.
        .filter(|path| File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()))
        .collect()
}

async fn remove(directory: &Path) -> anyhow::Result<()> {
    let root = directory.join("runtime");
    if root.exists() {
        let runtime = LinuxRuntime::open(LinuxOptions { root, shim: "/proc/self/exe".into(), shim_args: vec!["shim".into()] })?;
        piecework_node::drain(runtime.as_ref()).await?;
        runtime.close_empty().await?;
    }
    fs::remove_dir_all(directory)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_abandoned_directories_are_collected() {
        let base = tempfile::tempdir().unwrap();
        let alive = Ephemeral::new(base.path()).unwrap();
        let abandoned = base.path().join("run-killed");
        let beginning = base.path().join("run-beginning");
        let other = base.path().join("images");
        for directory in [&abandoned, &beginning, &other] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(abandoned.join(LOCK), "").unwrap();
        collect_abandoned(base.path()).await;
        assert!(!abandoned.exists() && alive.path().exists() && beginning.exists() && other.exists());
        alive.remove().unwrap();
    }
}

//! Short file work of the agent.
//!
//! In: closures over paths. Out: their results. Never: blocks an async thread of a server. On a runtime of one thread (simulations) the work is done in
//! the caller: when another thread is done is chance, and runs would not replay.

use std::io;
use std::path::{Path, PathBuf};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs the work; the error says that it panicked.
pub async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Ok(work()),
        _ => tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string()),
    }
}

/// Names in a directory, sorted; none if it cannot be read.
pub async fn names(directory: PathBuf) -> Vec<String> {
    let read = move || {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    };
    work(read).await.unwrap_or_default()
}

/// Removes a directory with all that is in it; one that isn't there is fine.
pub async fn remove_directory(path: &Path) -> io::Result<()> {
    let path = path.to_path_buf();
    match work(move || std::fs::remove_dir_all(path)).await.map_err(io::Error::other)? {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

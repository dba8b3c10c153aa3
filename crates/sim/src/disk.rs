//! The simulated disk: a directory in memory; a crash leaves what was synced.
//!
//! In: crashes. Out: the store as it is found at the next start. Never: what was only acknowledged as relaxed (Events, Leases) and not synced since.
//! In `CommitMode::Caller` every strict commit is in SQLite's log when it returns and unsynced relaxed ones are only in memory, so a copy of the
//! files is what a machine that lost its power would find.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use piecework_store::{
    CommitMode, EmbeddedOptions, EmbeddedStore,
    embedded::{DATABASE_FILE, MonotonicClock},
};
use tempfile::TempDir;
use tokio::time::Instant;

/// Batches that the auditor may be behind: it looks after everything else has run.
const AUDIT_BUFFER_BATCHES: usize = 1 << 20;

pub struct Disk {
    directory: TempDir,
    lives: u32,
}

impl Disk {
    pub fn new() -> io::Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        Ok(Disk { directory: tempfile::Builder::new().prefix("piecework-sim-").tempdir_in(parent)?, lives: 0 })
    }

    /// Where other parts may keep files that survive crashes.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path(&format!("store-{}", self.lives))
    }

    /// Opens what the last crash left.
    pub fn open(&self, history: usize) -> Result<Arc<EmbeddedStore>, String> {
        let begun = Instant::now();
        let clock: MonotonicClock = Arc::new(move || -> Duration { begun.elapsed() });
        let options = EmbeddedOptions {
            commit_mode: CommitMode::Caller,
            clock,
            history_changes: history,
            watch_buffer_batches: AUDIT_BUFFER_BATCHES,
            ..EmbeddedOptions::default()
        };
        EmbeddedStore::open(&self.store(), options).map_err(|error| error.to_string())
    }

    /// Takes away what was not synced. The store that is open now works on a directory that nobody will look at again.
    pub fn crash(&mut self) -> io::Result<()> {
        let before = self.store();
        self.lives += 1;
        let after = self.store();
        fs::create_dir(&after)?;
        for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
            match fs::copy(before.join(&name), after.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// How often the store was opened.
    pub fn lives(&self) -> u32 {
        self.lives
    }
}

//! Copies the write-ahead log into the database beside the commit path.
//!
//! In: a nudge from the committer. Out: a shorter log, or the wish that the committer restart it (writers never leave a gap by themselves).
//! Never: blocks a commit; the passive checkpoint takes no lock that writers need.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::database::connect;
use super::options::WAL_LIMIT_BYTES;
use crate::error::Error;

/// SQLite's default page size, which this store uses.
const PAGE_BYTES: usize = 4096;

/// The committer's end. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Checkpoints {
    nudges: Option<SyncSender<()>>,
    log_too_long: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

pub(super) fn start(file: &Path) -> Result<Checkpoints, Error> {
    let connection = connect(file)?;
    // One nudge may wait: what it asks for covers all that came later.
    let (nudges, inbox) = sync_channel(1);
    let log_too_long = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&log_too_long);
    let thread = std::thread::Builder::new()
        .name("store-checkpoint".into())
        .spawn(move || run(&connection, &inbox, &flag))
        .map_err(|cause| Error::backend("start the checkpoint thread", cause))?;
    Ok(Checkpoints { nudges: Some(nudges), log_too_long, thread: Some(thread) })
}

fn run(connection: &Connection, inbox: &Receiver<()>, log_too_long: &AtomicBool) {
    while inbox.recv().is_ok() {
        let frames = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
        match frames {
            Ok((in_log, copied)) => {
                let limit = (WAL_LIMIT_BYTES / PAGE_BYTES) as i64;
                if in_log > limit {
                    log_too_long.store(true, Ordering::Release);
                }
                tracing::debug!(in_log, copied, "checkpoint");
            }
            // The log only grows meanwhile; the next nudge tries again.
            Err(cause) => tracing::warn!(%cause, "checkpoint failed"),
        }
    }
}

impl Checkpoints {
    /// Asks for a checkpoint; never waits.
    pub(super) fn nudge(&self) {
        if let Some(nudges) = &self.nudges {
            // Full: one is pending already.
            let _ = nudges.try_send(());
        }
    }

    /// Whether the log has outgrown its limit; asking clears the answer.
    pub(super) fn take_log_too_long(&self) -> bool {
        self.log_too_long.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.nudges = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's checkpoint thread panicked");
        }
    }
}

//! The SQLite file: one append-only table of changes, from which both the present and the history are rebuilt.
//!
//! In: groups of recorded changes and rows that compaction made needless. Out: everything, once, when the store is opened.
//! Never: is read after opening; writes a group in more than one transaction.
//!
//! A row stays as long as it is a key's present value or history needs it as a change or as a state before one.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::options::WAL_LIMIT_BYTES;
use super::staging::Recorded;
use crate::error::Error;
use crate::model::Revision;

/// Version of the tables below. A file with a higher number is refused.
pub(super) const SCHEMA_VERSION: i64 = 1;
/// Marks the file as a piecework store ("pwks").
const APPLICATION_ID: i64 = 0x7077_6b73;
/// How long a statement waits for a lock that a foreign tool (or the checkpoint) holds.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// Revision of a new, empty store: clients give resource version 0 a meaning of its own.
const FIRST_REVISION: Revision = 1;

const SCHEMA: &str = "
    CREATE TABLE changes (
        row INTEGER PRIMARY KEY,          -- order of all changes
        revision INTEGER NOT NULL,
        key TEXT NOT NULL,
        create_revision INTEGER NOT NULL, -- 0: the change is a delete
        value BLOB                        -- NULL: the change is a delete
    ) STRICT;
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    -- Revisions between the two (exclusive) may have been shown before a crash and are lost.
    CREATE TABLE gaps (last_known INTEGER PRIMARY KEY, resumed INTEGER NOT NULL) STRICT;
";

/// Revisions strictly between the two were reserved when the process died; what they held, if anything, is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub last_known: Revision,
    pub resumed: Revision,
}

/// One stored change, in commit order.
#[derive(Debug)]
pub(super) struct Row {
    pub row: i64,
    pub revision: Revision,
    pub key: Arc<str>,
    pub create_revision: Revision,
    pub value: Option<Bytes>,
}

/// All that the file knows.
#[derive(Debug)]
pub(super) struct Loaded {
    pub rows: Vec<Row>,
    pub compacted: Revision,
    pub revision: Revision,
    pub reserved: Revision,
    pub gaps: Vec<Gap>,
    pub next_row: i64,
}

/// What one sync makes durable.
#[derive(Debug, Default)]
pub(super) struct Group<'a> {
    pub changes: Vec<&'a Recorded>,
    /// Rows no longer needed. Written after the changes, because a change may be forgotten before its first sync.
    pub needless_rows: &'a [i64],
    pub compacted: Option<Revision>,
    pub reserved: Option<Revision>,
}

impl Group<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.needless_rows.is_empty() && self.compacted.is_none() && self.reserved.is_none()
    }
}

#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
}

/// A connection with the settings that durability rests on.
pub(super) fn connect(file: &Path) -> Result<Connection, Error> {
    let settings = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Checkpoints run in a thread of their own.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "journal_size_limit", WAL_LIMIT_BYTES as i64)?;
        Ok(connection)
    };
    settings().map_err(|cause| Error::backend(&format!("open {}", file.display()), cause))
}

impl Database {
    pub(super) fn open(file: &Path) -> Result<(Self, Loaded), Error> {
        let connection = connect(file)?;
        let mut database = Database { connection };
        database.prepare_schema(file)?;
        let doing = || format!("read {}", file.display());
        let mut loaded = database.load().map_err(|cause| Error::backend(&doing(), cause))?;
        database.resume(&mut loaded).map_err(|cause| Error::backend(&doing(), cause))?;
        Ok((database, loaded))
    }

    fn prepare_schema(&mut self, file: &Path) -> Result<(), Error> {
        let failed = |cause: rusqlite::Error| Error::backend(&format!("prepare {}", file.display()), cause);
        let number =
            |name: &str| -> Result<i64, Error> { self.connection.pragma_query_value(None, name, |row| row.get(0)).map_err(failed) };
        let (version, application) = (number("user_version")?, number("application_id")?);
        if version > SCHEMA_VERSION {
            return Err(Error::Backend(format!(
                "{} has schema version {version}, this piecework knows versions up to {SCHEMA_VERSION}: it was written by a newer piecework",
                file.display()
            )));
        }
        if version == SCHEMA_VERSION && application == APPLICATION_ID {
            return Ok(());
        }
        let tables: i64 = self.connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
        if version != 0 || tables != 0 {
            return Err(Error::Backend(format!(
                "{} is not a piecework store (application id {application}, schema version {version})",
                file.display()
            )));
        }
        let create = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            set_counter(&transaction, "compacted", FIRST_REVISION)?;
            set_counter(&transaction, "reserved", FIRST_REVISION)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()
        };
        create(&mut self.connection).map_err(failed)
    }

    fn load(&self) -> rusqlite::Result<Loaded> {
        let counter = |name: &str| -> rusqlite::Result<Revision> {
            let value =
                self.connection.query_row("SELECT value FROM counters WHERE name = ?1", [name], |row| row.get::<_, i64>(0)).optional()?;
            Ok(value.map_or(FIRST_REVISION, i64::cast_unsigned))
        };
        let (compacted, reserved) = (counter("compacted")?, counter("reserved")?);
        let mut statement = self.connection.prepare("SELECT row, revision, key, create_revision, value FROM changes ORDER BY row")?;
        let rows = statement
            .query_map([], |row| {
                Ok(Row {
                    row: row.get(0)?,
                    revision: row.get::<_, i64>(1)?.cast_unsigned(),
                    key: row.get::<_, Arc<str>>(2)?,
                    create_revision: row.get::<_, i64>(3)?.cast_unsigned(),
                    value: row.get::<_, Option<Vec<u8>>>(4)?.map(Bytes::from),
                })
            })?
            .collect::<rusqlite::Result<Vec<Row>>>()?;
        let mut statement = self.connection.prepare("SELECT last_known, resumed FROM gaps ORDER BY last_known")?;
        let gaps = statement
            .query_map([], |row| {
                Ok(Gap { last_known: row.get::<_, i64>(0)?.cast_unsigned(), resumed: row.get::<_, i64>(1)?.cast_unsigned() })
            })?
            .collect::<rusqlite::Result<Vec<Gap>>>()?;
        let newest = rows.last().map_or(0, |row| row.revision);
        let resumed = gaps.last().map_or(0, |gap| gap.resumed);
        Ok(Loaded {
            next_row: rows.last().map_or(0, |row| row.row) + 1,
            revision: newest.max(compacted).max(resumed),
            rows,
            compacted,
            reserved,
            gaps,
        })
    }

    /// After a crash with reserved revisions left, continues above all of them and remembers which ones are lost.
    fn resume(&mut self, loaded: &mut Loaded) -> rusqlite::Result<()> {
        if loaded.reserved <= loaded.revision {
            return Ok(());
        }
        let gap = Gap { last_known: loaded.revision, resumed: loaded.reserved + 1 };
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO gaps (last_known, resumed) VALUES (?1, ?2)",
            params![gap.last_known.cast_signed(), gap.resumed.cast_signed()],
        )?;
        set_counter(&transaction, "reserved", gap.resumed)?;
        transaction.commit()?;
        loaded.gaps.push(gap);
        loaded.revision = gap.resumed;
        loaded.reserved = gap.resumed;
        Ok(())
    }

    /// Writes the whole group in one transaction and returns when it is synced.
    pub(super) fn write(&mut self, group: &Group<'_>) -> Result<(), Error> {
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT INTO changes (row, revision, key, create_revision, value) VALUES (?1, ?2, ?3, ?4, ?5)")?;
                for recorded in &group.changes {
                    let change = &recorded.change;
                    insert.execute(params![
                        recorded.row,
                        change.revision.cast_signed(),
                        &*change.key,
                        change.entry.as_ref().map_or(0, |entry| entry.create_revision).cast_signed(),
                        change.entry.as_ref().map(|entry| &entry.value[..]),
                    ])?;
                }
                let mut delete = transaction.prepare_cached("DELETE FROM changes WHERE row = ?1")?;
                for row in group.needless_rows {
                    delete.execute([row])?;
                }
            }
            if let Some(compacted) = group.compacted {
                set_counter(&transaction, "compacted", compacted)?;
                transaction.execute("DELETE FROM gaps WHERE resumed <= ?1", [compacted.cast_signed()])?;
            }
            if let Some(reserved) = group.reserved {
                set_counter(&transaction, "reserved", reserved)?;
            }
            transaction.commit()
        };
        write().map_err(|cause| Error::backend("write", cause))
    }

    /// Copies the whole write-ahead log and lets the next write start it over. Commits wait meanwhile; reads do not come here.
    pub(super) fn restart_log(&self) -> Result<(), Error> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
            .map_err(|cause| Error::backend("restart the write-ahead log", cause))
    }
}

fn set_counter(connection: &Connection, name: &str, value: Revision) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO counters (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
        .execute(params![name, value.cast_signed()])
        .map(|_| ())
}

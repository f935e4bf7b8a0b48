//! Where a store's file is and how its connections are set up.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::open::Synchronous;
use crate::error::StoreError;
use crate::slow::SlowLog;

/// Prepared statements kept per connection: all that there are, with room.
const STATEMENTS: usize = 128;
/// Page cache of the writer, in KiB: holds the hot end of every index; it fills only when used.
const WRITER_CACHE_KIB: i64 = 16_000;
/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: i64 = 4_000;
/// Pages in the write-ahead log after which they are moved to the file: 16 MB.
const CHECKPOINT_PAGES: i64 = 4_000;
/// The write-ahead log is cut back to this size after it grew beyond it.
const WAL_BYTES: i64 = 64 * 1024 * 1024;
/// How long a transaction waits for another process's.
const BUSY: Duration = Duration::from_secs(5);

/// What every connection of a store knows.
#[derive(Debug)]
pub(super) struct Home {
    /// The file; none for a database in memory.
    pub(super) path: Option<PathBuf>,
    /// The file's name for messages.
    pub(super) location: String,
    /// What a commit waits for.
    pub(super) synchronous: Synchronous,
    /// Tells of slow statements.
    pub(super) slow: SlowLog,
}

impl Home {
    /// Opens the connection that writes. The file must exist.
    pub(super) fn writer(&self) -> Result<Connection, StoreError> {
        let open = || -> rusqlite::Result<Connection> {
            let conn = match &self.path {
                Some(path) => Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?,
                None => Connection::open_in_memory()?,
            };
            self.set_up(&conn, WRITER_CACHE_KIB)?;
            let _mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            conn.pragma_update(None, "synchronous", self.synchronous.word())?;
            conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            conn.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
            conn.pragma_update(None, "foreign_keys", true)?;
            Ok(conn)
        };
        open().map_err(|error| Fault::of(&error).into_error(self, "open"))
    }

    /// Opens a connection that only looks.
    pub(super) fn reader(&self) -> Result<Connection, StoreError> {
        let open = || -> rusqlite::Result<Connection> {
            let path = self.path.clone().unwrap_or_default();
            let conn = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
            self.set_up(&conn, READER_CACHE_KIB)?;
            Ok(conn)
        };
        open().map_err(|error| Fault::of(&error).into_error(self, "open"))
    }

    fn set_up(&self, conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
        conn.busy_timeout(BUSY)?;
        // Else SQLite compiles every statement with `LIMIT ?` anew at each call, to plan for that
        // number: 0.2 ms of CPU a claim.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.pragma_update(None, "cache_size", -cache_kib)?;
        conn.pragma_update(None, "temp_store", "memory")?;
        conn.pragma_update(None, "trusted_schema", false)
    }
}

/// Each connection is used by one thread at a time, so SQLite need not lock it; `file:` in a path means nothing special.
fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}
